//! How long a client may be silent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tidegate_wire::CloseCode;
use tokio::time::Sleep;

use super::connection::End;

/// Resolves once nothing has been heard for too long. Hearing something moves no timer.
pub(super) struct Idle {
    patience: Duration,
    heard_at: tokio::time::Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    /// Counts from now.
    pub(super) fn new(idle_ms: u32) -> Self {
        let patience = Duration::from_millis(u64::from(idle_ms));
        Self {
            patience,
            heard_at: tokio::time::Instant::now(),
            timer: Box::pin(tokio::time::sleep(patience)),
        }
    }

    /// The client has said something.
    pub(super) fn heard(&mut self) {
        self.heard_at = tokio::time::Instant::now();
    }
}

impl Future for Idle {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let left = self.patience.saturating_sub(self.heard_at.elapsed());
            if left.is_zero() {
                let message = format!("nothing was received for {} ms", self.patience.as_millis());
                return Poll::Ready(End::close(CloseCode::Idle, message));
            }
            let again_at = tokio::time::Instant::now() + left;
            self.timer.as_mut().reset(again_at);
        }
    }
}
