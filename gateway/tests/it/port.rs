//! Ports for processes that have to be told one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that the system takes ports of outgoing connections from: none of those gets in between.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A loopback address whose port is free for TCP and UDP now, and that was not given out before.
pub fn free_port() -> SocketAddr {
    // Runs beside each other begin at different places.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let spread = std::process::id().wrapping_mul(0x9e37_79b1) >> 16;
        AtomicU16::new(u16::try_from(spread).unwrap())
    });
    for _ in PORTS {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {PORTS:?} is free");
}
