//! The configuration file: what concerns the whole process. What belongs to a tenant is in the store.

mod address;
mod domain;
mod error;
mod files;
mod name_server;
mod network;
mod place;
mod reference;
mod settings;
mod size;

use std::path::Path;

use files::check_files;
use serde::de::DeserializeOwned;

pub(crate) use address::Address;
pub(crate) use error::ConfigError;
pub(crate) use place::{Bucket, MediaPlace, StoragePlace};
pub(crate) use reference::reference;
pub(crate) use settings::{
    Api, Bounds, Certificate, Config, Listener, Log, LogFormat, LogLevel, Rate, RateLimits,
};

impl Config {
    /// Reads a configuration file; without one, everything has its default.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line, key and what was expected.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Ok(Config::default()) };
        parse(&read(path)?, path)
    }

    /// Reads a configuration file, and looks into the files that it names.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn check(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Ok(Config::default()) };
        let text = read(path)?;
        let config = parse(&text, path)?;
        check_files(&config, path, &text)?;
        Ok(config)
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    #[expect(clippy::disallowed_methods, reason = "the program reads its configuration")]
    let text = std::fs::read_to_string(file);
    text.map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })
}

/// Reads the text of a file in TOML.
///
/// # Errors
/// [`ConfigError`].
pub(crate) fn parse<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, ConfigError> {
    let wrong = |error: toml::de::Error, key: String| ConfigError::at(file, text, &error, key);
    let document = toml::Deserializer::parse(text).map_err(|error| wrong(error, String::new()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        wrong(error.into_inner(), key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse::<Config>(text, Path::new("freehold.toml")).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_file_line_key_and_what_was_expected() {
        for (text, expected) in [
            ("data = 7\n", "freehold.toml:1: `data`: invalid type: integer `7`, expected path string"),
            (
                "data = \"x\"\n\n[log]\nlevel = \"loud\"\n",
                "freehold.toml:4: `log.level`: unknown variant `loud`, expected one of `error`, `warn`, `info`, `debug`, `trace`",
            ),
            (
                "base_domain = \"not a domain\"\n",
                "freehold.toml:1: `base_domain`: `not a domain` is not a domain: expected a name as m.example.net",
            ),
            (
                "trusted_proxies = [\"10.0.0.0/33\"]\n",
                "freehold.toml:1: `trusted_proxies[0]`: `10.0.0.0/33` is not a network: expected one as 10.0.0.0/8 or 2001:db8::/32",
            ),
            (
                "[rate_limits]\nuser = { per_second = 0, burst = 1 }\n",
                "freehold.toml:2: `rate_limits.user.per_second`: invalid value: integer `0`, expected a nonzero u32",
            ),
            (
                "memory = \"1 MiB\"\n",
                "freehold.toml:1: `memory`: `1 MiB` is too little: expected 16 MiB at least",
            ),
            (
                "[[listener]]\naddress = \"nowhere\"\n",
                "freehold.toml:2: `listener[0].address`: `nowhere` is not an address: expected host:port with a numeric host, unix:PATH or systemd:NUMBER",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        let unknown = error("datta = \"x\"\n");
        assert!(unknown.starts_with("freehold.toml:1: ") && unknown.contains("`datta`"), "{unknown}");
        assert!(unknown.contains("`data`"), "{unknown}");
        assert!(error("data = \n").starts_with("freehold.toml:1: "));
    }

    #[test]
    fn the_reference_is_a_configuration_file_that_changes_nothing() {
        let parsed: Config = parse(&reference(), Path::new("reference")).unwrap();
        assert_eq!(parsed, Config::default());
    }

    #[test]
    fn limits_that_would_let_nobody_in_are_named() {
        for (text, expected) in [
            ("[limits]\ndevices = 0\n", "freehold.toml:2: `limits.devices`: "),
            ("[limits]\nupload = 5\n", "freehold.toml:2: `limits.upload`: "),
            ("[limits]\naccess_token_minutes = -1\n", "freehold.toml:2: `limits.access_token_minutes`: "),
        ] {
            let found = error(text);
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn every_default_in_the_reference_is_the_default() {
        // Each setting that is commented out stands for its default, when it says so.
        let text: String = reference()
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("#= ").unwrap_or(line)))
            .collect();
        let parsed: Config = parse(&text, Path::new("reference")).unwrap();
        assert_eq!(parsed, Config::default());
    }
}
