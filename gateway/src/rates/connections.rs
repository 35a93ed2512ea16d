//! How many connections one address prefix may open, and have open.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use super::bucket::{Bucket, Level};
use super::store::{Forget, Store};
use crate::config::AddressRate;

/// How many bits of an address count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

impl Prefix {
    /// The bits of `address` that count. An IPv4 address is the same however the system writes it.
    pub(super) fn of(self, address: IpAddr) -> (bool, u128) {
        let masked = |bits: u128, width: u8, prefix: u8| {
            let off = u32::from(width.saturating_sub(prefix));
            bits.checked_shr(off).and_then(|bits| bits.checked_shl(off)).unwrap_or_default()
        };
        match address.to_canonical() {
            IpAddr::V4(address) => (true, masked(address.to_bits().into(), 32, self.v4)),
            IpAddr::V6(address) => (false, masked(address.to_bits(), 128, self.v6)),
        }
    }
}

/// The connections of all addresses.
#[derive(Debug)]
pub(super) struct Connections {
    open_max: u32,
    bucket: Option<Bucket>,
    store: Store<Door>,
}

/// Those of one prefix.
#[derive(Debug, Default)]
struct Door {
    open: AtomicU32,
    opened: Level,
}

impl Forget for Door {
    fn idle_at(&self) -> u64 {
        self.opened.full_at()
    }
}

/// One connection, until dropped.
#[derive(Debug)]
pub struct Connected(Arc<Door>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Crowded {
    /// Too many from its address.
    Full,
    /// So many that it must first show that it is where it says.
    Verify,
}

impl Connections {
    /// `None` where connections have no limit.
    pub(super) fn new(config: &AddressRate, keys_max: usize, keys: Gauge) -> Option<Self> {
        let bucket = config.connections_per_second.map(|per_second| {
            let burst = config.connections_burst.unwrap_or(per_second);
            Bucket::new(per_second.into(), burst.into())
        });
        let is_limited = bucket.is_some() || config.connections.is_some();
        is_limited.then(|| Self {
            open_max: config.connections.unwrap_or(u32::MAX),
            bucket,
            store: Store::new(keys_max, keys),
        })
    }

    pub(super) fn connect(
        &self,
        key: (bool, u128),
        is_verified: bool,
        now: u64,
    ) -> Result<Connected, Crowded> {
        let door = self.store.get(key, now);
        let level = &door.opened;
        let free = self.bucket.as_ref().map(|bucket| (bucket.free(level, now), bucket.burst()));
        let is_crowded = free.is_some_and(|(free, burst)| free < burst.div_ceil(2))
            || door.open.load(Ordering::Relaxed) >= self.open_max / 2;
        if is_crowded && !is_verified {
            return Err(Crowded::Verify);
        }
        let opened = door.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            Some(open + 1).filter(|open| *open <= self.open_max)
        });
        if opened.is_err() {
            return Err(Crowded::Full);
        }
        // From here on dropping it closes it.
        let connected = Connected(door);
        let is_in_time =
            self.bucket.as_ref().is_none_or(|bucket| bucket.try_take_one(&connected.0.opened, now));
        if is_in_time { Ok(connected) } else { Err(Crowded::Full) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(address: &str) -> (bool, u128) {
        Prefix { v4: 24, v6: 56 }.of(address.parse().unwrap())
    }

    fn connections(config: AddressRate) -> Connections {
        Connections::new(&config, 100, Gauge::default()).unwrap()
    }

    #[test]
    fn neighbours_share_a_prefix_and_others_do_not() {
        assert_eq!(key("192.0.2.1"), key("192.0.2.255"));
        assert_ne!(key("192.0.2.1"), key("192.0.3.1"));
        assert_eq!(key("2001:db8:0:ff::1"), key("2001:db8:0:1::"));
        assert_ne!(key("2001:db8:0:ff::1"), key("2001:db8:0:100::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.7"), "IPv4 on a socket for both");
        assert_ne!(key("::"), key("0.0.0.0"));
        let whole = Prefix { v4: 32, v6: 128 };
        assert_ne!(whole.of("192.0.2.1".parse().unwrap()), whole.of("192.0.2.2".parse().unwrap()));
        assert_ne!(whole.of("::1".parse().unwrap()), whole.of("::2".parse().unwrap()));
    }

    #[test]
    fn so_many_are_open_at_once_and_each_makes_room_when_it_goes() {
        let connections = connections(AddressRate { connections: Some(2), ..AddressRate::default() });
        let here = key("192.0.2.1");
        let first = connections.connect(here, true, 0).unwrap();
        let _second = connections.connect(here, true, 0).unwrap();
        assert_eq!(connections.connect(here, true, 0).unwrap_err(), Crowded::Full);
        let _elsewhere = connections.connect(key("192.0.3.1"), true, 0).unwrap();
        drop(first);
        let _third = connections.connect(here, true, 0).unwrap();
        assert_eq!(connections.connect(here, true, 0).unwrap_err(), Crowded::Full);
    }

    #[test]
    fn so_many_are_opened_a_second() {
        let config = AddressRate {
            connections_per_second: Some(1),
            connections_burst: Some(3),
            ..AddressRate::default()
        };
        let connections = connections(config);
        let came = |second: u64| connections.connect(key("192.0.2.1"), true, second * SECOND).is_ok();
        assert_eq!([0, 0, 0, 0, 1, 1].map(came), [true, true, true, false, true, false]);
        let door = connections.store.get(key("192.0.2.1"), 0);
        assert_eq!(door.open.load(Ordering::Relaxed), 0, "whoever was not let in is not open");
    }

    #[test]
    fn who_may_be_elsewhere_uses_up_half_at_most() {
        let config =
            AddressRate { connections_per_second: Some(4), connections: Some(4), ..AddressRate::default() };
        let connections = connections(config);
        let here = key("192.0.2.1");
        let _open = [false, false].map(|verified| connections.connect(here, verified, 0).unwrap());
        assert_eq!(connections.connect(here, false, 0).unwrap_err(), Crowded::Verify);
        let _verified = [true, true].map(|verified| connections.connect(here, verified, 0).unwrap());
        assert_eq!(connections.connect(here, true, 0).unwrap_err(), Crowded::Full);
    }
}
