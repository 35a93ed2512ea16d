//! The half of a session that reads.

use std::time::Duration;

use anyhow::anyhow;
use tidegate_wire::{ClientFrame, GatewayFrame, Goaway, Ping, Reason, Rejection};
use tokio::time::timeout;

use super::{Break, Client};
use crate::clock;
use crate::flight::Settled;
use crate::link::Receiver;
use crate::tally::Live;

/// With something unsettled: how long nothing may come before the client asks, and then before it gives up.
const SILENCE: Duration = Duration::from_secs(5);
/// Answers that may wait for the sending half; a gateway that asks more often is not answered more often.
const REPLIES_MAX: usize = 16;

impl Client<'_> {
    /// Reads until the connection ends; that is what it returns. Cancel safe.
    pub(super) async fn receive(&self, receiver: &mut Receiver) -> Break {
        let mut frames = Vec::new();
        let mut asked = false;
        loop {
            match timeout(SILENCE, receiver.next(&mut frames)).await {
                Ok(Ok(())) => asked = false,
                Ok(Err(why)) => return self.delayed(why.into()),
                Err(_) if self.flight.borrow().unsettled() == 0 => continue,
                Err(_) if asked => return anyhow!("the gateway has fallen silent").into(),
                Err(_) => {
                    asked = true;
                    self.reply(ClientFrame::Ping(Ping::default()));
                }
            }
            for frame in frames.drain(..) {
                if let Err(broke) = self.frame(frame) {
                    return self.delayed(broke);
                }
            }
            self.news.notify_one();
        }
    }

    /// After GOAWAY a client stays away as long as that said.
    fn delayed(&self, broke: Break) -> Break {
        Break { wait: broke.wait.max(self.leaving.get().unwrap_or_default()), ..broke }
    }

    pub(super) fn frame(&self, frame: GatewayFrame) -> Result<(), Break> {
        match frame {
            GatewayFrame::Ack(ack) => {
                self.note_refusals(&ack.list);
                let told_before = self.reason.replace(ack.reason);
                if ack.reason != told_before && ack.reason != Reason::Ok {
                    let mut tally = self.tally.borrow_mut();
                    *tally.reasons.entry(ack.reason.name().to_owned()).or_default() += 1;
                }
                let settled = self.flight.borrow_mut().ack(&ack);
                self.settle(&settled.map_err(|why| Break::fatal(anyhow!(why)))?);
            }
            GatewayFrame::Ping(ping) => self.reply(ClientFrame::Pong(ping)),
            GatewayFrame::Pong(_) => {}
            GatewayFrame::Goaway(goaway) => self.leaving.set(Some(self.stay_away(&goaway))),
            GatewayFrame::Close(close) => return Err(Break::closed(&close)),
            GatewayFrame::Welcome(_) => return Err(anyhow!("a second WELCOME").into()),
        }
        Ok(())
    }

    /// Clients spread over the time by their index instead of by chance.
    fn stay_away(&self, goaway: &Goaway) -> Duration {
        let jitter_ms = goaway.jitter_ms.min(600_000) * u64::from(self.index)
            / u64::from(self.shared.plan.clients.max(1));
        Duration::from_millis(goaway.after_ms.min(600_000) + jitter_ms)
    }

    fn reply(&self, frame: ClientFrame<'static>) {
        let mut replies = self.replies.borrow_mut();
        if replies.len() < REPLIES_MAX {
            replies.push_back(frame);
        }
        self.news.notify_one();
    }

    pub(super) fn note_refusals(&self, refused: &[Rejection]) {
        let mut flight = self.flight.borrow_mut();
        for rejection in refused {
            if flight.refuse(rejection) {
                self.refused.borrow_mut().push(rejection.seq);
                *self.tally.borrow_mut().refusals.entry(rejection.code.name().to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn settle(&self, settled: &[Settled]) {
        if settled.is_empty() {
            return;
        }
        let now = clock::now();
        let mut tally = self.tally.borrow_mut();
        for settled in settled {
            Live::add(&self.shared.live.acknowledged, settled.acknowledged);
            Live::add(&self.shared.live.refused, settled.refused);
            if self.shared.is_measured(settled.due) {
                let phase = self.shared.phase(settled.due);
                tally.answered_in(phase, settled.due, now, settled.acknowledged + settled.refused);
            }
        }
    }
}
