//! HTTP as a client meets it: real sockets, and a gate that notes what it is given.

mod connections;
mod requests;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tidegate_wire::{Level, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Discovery, Http, Settings};
use crate::access::{Access, Issued};
use crate::config::{Auth, AuthMode, Origins, Token};
use crate::listen::link::{
    Answer, Gate, Link, LinkError, LinkReader as _, LinkWriter as _, Packet, Peer, Post,
};
use crate::listen::tcp::{Entrance, Patience, serve};
use crate::metrics::{Metrics, text};

/// A page that may send, and one that may not.
pub(in crate::listen) const OURS: &str = "https://app.example.com";
pub(in crate::listen) const FOREIGN: &str = "https://evil.example";

/// What a test may change.
pub(in crate::listen) struct Setup {
    /// Whether tokens are asked for: one that is good for anything.
    pub(in crate::listen) tokens: bool,
    pub(in crate::listen) limits: Limits,
    bodies_bytes: u64,
    body_patience: Duration,
    pub(in crate::listen) patience: Patience,
    pub(in crate::listen) connections: usize,
    demo: Option<std::path::PathBuf>,
}

/// Both listeners in clear text: TLS adds nothing to what is asked here.
pub(in crate::listen) struct Site {
    pub(in crate::listen) plain: SocketAddr,
    secure: SocketAddr,
    pub(in crate::listen) token: String,
    pub(in crate::listen) gate: Fake,
    registry: Registry,
    pub(in crate::listen) connections: Arc<Semaphore>,
    pub(in crate::listen) shutdown: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
}

impl Site {
    pub(in crate::listen) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(in crate::listen) async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            tokens: false,
            limits: Limits {
                max_body_bytes: 64 << 10,
                max_inflated_body_bytes: 128 << 10,
                ..Limits::default()
            },
            bodies_bytes: 1 << 20,
            body_patience: Duration::from_secs(30),
            patience: Patience::default(),
            connections: 100,
            demo: None,
        };
        change(&mut setup);
        let any = Issued::new("any").unwrap();
        let (metrics, registry) = Metrics::register();
        let [plain, secure] = [listener().await, listener().await];
        let [plain_at, secure_at] = [&plain, &secure].map(|listener| listener.local_addr().unwrap());
        let discovery = Discovery {
            public: None,
            secure_port: Some(secure_at.port()),
            prefix: "/v1".into(),
            limits: setup.limits,
            exclude: Vec::new(),
            hashes: Box::new(|| vec![[7; 32]]),
        };
        let settings = Settings {
            prefix: "/v1".into(),
            limits: setup.limits,
            bodies_bytes: setup.bodies_bytes,
            body_patience: setup.body_patience,
        };
        let gate = Fake::default();
        let access = Arc::new(access(setup.tokens, &any));
        let http = Http::new(gate.clone(), access, metrics.clone(), discovery, settings);
        let connections = Arc::new(Semaphore::new(setup.connections));
        let shutdown = CancellationToken::new();
        let entrance = |listener| Entrance {
            listeners: vec![listener],
            tls: None,
            connections: Arc::clone(&connections),
            patience: setup.patience,
        };
        let listeners = [(plain, http.plain(setup.demo.as_deref())), (secure, http.secure())].map(
            |(listener, respond)| {
                tokio::spawn(serve(entrance(listener), respond, metrics.clone(), shutdown.clone()))
            },
        );
        Self {
            plain: plain_at,
            secure: secure_at,
            token: any.token,
            gate,
            registry,
            connections: Arc::clone(&connections),
            shutdown,
            listeners: listeners.into(),
        }
    }

    /// Sends bytes and reads until the listener closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// One request on a connection of its own; `head` is everything but `Host` and `Connection`.
    pub(in crate::listen) async fn ask(&self, head: &str, body: &str) -> String {
        self.raw(&one(head, body)).await
    }

    /// Waits for the listeners to end after a shutdown.
    pub(in crate::listen) async fn ended(self) {
        self.shutdown.cancel();
        for listener in self.listeners {
            within(listener).await.unwrap();
        }
    }

    #[track_caller]
    fn assert_refused(&self, surface: &str, reason: &str) {
        let series = format!("tidegate_refused_total{{surface=\"{surface}\",reason=\"{reason}\"}}");
        let text = text(&self.registry).unwrap();
        assert!(text.contains(&series), "{series} is not in\n{text}");
    }
}

