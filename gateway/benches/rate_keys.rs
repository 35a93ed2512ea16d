//! What ten million names and addresses do to the memory of the rates, and what each costs: `cargo bench --package
//! tidegate --bench rate_keys`. Fails where memory grows once everything that is remembered has its place.
#![expect(clippy::unwrap_used, reason = "what goes wrong here must not be measured")]

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tidegate::config::{ByteSize, Config, Rate};
use tidegate::metrics::RateSeries;
use tidegate::rates::{Client, Rates, Who};
use tokio::time::Instant;

const NAMES: u64 = 10_000_000;
/// Names until every place is taken, and what is taken once is taken.
const WARM_UP: u64 = 500_000;
/// What memory may differ by from one moment to another.
const NOISE_BYTES: u64 = 4 << 20;

fn main() -> io::Result<()> {
    let mut config = Config::default().rates;
    let rate =
        Rate { events_per_second: Some(10), bytes_per_second: Some(ByteSize(10_000)), ..Rate::default() };
    (config.client, config.tenant) = (rate, rate);
    config.address.events_per_second = Some(10);
    config.address.connections = Some(10);
    let began = Instant::now();
    let rates = Rates::new(&config, 1_000, &RateSeries::default(), began.into_std());
    let mut out = io::stdout();
    let before = resident_bytes();
    let come = |from: u64, to: u64| {
        for n in from..to {
            // As fast as they can come, so that most still have something to make up for.
            one(&rates, scattered(n), began.into_std() + Duration::from_micros(n));
        }
        resident_bytes()
    };
    let full = come(0, WARM_UP);
    let started = Instant::now();
    let after = come(WARM_UP, WARM_UP + NAMES);
    let each = started.elapsed().as_nanos() / u128::from(NAMES);
    let mib = |bytes: u64| bytes >> 20;
    writeln!(
        out,
        "{NAMES} names and addresses: {} MiB before, {} MiB with all places taken, {} MiB after; {each} ns each",
        mib(before),
        mib(full),
        mib(after)
    )?;
    if after > full + NOISE_BYTES { Err(io::Error::other("memory has grown")) } else { Ok(()) }
}

fn one(rates: &Rates, random: u64, now: std::time::Instant) {
    let address = IpAddr::V6(Ipv6Addr::from(u128::from(random) << 64 | 1));
    let connected = rates.connect(address, true, now);
    let name = format!("device-{random:016x}");
    let who = Who { tenant: "shop", token: None, client: Client::Named(&name), address };
    rates.meter(&who, now).charge(1, 200, now);
    drop(connected);
}

/// Any number for each: `SplitMix64`.
fn scattered(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn resident_bytes() -> u64 {
    let status = procfs::process::Process::myself().unwrap().status().unwrap();
    status.vmrss.unwrap() << 10
}
