//! The bar on standard error, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::float;
use crate::tally::Live;

/// The bar is as fine as this.
const PARTS: u64 = 1_000;

/// Shows how far a run is.
pub(crate) struct Progress {
    bar: ProgressBar,
    clients: u32,
}

impl Progress {
    /// A bar for so many clients; it hides where nobody looks.
    pub(crate) fn new(clients: u32) -> Self {
        let bar = ProgressBar::new(PARTS);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:24} {percent:>3}% {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, clients }
    }

    /// Shows the counts, and that so much of it is done, from 0 to 1.
    pub(crate) fn show(&self, live: &Live, done: f64) {
        if self.bar.is_hidden() {
            return;
        }
        let [connected, sent, acknowledged, refused] =
            [&live.connected, &live.sent, &live.acknowledged, &live.refused].map(Live::get);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1,000")]
        self.bar.set_position((done.clamp(0.0, 1.0) * float(PARTS)) as u64);
        let clients = self.clients;
        let open = sent.saturating_sub(acknowledged + refused);
        self.bar.set_message(format!(
            "{connected}/{clients} clients, {sent} sent, {acknowledged} acknowledged, {refused} refused, {open} on the way"
        ));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
