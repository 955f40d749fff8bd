//! Relaxed canonical JSON is what Python's `canonicaljson` prints.
//!
//! The recorded table stands without Python; where Python and the package are there, generated
//! texts are compared as well. `FREEHOLD_PYTHON` names an interpreter other than `python3`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

mod generate;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use freehold_canonical_json::{Limits, canonicalize, check_canonical, parse};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

/// Texts and what canonicaljson 2.0.0 prints for them on Python 3.11, or `refused`.
const RECORDED: &str = include_str!("python/recorded.tsv");

#[test]
fn recorded_cases_of_the_reference_are_printed_alike() {
    let mut count = 0;
    for line in RECORDED.lines() {
        let (text, expected) = line.split_once('\t').unwrap();
        let mut out = Vec::new();
        let result = canonicalize(text.as_bytes(), &Limits::RELAXED, &mut out);
        let tree = parse(text.as_bytes(), &Limits::RELAXED);
        if expected == "refused" {
            assert!(result.is_err(), "{text}");
            assert!(tree.is_err(), "{text}");
        } else {
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
            assert_eq!(tree.unwrap().to_canonical_vec(), expected.as_bytes(), "{text}");
            assert_eq!(check_canonical(expected.as_bytes(), &Limits::RELAXED), Ok(()), "{text}");
        }
        count += 1;
    }
    assert!(count > 100);
}

#[test]
fn generated_texts_are_printed_as_the_reference_prints_them() {
    let Some(python) = python() else { return };
    let texts = texts(2000);
    let answers = reference(&python, &texts);
    assert_eq!(answers.len(), texts.len());
    for (text, answer) in texts.iter().zip(answers) {
        let mut out = Vec::new();
        let ours = match canonicalize(text, &Limits::RELAXED, &mut out) {
            Ok(()) => hex(&out),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(ours, answer, "{}", String::from_utf8_lossy(text));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test program may be told which Python to use")]
fn python() -> Option<String> {
    let python = std::env::var("FREEHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import canonicaljson"]).output();
    match probe {
        Ok(output) if output.status.success() => Some(python),
        Ok(_) => {
            println!("skipped: `{python}` does not have the package `canonicaljson`");
            None
        }
        Err(error) => {
            println!("skipped: cannot run `{python}`: {error}");
            None
        }
    }
}

fn reference(python: &str, texts: &[Vec<u8>]) -> Vec<String> {
    let mut child = Command::new(python)
        .args(["-c", include_str!("python/canonical.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = texts.iter().map(|text| hex(text) + "\n").collect();
    let writer = std::thread::Builder::new();
    let writer = writer.spawn(move || stdin.write_all(lines.as_bytes())).unwrap();
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    let decimal =
        ("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?").prop_map(String::into_bytes);
    let double = any::<u64>().prop_map(|bits| format!("{:?}", f64::from_bits(bits)).into_bytes());
    let text = prop_oneof![decimal, double, generate::any_text(), generate::canonical_text()];
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    (0..count).map(|_| text.new_tree(&mut runner).unwrap().current()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
