//! Random bytes of the operating system.

use crate::failure::ServerFailure;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], ServerFailure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(ServerFailure::Random)?;
    Ok(bytes)
}

/// `N` random capital letters: a device id that people can read out.
pub(crate) fn letters<const N: usize>() -> Result<String, ServerFailure> {
    // 26 does not divide 256: the letters A to V are a little likelier, which costs a fraction of a bit.
    Ok(bytes::<N>()?.iter().map(|byte| char::from(b'A' + byte % 26)).collect())
}
