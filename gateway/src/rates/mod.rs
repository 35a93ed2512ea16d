//! How fast may be sent, by client, token, tenant and address: what a session or request takes is counted against each
//! limit that it falls under.
//!
//! What is taken is never refused here: beyond a limit it is owed, and the wait is the time until nothing is. Sessions
//! take and then get no new credit for so long; requests and lossy events are turned away while something is owed.

mod bucket;
mod connections;
mod meter;
mod store;

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tidegate_wire::Reason;

use self::bucket::{Bucket, Level};
pub use self::connections::{Connected, Crowded};
use self::connections::{Connections, Prefix};
pub use self::meter::{Meter, Standing, Wait};
use self::store::{Forget, Store};
use crate::config;
use crate::metrics::RateSeries;

/// Which limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Of one client.
    Client,
    /// Of all clients with one token.
    Token,
    /// Of all clients of one tenant.
    Tenant,
    /// Of all clients behind one address prefix.
    Address,
}

impl Limit {
    /// As metrics and `RateLimit` fields name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Token => "token",
            Self::Tenant => "tenant",
            Self::Address => "address",
        }
    }

    /// What a client is told.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Client | Self::Token | Self::Address => Reason::Rate,
            Self::Tenant => Reason::Quota,
        }
    }
}

/// Whose events they are.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Of its grant.
    pub tenant: &'a str,
    /// The id of its token, if it has one.
    pub token: Option<&'a str>,
    /// Which of the tenant's clients.
    pub client: Client<'a>,
    /// Where it comes from.
    pub address: IpAddr,
}

/// Which client of a tenant.
#[derive(Clone, Copy, Debug)]
pub enum Client<'a> {
    /// One with a name: the limit is the same over all its connections.
    Named(&'a str),
    /// A session without a name: the limit is its own.
    Session,
    /// A request without a name: no client's limit is its.
    Unknown,
}

/// All limits, as configured.
#[derive(Debug)]
pub struct Rates {
    client: Option<Keyed>,
    token: Option<Keyed>,
    tenant: Option<Keyed>,
    address: Option<Keyed>,
    connections: Option<Connections>,
    prefix: Prefix,
    /// What times are counted from.
    started: Instant,
}

/// One limit and who has come under it.
#[derive(Debug)]
struct Keyed {
    plan: Arc<Plan>,
    store: Store<Levels>,
}

/// One limit.
#[derive(Debug)]
struct Plan {
    limit: Limit,
    events: Option<Bucket>,
    bytes: Option<Bucket>,
}

/// What one key has taken.
#[derive(Debug, Default)]
struct Levels {
    events: Level,
    bytes: Level,
}

impl Forget for Levels {
    fn idle_at(&self) -> u64 {
        self.events.full_at().max(self.bytes.full_at())
    }
}

impl Rates {
    /// Nobody has taken anything yet. `max_event_bytes` is what `bytes_burst` holds at least; `started` is not later
    /// than any time that will be given.
    pub fn new(config: &config::Rates, max_event_bytes: u64, series: &RateSeries, started: Instant) -> Self {
        let most = config.keys_max as usize;
        let keyed = |limit: Limit, rate: config::Rate| {
            let plan = Plan::new(limit, rate, max_event_bytes)?;
            Some(Keyed { plan: Arc::new(plan), store: Store::new(most, series.keys(limit.label())) })
        };
        let address = &config.address;
        Self {
            client: keyed(Limit::Client, config.client),
            token: keyed(Limit::Token, config.token),
            tenant: keyed(Limit::Tenant, config.tenant),
            address: keyed(Limit::Address, address.rate()),
            connections: Connections::new(address, most, series.keys("connections")),
            prefix: Prefix { v4: address.ipv4_prefix, v6: address.ipv6_prefix },
            started,
        }
    }

    /// No limits: for listeners that clients do not reach.
    pub fn none(started: Instant) -> Self {
        Self::new(&config::Rates::default(), 0, &RateSeries::default(), started)
    }

    /// The limits that `who` falls under, looked up once; charging them looks nothing up.
    pub fn meter(&self, who: &Who<'_>, now: Instant) -> Meter {
        let now = self.since_start(now);
        let client = self.client.as_ref().and_then(|keyed| match who.client {
            Client::Named(name) => Some(keyed.share((who.tenant, name), now)),
            Client::Session => Some((Arc::clone(&keyed.plan), Arc::default())),
            Client::Unknown => None,
        });
        let token = self.token.as_ref().zip(who.token).map(|(keyed, token)| keyed.share(token, now));
        let tenant = self.tenant.as_ref().map(|keyed| keyed.share(who.tenant, now));
        let address = self.address.as_ref().map(|keyed| keyed.share(self.prefix.of(who.address), now));
        let shares = [client, token, tenant, address].into_iter().flatten().collect();
        Meter::new(shares, self.started)
    }

    /// The same limits as `meter`, with those of `token` in place of another token's: what was taken of the others stays
    /// taken.
    pub fn with_token(&self, meter: &Meter, token: Option<&str>, now: Instant) -> Meter {
        let now = self.since_start(now);
        let token = self.token.as_ref().zip(token).map(|(keyed, token)| keyed.share(token, now));
        Meter::new(meter.others(Limit::Token).chain(token).collect(), self.started)
    }

    /// Lets a connection from `address` in, for as long as the result lives. `is_verified`: nobody else can have sent
    /// from there in its name. Who is not may use up half of what an address may have, so that others' addresses cannot
    /// be shut out by pretending to be there.
    pub fn connect(
        &self,
        address: IpAddr,
        is_verified: bool,
        now: Instant,
    ) -> Result<Option<Connected>, Crowded> {
        let Some(connections) = &self.connections else { return Ok(None) };
        connections.connect(self.prefix.of(address), is_verified, self.since_start(now)).map(Some)
    }

    /// The bits of `address` that count here: whoever shares them shares its limits.
    pub fn prefix(&self, address: IpAddr) -> (bool, u128) {
        self.prefix.of(address)
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanos(now, self.started)
    }
}

impl Keyed {
    fn share(&self, key: impl Hash, now: u64) -> (Arc<Plan>, Arc<Levels>) {
        (Arc::clone(&self.plan), self.store.get(key, now))
    }
}

impl Plan {
    fn new(limit: Limit, rate: config::Rate, max_event_bytes: u64) -> Option<Self> {
        let events = rate.events_per_second.map(|per_second| {
            let burst = rate.events_burst.unwrap_or(per_second);
            Bucket::new(per_second.into(), burst.into())
        });
        let bytes = rate.bytes_per_second.map(|per_second| {
            let burst = rate.bytes_burst.map_or(per_second.0.max(max_event_bytes), |burst| burst.0);
            Bucket::new(per_second.0, burst)
        });
        (events.is_some() || bytes.is_some()).then_some(Self { limit, events, bytes })
    }
}

fn nanos(now: Instant, since: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX)
}
