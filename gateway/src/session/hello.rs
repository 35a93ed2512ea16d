//! HELLO to WELCOME: who it is, what it may, and which numbering it continues.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_wire::{ClientFrame, Close, CloseCode, Frames, Hello, Welcome, limits};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::budget::Supply;
use super::connection::End;
use super::core::Core;
use super::credit::Amount;
use super::hold::Connection;
use super::numbering::{Names, Numbering};
use super::registry::{Attached, Conflict, Key, Mode};
use super::window::Refusal;
use crate::access::Grant;
use crate::listen::link::{Coding, LinkError, LinkReader, Packet, Peer};
use crate::metrics::Surface;
use crate::rates::{Client, Meter, Who};

/// When a client refused for overload may come back: between this and twice this, so that those refused together do
/// not come back together.
const OVERLOAD_RETRY_MS: u64 = 5_000;

/// A connection's hold on its numbering.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) numbering: Arc<Numbering>,
    pub(super) connection: Arc<Connection>,
}

/// A session that has begun.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    /// Where the numbering is registered; `None` for anonymous ones.
    pub(super) key: Option<Key>,
    pub(super) grant: Arc<Grant>,
    /// The rates that it falls under.
    pub(super) meter: Meter,
    /// Until when its credit is held back from the start.
    pub(super) held_until: Option<Instant>,
    /// `None` where the coding has no frames.
    pub(super) welcome: Option<Box<Welcome>>,
    _permit: OwnedSemaphorePermit,
}

/// Waits for HELLO and opens the session, or says how the connection ends without one.
pub(super) async fn open<R: LinkReader>(core: &Core, incoming: &mut R, peer: &Peer) -> Result<Opened, End> {
    // Taken before HELLO, so that clients that never say it are bounded too.
    let Ok(permit) = Arc::clone(&core.sessions).try_acquire_owned() else {
        // The end of a drain waits for every place, and nobody is given one meanwhile.
        if core.draining.is_cancelled() {
            return Err(End::close(CloseCode::Drain, "this gateway is shutting down"));
        }
        return Err(overload(format!("all {} sessions are in use", core.limits.sessions)));
    };
    let hello = match peer.coding {
        Coding::CloudEvents => Hello::default(),
        Coding::Binary | Coding::Json => receive(core, incoming, peer.coding).await?,
    };
    if core.draining.is_cancelled() {
        return Err(End::close(CloseCode::Drain, "this gateway is shutting down"));
    }
    let grant = authorise(core, &hello, peer)?;
    refuse_newcomer(core, &hello, &grant)?;
    let session_id = Uuid::now_v7().simple().to_string();
    let connection = Arc::new(Connection::default());
    let meter = meter(core, hello.client.as_deref(), &grant, peer);
    let held_until = hold_to(&meter, &connection, core);
    let (attached, key) = attach(core, &hello, &grant, &session_id, &connection)?;
    core.metrics.carrier(peer.carrier).abandoned.inc_by(attached.abandoned);
    tracing::debug!(
        carrier = peer.carrier.label(), remote = %peer.remote, session = session_id,
        client = hello.client, epoch = attached.numbering.epoch, resumed = attached.resumed, sdk = hello.sdk,
        "session opened"
    );
    let framed = peer.coding != Coding::CloudEvents;
    let welcome = framed.then(|| Box::new(welcome(core, &hello, peer, session_id, &attached)));
    let session = Arc::new(Session { numbering: attached.numbering, connection });
    Ok(Opened { session, key, grant, meter, held_until, welcome, _permit: permit })
}

async fn receive<R: LinkReader>(core: &Core, incoming: &mut R, coding: Coding) -> Result<Hello, End> {
    let first = tokio::time::timeout(Duration::from_millis(limits::HELLO_TIMEOUT_MS), async {
        loop {
            match incoming.next().await {
                Ok(Some(Packet::Datagram(_))) => core.metrics.refused(Surface::Datagram, "before_welcome"),
                other => return other,
            }
        }
    });
    let packet = tokio::select! {
        () = core.closing.cancelled() => return Err(End::close(CloseCode::Drain, "this gateway is shutting down")),
        packet = first => packet.map_err(|_| {
            End::close(CloseCode::HelloTimeout, format!("no HELLO within {} ms", limits::HELLO_TIMEOUT_MS))
        })?,
    };
    match packet {
        Ok(Some(packet)) => decode(core, &packet, coding),
        Ok(None) | Err(LinkError::Io(_)) => Err(End::Gone),
        Err(LinkError::Violation(violation)) => Err(End::close(violation.code, violation.message)),
    }
}

fn decode(core: &Core, packet: &Packet, coding: Coding) -> Result<Hello, End> {
    let limits = core.pipeline.limits();
    let frame = match (packet, coding) {
        (Packet::Frames(bytes), Coding::Binary) => {
            let mut frames = Frames::new(bytes, limits);
            let first = frames
                .next()
                .unwrap_or_else(|| Err(not_hello()))
                .and_then(|frame| ClientFrame::from_binary(frame, limits));
            match frames.next() {
                // What follows in the same packet was sent before WELCOME.
                Some(_) if matches!(first, Ok(ClientFrame::Hello(_))) => {
                    Err(tidegate_wire::Violation::bad_frame(
                        "a frame before WELCOME: after HELLO the client waits for it",
                    ))
                }
                _ => first,
            }
        }
        (Packet::Text(text), Coding::Json) => match std::str::from_utf8(text) {
            Ok(text) => ClientFrame::from_json(text, limits),
            Err(_) => Err(not_hello()),
        },
        _ => Err(not_hello()),
    };
    match frame {
        Ok(ClientFrame::Hello(hello)) => Ok(hello),
        Ok(_) => Err(not_hello()),
        Err(violation) => Err(violation),
    }
    .map_err(|violation| End::close(violation.code, violation.message))
}

