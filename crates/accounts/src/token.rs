//! Tokens: 256 random bits in text, and the hash under which the store knows them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_store::tables::accounts::{TokenHash, TokenKind};
use sha2::{Digest, Sha256};

use crate::failure::ServerFailure;
use crate::random;

/// A new token. Its text goes to whom it is for, and is kept nowhere.
pub(crate) struct Token {
    /// What its holder sends.
    pub(crate) text: String,
    /// What the store holds.
    pub(crate) hash: TokenHash,
}

impl Token {
    /// A new token: a prefix that tells its kind, so that people and scanners of leaked secrets recognise it, and
    /// random bits. It tells neither tenant nor user.
    pub(crate) fn new(kind: TokenKind) -> Result<Self, ServerFailure> {
        let random = BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<32>()?);
        let text = format!("{}{random}", prefix(kind));
        let hash = hash(&text);
        Ok(Token { text, hash })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The hash of a token's text. Tokens have 256 random bits, so one round without salt is enough; how long it takes to
/// find a row by the hash tells nothing about the text.
pub(crate) fn hash(text: &str) -> TokenHash {
    Sha256::digest(text.as_bytes()).into()
}

fn prefix(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Access => "fha_",
        TokenKind::Refresh => "fhr_",
        TokenKind::Login => "fhl_",
        TokenKind::OpenId => "fho_",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_known_by_the_hash_of_their_text() {
        let (one, two) = (Token::new(TokenKind::Access).unwrap(), Token::new(TokenKind::Access).unwrap());
        assert_ne!(one.text, two.text);
        assert_eq!(one.hash, hash(&one.text));
        assert_ne!(one.hash, two.hash);
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let token = Token::new(TokenKind::Refresh).unwrap();
        assert!(!format!("{token:?}").contains(&token.text));
    }
}
