//! The half of a session that writes.

use std::time::Instant;

use anyhow::anyhow;
use tidegate_wire::{ClientFrame, Close, CloseCode, Reason};

use super::encode::Buffer;
use super::{Break, Client};
use crate::clock;
use crate::link::Sender;
use crate::plan::Timetable;
use crate::schedule::Turn;
use crate::tally::Live;

impl Client<'_> {
    /// Sends what is due until all of it is settled, and then says so. Not cancel safe: the connection is done then.
    pub(super) async fn send(&self, sender: &mut Sender) -> Result<(), Break> {
        let mut timetable = self.shared.timetable.subscribe();
        let mut buffer = Buffer::default();
        loop {
            self.send_replies(sender).await?;
            let now = clock::now();
            let Some(times) = *timetable.borrow_and_update() else {
                tokio::select! { _ = timetable.changed() => {}, () = self.news.notified() => {} }
                continue;
            };
            let turn = self.turn(now, times);
            match turn {
                Some(due) if self.leaving.get().is_none() && self.may_send()? => {
                    self.send_frame(sender, due, &mut buffer).await?;
                    tokio::task::coop::consume_budget().await;
                }
                None if self.is_through(now, times) => break,
                _ => {
                    let wake = self.wake(now, times, turn.is_some());
                    tokio::select! {
                        () = self.pacer.until(wake) => {}
                        () = self.news.notified() => {}
                        _ = timetable.changed() => {}
                    }
                }
            }
        }
        Ok(sender.frame(&ClientFrame::Close(Close::new(CloseCode::Done))).await?)
    }

    /// Since when the next frame is due, if it is.
    fn turn(&self, now: Instant, times: Timetable) -> Option<Instant> {
        let mut schedule = self.schedule.borrow_mut();
        let schedule = schedule.get_or_insert_with(|| self.shared.plan.schedule(self.index, times.start));
        if self.flight.borrow().owes() {
            return Some(now);
        }
        match schedule.turn(now, times.end) {
            Turn::Due(due) => Some(due),
            Turn::Later(_) | Turn::Over => None,
        }
    }

    fn is_through(&self, now: Instant, times: Timetable) -> bool {
        let over = self.schedule.borrow().is_some_and(|schedule| schedule.turn(now, times.end) == Turn::Over);
        let stays = self.shared.plan.stays_to_the_end() && now < times.end;
        over && !stays && self.flight.borrow().unsettled() == 0
    }

    /// When to look again if nothing comes.
    fn wake(&self, now: Instant, times: Timetable, waits_for_credit: bool) -> Instant {
        let end = if now < times.end { times.end } else { times.give_up };
        match self.schedule.borrow().map(|schedule| schedule.turn(now, times.end)) {
            Some(Turn::Later(due)) if !waits_for_credit => due.min(end),
            _ => end,
        }
    }

    /// Whether credit allows the next frame; an error where it never will.
    fn may_send(&self) -> Result<bool, Break> {
        let plan = &self.shared.plan;
        let flight = self.flight.borrow();
        let next = flight.next(plan.batch);
        let bytes = plan.payload.bytes(next.first, next.count);
        if plan.unacknowledged || flight.may_send(next, bytes) {
            return Ok(true);
        }
        if flight.has_all_credit() && !self.is_held_back() {
            let (events, credit_bytes) = flight.free_credit();
            return Err(Break::fatal(anyhow!(
                "{} events of {bytes} bytes at a time are more than the gateway's credit of {events} events and \
                 {credit_bytes} bytes: make --batch smaller, or --ignore-credit",
                next.count
            )));
        }
        Ok(false)
    }

    /// Whether the gateway keeps credit to itself for a while: what there is now is not the whole window.
    fn is_held_back(&self) -> bool {
        let (events, bytes) = self.flight.borrow().free_credit();
        self.reason.get() != Reason::Ok || events == 0 || bytes == 0
    }

    async fn send_frame(&self, sender: &mut Sender, due: Instant, buffer: &mut Buffer) -> Result<(), Break> {
        let plan = &self.shared.plan;
        let next = self.flight.borrow().next(plan.batch);
        let frame = buffer.encode(plan, self.index, next, sender.is_json())?;
        if frame.len() > self.max_frame_bytes.get() {
            let (bytes, most) = (frame.len(), self.max_frame_bytes.get());
            let why = anyhow!(
                "a frame has {bytes} bytes and the gateway takes {most}: make --batch or --size smaller"
            );
            return Err(Break::fatal(why));
        }
        // From here on it may arrive, also if the connection breaks before it is written.
        self.account(next, due);
        Ok(sender.send(frame).await?)
    }

    fn account(&self, next: crate::flight::Next, due: Instant) {
        let plan = &self.shared.plan;
        let mut flight = self.flight.borrow_mut();
        flight.send(next, plan.payload.bytes(next.first, next.count), due);
        if plan.unacknowledged {
            flight.forget();
        }
        if next.again {
            self.tally.borrow_mut().sent_again += u64::from(next.count);
            return;
        }
        Live::add(&self.shared.live.sent, u64::from(next.count));
        if let Some(schedule) = self.schedule.borrow_mut().as_mut() {
            schedule.advance();
        }
    }

    async fn send_replies(&self, sender: &mut Sender) -> Result<(), Break> {
        loop {
            let reply = self.replies.borrow_mut().pop_front();
            let Some(reply) = reply else { return Ok(()) };
            sender.frame(&reply).await?;
        }
    }
}