/// Notes what it is given, and answers what it is told to.
#[derive(Clone, Debug, Default)]
pub(in crate::listen) struct Fake(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    draining: AtomicBool,
    answers: Mutex<VecDeque<Answer>>,
    posts: Mutex<Vec<Noted>>,
    peers: Mutex<Vec<Peer>>,
}

/// A request's events as they came.
#[derive(Debug)]
struct Noted {
    kind: String,
    body: String,
    numbering: Option<(String, u64, u64)>,
    respond_async: bool,
}

impl Fake {
    pub(in crate::listen) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn will_answer(&self, answer: Answer) {
        self.0.answers.lock().unwrap().push_back(answer);
    }

    fn posted(&self) -> Noted {
        self.0.posts.lock().unwrap().pop().expect("nothing was posted")
    }

    pub(in crate::listen) fn peer(&self) -> Peer {
        self.0.peers.lock().unwrap().pop().expect("no session was served")
    }
}

impl Gate for Fake {
    /// Sends back what comes, and closes with what was wrong.
    async fn serve<L: Link>(&self, link: L, peer: Peer) {
        self.0.peers.lock().unwrap().push(peer);
        let (mut reader, mut writer) = link.split();
        loop {
            match reader.next().await {
                Ok(Some(Packet::Frames(bytes) | Packet::Text(bytes) | Packet::Datagram(bytes))) => {
                    if bytes.as_ref() == b"bye" {
                        return writer.close(tidegate_wire::CloseCode::Done, "").await;
                    }
                    writer.send(&bytes).await.unwrap();
                }
                Ok(None) | Err(LinkError::Io(_)) => return,
                Err(LinkError::Violation(violation)) => {
                    return writer.close(violation.code, &violation.message).await;
                }
            }
        }
    }

    async fn post(&self, post: Post<'_>) -> Answer {
        let Post { kind, body, numbering, respond_async, .. } = post;
        self.0.posts.lock().unwrap().push(Noted {
            kind: format!("{kind:?}"),
            body: String::from_utf8_lossy(body).into_owned(),
            numbering: numbering.map(|n| (n.client.to_owned(), n.epoch, n.first_seq)),
            respond_async,
        });
        let answer = self.0.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Answer::Durable {
            accepted: 1,
            rejected: Vec::new(),
            level: Level::Stored,
            standing: None,
        })
    }

    fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}

fn access(tokens: bool, any: &Issued) -> Access {
    let token = Token {
        id: "any".into(),
        hash: any.hash.clone(),
        tenant: "shop".into(),
        clients: None,
        topics: None,
    };
    let auth = Auth { mode: tokens.then_some(AuthMode::Tokens), tokens: vec![token] };
    Access::new(&auth, &Origins { allow: vec![OURS.into()] }, &[])
}

async fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap()
}

/// A connection whose own buffer takes little, so that who sends much depends on being read.
pub(in crate::listen) async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

/// A client that keeps to HTTP/1.1, or to HTTP/2 from the first byte.
fn client(is_http2: bool) -> reqwest::Client {
    // It builds TLS whether it is used or not; another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy();
    if is_http2 { client.http2_prior_knowledge().build() } else { client.http1_only().build() }.unwrap()
}

/// A whole HTTP/1.1 request that is the last on its connection.
fn one(head: &str, body: &str) -> String {
    let head = head.trim_end().replace('\n', "\r\n");
    let length = body.len();
    format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer ends it as well.
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// So that a fault shows as a failure and not as a test that hangs.
pub(in crate::listen) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(60), future).await.expect("nothing happened for a minute")
}

pub(in crate::listen) fn status(answer: &str) -> u16 {
    let status =
        answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    status.unwrap_or_else(|| panic!("not an answer: {answer:?}"))
}

pub(in crate::listen) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn document(answer: &str) -> serde_json::Value {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
