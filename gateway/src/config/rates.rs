//! How fast clients, tokens, tenants and addresses may send.

use serde::Deserialize;

use super::findings::Findings;
use super::{Auth, AuthMode, ByteSize, Limits};

/// Rates that nobody may exceed for long. Without the section there are none.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Clients, tokens, tenants and addresses remembered, of each so many; about 150 bytes each.
    pub keys_max: u32,
    /// Of one named client of a tenant, or one anonymous session.
    pub client: Rate,
    /// Of all clients that use one token.
    pub token: Rate,
    /// Of all clients of one tenant: its quota.
    pub tenant: Rate,
    /// Of all clients behind one address prefix, and their connections.
    pub address: AddressRate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            keys_max: 100_000,
            client: Rate::default(),
            token: Rate::default(),
            tenant: Rate::default(),
            address: AddressRate::default(),
        }
    }
}

/// What may be sent in the long run, and at once. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Events a second.
    pub events_per_second: Option<u32>,
    /// Events at once, after as long a rest; absent: one second's worth.
    pub events_burst: Option<u32>,
    /// Payload bytes a second.
    pub bytes_per_second: Option<ByteSize>,
    /// Payload bytes at once, after as long a rest; absent: one second's worth, at least one event.
    pub bytes_burst: Option<ByteSize>,
}

/// The same for all clients behind one address prefix, and how many connections they may make.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct AddressRate {
    /// Events a second.
    pub events_per_second: Option<u32>,
    /// Events at once, after as long a rest; absent: one second's worth.
    pub events_burst: Option<u32>,
    /// Payload bytes a second.
    pub bytes_per_second: Option<ByteSize>,
    /// Payload bytes at once, after as long a rest; absent: one second's worth, at least one event.
    pub bytes_burst: Option<ByteSize>,
    /// Connections open at once.
    pub connections: Option<u32>,
    /// New connections a second.
    pub connections_per_second: Option<u32>,
    /// New connections at once, after as long a rest; absent: one second's worth.
    pub connections_burst: Option<u32>,
    /// Bits of an IPv4 address that count: all with the same ones share these limits.
    pub ipv4_prefix: u8,
    /// The same of an IPv6 address; one customer usually has 64 bits of his own.
    pub ipv6_prefix: u8,
}

impl Default for AddressRate {
    fn default() -> Self {
        Self {
            events_per_second: None,
            events_burst: None,
            bytes_per_second: None,
            bytes_burst: None,
            connections: None,
            connections_per_second: None,
            connections_burst: None,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }
    }
}

/// The most that may be configured.
mod most {
    pub(super) const KEYS: u32 = 10_000_000;
    /// A second, or at once: what can be counted exactly enough.
    pub(super) const EVENTS: u32 = 1_000_000_000;
    pub(super) const BYTES: u64 = 1 << 40;
}

/// The least that `bytes_burst` may be: counting must not take long.
const BYTES_BURST_LEAST: u64 = 1 << 10;

impl Rate {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self, section: &str, max_event_bytes: ByteSize, findings: &mut Findings<'_>) {
        check_counts(section, "events", self.events_per_second, self.events_burst, findings);
        let at = |key: &str| format!("rates.{section}.{key}");
        for (key, size, least) in [
            ("bytes_per_second", self.bytes_per_second, 1),
            ("bytes_burst", self.bytes_burst, BYTES_BURST_LEAST),
        ] {
            if let Some(size) = size.filter(|size| !(least..=most::BYTES).contains(&size.0)) {
                let help = format!(
                    "write a size from {} to {}, or leave it out for no limit",
                    ByteSize(least),
                    ByteSize(most::BYTES)
                );
                findings.refuse(&at(key), format!("{key} cannot be {size}"), help);
            }
        }
        match (self.bytes_per_second, self.bytes_burst) {
            (None, Some(_)) => no_rate(section, "bytes", findings),
            (Some(_), Some(burst)) if burst < max_event_bytes => {
                let message =
                    format!("bytes_burst ({burst}) is less than limits.max_event_bytes ({max_event_bytes})");
                let help = format!(
                    "one event may take {max_event_bytes} at once: raise bytes_burst to that, or lower max_event_bytes to {burst}"
                );
                findings.refuse(&at("bytes_burst"), message, help);
            }
            _ => {}
        }
    }
}

impl AddressRate {
    /// What is limited of events and bytes.
    pub fn rate(&self) -> Rate {
        let Self { events_per_second, events_burst, bytes_per_second, bytes_burst, .. } = *self;
        Rate { events_per_second, events_burst, bytes_per_second, bytes_burst }
    }

