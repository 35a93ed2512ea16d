//! One connection from its first frame to its last.

use std::sync::Arc;
use std::time::Duration;

use tidegate_wire::{Close, CloseCode};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::hello::{self, Opened};
use super::orders::{Order, Orders};
use super::reader::Reader;
use super::writer::{self, Writer};
use crate::listen::link::{Link, LinkWriter, Peer};
use crate::metrics::Surface;

/// How long a refusal may take to send.
const REFUSE_WITHIN: Duration = Duration::from_secs(5);

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client has said that it is done: what it sent settles, and it is told.
    Done,
    /// The client is told why.
    Close(Close),
    /// There is nobody to tell.
    Gone,
}

impl End {
    pub(super) fn close(code: CloseCode, message: impl Into<String>) -> Self {
        Self::Close(Close { code, msg: Some(message.into()), retry_ms: None })
    }
}

/// Serves one client; returns when its connection has ended.
pub(super) async fn serve<L: Link>(core: Arc<Core>, link: L, peer: Peer) {
    let (mut incoming, outgoing) = link.split();
    let opened = match hello::open(&core, &mut incoming, &peer).await {
        Ok(opened) => opened,
        Err(End::Close(close)) => return refuse(&core, outgoing, &peer, &close).await,
        Err(End::Done | End::Gone) => return,
    };
    let sessions = core.metrics.carrier(peer.carrier).sessions.clone();
    sessions.inc();
    // Boxed, so that what waits for HELLO does not hold the room of a whole session.
    Box::pin(run(&core, incoming, outgoing, &peer, opened)).await;
    sessions.dec();
}

async fn run<R, W>(core: &Arc<Core>, incoming: R, outgoing: W, peer: &Peer, opened: Opened)
where
    R: crate::listen::link::LinkReader,
    W: LinkWriter,
{
    let orders = Orders::default();
    let gone = CancellationToken::new();
    let Opened { session, welcome, .. } = &opened;
    let writer = Writer::new(core, outgoing, peer.coding, Arc::clone(session), gone.clone());
    let reader = Reader::new(core, incoming, peer, &opened, &orders, gone.clone());
    let reading = async {
        let end = reader.read().await;
        tracing::debug!(carrier = peer.carrier.label(), remote = %peer.remote, ?end, "connection ends");
        if let End::Close(close) = &end {
            core.metrics.refused(Surface::Session, close.code.name());
        }
        // The writer is there until it has taken this, or has gone itself.
        orders.give(Order::Finish(end)).await;
    };
    // Both halves in one task: one wakes for the other without crossing threads, and an idle client costs one.
    tokio::join!(reading, writer.write(welcome.clone(), &orders));
    if let Some(key) = &opened.key {
        core.registry.detach(key, &session.numbering, &session.connection, super::now());
    }
}

async fn refuse<W: LinkWriter>(core: &Core, mut outgoing: W, peer: &Peer, close: &Close) {
    core.metrics.refused(Surface::Session, close.code.name());
    tracing::debug!(carrier = peer.carrier.label(), remote = %peer.remote, code = close.code.name(), msg = close.msg, "session refused");
    let told = tokio::time::timeout(REFUSE_WITHIN, async {
        if let Some(frame) = writer::encode_close(close, peer.coding) {
            let _ = outgoing.send(&frame).await;
        }
        outgoing.close(close.code, close.msg.as_deref().unwrap_or_default()).await;
    });
    // A client that does not read its refusal has the connection's end for an answer.
    let _ = told.await;
}
