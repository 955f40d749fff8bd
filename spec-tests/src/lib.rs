//! The vectors of the Matrix specification and the comparisons with other implementations.
