//! Reads bodies of several parts as they come, holding no more of them than the head of one part
//! (<https://datatracker.ietf.org/doc/html/rfc2046#section-5.1>).

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use memchr::memmem;
use thiserror::Error;

use crate::limits::{PART_HEAD_BYTES_MAX, PART_PADDING_BYTES_MAX, PREAMBLE_BYTES_MAX};

/// Finds the parts of a body in bytes that come in any pieces.
pub(super) struct Multipart {
    /// What ends a part: the end of a line, two dashes, and the boundary.
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    /// How many bytes there were before the first part.
    preamble: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first part.
    Preamble,
    /// Behind a delimiter.
    Delimited,
    /// In the headers of a part.
    Head,
    /// Behind the headers of a part: an empty body need not begin.
    BodyOrEnd,
    /// In the body of a part.
    Body,
    /// Behind the last part.
    Done,
}

/// What is found next.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// A part begins.
    Head(HeaderMap),
    /// Bytes of the part.
    Data(Bytes),
    /// The part ends.
    End,
    /// There are no more parts.
    Done,
}

/// What is wrong with a body of several parts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MultipartError {
    /// It is none, or does not say what lies between its parts.
    #[error("`{content_type}` is no `multipart/mixed` with a boundary")]
    ContentType {
        /// What it is.
        content_type: String,
    },
    /// No part begins.
    #[error("no part begins within {bytes_max} bytes")]
    NoBoundary {
        /// Where one should have begun.
        bytes_max: usize,
    },
    /// The line of a boundary goes on.
    #[error("a boundary is followed by something")]
    Boundary,
    /// The headers of a part do not end.
    #[error("the headers of a part have more than {bytes_max} bytes")]
    LongHead {
        /// The most bytes that they may have.
        bytes_max: usize,
    },
    /// A line of the headers of a part is none.
    #[error("a part has a header that is none")]
    Header,
    /// It ends within a part.
    #[error("the body ends before its parts do")]
    Unfinished,
    /// It has fewer parts than it should.
    #[error("there are fewer than two parts")]
    TooFewParts,
    /// Its first part is not the description that it should be.
    #[error("the first part is no JSON object of up to {bytes_max} bytes")]
    Description {
        /// The most bytes that it may have.
        bytes_max: usize,
    },
}

const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
const DASHES: &[u8] = b"--";

impl Multipart {
    pub(super) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first boundary may be the first line: then there is no line before it that could end.
        Multipart { delimiter, buffer: LINE_END.to_vec(), preamble: 0, state: State::Preamble }
    }

    /// Takes more bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Nobody looks at what follows the last part.
        if self.state != State::Done {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// What is found next in the bytes that came; `None` if more are needed.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, MultipartError> {
        loop {
            let found = match self.state {
                State::Preamble => self.preamble()?,
                State::Delimited => self.delimited()?,
                State::Head => self.head()?,
                State::BodyOrEnd => self.body_or_end(),
                State::Body => self.body(),
                State::Done => Found::Piece(Piece::Done),
            };
            match found {
                Found::Piece(piece) => return Ok(Some(piece)),
                Found::More => {}
                Found::Nothing => return Ok(None),
            }
        }
    }

    fn preamble(&mut self) -> Result<Found, MultipartError> {
        if let Some(at) = memmem::find(&self.buffer, &self.delimiter) {
            self.take(at.saturating_add(self.delimiter.len()));
            self.state = State::Delimited;
            return Ok(Found::More);
        }
        let passed = self.take(self.certain()).len();
        self.preamble = self.preamble.saturating_add(passed);
        if self.preamble > PREAMBLE_BYTES_MAX {
            return Err(MultipartError::NoBoundary { bytes_max: PREAMBLE_BYTES_MAX });
        }
        Ok(Found::Nothing)
    }

    fn delimited(&mut self) -> Result<Found, MultipartError> {
        if self.buffer.starts_with(DASHES) {
            self.buffer.clear();
            self.state = State::Done;
            return Ok(Found::More);
        }
        let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = self.buffer.get(padding..).unwrap_or_default();
        if rest.starts_with(LINE_END) {
            self.take(padding);
            self.state = State::Head;
            return Ok(Found::More);
        }
        let may_become = LINE_END.starts_with(rest) || (padding == 0 && DASHES.starts_with(rest));
        if may_become && padding <= PART_PADDING_BYTES_MAX {
            Ok(Found::Nothing)
        } else {
            Err(MultipartError::Boundary)
        }
    }

    /// The end of the boundary's line is still there: without headers, it is the first of the two ends of a line.
    fn head(&mut self) -> Result<Found, MultipartError> {
        let end = memmem::find(&self.buffer, HEAD_END);
        if end.unwrap_or(self.buffer.len()) > PART_HEAD_BYTES_MAX {
            return Err(MultipartError::LongHead { bytes_max: PART_HEAD_BYTES_MAX });
        }
        let Some(end) = end else { return Ok(Found::Nothing) };
        let lines = self.take(end.saturating_add(LINE_END.len()));
        self.state = State::BodyOrEnd;
        Ok(Found::Piece(Piece::Head(headers(&lines)?)))
    }

    /// > body-part := MIME-part-headers [CRLF *OCTET]
    fn body_or_end(&mut self) -> Found {
        if self.buffer.len() < self.delimiter.len() && self.delimiter.starts_with(&self.buffer) {
            return Found::Nothing;
        }
        if !self.buffer.starts_with(&self.delimiter) {
            self.take(LINE_END.len());
        }
        self.state = State::Body;
        Found::More
    }

    fn body(&mut self) -> Found {
        match memmem::find(&self.buffer, &self.delimiter) {
            Some(0) => {
                self.take(self.delimiter.len());
                self.state = State::Delimited;
                Found::Piece(Piece::End)
            }
            Some(at) => Found::Piece(Piece::Data(self.take(at).into())),
            None => match self.certain() {
                0 => Found::Nothing,
                certain => Found::Piece(Piece::Data(self.take(certain).into())),
            },
        }
    }

    /// How many of the bytes are certainly not the beginning of a delimiter.
    fn certain(&self) -> usize {
        self.buffer.len().saturating_sub(self.delimiter.len().saturating_sub(1))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }
}

