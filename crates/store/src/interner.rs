//! Numbers for identifiers, given in the batch that first uses them.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::batch::Batch;
use crate::counter::{Counter, CounterError};
use crate::key::Key;
use crate::number::{DeviceNumber, EventNumber, RoomNumber, StateKeyNumber, TenantNumber, UserNumber};
use crate::pending::Pending;
use crate::store::{ReadError, Snapshot, Store};
use crate::table::Table;
use crate::tables::identity;
use crate::value::Value;

/// Something the server has a number for. [`Snapshot::number_of`] and [`Interner::number_of`] find it.
pub trait Identifier: Key + Value + Clone + Eq + Hash + Send + Sync {
    /// What stands for it.
    type Number: Numbered<Id = Self>;

    /// From the identifier to its number.
    const NUMBERS: Table<Self, Self::Number>;
    /// From the number to its identifier.
    const IDS: Table<Self::Number, Self>;

    /// Where an interner keeps what belongs to this kind.
    #[doc(hidden)]
    fn kind(interner: &Interner) -> &Kind<Self>;
}

/// The number of an [`Identifier`]. [`Snapshot::id_of`] finds what it stands for.
pub trait Numbered: Key + Value + Copy + Send + Sync + From<u64> + Into<u64> {
    /// What it stands for.
    type Id: Identifier<Number = Self>;
}

/// Gives numbers to identifiers, and numbers that nothing else ever had.
///
/// An identifier and its number are written by the batch that first uses them; a number of a batch that never
/// became durable is not seen by anybody. Batches under way at the same time agree: each gets the same number for
/// the same identifier and writes it, on the condition that no other number was written in the meantime.
/// A clone is another handle on the same interner; a store has one.
#[derive(Clone)]
pub struct Interner(Arc<Kinds>);

struct Kinds {
    users: Kind<OwnedUserId>,
    rooms: Kind<OwnedRoomId>,
    events: Kind<OwnedEventId>,
    state_keys: Kind<(String, String)>,
    devices: Counter,
    tenants: Counter,
}

/// One kind of identifiers: its counter, and the numbers given that are not known to be durable.
#[doc(hidden)]
pub struct Kind<I> {
    counter: Counter,
    pending: Pending<I>,
}

impl Interner {
    /// The interner of a store. Reads nothing yet.
    pub fn new(store: &Store) -> Self {
        let counter = |row| Counter::new(store.clone(), row);
        Interner(Arc::new(Kinds {
            users: Kind::new(counter(identity::Counted::Users)),
            rooms: Kind::new(counter(identity::Counted::Rooms)),
            events: Kind::new(counter(identity::Counted::Events)),
            state_keys: Kind::new(counter(identity::Counted::StateKeys)),
            devices: counter(identity::Counted::Devices),
            tenants: counter(identity::Counted::Tenants),
        }))
    }

    /// The number of an identifier: the one in the store, or else a new one, which `batch` then writes.
    ///
    /// The batch conflicts if another number became durable since `snapshot` was taken; it is then made again from a
    /// newer snapshot, like after any conflict.
    ///
    /// # Errors
    /// [`NumberError`].
    pub async fn number_of<I: Identifier>(
        &self,
        snapshot: &Snapshot,
        id: &I,
        batch: &mut Batch,
    ) -> Result<I::Number, NumberError> {
        match snapshot.number_of(id).await? {
            Some(number) => Ok(number),
            None => self.allocate(id, batch).await,
        }
    }

    /// A number for an identifier that has none in the snapshot from which `batch` is made, as its caller has asked.
    ///
    /// # Errors
    /// [`NumberError`].
    pub async fn new_number<I: Identifier>(
        &self,
        id: &I,
        batch: &mut Batch,
    ) -> Result<I::Number, NumberError> {
        self.allocate(id, batch).await
    }

    /// The numbers of several identifiers, in their order, as [`Interner::number_of`] gives them, with one read.
    ///
    /// # Errors
    /// [`NumberError`].
    pub async fn numbers_of<I: Identifier>(
        &self,
        snapshot: &Snapshot,
        ids: &[I],
        batch: &mut Batch,
    ) -> Result<Vec<I::Number>, NumberError> {
        let mut numbers = Vec::with_capacity(ids.len());
        for (id, known) in ids.iter().zip(snapshot.numbers_of(ids).await?) {
            numbers.push(match known {
                Some(number) => number,
                None => self.allocate(id, batch).await?,
            });
        }
        Ok(numbers)
    }

