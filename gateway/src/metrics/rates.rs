//! Who came up against a rate, and how many are remembered.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;

/// The limits of rates, as labels.
const LIMITS: [&str; 4] = ["client", "token", "tenant", "address"];
/// Beside them, the addresses whose connections are counted.
const CONNECTIONS: &str = "connections";

/// Series of rate limits.
#[derive(Clone, Debug, Default)]
pub struct RateSeries {
    limited: Family<Labels<1>, Counter>,
    keys: Family<Labels<1>, Gauge>,
}

impl RateSeries {
    /// Counts a session held back, a request refused or lossy events dropped because of `limit`.
    pub fn limited(&self, limit: &'static str) {
        debug_assert!(LIMITS.contains(&limit), "`{limit}` is no limit");
        self.limited.get_or_create(&[("limit", limit)]).inc();
    }

    /// How often [`RateSeries::limited`] has counted.
    pub fn times(&self, limit: &'static str) -> u64 {
        self.limited.get_or_create(&[("limit", limit)]).get()
    }

    /// How many are remembered for `limit`, or for `connections`.
    pub fn keys(&self, limit: &'static str) -> Gauge {
        debug_assert!(limit == CONNECTIONS || LIMITS.contains(&limit), "`{limit}` is no limit");
        self.keys.get_or_create_owned(&[("limit", limit)])
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for limit in LIMITS {
            drop(self.limited.get_or_create(&[("limit", limit)]));
            drop(self.keys.get_or_create(&[("limit", limit)]));
        }
        drop(self.keys.get_or_create(&[("limit", CONNECTIONS)]));
        registry.register(
            "rate_limited",
            "Sessions held back, requests refused and frames of lossy events dropped for a rate, by whose it was",
            self.limited.clone(),
        );
        registry.register(
            "rate_keys",
            "Clients, tokens, tenants and addresses remembered for their rates",
            self.keys.clone(),
        );
    }
}
