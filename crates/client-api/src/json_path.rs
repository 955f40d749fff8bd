//! Which field of a JSON text a place in it belongs to.

/// The path of the value that ends or is read at a line and column, both counted from 1 in bytes as serde_json does:
/// `content.membership`, `events[2].type`. Empty for the whole text.
pub(crate) fn path_at(text: &[u8], line: usize, column: usize) -> String {
    let start: usize =
        text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let read = text.get(..start.saturating_add(column)).unwrap_or(text);
    let mut place = Place::default();
    read.iter().for_each(|byte| place.step(*byte));
    place.path()
}

/// Where in the nesting a reader is.
#[derive(Default)]
struct Place {
    frames: Vec<Frame>,
    /// The bytes of the string that is being read or was read last.
    string: Vec<u8>,
    in_string: bool,
    after_backslash: bool,
}

enum Frame {
    Object { key: Option<String> },
    Array { index: usize },
}

impl Place {
    fn step(&mut self, byte: u8) {
        if self.in_string {
            return self.step_in_string(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.string.clear();
            }
            b'{' => self.frames.push(Frame::Object { key: None }),
            b'[' => self.frames.push(Frame::Array { index: 0 }),
            b'}' | b']' => drop(self.frames.pop()),
            b':' => self.name(),
            b',' => self.next(),
            _ => {}
        }
    }

    fn step_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.after_backslash => self.after_backslash = false,
            b'\\' => self.after_backslash = true,
            b'"' => return self.in_string = false,
            _ => {}
        }
        self.string.push(byte);
    }

    fn name(&mut self) {
        if let Some(Frame::Object { key }) = self.frames.last_mut() {
            *key = Some(String::from_utf8_lossy(&self.string).into_owned());
        }
    }

    fn next(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Object { key }) => *key = None,
            Some(Frame::Array { index }) => *index += 1,
            None => {}
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Object { key: Some(key) } if path.is_empty() => path.push_str(key),
                Frame::Object { key: Some(key) } => path.extend([".", key]),
                Frame::Object { key: None } => {}
                Frame::Array { index } => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Example {
        name: String,
        list: Vec<BTreeMap<String, u8>>,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Inner {
        flag: bool,
    }

    fn path_of_error(text: &str) -> String {
        let error = serde_json::from_str::<Example>(text).unwrap_err();
        path_at(text.as_bytes(), error.line(), error.column())
    }

    #[test]
    fn an_error_of_serde_json_is_found_at_its_field() {
        let cases = [
            (r#"{"name": 5, "list": []}"#, "name"),
            (r#"{"name": {"x": 1}, "list": []}"#, "name"),
            (r#"{"list": []}"#, ""),
            (r#"{"name": "a\"b", "list": [{"x": 1}, {"y": -1}]}"#, "list[1].y"),
            ("{\"name\": \"a\",\n \"list\": [],\n \"inner\": {\"flag\": \"yes\"}}", "inner.flag"),
            (r#"{"name": "a", "list": [], "inner": {}}"#, "inner"),
            (r#"[]"#, ""),
        ];
        for (text, expected) in cases {
            assert_eq!(path_of_error(text), expected, "{text}");
        }
    }

    #[test]
    fn no_place_in_any_text_is_too_much() {
        assert_eq!(path_at(b"]}{", 7, usize::MAX), "");
    }
}