    /// A number for a new device. It is used up even if no batch ever writes it.
    ///
    /// # Errors
    /// [`NumberError`].
    pub async fn new_device(&self) -> Result<DeviceNumber, NumberError> {
        Ok(DeviceNumber(self.0.devices.next().await?))
    }

    /// A number for a new tenant. It is used up even if no batch ever writes it.
    ///
    /// # Errors
    /// [`NumberError`], also after 2³² tenants.
    pub async fn new_tenant(&self) -> Result<TenantNumber, NumberError> {
        let number = self.0.tenants.next().await?;
        u32::try_from(number).map(TenantNumber).map_err(|_| CounterError::Exhausted.into())
    }

    async fn allocate<I: Identifier>(&self, id: &I, batch: &mut Batch) -> Result<I::Number, NumberError> {
        let kind = I::kind(self);
        let raw = match kind.pending.find(id) {
            Some(raw) => raw,
            None => kind.pending.remember(id, kind.counter.next().await?),
        };
        let number = I::Number::from(raw);
        batch.expect_absent_or(&I::NUMBERS, id, &number);
        batch.put(&I::NUMBERS, id, &number);
        batch.put(&I::IDS, &number, id);
        Ok(number)
    }
}

impl fmt::Debug for Interner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner").finish_non_exhaustive()
    }
}

impl<I> Kind<I> {
    fn new(counter: Counter) -> Self {
        Kind { counter, pending: Pending::default() }
    }
}

/// Numbers that are durable; nothing here gives a new one.
impl Snapshot {
    /// The number of an identifier, if it has one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn number_of<I: Identifier>(&self, id: &I) -> Result<Option<I::Number>, ReadError> {
        self.get(&I::NUMBERS, id).await
    }

    /// The numbers of several identifiers, in their order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn numbers_of<I: Identifier>(&self, ids: &[I]) -> Result<Vec<Option<I::Number>>, ReadError> {
        self.get_many(&I::NUMBERS, ids).await
    }

    /// What a number stands for.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Dangling`] when nothing durable has that number.
    pub async fn id_of<N: Numbered>(&self, number: N) -> Result<N::Id, ReadError> {
        self.get(&N::Id::IDS, &number).await?.ok_or(ReadError::Dangling { table: N::Id::IDS.name })
    }

    /// What several numbers stand for, in their order.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Dangling`] when nothing durable has one of the numbers.
    pub async fn ids_of<N: Numbered>(&self, numbers: &[N]) -> Result<Vec<N::Id>, ReadError> {
        let dangling = || ReadError::Dangling { table: N::Id::IDS.name };
        let ids = self.rows_of(&N::Id::IDS, numbers).await?;
        ids.into_iter().map(|id| id.ok_or_else(dangling)).collect()
    }
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum NumberError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The counter gives no more numbers.
    #[error(transparent)]
    Counter(#[from] CounterError),
}

macro_rules! identifiers {
    ($($id:ty => $number:ident, $numbers:ident, $ids:ident, $kind:ident;)*) => {$(
        impl Identifier for $id {
            type Number = $number;
            const NUMBERS: Table<Self, $number> = identity::$numbers;
            const IDS: Table<$number, Self> = identity::$ids;

            fn kind(interner: &Interner) -> &Kind<Self> {
                &interner.0.$kind
            }
        }

        impl Numbered for $number {
            type Id = $id;
        }

        impl From<u64> for $number {
            fn from(raw: u64) -> Self {
                $number(raw)
            }
        }

        impl From<$number> for u64 {
            fn from(number: $number) -> u64 {
                number.0
            }
        }
    )*};
}

identifiers! {
    OwnedUserId => UserNumber, USER_NUMBERS, USER_IDS, users;
    OwnedRoomId => RoomNumber, ROOM_NUMBERS, ROOM_IDS, rooms;
    OwnedEventId => EventNumber, EVENT_NUMBERS, EVENT_IDS, events;
    (String, String) => StateKeyNumber, STATE_KEY_NUMBERS, STATE_KEYS, state_keys;
}
