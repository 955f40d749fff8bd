//! The parameter list of an HTTP credentials header, read as RFC 9110 (section 11.4) has it.

/// Iterates over the `name=value` pairs of a list, with values unquoted and unescaped.
///
/// A fault ends the iteration with how many bytes were left to read.
pub(crate) struct Parameters<'a> {
    rest: &'a str,
    failed: bool,
}

impl<'a> Parameters<'a> {
    /// Starts after the scheme and its spaces.
    pub(crate) fn new(list: &'a str) -> Self {
        Self { rest: list, failed: false }
    }

    /// Reads `name BWS "=" BWS value OWS ("," / end)`.
    fn read(&mut self) -> Option<(&'a str, String)> {
        let name = self.take_while(is_token)?;
        self.skip_blanks();
        self.rest = self.rest.strip_prefix('=')?;
        self.skip_blanks();
        let value = match self.rest.strip_prefix('"') {
            Some(quoted) => self.unquote(quoted)?,
            None => self.take_while(is_bare)?.to_owned(),
        };
        self.skip_blanks();
        if !self.rest.is_empty() {
            self.rest = self.rest.strip_prefix(',')?;
        }
        Some((name, value))
    }

    fn unquote(&mut self, quoted: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            let character = match characters.next()? {
                '"' => break,
                // A backslash and a character stand for the character.
                '\\' => characters.next()?,
                other => other,
            };
            if character.is_ascii_control() && character != '\t' {
                return None;
            }
            value.push(character);
        }
        self.rest = characters.as_str();
        Some(value)
    }

    /// One or more of the characters allowed.
    fn take_while(&mut self, allowed: fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|c| !allowed(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a str, String), usize>;

    fn next(&mut self) -> Option<Self::Item> {
        // RFC 9110, section 5.6.1.2: a recipient ignores empty list elements.
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let Some(parameter) = self.read() else {
            self.failed = true;
            return Some(Err(self.rest.len()));
        };
        Some(Ok(parameter))
    }
}

/// A character of a `token` (RFC 9110, section 5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A character of an unquoted value: a token's or, for older servers, a colon.
fn is_bare(c: char) -> bool {
    is_token(c) || c == ':'
}
