//! The authorisation rules of every Matrix room version, as pure functions that give reasons.
