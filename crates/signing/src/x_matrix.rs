//! The `Authorization: X-Matrix` header of a federation request.

use std::fmt;

use ruma_common::OwnedServerName;

use crate::{InvalidKeyId, KeyId, Signature, header_parameters::Parameters};

/// The credentials in an `X-Matrix` header
/// (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>).
///
/// [`parse`](Self::parse) reads all the specification says a recipient accepts; `Display` writes
/// the one form it asks of a sender. Nothing is verified until
/// [`verify_request`](crate::verify_request) has been called with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XMatrix {
    /// The server that claims to send the request.
    pub origin: OwnedServerName,
    /// The server the request is meant for. Absent from servers older than version 1.3 of the
    /// specification.
    pub destination: Option<OwnedServerName>,
    /// The key of the origin the request is signed with.
    pub key: KeyId,
    /// The signature of the request. The parameter is called `sig`, as in the examples of the
    /// specification and by every server, though its list of parameters says `signature`.
    pub signature: Signature,
}

impl XMatrix {
    /// The most bytes a header value may have. This crate's own bound: the four known parameters
    /// take 900 bytes at most, written plainly.
    pub const BYTES_MAX: usize = 4096;

    /// Reads the value of an `Authorization` header.
    ///
    /// As the specification asks: the scheme and the names of parameters in any case, parameters in
    /// any order, spaces and tabs round commas (and, from RFC 9110, round `=`; and empty list
    /// elements), values quoted with backslash escapes or as bare tokens, which may hold colons;
    /// unknown parameters are ignored. `signature` is read as `sig`.
    ///
    /// # Errors
    ///
    /// [`InvalidXMatrix`], to be answered with 401. A known parameter given twice is refused: two
    /// readers could choose differently.
    pub fn parse(header: &[u8]) -> Result<Self, InvalidXMatrix> {
        if header.len() > Self::BYTES_MAX {
            return Err(InvalidXMatrix::TooLong { bytes: header.len() });
        }
        let header = str::from_utf8(header).map_err(|_| InvalidXMatrix::NotUtf8)?;
        let mut found = Found::default();
        for parameter in Parameters::new(parameters_of(header)?) {
            let (name, value) = parameter.map_err(|remaining| InvalidXMatrix::Syntax { remaining })?;
            found.put(name, value)?;
        }
        found.finish()
    }
}

impl fmt::Display for XMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X-Matrix origin=\"{}\"", self.origin)?;
        if let Some(destination) = &self.destination {
            write!(f, ",destination=\"{destination}\"")?;
        }
        f.write_str(",key=\"")?;
        for character in self.key.as_str().chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        write!(f, "\",sig=\"{}\"", self.signature.to_base64())
    }
}

/// Why a header value is no `X-Matrix` credentials. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidXMatrix {
    /// Longer than [`XMatrix::BYTES_MAX`].
    #[error("the header has {bytes} bytes, at most {} are read", XMatrix::BYTES_MAX)]
    TooLong {
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// The value is not UTF-8.
    #[error("the header is not UTF-8")]
    NotUtf8,
    /// Another authentication scheme.
    #[error("the authentication scheme is not X-Matrix")]
    Scheme,
    /// The list of parameters breaks the grammar of RFC 9110, section 11.4.
    #[error("the list of parameters is malformed {remaining} bytes before its end")]
    Syntax {
        /// How many bytes, from the fault to the end, were not understood.
        remaining: usize,
    },
    /// A known parameter is given more than once.
    #[error("the parameter {name} is given twice")]
    Twice {
        /// The parameter.
        name: Parameter,
    },
    /// A parameter that must be there is not.
    #[error("the parameter {name} is missing")]
    Missing {
        /// The parameter.
        name: Parameter,
    },
    /// A value that is no server name.
    #[error("the parameter {name} is no server name")]
    ServerName {
        /// The parameter.
        name: Parameter,
    },
    /// A value that is no key id.
    #[error("the parameter key is no key id: {0}")]
    Key(#[source] InvalidKeyId),
    /// A value that is not base64 of 64 bytes.
    #[error("the parameter sig is no Ed25519 signature")]
    Signature,
}

/// A parameter this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `origin`
    Origin,
    /// `destination`
    Destination,
    /// `key`
    Key,
    /// `sig`
    Signature,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => "origin",
            Self::Destination => "destination",
            Self::Key => "key",
            Self::Signature => "sig",
        })
    }
}

impl Parameter {
    fn named(name: &str) -> Option<Self> {
        [
            ("origin", Self::Origin),
            ("destination", Self::Destination),
            ("key", Self::Key),
            ("sig", Self::Signature),
            ("signature", Self::Signature),
        ]
        .into_iter()
        .find_map(|(known, parameter)| name.eq_ignore_ascii_case(known).then_some(parameter))
    }
}

/// What follows the scheme and the spaces after it.
fn parameters_of(header: &str) -> Result<&str, InvalidXMatrix> {
    let (scheme, rest) = header.trim().split_once(' ').ok_or(InvalidXMatrix::Scheme)?;
    if !scheme.eq_ignore_ascii_case("X-Matrix") {
        return Err(InvalidXMatrix::Scheme);
    }
    Ok(rest.trim_start_matches(' '))
}

#[derive(Default)]
struct Found {
    origin: Option<String>,
    destination: Option<String>,
    key: Option<String>,
    signature: Option<String>,
}

impl Found {
    fn put(&mut self, name: &str, value: String) -> Result<(), InvalidXMatrix> {
        let Some(name) = Parameter::named(name) else {
            return Ok(());
        };
        let place = match name {
            Parameter::Origin => &mut self.origin,
            Parameter::Destination => &mut self.destination,
            Parameter::Key => &mut self.key,
            Parameter::Signature => &mut self.signature,
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(InvalidXMatrix::Twice { name }),
        }
    }

    fn finish(self) -> Result<XMatrix, InvalidXMatrix> {
        let missing = |name| move || InvalidXMatrix::Missing { name };
        let origin = self.origin.ok_or_else(missing(Parameter::Origin))?;
        let key = self.key.ok_or_else(missing(Parameter::Key))?;
        let signature = self.signature.ok_or_else(missing(Parameter::Signature))?;
        Ok(XMatrix {
            origin: server_name(Parameter::Origin, &origin)?,
            destination: self
                .destination
                .map(|name| server_name(Parameter::Destination, &name))
                .transpose()?,
            key: KeyId::parse(&key).map_err(InvalidXMatrix::Key)?,
            signature: Signature::from_base64(&signature).ok_or(InvalidXMatrix::Signature)?,
        })
    }
}

fn server_name(name: Parameter, value: &str) -> Result<OwnedServerName, InvalidXMatrix> {
    OwnedServerName::try_from(value).map_err(|_| InvalidXMatrix::ServerName { name })
}
