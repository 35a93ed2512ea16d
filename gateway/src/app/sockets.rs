//! The sockets that a gateway listens on.

use std::net::{SocketAddr, TcpListener};

use crate::config;
use crate::listen::bind;

/// Sockets, and what is to be known of them before anything is served.
pub(super) struct Sockets {
    pub(super) secure: bind::Secure,
    pub(super) plain: Vec<TcpListener>,
    pub(super) ops: Vec<TcpListener>,
}

impl Sockets {
    pub(super) fn bind(listen: &config::Listen) -> Result<Self, bind::BindError> {
        let tcp = |key, address: &str| match address {
            "" => Ok(Vec::new()),
            address => bind::tcp(key, address),
        };
        let secure = match listen.secure.as_str() {
            "" => bind::Secure::default(),
            address => bind::secure("secure", address)?,
        };
        Ok(Self { secure, plain: tcp("plain", &listen.plain)?, ops: tcp("ops", &listen.ops)? })
    }
}

/// The port of the first of them, which tells the port that was bound where the configuration says 0.
pub(super) fn first_port(listeners: &[TcpListener]) -> Option<u16> {
    listeners
        .first()
        .and_then(|listener| listener.local_addr().ok())
        .map(|address: SocketAddr| address.port())
}
