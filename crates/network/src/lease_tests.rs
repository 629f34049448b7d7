//! Leases: the file's form, dnsmasq's events, what clients are told.

use proptest::prelude::*;

use super::*;

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn args(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn apply(book: &mut Book, text: &str, pairs: &[(&str, &str)]) {
    match Event::read(&args(text), &env(pairs), book).expect("an event") {
        Some(Event::Put(entry)) => book.put(entry),
        Some(Event::Delete(ip)) => book.remove(&ip),
        _ => panic!("no change"),
    }
}

#[test]
fn r15_the_file_has_the_form_that_hooks_know() {
    let mut book = Book::default();
    let client = [
        ("DNSMASQ_LEASE_EXPIRES", "4000000000"),
        ("DNSMASQ_CLIENT_ID", "01:52:54:00:00:00:01"),
    ];
    apply(&mut book, "add 52:54:00:00:00:01 192.168.151.10 guest1", &client);
    let ipv6 = [
        ("DNSMASQ_LEASE_EXPIRES", "4000000002"),
        ("DNSMASQ_IAID", "2"),
        ("DNSMASQ_SERVER_DUID", "00:01:aa"),
        ("DNSMASQ_MAC", "52:54:00:00:00:03"),
    ];
    apply(&mut book, "add 00:01:00:01:2b fd00:1::10 g3", &ipv6);
    let text = book.to_text();
    assert_eq!(
        text,
        r#"[
  {
    "ip-address": "192.168.151.10",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "guest1",
    "client-id": "01:52:54:00:00:00:01",
    "expiry-time": 4000000000
  },
  {
    "iaid": "2",
    "ip-address": "fd00:1::10",
    "mac-address": "52:54:00:00:00:03",
    "hostname": "g3",
    "client-id": "00:01:00:01:2b",
    "server-duid": "00:01:aa",
    "expiry-time": 4000000002
  }
]
"#
    );
    assert_eq!(Book::parse(text.as_bytes()).expect("the same"), book);
}

#[test]
fn r15_a_renewal_keeps_the_name_and_an_end_frees_the_address() {
    let mut book = Book::default();
    apply(
        &mut book,
        "add 52:54:00:00:00:01 192.168.151.10 guest1",
        &[("DNSMASQ_LEASE_EXPIRES", "100")],
    );
    apply(
        &mut book,
        "add 52:54:00:00:00:02 192.168.151.11",
        &[("DNSMASQ_LEASE_EXPIRES", "101")],
    );
    let renewed = [
        ("DNSMASQ_LEASE_EXPIRES", "200"),
        ("DNSMASQ_OLD_HOSTNAME", "guest1"),
    ];
    apply(&mut book, "old 52:54:00:00:00:01 192.168.151.10", &renewed);
    assert_eq!(book.entries.len(), 2);
    assert_eq!(book.entries[1].hostname.as_deref(), Some("guest1"));
    assert_eq!(book.entries[1].expiry_time, 200);
    apply(&mut book, "del 52:54:00:00:00:02 192.168.151.11", &[]);
    assert_eq!(book.entries.len(), 1);
}

#[test]
fn dnsmasq_gets_back_what_has_not_ended() {
    let mut book = Book::default();
    apply(
        &mut book,
        "add 52:54:00:00:00:01 192.168.151.10 guest1",
        &[("DNSMASQ_LEASE_EXPIRES", "100")],
    );
    apply(
        &mut book,
        "add 52:54:00:00:00:02 192.168.151.11",
        &[("DNSMASQ_LEASE_EXPIRES", "300")],
    );
    apply(
        &mut book,
        "add 52:54:00:00:00:04 192.168.151.14",
        &[("DNSMASQ_LEASE_EXPIRES", "0")],
    );
    let ipv6 = [
        ("DNSMASQ_LEASE_EXPIRES", "400"),
        ("DNSMASQ_IAID", "2"),
        ("DNSMASQ_SERVER_DUID", "00:aa"),
    ];
    apply(&mut book, "add 00:01 fd00:1::10 g3", &ipv6);
    assert_eq!(
        book.to_dnsmasq(200),
        "300 52:54:00:00:00:02 192.168.151.11 * *\n0 52:54:00:00:00:04 192.168.151.14 * *\nduid 00:aa\n\
         400 2 fd00:1::10 g3 00:01\n"
    );
}

#[test]
fn events_about_other_things_are_none_of_ours() {
    let book = Book::default();
    assert_eq!(Event::read(&args("tftp 1 2 3"), &env(&[]), &book), Ok(None));
    assert!(Event::read(&args("add"), &env(&[]), &book).is_err());
    assert!(Event::read(&[], &env(&[]), &book).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(book) = Book::parse(&bytes) {
            prop_assert_eq!(Book::parse(book.to_text().as_bytes()).expect("own text"), book);
        }
    }

    #[test]
    fn names_of_any_characters_come_back(name in ".*", ip in "[0-9.]{1,15}") {
        let mut book = Book::default();
        book.put(Entry { ip_address: ip, hostname: Some(name), ..Entry::default() });
        prop_assert_eq!(Book::parse(book.to_text().as_bytes()).expect("own text"), book);
    }
}
