//! Account data (<https://spec.matrix.org/v1.19/client-server-api/#client-config>): what a user keeps on the server, for
//! the whole account or for one room.

use freehold_store::tables::accounts::{ACCOUNT_DATA, ACCOUNT_DATA_CHANGES, AccountDataRow, PUSH_RULES};
use freehold_store::{Batch, Order, Position, RoomNumber, Snapshot, UserNumber};
use ruma_common::RoomId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::failure::{ServerFailure, server_failures};

/// The event type of push rules, which have endpoints of their own.
pub(crate) const PUSH_RULES_TYPE: &str = "m.push_rules";
/// The event type of the read marker, which has an endpoint of its own.
const FULLY_READ_TYPE: &str = "m.fully_read";
/// Bytes of an event type.
const TYPE_BYTES_MAX: usize = 255;

/// A piece of account data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountData {
    /// The room it is about; none if it is about the whole account.
    pub room: Option<RoomNumber>,
    /// Its event type.
    pub event_type: String,
    /// Its content, as JSON.
    pub content: String,
    /// When it was last changed; what never was has the first position.
    pub changed: Position,
}

/// Why account data is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AccountDataError {
    /// Nothing of this type was set.
    #[error("no account data of this type")]
    NotFound,
    /// The server manages data of this type.
    #[error("`{0}` is managed by the server and cannot be set as account data")]
    Managed(String),
    /// The content is no JSON object.
    #[error("account data is not a JSON object")]
    NotAnObject,
    /// The content or the type is too long.
    #[error("account data has {found} bytes; {max} are allowed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The user has as much as there may be.
    #[error("user has {max} pieces of account data, which is the most there may be")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(AccountDataError);

/// Which piece of whose account data.
pub(crate) type Place = (UserNumber, Option<RoomNumber>, String);

impl Accounts {
    /// Sets a piece of account data of a user, as a client does.
    ///
    /// # Errors
    /// [`AccountDataError`].
    pub async fn set_account_data(
        &self,
        user: UserNumber,
        (room_id, event_type): (Option<&RoomId>, &str),
        content: &str,
    ) -> Result<(), AccountDataError> {
        if [PUSH_RULES_TYPE, FULLY_READ_TYPE].contains(&event_type) {
            return Err(AccountDataError::Managed(event_type.to_owned()));
        }
        self.put_account_data(user, (room_id, event_type), content).await
    }

    /// Sets a piece of account data of a user, of any type: for what the server manages.
    ///
    /// # Errors
    /// [`AccountDataError`].
    pub async fn put_account_data(
        &self,
        user: UserNumber,
        (room_id, event_type): (Option<&RoomId>, &str),
        content: &str,
    ) -> Result<(), AccountDataError> {
        let max = self.limits().account_data_bytes;
        if content.len() > max || event_type.len() > TYPE_BYTES_MAX {
            return Err(AccountDataError::TooLarge { found: content.len() + event_type.len(), max });
        }
        if !content.trim_start().starts_with('{') {
            return Err(AccountDataError::NotAnObject);
        }
        self.change_account_data(user, (room_id, event_type), |_| Ok(content.to_owned())).await
    }

    /// The content of a piece of account data of a user, as JSON.
    ///
    /// # Errors
    /// [`AccountDataError::NotFound`].
    pub async fn account_data(
        &self,
        user: UserNumber,
        (room_id, event_type): (Option<&RoomId>, &str),
    ) -> Result<String, AccountDataError> {
        let snapshot = self.store().snapshot()?;
        if room_id.is_none() && event_type == PUSH_RULES_TYPE {
            return Ok(self.push_rules_content(&snapshot, user).await?);
        }
        let room = match room_id {
            Some(room_id) => {
                Some(snapshot.number_of(&room_id.to_owned()).await?.ok_or(AccountDataError::NotFound)?)
            }
            None => None,
        };
        let row = snapshot.get(&ACCOUNT_DATA, &(user, room, event_type.to_owned())).await?;
        row.map(|row| row.content).ok_or(AccountDataError::NotFound)
    }

