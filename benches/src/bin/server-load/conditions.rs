//! Under which conditions something was measured.

use crate::http::Outcome;

/// How busy the machine is: how many programs want a processor, and how many processors there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) load: f64,
    pub(crate) processors: usize,
}

impl Conditions {
    /// Those of now, as far as the system says.
    pub(crate) fn now() -> Outcome<Self> {
        let file = "/proc/loadavg";
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let load = text.split(' ').next().and_then(|word| word.parse().ok());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Conditions { load: load.ok_or_else(|| format!("{file} reads `{text}`"))?, processors })
    }

    /// In words.
    pub(crate) fn words(self) -> String {
        format!("a load of {:.1} on {} processors before the run", self.load, self.processors)
    }

    /// Whether others had to be waited for: a machine at rest has a load below a quarter of its processors.
    pub(crate) fn is_busy(self) -> bool {
        self.load > 0.25 * self.processors as f64
    }
}
