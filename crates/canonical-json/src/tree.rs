//! Text to tree.

use std::borrow::Cow;

use crate::{
    Limits, Numbers, Object, ParseError, Value,
    error::Fault,
    lexer::{Form, Lexer, Str},
    number::{Scanned, scanned},
    string::unescape,
    walk::text_of,
};

/// Parses a JSON text.
///
/// Of several members with the same key the last one counts, as in every other implementation on
/// the network.
///
/// # Errors
///
/// Returns where and why the text is not JSON within the limits.
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Value<'a>, ParseError> {
    let lexer = Lexer::new(text_of(bytes, limits)?);
    let mut parser = Parser { lexer, numbers: limits.numbers, depth_left: limits.depth };
    parser.whole().map_err(|fault| fault.into_parse_error(&parser.lexer, limits))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    numbers: Numbers,
    depth_left: usize,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<Value<'a>, Fault> {
        self.lexer.skip_space();
        let value = self.value()?;
        self.lexer.skip_space();
        self.lexer.end()?;
        Ok(value)
    }

    fn value(&mut self) -> Result<Value<'a>, Fault> {
        match self.lexer.peek() {
            b'"' => {
                let token = self.lexer.string()?;
                Ok(Value::String(self.content(&token)))
            }
            b'{' => self.object(),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => {
                let number = self.lexer.number(self.numbers)?;
                Ok(match scanned(&self.lexer, &number) {
                    Scanned::Integer(value) => Value::Integer(value),
                    Scanned::Number(number) => Value::Number(number),
                })
            }
            b't' => self.lexer.literal("true").map(|()| Value::Bool(true)),
            b'f' => self.lexer.literal("false").map(|()| Value::Bool(false)),
            b'n' => self.lexer.literal("null").map(|()| Value::Null),
            _ => Err(self.lexer.no_value()),
        }
    }

    fn content(&self, token: &Str) -> Cow<'a, str> {
        let raw = self.lexer.slice(token.start, token.end);
        if token.form == Form::Plain { Cow::Borrowed(raw) } else { unescape(raw) }
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
        self.lexer.advance();
        self.lexer.skip_space();
        Ok(())
    }

    fn leave(&mut self) {
        self.lexer.advance();
        self.depth_left = self.depth_left.wrapping_add(1);
    }

    /// After an element or a member: says whether another one follows.
    fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.lexer.skip_space();
        if self.lexer.peek() == close {
            return Ok(false);
        }
        self.lexer.expect(b',')?;
        self.lexer.skip_space();
        Ok(true)
    }

    fn array(&mut self) -> Result<Value<'a>, Fault> {
        self.enter()?;
        let mut values = Vec::new();
        let mut more = self.lexer.peek() != b']';
        while more {
            values.push(self.value()?);
            more = self.more(b']')?;
        }
        self.leave();
        Ok(Value::Array(values))
    }

    fn object(&mut self) -> Result<Value<'a>, Fault> {
        self.enter()?;
        let mut members = Vec::new();
        let mut more = self.lexer.peek() != b'}';
        while more {
            let token = self.lexer.string()?;
            self.lexer.skip_space();
            self.lexer.expect(b':')?;
            self.lexer.skip_space();
            members.push((self.content(&token), self.value()?));
            more = self.more(b'}')?;
        }
        self.leave();
        Ok(Value::Object(Object::from_members(members)))
    }
}
