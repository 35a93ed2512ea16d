//! A TCP proxy in front of a gateway: it holds clients back at a known point, so that a test can put in a fault there.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

pub struct Gate {
    pub address: SocketAddr,
    open: watch::Sender<bool>,
}

/// What connections share: bytes that may still pass, or all once it is open.
#[derive(Clone)]
struct Pass {
    bytes: Arc<Semaphore>,
    open: watch::Receiver<bool>,
}

impl Gate {
    /// Lets the first `bytes` through to `gateway`, over all connections, and everything back.
    pub async fn before(gateway: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(false);
        let pass = Pass { bytes: Arc::new(Semaphore::new(bytes)), open: is_open };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, gateway, pass.clone()));
            }
        });
        Self { address, open }
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

/// Until either side ends; then both do.
async fn forward(client: TcpStream, gateway: SocketAddr, mut pass: Pass) {
    let Ok(gateway) = TcpStream::connect(gateway).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_gateway, mut to_gateway) = gateway.into_split();
    let there = async {
        let mut buffer = vec![0; 4_096];
        loop {
            let count = from_client.read(&mut buffer).await.unwrap_or(0);
            pass.bytes(count).await;
            if count == 0 || to_gateway.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_gateway, &mut to_client) => {}
    }
}

impl Pass {
    async fn bytes(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap();
        tokio::select! {
            bytes = self.bytes.acquire_many(count) => bytes.unwrap().forget(),
            open = self.open.wait_for(|open| *open) => drop(open.unwrap()),
        }
    }
}
