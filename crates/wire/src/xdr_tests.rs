//! Values to bytes and back, and bytes that are no values.

use super::*;
use proptest::prelude::*;

fn bytes<T: Xdr>(value: &T) -> Vec<u8> {
    let mut out = Encoder::default();
    value.encode(&mut out);
    out.finish().unwrap()
}

fn round_trip<T: Xdr + PartialEq + std::fmt::Debug>(value: T) {
    let encoded = bytes(&value);
    assert_eq!(encoded.len() % 4, 0);
    assert_eq!(T::from_payload(&encoded), Ok(value));
    // Cut anywhere, it is an error and not a panic.
    for length in 0..encoded.len() {
        assert!(T::from_payload(&encoded[..length]).is_err());
    }
}

#[test]
fn words_are_big_endian() {
    assert_eq!(bytes(&-1_i32), [0xff; 4]);
    assert_eq!(bytes(&0x0102_0304_0506_0708_u64), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        bytes(&"abcde".to_owned()),
        [0, 0, 0, 5, b'a', b'b', b'c', b'd', b'e', 0, 0, 0]
    );
    assert_eq!(bytes(&Some(7_u32)), [0, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(bytes(&Char(0xe4)), [0xff, 0xff, 0xff, 0xe4]);
}

#[test]
fn any_marker_but_zero_means_present() {
    assert_eq!(
        Option::<u32>::from_payload(&[1, 0, 0, 0, 0, 0, 0, 9]),
        Ok(Some(9))
    );
    assert_eq!(Option::<u32>::from_payload(&[0; 4]), Ok(None));
}

#[test]
fn bytes_behind_a_value_are_ignored_and_padding_is_not_checked() {
    assert_eq!(
        String::from_payload(&[0, 0, 0, 1, b'x', 1, 2, 3, 9, 9]),
        Ok("x".to_owned())
    );
}

#[test]
fn limits_hold_in_both_directions() {
    assert_eq!(
        List::<u32, 2>::from_payload(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Err(XdrError::TooLong { length: 3, limit: 2 })
    );
    assert!(List::<u32, 2>::new(vec![1, 2, 3]).is_err());
    assert_eq!(
        String::from_payload(&[0, 0x40, 0, 1]),
        Err(XdrError::TooLong {
            length: STRING_LIMIT + 1,
            limit: STRING_LIMIT
        })
    );
    let mut out = Encoder::default();
    "x".repeat(STRING_LIMIT + 1).encode(&mut out);
    assert_eq!(
        out.finish(),
        Err(XdrError::TooLong {
            length: STRING_LIMIT + 1,
            limit: STRING_LIMIT
        })
    );
}

#[test]
fn a_string_is_text_without_nul() {
    assert_eq!(
        String::from_payload(&[0, 0, 0, 1, 0xff, 0, 0, 0]),
        Err(XdrError::NotText)
    );
    assert_eq!(
        String::from_payload(&[0, 0, 0, 2, b'a', 0, 0, 0]),
        Err(XdrError::NotText)
    );
}

#[test]
fn fixed_text_keeps_a_final_zero() {
    assert_eq!(FixedText::<4>::new("abcdef").text(), "abc");
    assert_eq!(FixedText::<0>::new("abcdef").text(), "");
}

proptest! {
    #[test]
    fn values_survive_the_wire(a: i32, b: u64, c: i64, text in "[^\0]{0,40}", raw: [u8; 16], many in prop::collection::vec("[^\0]{0,5}", 0..7), one: Option<u32>) {
        round_trip(a);
        round_trip(b);
        round_trip(c);
        round_trip(text);
        round_trip(raw);
        round_trip(List::<String, 7>::new(many).unwrap());
        round_trip(one);
        round_trip(FixedText::<16>(raw));
    }

    #[test]
    fn arbitrary_bytes_never_panic(input: Vec<u8>) {
        let _ = String::from_payload(&input);
        let _ = List::<String, 9>::from_payload(&input);
        let _ = Option::<List<u64, 5>>::from_payload(&input);
        let _ = FixedText::<8>::from_payload(&input);
    }
}
