//! The seeds of the fuzz targets get past the first check of what they are for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use freehold_canonical_json::{Limits, parse};
use freehold_event::{Pdu, RoomVersion};
use freehold_keyring::{NotaryQuery, formats};
use freehold_signing::XMatrix;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    // Some are there because they are refused.
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let own = paths.filter(|path| !name(path).starts_with("found-") && !name(path).starts_with("refused-"));
    let seeds: Vec<_> = own.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

#[test]
fn every_seed_is_read() {
    for (name, seed) in seeds("canonical_json") {
        assert!(parse(&seed, &Limits::RELAXED).is_ok(), "{name}");
    }
    for (name, seed) in seeds("pdu") {
        let (version, json) = seed.split_first().unwrap();
        let version = RoomVersion::ALL.get(usize::from(*version)).unwrap();
        assert!(Pdu::parse(json, version).is_ok(), "{name}: {:?}", Pdu::parse(json, version));
    }
    for (name, seed) in seeds("x_matrix") {
        assert!(XMatrix::parse(&seed).is_ok(), "{name}: {:?}", XMatrix::parse(&seed));
    }
    for (name, seed) in seeds("key_document") {
        let query = NotaryQuery::parse(&seed).is_ok();
        assert!(query || parse(&seed, &Limits::STRICT).is_ok(), "{name}");
    }
    for (name, seed) in seeds("key_file") {
        let text = std::str::from_utf8(&seed).unwrap_or_default();
        let read = [
            formats::conduit::parse(&seed).is_ok(),
            formats::synapse::parse(text).is_ok(),
            formats::pem::parse(text).is_ok(),
            formats::synapse_config::parse(text).is_ok(),
            formats::dendrite_config::parse(text).is_ok(),
        ];
        assert!(read.contains(&true), "{name}");
    }
}
