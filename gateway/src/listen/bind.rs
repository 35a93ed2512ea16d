//! Sockets for the configured addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, per listener.
const BACKLOG: i32 = 1_024;
/// What the kernel may hold of a UDP socket's datagrams, where it lets us.
const UDP_RECEIVE_BYTES: usize = 4 << 20;
/// How often a free port is looked for that TCP and UDP, and both loopback addresses, have in common.
const PORT_TRIES: u32 = 20;

/// Why a listener could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address does not lead to a socket address.
    #[error(
        "listen.{key} = \"{address}\" is not an address: {source}; expected host:port, such as localhost:8080"
    )]
    Address {
        /// `secure`, `plain` or `ops`.
        key: &'static str,
        /// As configured.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The socket could not be bound.
    #[error("cannot listen on {address} (listen.{key}): {source}{remedy}")]
    Bind {
        /// `secure`, `plain` or `ops`.
        key: &'static str,
        /// Which one of the resolved addresses.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
        /// What to do about it, if that is known.
        remedy: &'static str,
    },
}

/// The sockets of the secure listener: TCP and UDP on the same port.
#[derive(Debug, Default)]
pub struct Secure {
    /// HTTPS and WebSocket.
    pub tcp: Vec<TcpListener>,
    /// QUIC and WebTransport.
    pub udp: Vec<UdpSocket>,
}

/// TCP listeners for `address`; all have the same port. `localhost` binds 127.0.0.1 and `::1`.
pub fn tcp(key: &'static str, address: &str) -> Result<Vec<TcpListener>, BindError> {
    same_port(key, address, |address| Ok(tcp_socket(address)?.into()))
}

/// TCP and UDP sockets for `address`; all have the same port.
pub fn secure(key: &'static str, address: &str) -> Result<Secure, BindError> {
    let pairs = same_port(key, address, |address| {
        let tcp: TcpListener = tcp_socket(address)?.into();
        // With port 0, UDP takes the port that TCP was given.
        Ok((udp_socket(tcp.local_addr()?)?, tcp))
    })?;
    let (udp, tcp) = pairs.into_iter().map(|(udp, tcp)| (UdpSocket::from(udp), tcp)).unzip();
    Ok(Secure { tcp, udp })
}

/// A bound socket's address.
trait Local {
    fn local(&self) -> io::Result<SocketAddr>;
}

impl Local for TcpListener {
    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Local for (Socket, TcpListener) {
    fn local(&self) -> io::Result<SocketAddr> {
        self.1.local_addr()
    }
}

fn same_port<T: Local>(
    key: &'static str,
    address: &str,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, BindError> {
    let addresses = addresses(key, address)?;
    let any_port = addresses.iter().all(|address| address.port() == 0);
    let mut tries = 1;
    loop {
        match bind_all(&addresses, &bind) {
            Ok(sockets) => return Ok(sockets),
            // A port that is free here may be taken on the other address, or of the other protocol.
            Err((_, error)) if any_port && error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => {
                tries += 1;
            }
            Err((bound, error)) => return Err(refused(key, bound, error)),
        }
    }
}

fn bind_all<T: Local>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, (SocketAddr, io::Error)> {
    let mut sockets: Vec<T> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if let Some(first) = sockets.first() {
            let local = first.local().map_err(|error| (address, error))?;
            address.set_port(local.port());
        }
        match bind(address) {
            Ok(socket) => sockets.push(socket),
            // Only `localhost` has a second address, and a machine without IPv6 lacks it; systems differ in what
            // they call that.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse && !sockets.is_empty() => {
                tracing::info!(%address, %error, "localhost is 127.0.0.1 alone here");
            }
            Err(error) => return Err((address, error)),
        }
    }
    Ok(sockets)
}

/// What is bound for `address`: `localhost` is 127.0.0.1 and `::1`, another name the first address it resolves to.
/// Blocks while the name is looked up.
pub fn addresses(key: &'static str, address: &str) -> Result<Vec<SocketAddr>, BindError> {
    if let Some(port) = address.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let wrong = |source| BindError::Address { key, address: address.to_owned(), source };
    let first = address.to_socket_addrs().map_err(wrong)?.next();
    first.map(|address| vec![address]).ok_or_else(|| wrong(io::Error::other("it resolves to nothing")))
}

fn refused(key: &'static str, address: SocketAddr, source: io::Error) -> BindError {
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => "; another process has it: stop that one, or choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    };
    BindError::Bind { key, address, source, remedy }
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address, Type::STREAM, Protocol::TCP)?;
    // A restarted gateway takes its port back while old connections linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address, Type::DGRAM, Protocol::UDP)?;
    // The kernel caps this at its own limit; a smaller buffer costs throughput, not correctness.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BYTES);
    socket.bind(&address.into())?;
    Ok(socket)
}

fn new(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let SocketAddr::V6(v6) = address {
        // The wildcard takes IPv4 too; `::1` beside 127.0.0.1 must not.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn localhost_has_both_addresses_and_one_port() {
        let secure = secure("secure", "localhost:0").unwrap();
        let port = secure.tcp[0].local_addr().unwrap().port();
        let all = secure.tcp.iter().map(|tcp| tcp.local_addr().unwrap());
        let all: Vec<_> = all.chain(secure.udp.iter().map(|udp| udp.local_addr().unwrap())).collect();
        assert!(all.len() >= 2 && all.iter().all(|address| address.port() == port), "{all:?}");
    }

    #[test]
    fn a_port_that_udp_or_the_other_address_lacks_is_looked_for_again() {
        let tries = Cell::new(0);
        let taken_at_first = |address| {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 | 3 => Err(io::ErrorKind::AddrInUse.into()),
                _ => TcpListener::bind(address),
            }
        };
        // First no port, then one that the second address lacks.
        assert!(same_port("secure", "localhost:0", taken_at_first).is_ok());
        let never = |_| Err::<TcpListener, _>(io::ErrorKind::AddrInUse.into());
        assert!(same_port("secure", "localhost:0", never).is_err());
    }

    #[test]
    fn a_machine_without_ipv6_serves_localhost_all_the_same() {
        for error in [io::ErrorKind::AddrNotAvailable, io::ErrorKind::Unsupported, io::ErrorKind::Other] {
            let only_v4 = |address: SocketAddr| match address {
                SocketAddr::V4(_) => TcpListener::bind(address),
                SocketAddr::V6(_) => Err(error.into()),
            };
            assert_eq!(same_port("plain", "localhost:0", only_v4).unwrap().len(), 1, "{error}");
        }
    }

    #[test]
    fn a_busy_port_is_said_in_one_line_with_the_remedy() {
        let taken = tcp("plain", "127.0.0.1:0").unwrap();
        let address = taken[0].local_addr().unwrap().to_string();
        let error = tcp("plain", &address).unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("listen.plain") && error.contains("another port"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = tcp("ops", "nowhere").unwrap_err().to_string();
        assert!(error.contains("listen.ops") && error.contains("host:port"), "{error}");
    }
}
