//! A new session: a device, new or known, with new tokens.

use freehold_store::tables::accounts::{
    ACCESS_TOKENS, ACCOUNTS, AccessTokenRow, AccountRow, DEVICE_NUMBERS, DEVICE_TOKENS, DEVICES, DeviceRow,
    REFRESH_TOKENS, RefreshTokenRow, TokenHash, TokenKind, TokenPairRow,
};
use freehold_store::{Batch, DeviceNumber, Order, ReadError, Snapshot, UserNumber};
use ruma_common::{OwnedDeviceId, OwnedUserId};

use crate::accounts::Accounts;
use crate::device::{self, DeviceRequest, Removal, remove_tokens};
use crate::failure::{ServerFailure, server_failures};
use crate::random;
use crate::token::Token;

/// Whether a client can use a refresh token. One that cannot must not be given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The client asked for one: its access token expires.
    Asked,
    /// It did not: its access token does not expire.
    NotAsked,
}

/// What somebody gets who logged in.
#[derive(Clone)]
pub struct NewSession {
    /// Who.
    pub user_id: OwnedUserId,
    /// With which device.
    pub device_id: OwnedDeviceId,
    /// The tokens.
    pub tokens: NewTokens,
}

/// New tokens of a device.
#[derive(Clone)]
pub struct NewTokens {
    /// The access token.
    pub access_token: String,
    /// The refresh token, if one was asked for.
    pub refresh_token: Option<String>,
    /// In how many milliseconds the access token expires, if it does.
    pub expires_in_ms: Option<u64>,
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenSessionError {
    /// A cross-signing key of the user has that id.
    #[error("device id is the id of a cross-signing key")]
    IsCrossSigningKey,
    /// The device id is empty or longer than the bound.
    #[error("device id has {found} bytes; 1 to {max} are allowed")]
    DeviceIdLength {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The user has as many devices as there may be.
    #[error("user has {max} devices, which is the most there may be")]
    TooManyDevices {
        /// The bound.
        max: usize,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(OpenSessionError);

/// A session that is about to be.
pub(crate) struct Opening {
    /// What the user gets.
    pub(crate) session: NewSession,
    /// The access tokens that it ends.
    pub(crate) ends: Vec<TokenHash>,
}

/// Who logs in.
pub(crate) struct Who<'a> {
    /// The number of the user.
    pub(crate) user: UserNumber,
    /// The user.
    pub(crate) user_id: &'a OwnedUserId,
    /// The account as it was read; `None` if the same batch makes it.
    pub(crate) account: Option<&'a AccountRow>,
}

impl Accounts {
    /// Adds to `batch` a session of a user. The tokens that the device had end.
    pub(crate) async fn open_session(
        &self,
        snapshot: &Snapshot,
        who: Who<'_>,
        (request, refresh): (&DeviceRequest, Refresh),
        batch: &mut Batch,
    ) -> Result<Opening, OpenSessionError> {
        if let Some(account) = who.account {
            // Whoever changes the password or locks the account meanwhile is not overlooked.
            batch.expect_unchanged(&ACCOUNTS, &who.user, Some(account));
        }
        let device_id = self.wanted_device_id(snapshot, who.user, request).await?;
        let mut removal = Removal::default();
        let number = match device::find(snapshot, who.user, device_id.as_str()).await? {
            Some((number, row)) => {
                batch.expect_unchanged(&DEVICES, &number, Some(&row));
                remove_tokens(snapshot, number, &mut removal).await?;
                number
            }
            None => self.new_device(snapshot, &who, (&device_id, request), batch).await?,
        };
        batch.append(removal.batch);
        let (tokens, _) = self.new_tokens(number, refresh, None, batch)?;
        let session = NewSession { user_id: who.user_id.clone(), device_id, tokens };
        Ok(Opening { session, ends: removal.tokens })
    }

    async fn wanted_device_id(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        request: &DeviceRequest,
    ) -> Result<OwnedDeviceId, OpenSessionError> {
        let Some(device_id) = &request.device_id else { return Ok(random::letters::<10>()?.into()) };
        let (found, max) = (device_id.as_str().len(), self.limits().device_id_bytes);
        if found == 0 || found > max {
            return Err(OpenSessionError::DeviceIdLength { found, max });
        }
        if self.0.given.device_keys.is_cross_signing_key(snapshot, user, device_id.as_str()).await? {
            return Err(OpenSessionError::IsCrossSigningKey);
        }
        Ok(device_id.clone())
    }

    async fn new_device(
        &self,
        snapshot: &Snapshot,
        who: &Who<'_>,
        (device_id, request): (&OwnedDeviceId, &DeviceRequest),
        batch: &mut Batch,
    ) -> Result<DeviceNumber, OpenSessionError> {
        let max = self.limits().devices;
        if who.account.is_some() && count_devices(snapshot, who.user, max).await? >= max {
            return Err(OpenSessionError::TooManyDevices { max });
        }
        let number = self.interner().new_device().await?;
        let key = (who.user, device_id.to_string());
        let name_max = self.limits().device_name_bytes;
        let display_name = request.display_name.clone().filter(|name| name.len() <= name_max);
        let created_ts = self.now_ts();
        let row = DeviceRow { user: who.user, device_id: device_id.to_string(), display_name, created_ts };
        batch.expect_absent(&DEVICE_NUMBERS, &key);
        batch.put(&DEVICE_NUMBERS, &key, &number);
        batch.put(&DEVICES, &number, &row);
        batch.wake(who.user);
        Ok(number)
    }

    /// Adds to `batch` new tokens of a device, which may replace others.
    pub(crate) fn new_tokens(
        &self,
        device: DeviceNumber,
        refresh: Refresh,
        replaces: Option<TokenPairRow>,
        batch: &mut Batch,
    ) -> Result<(NewTokens, Option<TokenPairRow>), ServerFailure> {
        let access = Token::new(TokenKind::Access)?;
        let lifetime_ms = self.0.given.settings.access_token_lifetime_ms;
        let expires_in_ms = (refresh == Refresh::Asked).then_some(lifetime_ms);
        let expires_ts = expires_in_ms.map(|lifetime_ms| self.now_ts().saturating_add_unsigned(lifetime_ms));
        let row = AccessTokenRow { device, expires_ts, replaces: replaces.clone() };
        batch.put(&ACCESS_TOKENS, &access.hash, &row);
        batch.put(&DEVICE_TOKENS, &(device, access.hash), &TokenKind::Access);
        let mut tokens = NewTokens { access_token: access.text, refresh_token: None, expires_in_ms };
        if refresh == Refresh::NotAsked {
            return Ok((tokens, None));
        }
        let refresh = Token::new(TokenKind::Refresh)?;
        let row = RefreshTokenRow { device, access: access.hash, replaces, replaced_by: None };
        batch.put(&REFRESH_TOKENS, &refresh.hash, &row);
        batch.put(&DEVICE_TOKENS, &(device, refresh.hash), &TokenKind::Refresh);
        tokens.refresh_token = Some(refresh.text);
        Ok((tokens, Some(TokenPairRow { access: access.hash, refresh: refresh.hash })))
    }
}

async fn count_devices(snapshot: &Snapshot, user: UserNumber, max: usize) -> Result<usize, ReadError> {
    Ok(snapshot.scan_prefix(&DEVICE_NUMBERS, &(user,), Order::Ascending, max).await?.len())
}
