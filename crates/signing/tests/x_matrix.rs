//! What the `X-Matrix` header reader accepts and refuses, and what the writer writes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use freehold_signing::{InvalidXMatrix, KeyId, Parameter, Signature, XMatrix};
use proptest::prelude::*;

/// 64 bytes whose base64 holds neither `/` nor `+`, so that it is a token.
fn sig() -> String {
    Signature::from_bytes([0x11; 64]).to_base64()
}

fn expected() -> XMatrix {
    XMatrix {
        origin: "origin.hs.example.com".try_into().unwrap(),
        destination: Some("destination.hs.example.com:8448".try_into().unwrap()),
        key: KeyId::parse("ed25519:key1").unwrap(),
        signature: Signature::from_bytes([0x11; 64]),
    }
}

fn parse(header: &str) -> Result<XMatrix, InvalidXMatrix> {
    XMatrix::parse(header.replace("SIG", &sig()).as_bytes())
}

#[test]
fn every_spelling_the_specification_allows_is_read() {
    for header in [
        // As the specification's example writes it.
        r#"X-Matrix origin="origin.hs.example.com",destination="destination.hs.example.com:8448",key="ed25519:key1",sig="SIG""#,
        // Unquoted values, with the colons of older servers.
        "X-Matrix origin=origin.hs.example.com,destination=destination.hs.example.com:8448,key=ed25519:key1,sig=SIG",
        // Quoted and unquoted mixed.
        r#"X-Matrix origin=origin.hs.example.com,destination="destination.hs.example.com:8448",key=ed25519:key1,sig="SIG""#,
        // Any order.
        r#"X-Matrix sig="SIG",key="ed25519:key1",destination="destination.hs.example.com:8448",origin="origin.hs.example.com""#,
        // The scheme and the names in any case.
        r#"x-mATRIX ORIGIN="origin.hs.example.com",Destination="destination.hs.example.com:8448",KEY="ed25519:key1",sIG="SIG""#,
        // Several spaces after the scheme; spaces and tabs round commas.
        "X-Matrix    origin=\"origin.hs.example.com\" ,\t destination=\"destination.hs.example.com:8448\"\t,key=\"ed25519:key1\" \t , \tsig=\"SIG\" ",
        // Backslashes in quoted values stand for the character that follows.
        r#"X-Matrix origin="origin\.hs.ex\ample.com",destination="destination.hs.example.com\:8448",key="ed25519\:key1",sig="SIG""#,
        // Unknown parameters, also quoted ones with commas, quotes and equals signs in them.
        r#"X-Matrix realm="a,b=\"c\"",origin="origin.hs.example.com",future=x,destination="destination.hs.example.com:8448",key="ed25519:key1",sig="SIG",future=y"#,
        // RFC 9110: blanks round the equals sign, empty list elements.
        r#"X-Matrix ,origin = "origin.hs.example.com",, destination= "destination.hs.example.com:8448",key ="ed25519:key1",sig="SIG","#,
        // The name the specification's list of parameters uses.
        r#"X-Matrix origin="origin.hs.example.com",destination="destination.hs.example.com:8448",key="ed25519:key1",signature="SIG""#,
    ] {
        assert_eq!(parse(header), Ok(expected()), "{header}");
    }
}

#[test]
fn a_header_without_destination_is_read() {
    let header = r#"X-Matrix origin="origin.hs.example.com",key="ed25519:key1",sig="SIG""#;
    assert_eq!(parse(header), Ok(XMatrix { destination: None, ..expected() }));
}

