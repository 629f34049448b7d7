//! Typed parameters: names with values of one of seven types. Many procedures take or give lists of them instead of
//! structures, so that a newer daemon can say more than an older client knows.

use crate::xdr::{Decoder, Encoder, Xdr, XdrError};
use crate::xdr_struct;

/// A floating-point number by its bits: what travels is compared byte by byte, which floating-point numbers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Double(u64);

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl Double {
    /// The number.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A value with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedValue {
    /// 1: a signed word.
    Int(i32),
    /// 2: an unsigned word.
    UInt(u32),
    /// 3: two words, signed.
    Long(i64),
    /// 4: two words, unsigned.
    ULong(u64),
    /// 5: a floating-point number.
    Double(Double),
    /// 6: yes or no.
    Bool(bool),
    /// 7: text.
    Text(String),
}

impl TypedValue {
    /// The number of its type.
    pub const fn kind(&self) -> i32 {
        match self {
            Self::Int(_) => 1,
            Self::UInt(_) => 2,
            Self::Long(_) => 3,
            Self::ULong(_) => 4,
            Self::Double(_) => 5,
            Self::Bool(_) => 6,
            Self::Text(_) => 7,
        }
    }
}

impl Xdr for TypedValue {
    fn encode(&self, out: &mut Encoder) {
        self.kind().encode(out);
        match self {
            Self::Int(value) => value.encode(out),
            Self::UInt(value) => value.encode(out),
            Self::Long(value) => value.encode(out),
            Self::ULong(value) | Self::Double(Double(value)) => value.encode(out),
            Self::Bool(value) => out.word(u32::from(*value)),
            Self::Text(value) => value.encode(out),
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(match i32::decode(input)? {
            1 => Self::Int(Xdr::decode(input)?),
            2 => Self::UInt(Xdr::decode(input)?),
            3 => Self::Long(Xdr::decode(input)?),
            4 => Self::ULong(Xdr::decode(input)?),
            5 => Self::Double(Double(Xdr::decode(input)?)),
            6 => Self::Bool(input.word()? != 0),
            7 => Self::Text(Xdr::decode(input)?),
            kind => return Err(XdrError::UnknownType { kind }),
        })
    }
}

macro_rules! values {
    ($($kind:ty => $variant:ident),*) => {
        $(impl From<$kind> for TypedValue {
            fn from(value: $kind) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

values!(i32 => Int, u32 => UInt, i64 => Long, u64 => ULong, f64 => Double, bool => Bool, String => Text, &str => Text);

xdr_struct! {
    /// One parameter.
    TypedParam { field: String, value: TypedValue }
}

impl TypedParam {
    /// A parameter; the type is the value's own.
    pub fn new(field: impl Into<String>, value: impl Into<TypedValue>) -> Self {
        Self {
            field: field.into(),
            value: value.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::List;
    use proptest::prelude::*;

    fn bytes<T: Xdr>(value: &T) -> Vec<u8> {
        let mut out = Encoder::default();
        value.encode(&mut out);
        out.finish().unwrap()
    }

    #[test]
    fn a_parameter_is_its_name_the_number_of_its_type_and_its_value() {
        assert_eq!(
            bytes(&TypedParam::new("a", 7_u64)),
            [0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7]
        );
        assert_eq!(bytes(&TypedValue::from(true)), [0, 0, 0, 6, 0, 0, 0, 1]);
        assert_eq!(bytes(&TypedValue::from(1.0))[..6], [0, 0, 0, 5, 0x3f, 0xf0]);
        assert_eq!(Double::from(2.5).value().to_bits(), 2.5_f64.to_bits());
    }

    #[test]
    fn a_type_that_nobody_knows_is_an_error() {
        for kind in [0_i32, 8, -1] {
            let mut input = bytes(&kind);
            input.extend([0; 8]);
            assert_eq!(
                TypedValue::from_payload(&input),
                Err(XdrError::UnknownType { kind })
            );
        }
    }

    fn any_value() -> impl Strategy<Value = TypedValue> {
        prop_oneof![
            any::<i32>().prop_map(TypedValue::from),
            any::<u32>().prop_map(TypedValue::from),
            any::<i64>().prop_map(TypedValue::from),
            any::<u64>().prop_map(TypedValue::from),
            any::<f64>().prop_map(TypedValue::from),
            any::<bool>().prop_map(TypedValue::from),
            "[^\0]{0,40}".prop_map(TypedValue::from),
        ]
    }

    proptest! {
        #[test]
        fn parameters_survive_the_wire(field in "[a-z.]{0,20}", value in any_value()) {
            let param = TypedParam { field, value };
            let encoded = bytes(&param);
            prop_assert_eq!(TypedParam::from_payload(&encoded), Ok(param));
            for length in 0..encoded.len() {
                prop_assert!(TypedParam::from_payload(&encoded[..length]).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(input: Vec<u8>, kind in 0_i32..9) {
            let _ = TypedParam::from_payload(&input);
            let _ = List::<TypedParam, 16>::from_payload(&input);
            let mut tagged = bytes(&kind);
            tagged.extend(&input);
            if let Ok(once) = TypedValue::from_payload(&tagged) {
                prop_assert_eq!(TypedValue::from_payload(&bytes(&once)), Ok(once));
            }
        }
    }
}
