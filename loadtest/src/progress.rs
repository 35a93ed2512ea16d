//! The bar on standard error, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::tally::Live;

/// Shows how far a run is.
pub(crate) struct Progress {
    bar: ProgressBar,
    clients: u32,
}

impl Progress {
    /// A bar for so many clients; it hides where nobody looks.
    pub(crate) fn new(clients: u32) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, clients }
    }

    /// Shows the counts.
    pub(crate) fn show(&self, live: &Live) {
        if self.bar.is_hidden() {
            return;
        }
        let [connected, sent, acknowledged, refused] =
            [&live.connected, &live.sent, &live.acknowledged, &live.refused].map(Live::get);
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
