//! Takes the long answers of other servers apart as they come: an object with lists, one element at a time.

use super::BadAnswer;
use crate::limits::ANSWER_PIECE_MAX;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An element of one of the lists.
    Element {
        /// The name of the list.
        list: &'static str,
        /// The element, as it came.
        json: Vec<u8>,
    },
    /// Another member of the object.
    Member {
        /// Its name.
        name: String,
        /// Its value, as it came.
        json: Vec<u8>,
    },
}

/// The lists whose elements come one by one.
const LISTS: [&str; 4] = ["state", "auth_chain", "pdus", "servers_in_room"];

/// An answer that is being taken apart. Whether the pieces are JSON is for their reader to find out; what is between them
/// must be.
#[derive(Debug)]
pub(crate) struct AnswerParts {
    at: At,
    name: String,
    list: &'static str,
    piece: Piece,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Name,
    InName,
    Colon,
    Value,
    Element,
    Over,
}

/// A value that is not complete yet.
#[derive(Debug, Default)]
struct Piece {
    json: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Piece {
    /// How many bytes come next that are of the value and change nothing about where it ends: most of them.
    fn plain(&self, bytes: &[u8]) -> usize {
        let matters = match (self.in_string, self.depth) {
            _ if self.escaped => return 0,
            (true, _) => bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')),
            (false, 0) => return 0,
            (false, _) => bytes.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
        };
        matters.unwrap_or(bytes.len())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        if self.json.len().saturating_add(bytes.len()) > ANSWER_PIECE_MAX {
            return Err(BadAnswer::TooLarge { what: "bytes in one piece", limit: ANSWER_PIECE_MAX as u64 });
        }
        self.json.extend_from_slice(bytes);
        Ok(())
    }

    fn push(&mut self, byte: u8) -> Result<(), BadAnswer> {
        self.extend(&[byte])?;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => {
                self.depth = self.depth.checked_sub(1).ok_or(BadAnswer::Form("a bracket too many"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Whether a bracket or comma that comes now is none of the value.
    fn is_closed(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).json
    }
}

impl AnswerParts {
    /// An answer of which nothing has come yet.
    pub(crate) fn new() -> Self {
        AnswerParts { at: At::Start, name: String::new(), list: "", piece: Piece::default() }
    }

    /// Takes the next bytes; gives the pieces that are complete now.
    ///
    /// # Errors
    /// [`BadAnswer::Form`], [`BadAnswer::TooLarge`].
    pub(crate) fn feed(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> Result<(), BadAnswer> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            match rest.split_at_checked(self.piece.plain(rest)) {
                Some((plain, after)) if !plain.is_empty() => {
                    self.piece.extend(plain)?;
                    rest = after;
                }
                _ => {
                    self.step(*byte, parts)?;
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// Whether the answer has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    fn step(&mut self, byte: u8, parts: &mut Vec<Part>) -> Result<(), BadAnswer> {
        let is_space = byte.is_ascii_whitespace();
        match self.at {
            At::Start | At::Name | At::Colon | At::Over if is_space => {}
            At::Start if byte == b'{' => self.at = At::Name,
            At::Name if byte == b',' => {}
            At::Name if byte == b'}' => self.at = At::Over,
            At::Name if byte == b'"' => {
                self.piece.push(byte)?;
                self.at = At::InName;
            }
            At::InName => self.step_in_name(byte)?,
            At::Colon if byte == b':' => self.at = At::Value,
            At::Value => self.step_in_value(byte, parts)?,
            At::Element => self.step_in_list(byte, parts)?,
            _ => return Err(BadAnswer::Form("not an object")),
        }
        Ok(())
    }

    fn step_in_name(&mut self, byte: u8) -> Result<(), BadAnswer> {
        self.piece.push(byte)?;
        if !self.piece.in_string {
            let name = self.piece.take();
            self.name = serde_json::from_slice(&name).map_err(|_| BadAnswer::Form("a name is no string"))?;
            self.at = At::Colon;
        }
        Ok(())
    }

    fn step_in_value(&mut self, byte: u8, parts: &mut Vec<Part>) -> Result<(), BadAnswer> {
        let list = LISTS.into_iter().find(|list| *list == self.name);
        match (byte, list) {
            (b'[', Some(list)) if self.piece.is_empty() => {
                self.list = list;
                self.at = At::Element;
            }
            (b',' | b'}', _) if self.piece.is_closed() => {
                parts.push(Part::Member { name: std::mem::take(&mut self.name), json: self.piece.take() });
                self.at = if byte == b',' { At::Name } else { At::Over };
            }
            _ if self.piece.is_empty() && byte.is_ascii_whitespace() => {}
            _ => self.piece.push(byte)?,
        }
        Ok(())
    }

    fn step_in_list(&mut self, byte: u8, parts: &mut Vec<Part>) -> Result<(), BadAnswer> {
        match byte {
            b',' | b']' if self.piece.is_closed() => {
                if !self.piece.is_empty() {
                    parts.push(Part::Element { list: self.list, json: self.piece.take() });
                }
                if byte == b']' {
                    self.at = At::Name;
                }
            }
            _ if self.piece.is_empty() && byte.is_ascii_whitespace() => {}
            _ => self.piece.push(byte)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

    use super::*;

    fn parts(answer: &str, step: usize) -> Result<Vec<Part>, BadAnswer> {
        let (mut reader, mut parts) = (AnswerParts::new(), Vec::new());
        for chunk in answer.as_bytes().chunks(step) {
            reader.feed(chunk, &mut parts)?;
        }
        if reader.is_over() { Ok(parts) } else { Err(BadAnswer::Form("cut off")) }
    }

    #[test]
    fn an_answer_comes_apart_the_same_in_pieces_of_any_length() {
        let answer = r#" { "state" : [ {"a":"]},\""} , {"b":[1,{}]} ], "origin":"x,}" ,
            "auth_chain":[], "members_omitted": true, "event":{"content":{"x":[]}}} "#;
        let element = |json: &str| Part::Element { list: "state", json: json.as_bytes().to_vec() };
        let member =
            |name: &str, json: &str| Part::Member { name: name.to_owned(), json: json.as_bytes().to_vec() };
        let expected = [
            element(r#"{"a":"]},\""} "#),
            element(r#"{"b":[1,{}]} "#),
            member("origin", r#""x,}" "#),
            member("members_omitted", "true"),
            member("event", r#"{"content":{"x":[]}}"#),
        ];
        for step in 1..20 {
            assert_eq!(parts(answer, step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in
            ["", "[]", "{", "{\"state\":[", "{\"state\":[}]", "{\"a\":]}", "{} {", "{a:1}", "{\"a\":\"}"]
        {
            assert!(parts(answer, 3).is_err(), "{answer}");
        }
        let endless = format!("{{\"event\":\"{}\"}}", "x".repeat(ANSWER_PIECE_MAX));
        assert!(matches!(parts(&endless, 4096), Err(BadAnswer::TooLarge { .. })));
    }
}