fn not_hello() -> tidegate_wire::Violation {
    tidegate_wire::Violation::bad_frame("the first frame must be HELLO")
}

fn authorise(core: &Core, hello: &Hello, peer: &Peer) -> Result<Arc<Grant>, End> {
    let grant = match (&hello.token, &peer.grant) {
        (None, Some(grant)) => Arc::clone(grant),
        (token, _) => core
            .access
            .authenticate(token.as_deref())
            .map_err(|denied| End::close(CloseCode::Auth, denied.message))?,
    };
    let refusal = match &hello.client {
        None => grant.refuses_anonymous("HELLO must name a `client`"),
        Some(client) => grant.refuses_client(client),
    };
    refusal.map_or(Ok(grant), |message| Err(End::close(CloseCode::Auth, message)))
}

/// With memory scarce, who has no numbering here must come again later: those who have one are served first.
fn refuse_newcomer(core: &Core, hello: &Hello, grant: &Grant) -> Result<(), End> {
    if core.budget.supply() != Supply::Scarce {
        return Ok(());
    }
    let known = hello.client.as_ref().zip(hello.epoch).is_some_and(|(client, epoch)| {
        let key = Key { tenant: Arc::clone(&grant.tenant), client: client.as_str().into() };
        core.registry.knows(&key, epoch)
    });
    if known {
        return Ok(());
    }
    Err(overload(
        "the memory for events is nearly used up, and those who were here before go first".to_owned(),
    ))
}

fn overload(message: String) -> End {
    let random = RandomState::new().hash_one(0);
    End::Close(Close {
        code: CloseCode::Overload,
        msg: Some(message),
        retry_ms: Some(OVERLOAD_RETRY_MS + random % OVERLOAD_RETRY_MS),
    })
}

/// The rates that a session falls under.
fn meter(core: &Core, client: Option<&str>, grant: &Grant, peer: &Peer) -> Meter {
    let client = client.map_or(Client::Session, Client::Named);
    let address = peer.remote.ip();
    let who = Who { tenant: &grant.tenant, token: grant.token.as_deref(), client, address };
    core.rates.meter(&who, super::now())
}

/// The rates that a session falls under once it has another token: what it has taken of the others stays taken.
/// Until when its credit is held back for the new one.
pub(super) fn with_token(
    core: &Core,
    meter: &Meter,
    token: Option<&str>,
    connection: &Connection,
) -> (Meter, Option<Instant>) {
    let meter = core.rates.with_token(meter, token, super::now());
    let held_until = hold_to(&meter, connection, core);
    (meter, held_until)
}

/// Gives a connection no more credit than its rates let through at once, and none yet where something is owed: who
/// comes again does not get another first window. Until when that is.
fn hold_to(meter: &Meter, connection: &Connection, core: &Core) -> Option<Instant> {
    if !meter.is_limited() {
        return None;
    }
    let (events, bytes) = meter.bursts();
    connection.bound(Amount { events, bytes });
    let wait = meter.owed(super::now())?;
    core.metrics.rates.limited(wait.limit.label());
    connection.hold_back(wait.reason(), wait.until);
    Some(wait.until)
}

fn attach(
    core: &Core,
    hello: &Hello,
    grant: &Grant,
    session_id: &str,
    connection: &Arc<Connection>,
) -> Result<(Attached, Option<Key>), End> {
    let Some(client) = &hello.client else {
        let names = Names {
            id_prefix: format!("{session_id}-"),
            source: format!("/{}/anonymous", grant.tenant),
            key: session_id.to_owned(),
        };
        let numbering = Arc::new(core.registry.anonymous(names));
        numbering.attach(connection);
        return Ok((Attached::fresh(numbering), None));
    };
    let key = Key { tenant: Arc::clone(&grant.tenant), client: client.as_str().into() };
    let at = (super::now(), super::wall_ms());
    let next = hello.next.unwrap_or(1);
    match core.registry.attach(&key, hello.epoch, next, Mode::Session, connection, at) {
        Ok(attached) => Ok((attached, Some(key))),
        Err(Conflict::StaleEpoch { known }) => {
            Err(End::close(CloseCode::StaleEpoch, format!("epoch {known} of this client is known already")))
        }
        Err(Conflict::Busy | Conflict::Lost) => {
            Err(End::close(CloseCode::Internal, "a request of this client is under way"))
        }
    }
}

fn welcome(core: &Core, hello: &Hello, peer: &Peer, session: String, attached: &Attached) -> Welcome {
    let wire = core.pipeline.limits();
    let limit = attached.numbering.limit();
    Welcome {
        v: 1,
        session,
        client: hello.client.clone(),
        epoch: attached.numbering.epoch,
        resumed: attached.resumed,
        upto: attached.upto,
        limit: limit.seq,
        limit_bytes: limit.bytes,
        level: core.sink.level(),
        rej: attached.refusals.iter().cloned().map(Refusal::into_wire).collect(),
        rej_more: attached.forgotten,
        ping_ms: u64::from(core.limits.ping_ms),
        idle_ms: u64::from(core.limits.idle_ms),
        max_event_bytes: wire.max_event_bytes,
        max_frame_bytes: wire.max_frame_bytes,
        max_batch_events: wire.max_batch_events,
        datagrams: peer.datagrams,
        server_time: super::wall_ms(),
    }
}
