//! A wire that can be cut: forwards TCP connections to one address until told not to.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::failure::{Context, Result};

/// The public address of a server, in front of the one it listens on.
pub(crate) struct Link {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    is_cut: AtomicBool,
    /// Whether what is said to the server reaches it, and its answers nobody.
    is_mute: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Listens on a free port of a loopback address and forwards to a port of 127.0.0.1.
    pub(crate) fn to_port(host: &str, target: u16) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).context("listen for a link")?;
        let port = listener.local_addr().context("address of a link")?.port();
        let wire = Arc::new(Wire::default());
        let accepting = Arc::clone(&wire);
        thread::spawn(move || accept(&listener, target, &accepting));
        Ok(Self { port, wire })
    }

    /// The port that others connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection and refuses new ones.
    pub(crate) fn cut(&self) {
        self.wire.is_cut.store(true, Ordering::SeqCst);
        for stream in self.wire.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A stream that the other side has closed already needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Loses what the server answers from now on; what is said to it still reaches it.
    pub(crate) fn mute(&self) {
        self.wire.is_mute.store(true, Ordering::SeqCst);
    }

    /// Forwards again. Connections on which answers were lost are of no use, so they end.
    pub(crate) fn heal(&self) {
        if self.wire.is_mute.load(Ordering::SeqCst) {
            self.cut();
        }
        self.wire.is_mute.store(false, Ordering::SeqCst);
        self.wire.is_cut.store(false, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, target: u16, wire: &Arc<Wire>) {
    for incoming in listener.incoming().flatten() {
        if wire.is_cut.load(Ordering::SeqCst) {
            continue;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], target));
        let Ok(outgoing) = TcpStream::connect(address) else { continue };
        // Otherwise a piece that is small waits up to 40 ms for what came before it to be acknowledged.
        if [&incoming, &outgoing].into_iter().any(|stream| stream.set_nodelay(true).is_err()) {
            continue;
        }
        let copies = [&incoming, &outgoing].map(TcpStream::try_clone);
        let [Ok(incoming_copy), Ok(outgoing_copy)] = copies else { continue };
        wire.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend([&incoming, &outgoing].into_iter().filter_map(|stream| stream.try_clone().ok()));
        let answers = Arc::clone(wire);
        thread::spawn(move || forward(incoming_copy, outgoing, || false));
        thread::spawn(move || forward(outgoing_copy, incoming, || answers.is_mute.load(Ordering::SeqCst)));
    }
}

/// Forwards what one says to the other, but for what is said while it is lost.
fn forward(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn() -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..read) else { break };
        if !is_lost() && to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo_server() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let copy = stream.try_clone().unwrap();
                thread::spawn(move || forward(copy, stream, || false));
            }
        });
        port
    }

    fn answers(link: &Link) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", link.port())) else { return false };
        let mut answer = [0; 4];
        stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"ping"
    }

    #[test]
    fn a_cut_link_answers_nothing_until_it_is_healed() {
        let link = Link::to_port("127.0.0.1", echo_server()).unwrap();
        assert!(answers(&link));
        link.cut();
        assert!(!answers(&link));
        link.heal();
        assert!(answers(&link));
    }

    #[test]
    fn cutting_ends_connections_that_are_open() {
        let link = Link::to_port("127.0.0.1", echo_server()).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        link.cut();
        assert_eq!(stream.read(&mut [0; 4]).unwrap_or(0), 0);
    }

    #[test]
    fn a_mute_link_says_nothing_until_it_is_healed() {
        let link = Link::to_port("127.0.0.1", echo_server()).unwrap();
        link.mute();
        let mut stream = TcpStream::connect(("127.0.0.1", link.port())).unwrap();
        stream.write_all(b"ping").unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        assert!(stream.read_exact(&mut [0; 4]).is_err());
        link.heal();
        assert!(answers(&link));
    }
}
