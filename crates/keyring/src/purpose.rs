//! For what, and for whom, a signature is made.

use ruma_common::{ServerName, UserId};

use crate::SignerError;

/// What a signature is wanted for, and the user who acts where one does.
///
/// Every signature is asked for with its purpose, so that code which handles a stranger's document
/// cannot end up with the power to sign it: the request for an event's signature names a user of
/// the tenant, and one for a user of somebody else is refused. Three peers have signed whatever a
/// remote server sent to `/invite` or answered to `make_join` (CVE-2025-68667, CVE-2026-24471).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// An event that a user of the tenant sends.
    Event {
        /// The `sender` of the event.
        sender: &'a UserId,
    },
    /// A membership event of another server to which the tenant adds its signature because it
    /// concerns one of its users: the invited one, or the one who authorises a restricted join.
    ///
    /// <https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>,
    /// <https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms>
    Membership {
        /// The user of the tenant whom it concerns.
        user: &'a UserId,
    },
    /// A federation request, signed in its `X-Matrix` header.
    ///
    /// <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>
    Request {
        /// The server that gets the request.
        destination: &'a ServerName,
        /// The user on whose behalf it is made, if any.
        user: Option<&'a UserId>,
    },
    /// The keys of another server, signed as a notary.
    ///
    /// <https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server>
    Notary {
        /// The server whose keys they are.
        server: &'a ServerName,
    },
    /// An invitation that a user of the tenant made by third-party identifier and that is now
    /// bound to a Matrix user.
    ///
    /// <https://spec.matrix.org/v1.19/server-server-api/#third-party-invites>
    ThirdPartyInvite {
        /// The user who invited.
        sender: &'a UserId,
    },
}

impl Purpose<'_> {
    /// The user who acts, or whom it concerns.
    fn user(&self) -> Option<&UserId> {
        match self {
            Self::Event { sender } | Self::ThirdPartyInvite { sender } => Some(sender),
            Self::Membership { user } => Some(user),
            Self::Request { user, .. } => *user,
            Self::Notary { .. } => None,
        }
    }

    /// Refuses a user of another server than the tenant.
    pub(crate) fn check<E>(&self, tenant: &ServerName) -> Result<(), SignerError<E>> {
        if let Some(user) = self.user().filter(|user| user.server_name() != tenant) {
            return Err(SignerError::ForeignUser { server: user.server_name().to_owned() });
        }
        match self {
            Self::Request { destination, .. } if *destination == tenant => Err(SignerError::ToItself),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn check(purpose: &Purpose<'_>, tenant: &ServerName) -> Result<(), SignerError<Infallible>> {
        purpose.check(tenant)
    }

    #[test]
    fn only_users_of_the_tenant_act_for_it() {
        let tenant = ServerName::parse("example.org").unwrap();
        let stranger = ServerName::parse("example.com").unwrap();
        let ours = UserId::parse("@alice:example.org").unwrap();
        let theirs = UserId::parse("@alice:example.com").unwrap();
        let port = UserId::parse("@alice:example.org:8448").unwrap();
        for purpose in [
            Purpose::Event { sender: &ours },
            Purpose::Membership { user: &ours },
            Purpose::ThirdPartyInvite { sender: &ours },
            Purpose::Request { destination: &stranger, user: Some(&ours) },
            Purpose::Request { destination: &stranger, user: None },
            Purpose::Notary { server: &stranger },
        ] {
            assert_eq!(check(&purpose, &tenant), Ok(()), "{purpose:?}");
        }
        for user in [&theirs, &port] {
            for purpose in [
                Purpose::Event { sender: user },
                Purpose::Membership { user },
                Purpose::ThirdPartyInvite { sender: user },
                Purpose::Request { destination: &stranger, user: Some(user) },
            ] {
                let error = check(&purpose, &tenant).unwrap_err();
                assert!(matches!(error, SignerError::ForeignUser { .. }), "{purpose:?}");
            }
        }
        let to_itself = Purpose::Request { destination: &tenant, user: None };
        assert_eq!(check(&to_itself, &tenant), Err(SignerError::ToItself));
    }
}
