//! User names: what may follow the `@` of a new user, and whom somebody means who logs in.

use freehold_store::Tenant;
use ruma_common::{OwnedUserId, UserId};

/// Why there can be no new user of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// The name is empty.
    #[error("user name is empty")]
    Empty,
    /// The name holds a character that new names cannot have
    /// (<https://spec.matrix.org/v1.19/appendices/#user-identifiers>).
    #[error("user name contains {0:?}; a-z, 0-9 and ._=-/+ are allowed")]
    Character(char),
    /// The user id would be too long.
    #[error("user id would have {0} bytes; 255 are allowed")]
    Length(usize),
}

/// The user id of a new user of a tenant.
///
/// # Errors
/// [`UsernameError`].
pub(crate) fn new_user_id(tenant: &Tenant, localpart: &str) -> Result<OwnedUserId, UsernameError> {
    if localpart.is_empty() {
        return Err(UsernameError::Empty);
    }
    if let Some(character) = localpart.chars().find(|character| !is_allowed(*character)) {
        return Err(UsernameError::Character(character));
    }
    let text = format!("@{localpart}:{}", tenant.server_name());
    let length = text.len();
    match OwnedUserId::try_from(text) {
        Ok(user_id) if length <= 255 => Ok(user_id),
        _ => Err(UsernameError::Length(length)),
    }
}

fn is_allowed(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9' | '.' | '_' | '=' | '-' | '/' | '+')
}

/// Which user of the tenant is meant by a user id or a localpart, as people type it at a login: first as typed, then
/// in small letters. `None` if the text names no user that the tenant could have.
pub(crate) fn meant_user_ids(tenant: &Tenant, typed: &str) -> Option<[OwnedUserId; 2]> {
    let text =
        if typed.starts_with('@') { typed.to_owned() } else { format!("@{typed}:{}", tenant.server_name()) };
    let owned = |text: &str| UserId::parse(text).ok().filter(|user_id| tenant.owns(user_id));
    let exact = owned(&text)?;
    let lower = owned(&text.to_lowercase()).unwrap_or_else(|| exact.clone());
    Some([exact, lower])
}

#[cfg(test)]
mod tests {
    use freehold_store::TenantNumber;

    use super::*;

    fn tenant() -> Tenant {
        Tenant::new(TenantNumber(1), "example.org".try_into().unwrap())
    }

    #[test]
    fn new_names_are_of_the_grammar_of_user_ids() {
        let cases = [
            ("a", Ok("@a:example.org")),
            ("a.b_c=d-e/f+9", Ok("@a.b_c=d-e/f+9:example.org")),
            ("", Err(UsernameError::Empty)),
            ("Alice", Err(UsernameError::Character('A'))),
            ("a:b", Err(UsernameError::Character(':'))),
            ("@a", Err(UsernameError::Character('@'))),
            ("é", Err(UsernameError::Character('é'))),
        ];
        for (name, expected) in cases {
            let found = new_user_id(&tenant(), name);
            assert_eq!(found.as_ref().map(|user_id| user_id.as_str()), expected.as_ref().copied(), "{name}");
        }
    }

    #[test]
    fn a_user_id_has_at_most_255_bytes() {
        let room = 255 - "@:example.org".len();
        assert!(new_user_id(&tenant(), &"a".repeat(room)).is_ok());
        assert_eq!(new_user_id(&tenant(), &"a".repeat(room + 1)), Err(UsernameError::Length(256)));
    }

    #[test]
    fn somebody_of_another_server_is_nobody_here() {
        assert_eq!(meant_user_ids(&tenant(), "@a:elsewhere.example"), None);
        let [exact, lower] = meant_user_ids(&tenant(), "Alice").unwrap();
        assert_eq!((exact.as_str(), lower.as_str()), ("@Alice:example.org", "@alice:example.org"));
    }
}
