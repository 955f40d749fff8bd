//! How the process is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the process is: what only who put it together can say.
pub trait Status: Send + Sync {
    /// How it is now.
    fn status(&self) -> StatusReport;
}

/// How the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// How many bytes all caches together may take.
    pub memory_budget: u64,
    /// How many bytes each of them takes.
    pub memory: Vec<MemoryUse>,
    /// How many bytes of the process are in memory, where the system tells it.
    pub resident: Option<u64>,
    /// How many tenants there are.
    pub tenants: usize,
}

/// How much memory a part of the process takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The part.
    pub subsystem: String,
    /// How many bytes it takes.
    pub held: u64,
    /// How many it may take; `None` for what grows with the store.
    pub most: Option<u64>,
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>14} {:>14}", "memory", "bytes", "at most")?;
        for MemoryUse { subsystem, held, most } in &self.memory {
            let most = most.map(|most| most.to_string()).unwrap_or_default();
            writeln!(f, "{subsystem:<16} {held:>14} {most:>14}")?;
        }
        let held: u64 = self.memory.iter().map(|one| one.held).sum();
        writeln!(f, "{:<16} {held:>14} {:>14}", "together", self.memory_budget)?;
        if let Some(resident) = self.resident {
            writeln!(f, "{:<16} {resident:>14}", "resident")?;
        }
        write!(f, "{:<16} {:>14}", "tenants", self.tenants)
    }
}
