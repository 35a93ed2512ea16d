//! TCP: accept, TLS, and one hyper connection each, for as long as it is of use.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::{Metrics, Surface};
use crate::rates::{Connected, Rates};

/// HTTP/2 streams of one connection at once; each may be a WebSocket.
const STREAMS: u32 = 64;
/// What an HTTP/2 stream, and all streams of a connection, may send ahead of being read.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
const HTTP2_FRAME_BYTES: u32 = 16 << 10;
const HTTP2_SEND_BYTES: usize = 64 << 10;
/// Beyond this hyper answers 431 by itself; [`super::http`] answers with a reason from half of it.
pub(super) const HEAD_BYTES: u32 = 32 << 10;
/// How long a full table of file descriptors is given to empty.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long a TCP client is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From there to the end of the first request's head; past it the connection is cut off.
    pub first_request: Duration,
    /// Between requests. A session over WebSocket has its own clock.
    pub idle: Duration,
    /// For a connection without requests to go away when it was asked to.
    pub goodbye: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            goodbye: Duration::from_secs(5),
        }
    }
}

/// Where connections come from, and what bounds them.
#[derive(Debug)]
pub struct Entrance {
    /// One for each address.
    pub listeners: Vec<TcpListener>,
    /// TLS; its ALPN protocols should be `h2` and `http/1.1`. Absent: clear text, HTTP/2 by prior knowledge.
    pub tls: Option<Arc<ServerConfig>>,
    /// Connections open at once; may be shared with other carriers. Further ones are closed unserved.
    pub connections: Arc<Semaphore>,
    /// How many of them one address may have and open.
    pub rates: Arc<Rates>,
    /// How long clients are waited for.
    pub patience: Patience,
}

/// What answers requests.
pub trait Respond: Clone + Send + Sync + 'static {
    /// What answers carry.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers one request. Dropped when the client goes away.
    fn respond(
        &self,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// One TCP connection. Counts against the limit until the last holder drops it.
#[derive(Debug)]
pub struct Connection {
    /// The client's address.
    pub remote: SocketAddr,
    /// Our address that it reached.
    pub local: SocketAddr,
    tasks: TaskTracker,
    started: AtomicU64,
    active: AtomicUsize,
    _permit: OwnedSemaphorePermit,
    _of_address: Option<Connected>,
}

impl Connection {
    /// Marks the connection as in use for as long as the result lives.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Runs `task` beside the connection; [`serve`] waits for its end too.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    fn is_unused(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0
    }
}

/// A request or session under way on a connection.
#[derive(Debug)]
pub struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until `shutdown`; then accepts no more, closes idle connections, and returns when the requests and
/// sessions under way have ended. What must not take that long is to be ended by dropping the future.
pub async fn serve<R: Respond>(
    entrance: Entrance,
    respond: R,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let tasks = TaskTracker::new();
    // Its own: the end of this listener is not the others'.
    let shutdown = shutdown.child_token();
    let door = Arc::new(Door {
        http: builder(&entrance.patience, &tasks),
        tls: entrance.tls.map(TlsAcceptor::from),
        connections: entrance.connections,
        rates: entrance.rates,
        patience: entrance.patience,
        respond,
        metrics,
        tasks: tasks.clone(),
        shutdown,
    });
    for listener in entrance.listeners {
        tasks.spawn(Arc::clone(&door).accept(listener));
    }
    tasks.close();
    let cut_off = Cancelled(door.shutdown.clone());
    drop(door);
    tasks.wait().await;
    drop(cut_off);
}

/// Ends the accept loops when [`serve`] itself is dropped.
struct Cancelled(CancellationToken);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What all connections of an entrance share.
struct Door<R> {
    http: auto::Builder<Tracked>,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    rates: Arc<Rates>,
    patience: Patience,
    respond: R,
    metrics: Metrics,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl<R: Respond> Door<R> {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => self.admit(stream, remote),
                // The client left before it was accepted: nobody is kept waiting.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.metrics.refused(Surface::Tcp, "accept");
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        // The handshake of TCP has shown that it is where it says.
        let Ok(of_address) = self.rates.connect(remote.ip(), true, Instant::now().into_std()) else {
            self.metrics.refused(Surface::Tcp, "address");
            return;
        };
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.metrics.refused(Surface::Tcp, "connections");
            return;
        };
        let Ok(local) = stream.local_addr() else { return };
        // Acknowledgements are small and someone waits for each.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = Arc::new(Connection {
            remote,
            local,
            tasks: self.tasks.clone(),
            started: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            _permit: permit,
            _of_address: of_address,
        });
        self.tasks.spawn(Box::pin(Arc::clone(self).greet(stream, connection)));
    }

    async fn greet(self: Arc<Self>, stream: TcpStream, connection: Arc<Connection>) {
        let Some(tls) = &self.tls else { return self.drive(stream, connection).await };
        let handshake = tokio::select! {
            () = self.shutdown.cancelled() => return,
            handshake = timeout(self.patience.handshake, tls.accept(stream)) => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => self.drive(stream, connection).await,
            Ok(Err(error)) => {
                self.metrics.refused(Surface::Tcp, "tls");
                tracing::debug!(%error, remote = %connection.remote, "TLS handshake failed");
            }
            Err(_) => self.metrics.refused(Surface::Tcp, "tls_timeout"),
        }
    }

    /// Answers the requests of one connection until the client, the shutdown or silence ends it.
    async fn drive<S>(&self, stream: S, connection: Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let busy = connection.busy();
            let (respond, connection) = (self.respond.clone(), Arc::clone(&connection));
            async move {
                let response = respond.respond(request, connection).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut alarm = pin!(sleep(self.patience.first_request));
        let (mut seen, mut leaving) = (0, false);
        loop {
            let next = tokio::select! {
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &*error, remote = %connection.remote, "connection ended");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !leaving => Next::Leave,
                () = alarm.as_mut() => self.judge(&connection, leaving, &mut seen),
            };
            let wait = match next {
                Next::Wait(wait) => wait,
                Next::Leave => {
                    leaving = true;
                    http.as_mut().graceful_shutdown();
                    self.patience.goodbye
                }
                Next::CutOff => return,
            };
            alarm.as_mut().reset(Instant::now() + wait);
        }
    }

    /// What becomes of a connection that was given its time; `seen` is how many requests had begun when it was
    /// judged last.
    fn judge(&self, connection: &Connection, leaving: bool, seen: &mut u64) -> Next {
        let started = connection.started.load(Ordering::Relaxed);
        let new = started != std::mem::replace(seen, started);
        match (connection.is_unused(), leaving) {
            (false, false) => Next::Wait(self.patience.idle),
            (false, true) => Next::Wait(self.patience.goodbye),
            (true, true) => Next::CutOff,
            (true, false) if started == 0 => {
                self.metrics.refused(Surface::Tcp, "silent");
                Next::CutOff
            }
            (true, false) if new => Next::Wait(self.patience.idle),
            (true, false) => Next::Leave,
        }
    }
}

enum Next {
    Wait(Duration),
    /// The client is asked to go, which lets requests under way end.
    Leave,
    CutOff,
}

fn builder(patience: &Patience, tasks: &TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(tasks.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        // It also runs between requests; the first request has a shorter clock of ours.
        .header_read_timeout(patience.idle)
        .max_buf_size(HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .max_send_buf_size(HTTP2_SEND_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(patience.idle)
        .keep_alive_timeout(patience.first_request)
        .enable_connect_protocol();
    builder
}

/// Lets [`serve`] wait for the streams of HTTP/2 connections.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

#[cfg(test)]
mod tests;