enum Found {
    Piece(Piece),
    /// Something that is looked through further.
    More,
    /// The bytes that came are not enough.
    Nothing,
}

fn headers(lines: &[u8]) -> Result<HeaderMap, MultipartError> {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line).ok_or(MultipartError::Header)?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).map_err(|_| MultipartError::Header)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| MultipartError::Header)?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Part = (Vec<(String, String)>, Vec<u8>);

    /// The parts of a body that comes in chunks of some size, and whether it ends in order.
    fn read(boundary: &str, body: &[u8], chunk: usize) -> Result<(Vec<Part>, bool), MultipartError> {
        let mut multipart = Multipart::new(boundary);
        let (mut parts, mut open): (Vec<Part>, bool) = (Vec::new(), false);
        for chunk in body.chunks(chunk.max(1)) {
            multipart.push(chunk);
            while let Some(piece) = multipart.next()? {
                match piece {
                    Piece::Head(headers) => {
                        assert!(!std::mem::replace(&mut open, true));
                        let text = |(name, value): (&HeaderName, &HeaderValue)| {
                            (name.to_string(), value.to_str().unwrap().to_owned())
                        };
                        parts.push((headers.iter().map(text).collect(), Vec::new()));
                    }
                    Piece::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
                    Piece::End => assert!(std::mem::take(&mut open)),
                    Piece::Done => return Ok((parts, true)),
                }
            }
        }
        Ok((parts, false))
    }

    fn part(headers: &[(&str, &str)], body: &[u8]) -> Part {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (headers.collect(), body.to_vec())
    }

    #[test]
    fn parts_are_what_lies_between_boundaries() {
        let json = part(&[("content-type", "application/json")], b"{}");
        let text = part(&[("content-type", "text/plain")], b"-b\r\n-- b\r\n\r\nx\r\n--");
        let empty = part(&[], b"");
        let moved = part(&[("location", "https://cdn.example/a")], b"");
        for (body, expected, is_whole) in [
            (
                "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type:text/plain\r\n\r\n-b\r\n-- b\r\n\r\nx\r\n--\r\n--b--",
                vec![json.clone(), text],
                true,
            ),
            (
                "hello\r\n--b \t\r\nContent-Type: application/json\r\n\r\n{}\r\n--b--\r\nepilogue\r\n--b\r\n\r\n",
                vec![json.clone()],
                true,
            ),
            ("--b\r\n\r\n\r\n--b--", vec![empty.clone()], true),
            ("--b\r\n\r\n--b--", vec![empty], true),
            ("--b\r\nLocation: https://cdn.example/a\r\n\r\n--b--", vec![moved.clone()], true),
            ("--b\r\nLocation: https://cdn.example/a\r\n\r\n\r\n--b--", vec![moved], true),
            ("--b\r\nContent-Type: application/json\r\n\r\n{}", vec![part(&json_head(), b"")], false),
            ("--b--", vec![], true),
            ("", vec![], false),
            ("--b", vec![], false),
        ] {
            for chunk in [1, 2, 3, 7, 1000] {
                let found = read("b", body.as_bytes(), chunk).unwrap();
                if is_whole {
                    assert_eq!(found, (expected.clone(), true), "{body:?} in chunks of {chunk}");
                } else {
                    assert_eq!((found.0.len(), found.1), (expected.len(), false), "{body:?}");
                }
            }
        }
    }

    fn json_head() -> [(&'static str, &'static str); 1] {
        [("content-type", "application/json")]
    }

    #[test]
    fn what_is_no_body_of_parts_is_refused_before_it_is_long() {
        let endless = |start: &str, more: &str, bytes: usize| {
            start.bytes().chain(more.bytes().cycle()).take(bytes).collect::<Vec<u8>>()
        };
        let no_boundary = MultipartError::NoBoundary { bytes_max: PREAMBLE_BYTES_MAX };
        let long_head = MultipartError::LongHead { bytes_max: PART_HEAD_BYTES_MAX };
        for (body, expected) in [
            (endless("", "no boundary ", PREAMBLE_BYTES_MAX + 100), no_boundary),
            (endless("--b\r\n", "A: b\r\n", PART_HEAD_BYTES_MAX + 100), long_head.clone()),
            (endless("--b\r\nA:", "b", PART_HEAD_BYTES_MAX + 100), long_head),
            (endless("--b", " ", PART_PADDING_BYTES_MAX + 100), MultipartError::Boundary),
            (b"--bc\r\n\r\n".to_vec(), MultipartError::Boundary),
            (b"--b -\r\n\r\n".to_vec(), MultipartError::Boundary),
            (b"--b\r\nno header\r\n\r\n".to_vec(), MultipartError::Header),
            (b"--b\r\nA B: c\r\n\r\n".to_vec(), MultipartError::Header),
            (b"--b\r\nA: b\0c\r\n\r\n".to_vec(), MultipartError::Header),
        ] {
            for chunk in [1, 9, 100_000] {
                assert_eq!(read("b", &body, chunk).unwrap_err(), expected, "{:?}", body.get(..9));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However a body is cut into chunks, its parts are those that were written.
        #[test]
        fn what_was_written_is_read(
            bodies in proptest::collection::vec(proptest::collection::vec("[\r\n\\-ab]{0,12}", 0..6), 0..4),
            chunk in 1_usize..40,
        ) {
            let bodies: Vec<Vec<u8>> = bodies.iter().map(|pieces| pieces.concat().into_bytes()).collect();
            let is_bounded = |body: &Vec<u8>| {
                memmem::find(&[LINE_END, body].concat(), b"\r\n--aab").is_none()
            };
            prop_assume!(bodies.iter().all(is_bounded));
            let mut written = Vec::new();
            for body in &bodies {
                written.extend_from_slice(b"--aab\r\nA: b\r\n\r\n");
                written.extend_from_slice(body);
                written.extend_from_slice(b"\r\n");
            }
            written.extend_from_slice(b"--aab--\r\n");
            // A body may end so that the delimiter begins in it.
            let whole = read("aab", &written, written.len()).unwrap();
            let expected: Vec<Part> = bodies.iter().map(|body| part(&[("a", "b")], body)).collect();
            prop_assert_eq!(&whole, &(expected, true));
            prop_assert_eq!(read("aab", &written, chunk).unwrap(), whole);
        }

        /// Nothing that comes is held but the head of one part and a possible boundary.
        #[test]
        fn any_bytes_are_read_with_little_memory(
            pieces in proptest::collection::vec("(--b|\r\n|: |[ab:\\- ]{0,9}|a{500})", 0..150),
        ) {
            let mut multipart = Multipart::new("b");
            for piece in pieces {
                multipart.push(piece.as_bytes());
                loop {
                    match multipart.next() {
                        Ok(None | Some(Piece::Done)) => break,
                        Ok(Some(_)) => {}
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(multipart.buffer.len() <= PART_HEAD_BYTES_MAX + 600);
            }
        }
    }
}
