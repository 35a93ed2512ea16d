//! `tidegate certs`: a certificate for development, and what browsers and configurations need to know of it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use crate::listen::tls::{self, DEVELOPMENT_DAYS};

/// What the certificate is for.
#[derive(Clone, Debug, Args)]
pub(super) struct CertsArgs {
    /// The directory that gets tls.crt and tls.key.
    #[arg(long, default_value = "certs", value_name = "DIRECTORY")]
    out: PathBuf,
    /// A name or address that clients connect to; may be repeated.
    #[arg(long = "host", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// How long it holds. Browsers take certificates by their hash for at most 14 days.
    #[arg(long, default_value_t = DEVELOPMENT_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Writes the pair, and prints its hashes and the lines that use it. Blocks on the disk.
pub(super) fn run(args: &CertsArgs, now: SystemTime) -> Result<()> {
    let made = tls::make(&args.hosts, args.days, now)?;
    let (certificate, key) = (args.out.join("tls.crt"), args.out.join("tls.key"));
    for path in [&certificate, &key] {
        if path.exists() && !std::fs::read(&certificate).is_ok_and(|pem| tls::is_made_here(&pem)) {
            bail!(
                "{} is there, and not of a pair that was made here: remove it, or name another directory by --out",
                path.display()
            );
        }
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    write(&certificate, &made.certificate_pem, 0o644)?;
    write(&key, &made.key_pem, 0o600)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "# holds for {} days, for {}", args.days, args.hosts.join(", "))?;
    writeln!(
        out,
        "# certificate hash (serverCertificateHashes, sha-256): {}",
        STANDARD.encode(made.certificate_hash)
    )?;
    writeln!(
        out,
        "# public key hash (Chromium's --ignore-certificate-errors-spki-list): {}",
        STANDARD.encode(made.spki_hash)
    )?;
    writeln!(out, "[tls]\ncertificate = {}\nkey = {}", quoted(&certificate)?, quoted(&key)?)?;
    Ok(())
}

fn write(path: &Path, pem: &str, mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    // Made anew, so that a key never has the rights of a file that was there before.
    if path.exists() {
        std::fs::remove_file(path).with_context(failed)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(failed)?;
    file.write_all(pem.as_bytes()).with_context(failed)
}

fn quoted(path: &Path) -> Result<String> {
    let Some(text) = path.to_str() else { bail!("{} is not UTF-8", path.display()) };
    Ok(toml::Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Tls;
    use crate::listen::tls::Certificates;

    #[test]
    fn the_pair_can_be_loaded_and_the_key_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let args =
            CertsArgs { out: directory.path().join("certs"), hosts: vec!["localhost".into()], days: 13 };
        // Twice: a pair made earlier is replaced.
        for _ in 0..2 {
            run(&args, SystemTime::UNIX_EPOCH).unwrap();
        }
        let files = Tls { certificate: args.out.join("tls.crt"), key: args.out.join("tls.key") };
        Certificates::load(Some(&files), SystemTime::UNIX_EPOCH).unwrap();
        let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pair_of_someone_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let args = CertsArgs { out: directory.path().to_owned(), hosts: vec!["localhost".into()], days: 13 };
        let (certificate, key) = (args.out.join("tls.crt"), args.out.join("tls.key"));
        let bought = rcgen::generate_simple_self_signed(args.hosts.clone()).unwrap();
        let refused = || run(&args, SystemTime::UNIX_EPOCH).unwrap_err().to_string();
        std::fs::write(&key, bought.signing_key.serialize_pem()).unwrap();
        assert!(refused().contains("tls.key is there"), "{}", refused());
        std::fs::write(&certificate, bought.cert.pem()).unwrap();
        assert!(refused().contains("tls.crt is there"), "{}", refused());
        assert_eq!(std::fs::read_to_string(&key).unwrap(), bought.signing_key.serialize_pem());
    }
}
