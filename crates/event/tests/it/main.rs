//! Tests of the public interface: rooms of every version.

// The attributes tell clippy that helpers are tests as well.
#[cfg(test)]
mod building;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod format;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod redaction;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod versions;
