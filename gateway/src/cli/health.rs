//! `tidegate health`: asks the gateway that runs by a configuration how it is, for containers that have no `curl`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::Config;
use crate::listen::bind;

/// How long the gateway has for its answer; container engines ask again every few seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than `/readyz` can have to say.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct HealthArgs {
    /// Ask whether events become durable now (`/readyz`), not only whether the process works (`/healthz`). That fails
    /// while Kafka is away: do not restart a gateway for it.
    #[arg(long)]
    ready: bool,
}

/// Prints the answer if it is a good one; any other, and none, is the error. Blocks for 4 s at most.
pub(super) fn run(args: &HealthArgs, config: &Config) -> Result<()> {
    let ops = &config.listen.ops;
    let addresses = reachable(ops)?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&addresses, path)).await });
    let answer = answer.with_context(|| format!("no answer from {ops} within {} s", PATIENCE.as_secs()))?;
    let answer = answer.with_context(|| format!("cannot ask {ops}{path}"))?;
    let body = good(&answer).with_context(|| format!("{ops}{path}"))?;
    Ok(writeln!(std::io::stdout(), "{body}")?)
}

/// Where this machine reaches what listens at `ops`.
fn reachable(ops: &str) -> Result<Vec<SocketAddr>> {
    if ops.is_empty() {
        bail!(
            "listen.ops is \"\": the gateway answers operators nowhere; give it an address, such as localhost:9600"
        );
    }
    let addresses = bind::addresses("ops", ops)?;
    if addresses.iter().any(|address| address.port() == 0) {
        bail!("listen.ops is {ops}: which port that came to is not known here; write the port");
    }
    let loopback = |address: SocketAddr| {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, address.port())
    };
    Ok(addresses.into_iter().map(loopback).collect())
}

/// The whole answer, as it comes over the connection.
async fn ask(addresses: &[SocketAddr], path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(addresses).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body of a 200.
fn good(answer: &str) -> Result<&str> {
    let parts = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once("\r\n\r\n"));
    let (head, body) =
        parts.context("this is not how a gateway answers: does another program listen there?")?;
    let status = head.lines().next().unwrap_or_default().trim_end();
    match status {
        "200 OK" => Ok(body.trim_end()),
        _ => bail!("{status}: {}", body.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_asked_on_loopback() {
        for (ops, expected) in [
            ("0.0.0.0:9600", "[127.0.0.1:9600]"),
            ("[::]:9600", "[[::1]:9600]"),
            ("localhost:9600", "[127.0.0.1:9600, [::1]:9600]"),
            ("10.1.2.3:9600", "[10.1.2.3:9600]"),
        ] {
            assert_eq!(format!("{:?}", reachable(ops).unwrap()), expected, "{ops}");
        }
    }

    #[test]
    fn a_gateway_that_cannot_be_asked_is_no_riddle() {
        for (ops, expected) in [("", "nowhere"), ("localhost:0", "write the port")] {
            let error = reachable(ops).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn only_200_is_good() {
        assert_eq!(good("HTTP/1.1 200 OK\r\na: b\r\n\r\nok\n").unwrap(), "ok");
        for (answer, expected) in [
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false}\n",
                "503 Service Unavailable: {\"ready\":false}",
            ),
            ("HTTP/1.1 200 OK\r\n", "another program"),
            ("SSH-2.0-x\r\n\r\n", "another program"),
            ("", "another program"),
        ] {
            let error = good(answer).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
