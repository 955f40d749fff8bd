//! The inside of strings: escapes are undone, and put back in the one canonical way.

use std::borrow::Cow;

use crate::{
    Sink,
    lexer::{Lexer, find_special},
};

/// What a string that was read stands for; `raw` is what is between its quotation marks.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut lexer = Lexer::new(raw);
    let mut start = 0;
    while lexer.pos() < raw.len() {
        if lexer.peek() != b'\\' {
            lexer.set_pos(find_special(raw.as_bytes(), lexer.pos().wrapping_add(1)));
            continue;
        }
        out.push_str(lexer.slice(start, lexer.pos()));
        out.push(unescape_one(&mut lexer));
        start = lexer.pos();
    }
    out.push_str(lexer.slice(start, raw.len()));
    Cow::Owned(out)
}

/// Undoes the escape at the position, which is known to be valid.
fn unescape_one(lexer: &mut Lexer<'_>) -> char {
    let pos = lexer.pos();
    let Some(unit) = lexer.escaped_unit() else {
        let letter = lexer.bytes().get(pos.wrapping_add(1)).copied().unwrap_or_default();
        lexer.set_pos(pos.wrapping_add(2));
        return short_escape(letter);
    };
    lexer.set_pos(pos.wrapping_add(6));
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return character;
    }
    let low = lexer.escaped_unit().unwrap_or_default();
    lexer.set_pos(pos.wrapping_add(12));
    let pair = char::decode_utf16([unit, low]).next();
    pair.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn short_escape(letter: u8) -> char {
    match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => char::from(other),
    }
}

/// Writes a string with its quotation marks.
pub(crate) fn write_string(value: &str, sink: &mut impl Sink) {
    let bytes = value.as_bytes();
    sink.write(b"\"");
    let mut start = 0;
    loop {
        let pos = find_special(bytes, start);
        sink.write(bytes.get(start..pos).unwrap_or_default());
        let Some(&byte) = bytes.get(pos) else { break };
        write_escape(byte, sink);
        start = pos.wrapping_add(1);
    }
    sink.write(b"\"");
}

fn write_escape(byte: u8, sink: &mut impl Sink) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    match byte {
        b'"' => sink.write(b"\\\""),
        b'\\' => sink.write(b"\\\\"),
        0x08 => sink.write(b"\\b"),
        0x09 => sink.write(b"\\t"),
        0x0A => sink.write(b"\\n"),
        0x0C => sink.write(b"\\f"),
        0x0D => sink.write(b"\\r"),
        _ => {
            let high = if byte < 0x10 { b'0' } else { b'1' };
            let low = HEX.get(usize::from(byte & 0x0F)).copied().unwrap_or(b'0');
            sink.write(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    }
}
