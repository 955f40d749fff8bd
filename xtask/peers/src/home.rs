//! A server that people live on, whichever program it is.

use std::net::TcpListener;

use crate::{
    failure::{Context, Result},
    link::Link,
};

/// A running server.
pub(crate) trait Home {
    /// The name other servers know it by.
    fn server_name(&self) -> &str;

    /// Where clients reach it.
    fn client_url(&self) -> &str;

    /// The wire over which other servers reach it.
    fn link(&self) -> &Link;
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
