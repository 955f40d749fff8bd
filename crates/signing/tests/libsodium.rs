//! Our verdict on every signature is libsodium's, row by row.
//!
//! `libsodium/verdicts.tsv` is written by `libsodium/generate.py`: all fourteen encodings of the
//! eight points of small order as A and as R, A and R with a component of small order, scalars at
//! and above the group order, encodings that are not canonical or of no point, and honest
//! signatures. Its columns hold the verdict of `VerifyKey.verify` of six versions of PyNaCl, whose
//! bundled libsodium is 1.0.16 (PyNaCl 1.3), 1.0.18 (1.4, 1.5) and 1.0.20 (1.6). They agree in
//! every row.
//!
//! The source of libsodium verifies without the cofactor in every release up to 1.0.22. Only its
//! unreleased development branch (since commit 0f767c7d of 2022-11-27) multiplies by the cofactor,
//! and so would accept the rows `A=a.B+T… cofactored`, and those alone, that the releases refuse.
//! The releases are what servers run and what this crate follows.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use freehold_signing::{Claim, InvalidKey, PreparedKeys, Signature, VerifyingKey, which_hold};

struct Row {
    name: &'static str,
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    verdicts: Vec<bool>,
}

#[test]
fn every_verdict_equals_libsodiums() {
    for row in rows() {
        let ours = VerifyingKey::from_bytes(&row.key)
            .is_ok_and(|key| key.verify(&row.message, &Signature::from_bytes(row.signature)).is_ok());
        for theirs in &row.verdicts {
            assert_eq!(ours, *theirs, "{}", row.name);
        }
    }
}

#[test]
fn every_verdict_is_the_same_among_others() {
    let rows = rows();
    let keys: Vec<_> = rows.iter().map(|row| VerifyingKey::from_bytes(&row.key)).collect();
    let signatures: Vec<_> = rows.iter().map(|row| Signature::from_bytes(row.signature)).collect();
    let (mut claims, mut verdicts) = (Vec::new(), Vec::new());
    for ((row, key), signature) in rows.iter().zip(&keys).zip(&signatures) {
        let Ok(key) = key else { continue };
        claims.push(Claim { key, message: &row.message, signature });
        verdicts.push(row.verdicts[0]);
    }
    assert!(verdicts.iter().any(|holds| *holds) && verdicts.iter().any(|holds| !holds));
    assert_eq!(which_hold(&claims, None), verdicts);
    let prepared = PreparedKeys::new(4);
    for _ in 0..10 {
        assert_eq!(which_hold(&claims, Some(&prepared)), verdicts);
    }
}

/// With a table from the eighth time on.
#[test]
fn every_verdict_with_a_prepared_key_is_the_same() {
    let prepared = PreparedKeys::new(4);
    for row in rows() {
        let Ok(key) = VerifyingKey::from_bytes(&row.key) else { continue };
        for time in 0..10 {
            let ours = prepared.verify(&key, &row.message, &Signature::from_bytes(row.signature)).is_ok();
            assert_eq!(ours, row.verdicts[0], "{} {time}", row.name);
        }
    }
}

#[test]
fn the_versions_of_libsodium_agree_with_each_other() {
    for row in rows() {
        assert!(row.verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{}", row.name);
    }
}

#[test]
fn keys_of_small_order_are_refused_when_they_are_read() {
    let mut refused = 0;
    for row in rows().iter().filter(|row| row.name.starts_with("A=T")) {
        assert!(VerifyingKey::from_bytes(&row.key).is_err(), "{}", row.name);
        refused += 1;
    }
    assert!(refused > 200);
}

#[test]
fn a_signature_right_only_up_to_the_cofactor_is_refused() {
    let torsion = |row: &&Row| row.name.starts_with("A=a.B+T") && row.name.contains(" R=r.B+T");
    let all = rows();
    for row in all.iter().filter(torsion) {
        assert_eq!(row.verdicts[0], row.name.ends_with("exact"), "{}", row.name);
    }
    assert!(all.iter().filter(torsion).filter(|row| row.verdicts[0]).count() >= 40);
    assert!(all.iter().filter(torsion).filter(|row| !row.verdicts[0]).count() >= 60);
}

#[test]
fn an_r_of_small_order_is_refused_even_where_the_equation_holds() {
    let all = rows();
    let small = |row: &&Row| row.name.contains(" R=T") && row.name.ends_with("S=h.a exact");
    for row in all.iter().filter(small) {
        assert!(VerifyingKey::from_bytes(&row.key).is_ok(), "{}", row.name);
        assert!(!row.verdicts[0], "{}", row.name);
    }
    assert!(all.iter().filter(small).count() >= 14);
}

#[test]
fn keys_are_refused_by_their_fault() {
    // y = p + n is n, spelled otherwise, whatever the sign.
    for n in 0..19 {
        for sign in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (0xed + n, sign);
            assert_eq!(VerifyingKey::from_bytes(&key), Err(InvalidKey::NotCanonical), "{n}");
        }
    }
    let y = |low: u8| {
        let mut key = [0; 32];
        key[0] = low;
        key
    };
    assert_eq!(VerifyingKey::from_bytes(&y(0)), Err(InvalidKey::SmallOrder));
    assert_eq!(VerifyingKey::from_bytes(&y(1)), Err(InvalidKey::SmallOrder));
    assert_eq!(VerifyingKey::from_bytes(&y(2)), Err(InvalidKey::NotOnTheCurve));
    assert!(VerifyingKey::from_bytes(&y(3)).is_ok());
    // The greatest canonical y is that of the point of order 2.
    let mut greatest = [0xff; 32];
    (greatest[0], greatest[31]) = (0xec, 0x7f);
    assert_eq!(VerifyingKey::from_bytes(&greatest), Err(InvalidKey::SmallOrder));
    for text in ["", "AAAA", &"A".repeat(42), &"A".repeat(44)] {
        assert_eq!(VerifyingKey::from_base64(text), Err(InvalidKey::Base64), "{text}");
    }
}

fn rows() -> Vec<Row> {
    let rows: Vec<Row> = TABLE.lines().skip(1).map(row).collect();
    assert!(rows.len() > 600);
    rows
}

fn row(line: &'static str) -> Row {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap();
    let (name, key, message, signature) = (next(), next(), next(), next());
    Row {
        name,
        key: hex(key).try_into().unwrap(),
        message: hex(message),
        signature: hex(signature).try_into().unwrap(),
        verdicts: fields.map(|verdict| verdict == "1").collect(),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

const TABLE: &str = include_str!("libsodium/verdicts.tsv");
