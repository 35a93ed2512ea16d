//! What clients say of themselves in REPORT: their word, kept apart from what the gateway has seen.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use tidegate_wire::Report;

use super::{Labels, Latency};

/// The longest time that is believed, and added to the sum.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Series of what clients report.
#[derive(Clone, Debug, Default)]
pub struct ClientSeries {
    dropped: Family<Labels<1>, Counter>,
    switches: Counter,
    ack: Latency,
}

impl ClientSeries {
    /// Adds what one client has reported since its last REPORT.
    pub fn take(&self, report: &Report) {
        let dropped = &report.dropped;
        let by_reason =
            [("overflow", dropped.overflow), ("expired", dropped.expired), ("too_large", dropped.too_large)];
        for (reason, count) in by_reason {
            self.dropped.get_or_create(&[("reason", reason)]).inc_by(count);
        }
        self.switches.inc_by(report.switches);
        for (upper_ms, count) in &report.ack_ms {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            match upper_ms.map(Duration::from_millis).filter(|upper| *upper <= LONGEST) {
                Some(upper) => self.ack.observe(upper, count),
                // A bucket without a bound says how many, not how long.
                None => self.ack.observe_beyond(count),
            }
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for reason in ["overflow", "expired", "too_large"] {
            drop(self.dropped.get_or_create(&[("reason", reason)]));
        }
        registry.register(
            "client_dropped",
            "Events that clients report to have dropped",
            self.dropped.clone(),
        );
        registry.register("client_switches", "Changes of carrier that clients report", self.switches.clone());
        registry.register_with_unit(
            "client_ack",
            "Time from sending to acknowledgement as clients report it, by the upper bounds of their buckets",
            Unit::Seconds,
            self.ack.clone(),
        );
    }
}
