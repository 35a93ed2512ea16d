//! `tidegate certs`: a self-signed certificate in files, for tests and for networks of one's own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::listen::tls::{self, Made};

/// Makes a self-signed certificate (ECDSA P-256): DIRECTORY/tls.crt, tls.key and, for browsers, tls.sha256. Nobody trusts it
/// but who is told its hash: a browser's `serverCertificateHashes`, which take at most 14 days.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CertsArgs {
    /// Where the files go; made if missing.
    #[arg(long, default_value = "certs")]
    directory: PathBuf,
    /// Name or IP address that clients use; may be given several times.
    #[arg(long = "host", value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// How long it holds.
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
    /// Replace files that are there. A running gateway takes the new pair by itself.
    #[arg(long)]
    force: bool,
}

/// Makes the files and prints what clients have to be told.
pub(super) fn run(args: &CertsArgs) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a certificate holds from when the command is given")]
    let now = SystemTime::now();
    let made = tls::make(&args.hosts, args.days, now)?;
    write(&made, &args.directory, args.force)?;
    let directory = args.directory.display();
    let (hash, key_hash) = (STANDARD.encode(made.certificate_hash), STANDARD.encode(made.spki_hash));
    let out = &mut io::stdout();
    writeln!(out, "tls.certificate = \"{directory}/tls.crt\"\ntls.key = \"{directory}/tls.key\"\n")?;
    writeln!(out, "# serverCertificateHashes, sha-256: {hash}")?;
    writeln!(out, "# chromium --ignore-certificate-errors-spki-list={key_hash}")?;
    Ok(())
}

/// Each file appears whole, the certificate last: a gateway that watches takes the pair when both are there.
fn write(made: &Made, directory: &Path, force: bool) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let hash = format!("{}\n", STANDARD.encode(made.certificate_hash));
    let files = [("tls.key", &made.key_pem), ("tls.sha256", &hash), ("tls.crt", &made.certificate_pem)];
    for (name, _) in files {
        let path = directory.join(name);
        ensure!(force || !path.exists(), "{} is there already; --force replaces it", path.display());
    }
    for (name, text) in files {
        let bits = if name == "tls.key" { 0o600 } else { 0o644 };
        let path = directory.join(name);
        replace(&path, text, bits).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    // A file left by an attempt that was cut off may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Tls;
    use crate::listen::tls::Certificates;

    fn made(now: SystemTime) -> Made {
        tls::make(&["localhost".into()], 13, now).unwrap()
    }

    #[test]
    fn what_was_made_can_be_served_and_its_key_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("certs");
        #[expect(clippy::disallowed_methods, reason = "the certificate is loaded now")]
        let now = SystemTime::now();
        let made = made(now);
        write(&made, &path, false).unwrap();
        let files = Tls { certificate: path.join("tls.crt"), key: path.join("tls.key") };
        Certificates::load(Some(&files), now).unwrap_or_else(|error| panic!("{error}"));
        let hash = fs::read_to_string(path.join("tls.sha256")).unwrap();
        assert_eq!(STANDARD.decode(hash.trim()).unwrap(), made.certificate_hash);
        assert_eq!(files.key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_are_replaced_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(directory.path().join("tls.key")).unwrap();
        let (first, second) = (made(SystemTime::UNIX_EPOCH), made(SystemTime::UNIX_EPOCH));
        write(&first, directory.path(), false).unwrap();
        let error = write(&second, directory.path(), false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(read(), first.key_pem);
        write(&second, directory.path(), true).unwrap();
        assert_eq!(read(), second.key_pem);
    }
}