    fn check(&self, limits: &Limits, findings: &mut Findings<'_>) {
        self.rate().check("address", limits.max_event_bytes, findings);
        let (per_second, burst) = (self.connections_per_second, self.connections_burst);
        check_counts("address", "connections", per_second, burst, findings);
        if let Some(most) = self.connections.filter(|most| !(1..=limits.connections).contains(most)) {
            let message = format!(
                "connections ({most}) is not between 1 and limits.connections ({})",
                limits.connections
            );
            let help = format!(
                "all addresses together may have {}: write less for one of them, or leave it out for no limit",
                limits.connections
            );
            findings.refuse("rates.address.connections", message, help);
        }
        for (key, bits, most) in
            [("ipv4_prefix", self.ipv4_prefix, 32), ("ipv6_prefix", self.ipv6_prefix, 128)]
        {
            if !(1..=most).contains(&bits) {
                let help = format!("write how many bits of an address count, from 1 to {most}");
                findings.refuse(&format!("rates.address.{key}"), format!("{key} cannot be {bits}"), help);
            }
        }
    }
}

impl Rates {
    pub(super) fn check(&self, limits: &Limits, auth: &Auth, findings: &mut Findings<'_>) {
        for (section, rate) in [("client", self.client), ("token", self.token), ("tenant", self.tenant)] {
            rate.check(section, limits.max_event_bytes, findings);
        }
        self.address.check(limits, findings);
        self.check_keys(limits, findings);
        self.check_shares(findings);
        if !self.token.is_none() && auth.mode != Some(AuthMode::Tokens) {
            findings.refuse(
                "rates.token",
                "tokens have a rate, but nobody is asked for one",
                "write mode = \"tokens\" in [auth], or remove the section: [rates.client] and [rates.address] limit who \
                 comes without a token",
            );
        }
    }

    fn limits_anybody(&self) -> bool {
        let AddressRate { connections, connections_per_second, .. } = self.address;
        let rates = [self.client, self.token, self.tenant, self.address.rate()];
        rates.iter().any(|rate| !rate.is_none()) || connections.or(connections_per_second).is_some()
    }

    fn check_keys(&self, limits: &Limits, findings: &mut Findings<'_>) {
        let in_use = limits.sessions.max(limits.connections);
        if self.keys_max > most::KEYS {
            let help = format!("write a number up to {}", most::KEYS);
            findings.refuse("rates.keys_max", format!("keys_max cannot be {}", self.keys_max), help);
        } else if self.keys_max < in_use && self.limits_anybody() {
            let message = format!(
                "keys_max ({}) is less than may be in use: limits.sessions ({}), limits.connections ({})",
                self.keys_max, limits.sessions, limits.connections
            );
            let help = format!("who is connected must be remembered: write at least {in_use}");
            findings.refuse("rates.keys_max", message, help);
        }
    }

    /// A part must not have more than the whole, or its own limit would never be reached.
    fn check_shares(&self, findings: &mut Findings<'_>) {
        for ((small, less), (large, more)) in [
            (("client", self.client), ("token", self.token)),
            (("client", self.client), ("tenant", self.tenant)),
            (("token", self.token), ("tenant", self.tenant)),
        ] {
            let events = |rate: Rate| rate.events_per_second.map(|rate| (u64::from(rate), rate.to_string()));
            let bytes = |rate: Rate| rate.bytes_per_second.map(|rate| (rate.0, rate.to_string()));
            for (key, less, more) in [
                ("events_per_second", events(less), events(more)),
                ("bytes_per_second", bytes(less), bytes(more)),
            ] {
                let (Some((less, shown)), Some((more, most))) = (less, more) else { continue };
                if less > more {
                    let message = format!("{small}.{key} ({shown}) is more than {large}.{key} ({most})");
                    let help = format!(
                        "a {large} is all of its {small}s together, so the first would never be reached: lower {small}.{key} or raise {large}.{key}"
                    );
                    let paths = [format!("rates.{small}.{key}"), format!("rates.{large}.{key}")];
                    findings.refuse_together(&paths.each_ref().map(String::as_str), message, help);
                }
            }
        }
    }
}

fn check_counts(
    section: &str,
    what: &str,
    per_second: Option<u32>,
    burst: Option<u32>,
    findings: &mut Findings<'_>,
) {
    for (key, number) in [(format!("{what}_per_second"), per_second), (format!("{what}_burst"), burst)] {
        if let Some(number) = number.filter(|number| !(1..=most::EVENTS).contains(number)) {
            let help = format!("write a number from 1 to {}, or leave it out for no limit", most::EVENTS);
            findings.refuse(&format!("rates.{section}.{key}"), format!("{key} cannot be {number}"), help);
        }
    }
    if burst.is_some() && per_second.is_none() {
        no_rate(section, what, findings);
    }
}

fn no_rate(section: &str, what: &str, findings: &mut Findings<'_>) {
    findings.refuse(
        &format!("rates.{section}.{what}_burst"),
        format!("{what}_burst without {what}_per_second limits nothing"),
        format!("add {what}_per_second, which says how fast a burst comes back, or remove {what}_burst"),
    );
}