#[test]
fn ip_literals_are_read_in_quotes() {
    let header = r#"X-Matrix origin="[2001:db8::1]:8448",destination="1.2.3.4",key="ed25519:1",sig="SIG""#;
    let read = parse(header).unwrap();
    assert_eq!(read.origin.as_str(), "[2001:db8::1]:8448");
    assert_eq!(read.destination.unwrap().as_str(), "1.2.3.4");
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    use InvalidXMatrix as E;
    let cases: &[(&str, E)] = &[
        ("", E::Scheme),
        ("X-Matrix", E::Scheme),
        ("Bearer abc", E::Scheme),
        ("X-Matrix\torigin=a", E::Scheme),
        ("X-Matrixorigin=a", E::Scheme),
        ("X-Matrix ,", E::Missing { name: Parameter::Origin }),
        ("X-Matrix origin=a,key=ed25519:1", E::Missing { name: Parameter::Signature }),
        ("X-Matrix origin=a,sig=SIG", E::Missing { name: Parameter::Key }),
        ("X-Matrix key=ed25519:1,sig=SIG", E::Missing { name: Parameter::Origin }),
        ("X-Matrix origin=a,origin=a,key=ed25519:1,sig=SIG", E::Twice { name: Parameter::Origin }),
        ("X-Matrix origin=a,ORIGIN=b,key=ed25519:1,sig=SIG", E::Twice { name: Parameter::Origin }),
        (
            "X-Matrix origin=a,destination=b,destination=c,key=ed25519:1,sig=SIG",
            E::Twice { name: Parameter::Destination },
        ),
        ("X-Matrix origin=a,key=ed25519:1,key=ed25519:2,sig=SIG", E::Twice { name: Parameter::Key }),
        ("X-Matrix origin=a,key=ed25519:1,sig=SIG,signature=SIG", E::Twice { name: Parameter::Signature }),
        ("X-Matrix origin=\"a b\",key=ed25519:1,sig=SIG", E::ServerName { name: Parameter::Origin }),
        ("X-Matrix origin=\"\",key=ed25519:1,sig=SIG", E::ServerName { name: Parameter::Origin }),
        (
            "X-Matrix origin=a,destination=a:b:c,key=ed25519:1,sig=SIG",
            E::ServerName { name: Parameter::Destination },
        ),
        ("X-Matrix origin=a,key=ed25519,sig=SIG", E::Key(freehold_signing::InvalidKeyId::NoColon)),
        ("X-Matrix origin=a,key=ed25519:1,sig=AAAA", E::Signature),
        ("X-Matrix origin=a,key=ed25519:1,sig=\"\"", E::Signature),
        ("X-Matrix origin=a,key=ed25519:1,sig=\"*SIG\"", E::Signature),
        // Broken lists.
        ("X-Matrix origin", E::Syntax { remaining: 0 }),
        ("X-Matrix origin=", E::Syntax { remaining: 0 }),
        ("X-Matrix origin=,key=1", E::Syntax { remaining: 6 }),
        ("X-Matrix =a,key=1", E::Syntax { remaining: 8 }),
        ("X-Matrix origin=a key=1", E::Syntax { remaining: 5 }),
        ("X-Matrix origin=\"a\"b", E::Syntax { remaining: 1 }),
        ("X-Matrix origin=\"a", E::Syntax { remaining: 2 }),
        ("X-Matrix origin=\"a\\", E::Syntax { remaining: 3 }),
        ("X-Matrix origin=a/b", E::Syntax { remaining: 2 }),
        ("X-Matrix origin=[::1]", E::Syntax { remaining: 5 }),
        ("X-Matrix origin=\"a\r\nb\"", E::Syntax { remaining: 6 }),
    ];
    for (header, error) in cases {
        assert_eq!(parse(header).as_ref(), Err(error), "{header}");
    }
}

#[test]
fn a_refusal_names_the_parameter() {
    for (header, told) in [
        ("X-Matrix origin=a,origin=a", "the parameter origin is given twice"),
        ("X-Matrix destination=a,destination=a", "the parameter destination is given twice"),
        ("X-Matrix origin=a", "the parameter key is missing"),
        ("X-Matrix origin=a,key=ed25519:1", "the parameter sig is missing"),
    ] {
        assert_eq!(parse(header).unwrap_err().to_string(), told);
    }
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    assert_eq!(XMatrix::parse(b"X-Matrix origin=\"\xff\""), Err(InvalidXMatrix::NotUtf8));
}

#[test]
fn an_oversized_header_is_refused_unread() {
    let fits = |bytes: usize| {
        let head = format!("X-Matrix origin=a,key=ed25519:1,sig={},pad=", sig());
        let pad = "x".repeat(bytes - head.len());
        XMatrix::parse(format!("{head}{pad}").as_bytes())
    };
    assert!(fits(XMatrix::BYTES_MAX).is_ok());
    let bytes = XMatrix::BYTES_MAX + 1;
    assert_eq!(fits(bytes), Err(InvalidXMatrix::TooLong { bytes }));
}

#[test]
fn the_writer_writes_what_older_servers_read() {
    let header = expected().to_string();
    assert_eq!(
        header,
        format!(
            r#"X-Matrix origin="origin.hs.example.com",destination="destination.hs.example.com:8448",key="ed25519:key1",sig="{}""#,
            sig()
        )
    );
    assert!(!header.contains('\\'));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        origin in "[a-zA-Z0-9.-]{1,40}(:[0-9]{1,4})?",
        destination in proptest::option::of("[a-zA-Z0-9.-]{1,40}"),
        key in "ed25519:[ -~]{0,20}",
        signature in proptest::array::uniform32(any::<u8>()),
    ) {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(signature.iter().cycle()).for_each(|(to, from)| *to = *from);
        let written = XMatrix {
            origin: origin.try_into().unwrap(),
            destination: destination.map(|name| name.try_into().unwrap()),
            key: KeyId::parse(&key).unwrap(),
            signature: Signature::from_bytes(bytes),
        };
        prop_assert_eq!(XMatrix::parse(written.to_string().as_bytes()), Ok(written));
    }

    #[test]
    fn no_bytes_stop_the_reader(header in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = XMatrix::parse(&[b"X-Matrix ", &header[..]].concat());
    }

    #[test]
    fn no_list_of_parameters_stops_the_reader(list in r#"([a-z]{0,3}|origin|key|sig|[,=" \\])*"#) {
        let _ = XMatrix::parse(format!("X-Matrix {list}").as_bytes());
    }
}