    /// All account data of a user, push rules included: that of the whole account first, then by rooms.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn all_account_data(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<Vec<AccountData>, ServerFailure> {
        let rows = snapshot.scan_prefix(&ACCOUNT_DATA, &(user,), Order::Ascending, usize::MAX).await?;
        let content = self.push_rules_content(snapshot, user).await?;
        let changed = snapshot.get(&PUSH_RULES, &user).await?.map_or(Position(0), |row| row.changed);
        let push_rules = AccountData { room: None, event_type: PUSH_RULES_TYPE.to_owned(), content, changed };
        let others = rows.into_iter().map(|((_, room, event_type), row)| AccountData {
            room,
            event_type,
            content: row.content,
            changed: row.changed,
        });
        Ok(std::iter::once(push_rules).chain(others).collect())
    }

    /// The account data of a user that changed after a position, push rules included, in the order of changes.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn account_data_since(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        after: Position,
    ) -> Result<Vec<AccountData>, ServerFailure> {
        let first = (user, Position(after.0.saturating_add(1)));
        let end = (UserNumber(user.0.saturating_add(1)),);
        let changes =
            snapshot.scan_range(&ACCOUNT_DATA_CHANGES, (&first, &end), Order::Ascending, usize::MAX).await?;
        let mut changed = Vec::with_capacity(changes.len());
        for ((_, at, room, event_type), ()) in changes {
            let content = match (room, event_type.as_str()) {
                (None, PUSH_RULES_TYPE) => Some(self.push_rules_content(snapshot, user).await?),
                _ => {
                    let place = (user, room, event_type.clone());
                    snapshot.get(&ACCOUNT_DATA, &place).await?.map(|row| row.content)
                }
            };
            changed.extend(content.map(|content| AccountData { room, event_type, content, changed: at }));
        }
        Ok(changed)
    }

    /// Changes a piece of account data from what it is to something else.
    pub(crate) async fn change_account_data(
        &self,
        user: UserNumber,
        (room_id, event_type): (Option<&RoomId>, &str),
        change: impl Fn(Option<&str>) -> Result<String, AccountDataError>,
    ) -> Result<(), AccountDataError> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let mut batch = Batch::new();
            let room = match room_id {
                Some(room_id) => {
                    Some(self.interner().number_of(&snapshot, &room_id.to_owned(), &mut batch).await?)
                }
                None => None,
            };
            let place = (user, room, event_type.to_owned());
            let old = snapshot.get(&ACCOUNT_DATA, &place).await?;
            if old.is_none() {
                self.check_room_for_more(&snapshot, user).await?;
            }
            let content = change(old.as_ref().map(|row| row.content.as_str()))?;
            batch.expect_unchanged(&ACCOUNT_DATA, &place, old.as_ref());
            mark_changed(&place, old.map(|row| row.changed), &mut batch);
            batch.at_position(move |changed, writes| {
                writes.put(&ACCOUNT_DATA, &place, &AccountDataRow { content, changed });
            });
            if attempts.commit(self.store(), batch).await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn check_room_for_more(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<(), AccountDataError> {
        let max = self.limits().account_data;
        let found = snapshot.scan_prefix(&ACCOUNT_DATA_CHANGES, &(user,), Order::Ascending, max).await?;
        if found.len() >= max { Err(AccountDataError::TooMany { max }) } else { Ok(()) }
    }
}

/// Adds to a batch that a piece of account data changes now, and did before at `old`; and wakes its user.
pub(crate) fn mark_changed(place: &Place, old: Option<Position>, batch: &mut Batch) {
    let (user, room, event_type) = place.clone();
    if let Some(old) = old {
        batch.delete(&ACCOUNT_DATA_CHANGES, &(user, old, room, event_type.clone()));
    }
    batch.at_position(move |now, writes| {
        writes.put(&ACCOUNT_DATA_CHANGES, &(user, now, room, event_type), &());
    });
    batch.wake(user);
}
