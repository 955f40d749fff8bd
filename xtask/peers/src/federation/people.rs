//! Two people, one on each server, and how a room is to both of them.

use serde_json::{Value, json};

use super::Pair;
use crate::{
    failure::{Context, Failure, Result},
    user::{User, until},
};

/// Two people who know of each other.
pub(super) struct People {
    pub(super) host: User,
    pub(super) guest: User,
}

impl People {
    /// People with names of their own.
    pub(super) fn register(pair: &Pair<'_>, role: &str) -> Result<Self> {
        let name = |name: &str| format!("{role}{name}{}", pair.suffix());
        Ok(People {
            host: User::register(pair.client, pair.first, &name("host"))?,
            guest: User::register(pair.client, pair.second, &name("guest"))?,
        })
    }

    /// The server by way of which the guest comes in.
    pub(super) fn via(&self) -> Result<&str> {
        server_of(self.host.id())
    }

    pub(super) fn private_room(&self, name: &str) -> Result<String> {
        self.host.create_room(&json!({"preset": "private_chat", "name": name}))
    }

    pub(super) fn public_room(&self, name: &str) -> Result<String> {
        self.host.create_room(&json!({"preset": "public_chat", "name": name}))
    }

    /// The guest joins through the host's server, and both see that.
    pub(super) fn guest_joins(&self, room: &str) -> Result<()> {
        self.guest.join(room, self.via()?)?;
        self.both_see(room, "join")
    }

    /// The guest leaves, and both see that.
    pub(super) fn guest_leaves(&self, room: &str) -> Result<()> {
        self.guest.leave(room)?;
        self.both_see(room, "leave")
    }

    /// The guest knocks through the host's server, and both see that.
    pub(super) fn guest_knocks(&self, room: &str) -> Result<()> {
        self.guest.knock(room, self.via()?)?;
        self.both_see(room, "knock")
    }

    /// The host does something to the guest, and both see what the guest is then.
    pub(super) fn host_does(&self, room: &str, action: &str, membership: &str) -> Result<()> {
        self.host.act(room, action, &self.guest)?;
        self.both_see(room, membership)
    }

    /// The guest is kept out.
    pub(super) fn guest_is_refused(&self, room: &str, why: &str) -> Result<()> {
        match self.guest.join(room, self.via()?) {
            Ok(()) => Err(Failure::new(format!("the guest came in {why}"))),
            Err(_) => Ok(()),
        }
    }

    /// Waits until both servers say that the guest has that membership.
    pub(super) fn both_see(&self, room: &str, membership: &str) -> Result<()> {
        self.host_sees(room, membership)?;
        until(&format!("the guest to be told of membership {membership}"), || {
            self.guest.standing(room).is_ok_and(|seen| seen == membership)
        })
    }

    /// Waits until the host's server says that the guest has that membership.
    pub(super) fn host_sees(&self, room: &str, membership: &str) -> Result<()> {
        until(&format!("the host to see the guest with membership {membership}"), || {
            self.host.membership(room, self.guest.id()).is_some_and(|seen| seen == membership)
        })
    }

    /// Each says something that the other reads.
    pub(super) fn talk(&self, room: &str) -> Result<()> {
        let of_host = self.host.say(room, "from the host")?;
        until("the guest to see what the host says", || self.guest.sees(room, &of_host))?;
        let of_guest = self.guest.say(room, "from the guest")?;
        until("the host to see what the guest says", || self.host.sees(room, &of_guest))
    }

    /// Each says something and takes it back, and it is gone for both.
    pub(super) fn redact(&self, room: &str) -> Result<()> {
        for (author, other) in [(&self.host, &self.guest), (&self.guest, &self.host)] {
            let event = author.say(room, "regretted")?;
            until("the message", || other.sees(room, &event))?;
            author.redact(room, &event)?;
            for reader in [other, author] {
                let is_empty =
                    |event: &Value| event.get("content").is_some_and(|content| *content == json!({}));
                until(&format!("the redaction at {}", reader.id()), || {
                    reader.event(room, &event).is_ok_and(|event| is_empty(&event))
                })?;
            }
        }
        Ok(())
    }

    /// Waits until both servers tell the same state of a room, event by event.
    pub(super) fn agree(&self, room: &str) -> Result<()> {
        until("both servers to have the same state", || {
            let states = [&self.host, &self.guest].map(|user| user.state(room));
            matches!(states, [Ok(of_host), Ok(of_guest)] if of_host == of_guest)
        })
    }

    /// Waits until both see a state event with a content.
    pub(super) fn both_have(&self, room: &str, event_type: &str, content: &Value) -> Result<()> {
        for user in [&self.host, &self.guest] {
            until(&format!("{} to see {event_type} as {content}", user.id()), || {
                user.get(room, event_type).is_ok_and(|seen| seen == *content)
            })?;
        }
        Ok(())
    }
}

/// The server of a user.
pub(super) fn server_of(user_id: &str) -> Result<&str> {
    Ok(user_id.split_once(':').context("the server of a user")?.1)
}
