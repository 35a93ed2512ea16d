//! The secret behind stateless resets and connection ids, kept over restarts: a client of the gateway before the restart
//! then learns at once that its connection is gone.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;
use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;

const BYTES: usize = 40;

/// See the module.
#[derive(Clone)]
pub struct QuicKey {
    reset: [u8; 32],
    ids: [u8; 8],
}

impl QuicKey {
    /// Reads the key at `path`, or makes it, readable by its owner alone. Where that fails the key is a fresh one, which
    /// is logged: old clients then notice a restart later.
    pub fn load(path: &Path) -> Self {
        match Self::read(path) {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "listen.quic_key cannot be kept: clients will notice a restart late");
                Self::from_bytes(&random())
            }
        }
    }

    /// An endpoint's configuration that uses the key.
    pub fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.reset)));
        let ids = u64::from_le_bytes(self.ids);
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
        config
    }

    fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(Self::from_bytes(&bytes)),
                Err(_) => Err(io::Error::other("it does not hold a key; remove it to have a new one made")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::write(path),
            Err(error) => Err(error),
        }
    }

    fn write(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let bytes = random();
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(Self::from_bytes(&bytes))
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut key = Self { reset: [0; 32], ids: [0; 8] };
        let (reset, ids) = bytes.split_at(32);
        key.reset.copy_from_slice(reset);
        key.ids.copy_from_slice(ids);
        key
    }
}

fn random() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    // It fails only where the operating system has no randomness, and there TLS could not start either.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/quic.key");
        let (first, second) = (QuicKey::load(&path), QuicKey::load(&path));
        assert_eq!((first.reset, first.ids), (second.reset, second.ids));
        assert_ne!(first.reset, [0; 32]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quic.key");
        std::fs::write(&path, "short").unwrap();
        assert!(QuicKey::read(&path).is_err());
        QuicKey::load(&path);
    }
}
