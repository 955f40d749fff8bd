//! Tokens that stand for the operator of the process.

use freehold_store::tables::tenancy::{OPERATOR_TOKENS, OperatorTokenRow};
use freehold_store::{Batch, Order};
use getrandom::SysRng;
use getrandom::rand_core::TryRng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::audit::{self, Act, By};
use crate::tenancy::{Tenancy, TenancyError};

/// A token that stands for the operator, shown once: only its hash is kept.
pub struct OperatorToken(String);

impl OperatorToken {
    /// Its text, to be handed to the operator.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorToken(..)")
    }
}

const PREFIX: &str = "fho_";

impl Tenancy {
    /// Makes a token for the operator. `None` when the operating system gives no random bytes.
    ///
    /// # Errors
    /// [`TenancyError`] when the store cannot be written.
    pub async fn new_operator_token(
        &self,
        label: &str,
        by: &By,
    ) -> Result<Option<OperatorToken>, TenancyError> {
        let mut bytes = [0; 32];
        if SysRng.try_fill_bytes(&mut bytes).is_err() {
            return Ok(None);
        }
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = OperatorToken(format!("{PREFIX}{digits}"));
        let row = OperatorTokenRow { label: label.to_owned(), created_ts: self.now_ts() };
        let mut batch = Batch::new();
        batch.put(&OPERATOR_TOKENS, &hash(token.reveal()), &row);
        let act = Act { by, name: "token add", details: json!({ "label": label }) };
        audit::record(&mut batch, None, &act, self.now_ts());
        self.store().commit(batch).await?;
        Ok(Some(token))
    }

    /// Whether a token is one of the operator's.
    ///
    /// # Errors
    /// [`TenancyError`] when the store cannot be read.
    pub async fn is_operator_token(&self, token: &str) -> Result<bool, TenancyError> {
        if !token.starts_with(PREFIX) {
            return Ok(false);
        }
        // The hash is looked up, not the text: how long that takes says nothing about a token.
        Ok(self.store().snapshot()?.get(&OPERATOR_TOKENS, &hash(token)).await?.is_some())
    }

    /// Whether there is any operator token.
    ///
    /// # Errors
    /// [`TenancyError`] when the store cannot be read.
    pub async fn has_operator_token(&self) -> Result<bool, TenancyError> {
        let snapshot = self.store().snapshot()?;
        let rows = snapshot.scan_prefix(&OPERATOR_TOKENS, &(), Order::Ascending, 1).await?;
        Ok(!rows.is_empty())
    }

    /// Takes back all operator tokens with this label; says how many.
    ///
    /// # Errors
    /// [`TenancyError`] when the store fails.
    pub async fn remove_operator_tokens(&self, label: &str, by: &By) -> Result<usize, TenancyError> {
        let snapshot = self.store().snapshot()?;
        let rows = snapshot.scan_prefix(&OPERATOR_TOKENS, &(), Order::Ascending, TOKENS_MAX).await?;
        let hashes: Vec<[u8; 32]> =
            rows.into_iter().filter(|(_, row)| row.label == label).map(|(hash, _)| hash).collect();
        let mut batch = Batch::new();
        hashes.iter().for_each(|hash| batch.delete(&OPERATOR_TOKENS, hash));
        let act = Act { by, name: "token remove", details: json!({ "label": label }) };
        audit::record(&mut batch, None, &act, self.now_ts());
        self.store().commit(batch).await?;
        Ok(hashes.len())
    }

    /// The labels of the operator tokens, with the times at which they were made.
    ///
    /// # Errors
    /// [`TenancyError`] when the store cannot be read.
    pub async fn operator_tokens(&self) -> Result<Vec<OperatorTokenRow>, TenancyError> {
        let snapshot = self.store().snapshot()?;
        let rows: Vec<([u8; 32], OperatorTokenRow)> =
            snapshot.scan_prefix(&OPERATOR_TOKENS, &(), Order::Ascending, TOKENS_MAX).await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

const TOKENS_MAX: usize = 10_000;

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
