//! A link that can be cut off without closing: a TCP proxy that, on command, lets nothing through any more.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A proxy in front of one address. It runs on a thread of its own, so that tests with a runtime each may share it.
pub struct Swallow {
    address: SocketAddr,
    link: watch::Sender<Link>,
    gone: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What becomes of bytes that come in, in both directions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Passes,
    /// Not read: they fill the sender's socket, and go on when the link is back.
    Holds,
    /// Read and dropped.
    Swallows,
}

impl Swallow {
    /// Listens on a loopback port of its own and passes everything on to `target`, which need not listen yet.
    pub fn before(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (link, seen) = watch::channel(Link::Passes);
        let gone = CancellationToken::new();
        let until = gone.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! { () = serve(&listener, target, &seen) => {}, () = until.cancelled() => {} }
            });
        });
        Self { address, link, gone, thread: Some(thread) }
    }

    /// Where clients connect to instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A black hole: connections stay open and new ones are accepted, and what either side writes is taken and gone.
    /// [`Swallow::pass`] resets the connections that have lost something.
    pub fn swallow(&self) {
        self.link.send_replace(Link::Swallows);
    }

    /// A stalled link: as [`Swallow::swallow`], but nothing is lost; all of it comes through after [`Swallow::pass`].
    pub fn hold(&self) {
        self.link.send_replace(Link::Holds);
    }

    /// The link is whole again.
    pub fn pass(&self) {
        self.link.send_replace(Link::Passes);
    }
}

impl Drop for Swallow {
    fn drop(&mut self) {
        self.gone.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: &TcpListener, target: SocketAddr, link: &watch::Receiver<Link>) {
    loop {
        // Such as too many open files: a connection that fails is its client's to try again.
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(join(client, target, link.clone()));
    }
}

/// Joins a client to the target until either hangs up, or something was swallowed and the link is whole again.
async fn join(client: TcpStream, target: SocketAddr, mut link: watch::Receiver<Link>) {
    // Who connects into a black hole hears nothing, also not that nobody is there.
    if link.wait_for(|link| *link != Link::Holds).await.is_err() {
        return;
    }
    let swallows = *link.borrow() == Link::Swallows;
    let Ok(server) = TcpStream::connect(target).await else {
        if swallows {
            let _ = link.wait_for(|link| *link == Link::Passes).await;
        }
        return;
    };
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
        // Whoever is cut off gets a reset.
        let _ = socket.set_zero_linger();
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let _ = tokio::try_join!(
        pump(&mut from_client, &mut to_server, link.clone()),
        pump(&mut from_server, &mut to_client, link),
    );
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut has_lost = false;
    let cut_off = || io::Error::from(io::ErrorKind::ConnectionReset);
    loop {
        let now = *link.borrow_and_update();
        if now == Link::Passes && has_lost {
            return Err(cut_off());
        }
        tokio::select! {
            biased;
            changed = link.changed() => changed.map_err(|_| cut_off())?,
            read = from.read(&mut buffer), if now != Link::Holds => match (read?, now) {
                (0, Link::Passes) => return to.shutdown().await,
                // A farewell is swallowed too.
                (0, _) => {
                    link.wait_for(|link| *link == Link::Passes).await.map_err(|_| cut_off())?;
                    return Err(cut_off());
                }
                (count, Link::Passes) => to.write_all(&buffer[..count]).await?,
                _ => has_lost = true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// More than the sockets on the way hold: writing it ends when it was read.
    const MUCH: usize = 32 << 20;

    struct Pair {
        client: TcpStream,
        server: TcpStream,
    }

    impl Pair {
        async fn new(proxy: &Swallow, target: &TcpListener) -> Self {
            let client = TcpStream::connect(proxy.address()).await.unwrap();
            let (server, _) = target.accept().await.unwrap();
            Self { client, server }
        }

        async fn passes(&mut self, byte: u8) {
            self.client.write_u8(byte).await.unwrap();
            assert_eq!(self.server.read_u8().await.unwrap(), byte);
            self.server.write_u8(byte).await.unwrap();
            assert_eq!(self.client.read_u8().await.unwrap(), byte);
        }

        async fn nothing_comes(&mut self) {
            let read = tokio::time::timeout(Duration::from_millis(100), self.server.read_u8()).await;
            assert!(read.is_err(), "{read:?} came through");
        }
    }

    #[tokio::test]
    async fn what_was_held_comes_through_later_and_what_was_swallowed_never() {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Swallow::before(target.local_addr().unwrap());
        let mut early = Pair::new(&proxy, &target).await;
        let mut idle = Pair::new(&proxy, &target).await;
        early.passes(1).await;

        proxy.hold();
        early.client.write_u8(2).await.unwrap();
        early.nothing_comes().await;
        proxy.pass();
        assert_eq!(early.server.read_u8().await.unwrap(), 2);

        proxy.swallow();
        early.client.write_all(&vec![3; MUCH]).await.unwrap();
        early.nothing_comes().await;
        let mut late = Pair::new(&proxy, &target).await;
        late.client.write_all(&vec![4; MUCH]).await.unwrap();
        late.nothing_comes().await;
        proxy.pass();
        for pair in [&mut early, &mut late] {
            assert!(pair.client.read_u8().await.is_err());
            assert!(pair.server.read_u8().await.is_err());
        }
        idle.passes(5).await;
    }
}
