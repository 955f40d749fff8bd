//! A socket that accepts connections, of either kind.

use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::Address;

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum Socket {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a path; removed when this is dropped.
    Unix(UnixListener, SocketFile),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// From a TCP port, with the address of the other end.
    Tcp(TcpStream, IpAddr),
    /// From a unix socket.
    Unix(UnixStream),
}

impl Accepted {
    /// The address of the other end, if it has one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Accepted::Tcp(_, address) => Some(*address),
            Accepted::Unix(_) => None,
        }
    }
}

impl Socket {
    /// Binds an address. A socket that a server left behind is replaced; only the owner of a new one, and those of
    /// `mode`, may use it.
    pub(crate) async fn bind(
        address: &Address,
        mode: u32,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address: address.clone(), source };
        match address {
            Address::Inherited(number) => inherited.take(*number).map(Socket::Tcp).map_err(failed),
            Address::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp).map_err(failed),
            Address::Unix(path) => bind_unix(path, mode).map_err(failed),
        }
    }

    /// Takes the next connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting for more bytes would only delay them.
                stream.set_nodelay(true)?;
                // A socket for both kinds has IPv4 addresses within one network of IPv6.
                Ok(Accepted::Tcp(stream, peer.ip().to_canonical()))
            }
            Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Where it listens, as people write it.
    pub(crate) fn name(&self, scheme: &str) -> String {
        match self {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("{scheme}://{address}"),
                Err(error) => error.to_string(),
            },
            Socket::Unix(_, SocketFile(path)) => format!("unix:{}", path.display()),
        }
    }
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is no socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(Socket::Unix(listener, SocketFile(path.to_owned())))
}

/// The sockets that systemd opened for us.
pub(crate) struct Inherited(ListenFd);

impl Inherited {
    /// What the environment says.
    pub(crate) fn from_environment() -> Self {
        Inherited(ListenFd::from_env())
    }

    fn take(&mut self, number: usize) -> io::Result<TcpListener> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "systemd opened no such socket");
        let listener = self.0.take_tcp_listener(number)?.ok_or_else(missing)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }
}

/// A socket in the file system.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A socket that stays behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct BindError {
    /// The address.
    pub(crate) address: Address,
    /// What the operating system says.
    pub(crate) source: io::Error,
}
