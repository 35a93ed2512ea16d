//! The processes that take part: Kafka, the gateway, the service to compare with, and clients.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rustix::process::{Pid, Signal, kill_process};

use super::BenchArgs;
use super::memory::Group;
use crate::clock;

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Partitions of the topic, for everybody alike.
const PARTITIONS: i32 = 8;
/// The topic.
pub(crate) const TOPIC: &str = "events";

/// A process that dies with its value, or with this process.
pub(crate) struct Part(Child);

/// Everything that runs all the time, and how to start the rest.
pub(crate) struct Bench {
    pub(crate) args: BenchArgs,
    pub(crate) directory: PathBuf,
    pub(crate) brokers: String,
    kafka: Part,
}

/// A gateway that is ready.
pub(crate) struct Gateway {
    part: Part,
    binary: PathBuf,
    config: PathBuf,
    pub(crate) secure: SocketAddr,
    pub(crate) plain: SocketAddr,
    ops: SocketAddr,
    /// From the start of its process.
    pub(crate) ready_after: Duration,
    pub(crate) group: Option<Group>,
}

impl Part {
    fn spawn(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {}", program.display()))?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bench {
    /// Starts Kafka and makes the topic.
    pub(crate) fn start(args: &BenchArgs) -> Result<Self> {
        for binary in [&args.gateway, &args.baseline, &args.kafka] {
            if !binary.exists() {
                bail!("{} is not there: `make bench` builds what it needs", binary.display());
            }
        }
        let directory = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let [port, controller] = free_ports()?;
        let mut command = dies_with_us(&args.kafka);
        command.args(["node", "1"]).arg(directory.join("kafka"));
        command.args([format!("1@{controller}"), port.port().to_string(), controller.port().to_string()]);
        command.args(["offsets.topic.replication.factor=1", "log.retention.bytes=134217728"]);
        command.args(["log.segment.bytes=67108864", "log.retention.check.interval.ms=3000"]);
        let bench =
            Self { args: args.clone(), directory, brokers: port.to_string(), kafka: Part::spawn(command)? };
        bench.make_topic()?;
        Ok(bench)
    }

    fn make_topic(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let made =
            runtime.block_on(admin.create_topics([&topic], &options)).context("Kafka does not start")?;
        made.into_iter().for_each(drop);
        Ok(())
    }

    /// Kafka's process.
    pub(crate) fn kafka(&self) -> u32 {
        self.kafka.pid()
    }

    /// A gateway in front of Kafka.
    pub(crate) fn gateway(&self, more: &str) -> Result<Gateway> {
        Gateway::start(self, &format!("kafka.brokers = \"{}\"\n{more}", self.brokers), None)
    }

    /// A gateway on its own log.
    pub(crate) fn gateway_on_log(&self) -> Result<Gateway> {
        Gateway::start(self, "", None)
    }

    /// A gateway whose memory is counted with what the kernel holds for it, where control groups can be made.
    pub(crate) fn gateway_in_group(&self, more: &str) -> Result<Gateway> {
        Gateway::start(self, &format!("kafka.brokers = \"{}\"\n{more}", self.brokers), Group::create())
    }

    /// The service to compare with, and its URL.
    pub(crate) fn baseline(&self) -> Result<(Part, String)> {
        let [address] = free_ports()?;
        let mut command = dies_with_us(&self.args.baseline);
        command.args([self.brokers.as_str(), TOPIC, &address.to_string()]);
        let mut part = Part::spawn(command)?;
        wait_until(&mut part, || TcpStream::connect(address).is_ok())?;
        Ok((part, format!("http://{address}")))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Kafka may still write: what is left is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// How many gateways were started: each has a directory of its own, since several run side by side.
static STARTED: AtomicU32 = AtomicU32::new(0);

impl Gateway {
    fn start(bench: &Bench, more: &str, group: Option<Group>) -> Result<Self> {
        let [secure, plain, ops] = free_ports()?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = bench.directory.join(format!("gateway-{number}"));
        std::fs::create_dir_all(&directory)?;
        let config = directory.join("tidegate.toml");
        let at = directory.display();
        std::fs::write(
            &config,
            format!(
                "listen.secure = \"{secure}\"\nlisten.plain = \"{plain}\"\nlisten.ops = \"{ops}\"\n\
                 listen.quic_key = \"{at}/quic.key\"\nsessions.snapshot = \"{at}/sessions.snapshot\"\n\
                 log.directory = \"{at}/log\"\nlogging.level = \"error\"\n{more}\n"
            ),
        )?;
        let mut command = match &group {
            None => dies_with_us(&bench.args.gateway),
            Some(group) => {
                // The shell enters the group and becomes the gateway.
                let mut command = dies_with_us(Path::new("sh"));
                command
                    .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
                    .arg(group.members())
                    .arg(&bench.args.gateway);
                command
            }
        };
        command.arg("--config").arg(&config);
        let started = clock::now();
        let mut part = Part::spawn(command)?;
        wait_until(&mut part, || is_ready(ops))?;
        let (binary, ready_after) = (bench.args.gateway.clone(), clock::now() - started);
        Ok(Self { part, binary, config, secure, plain, ops, ready_after, group })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.part.pid()
    }

    /// Asks it to end (SIGTERM); how long it took.
    pub(crate) fn stop(&mut self) -> Result<Duration> {
        let asked_at = clock::now();
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.part.0.wait()?;
        if !status.success() {
            bail!("the gateway ended with {status}");
        }
        Ok(clock::now() - asked_at)
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let mut command = dies_with_us(&self.binary);
        command.arg("--config").arg(&self.config);
        self.part = Part::spawn(command)?;
        let ops = self.ops;
        wait_until(&mut self.part, || is_ready(ops))
    }

    /// Whether `/readyz` says so now.
    pub(crate) fn is_ready(&self) -> bool {
        is_ready(self.ops)
    }

    /// Records that wait in its log for Kafka.
    pub(crate) fn lag(&self) -> Result<f64> {
        Ok(self.samples("tidegate_forward_lag")?.iter().map(|(_, records)| records).sum())
    }

    /// The samples of a series: labels and value.
    pub(crate) fn samples(&self, series: &str) -> Result<Vec<(String, f64)>> {
        let metrics = get(self.ops, "/metrics")?;
        let samples = metrics.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let labels = name.strip_prefix(series)?;
            let is_whole = labels.is_empty() || labels.starts_with('{');
            Some((labels.to_owned(), value.parse().ok()?)).filter(|_| is_whole)
        });
        Ok(samples.collect())
    }

    /// Waits until it has that many sessions.
    pub(crate) fn wait_for_sessions(&self, count: u32) -> Result<()> {
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            let sessions = self.samples("tidegate_sessions")?;
            if sessions.iter().map(|(_, value)| value).sum::<f64>() >= f64::from(count) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{count} clients could not connect in time")
    }
}

/// What `loadtest` with these arguments prints, which must be JSON. A run with faults has no figure.
pub(crate) fn loadtest(arguments: &str) -> Result<serde_json::Value> {
    let output = dies_with_us(&std::env::current_exe()?).args(arguments.split_whitespace()).output()?;
    if !output.status.success() {
        bail!("loadtest {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs it until something was seen beside it.
pub(crate) fn loadtest_until<T>(arguments: &str, see: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut command = dies_with_us(&std::env::current_exe()?);
    command.args(arguments.split_whitespace());
    let _running = Part::spawn(command)?;
    see()
}

/// Runs it while something else is done, and waits for its end: what both gave.
pub(crate) fn loadtest_beside<T>(
    arguments: &str,
    other: impl FnOnce() -> Result<T>,
) -> Result<(serde_json::Value, T)> {
    let mut command = dies_with_us(&std::env::current_exe()?);
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Part(command.spawn()?);
    let other = other()?;
    let (mut said, mut complained) = (String::new(), String::new());
    running.0.stdout.take().map(|mut out| out.read_to_string(&mut said)).transpose()?;
    running.0.stderr.take().map(|mut out| out.read_to_string(&mut complained)).transpose()?;
    if !running.0.wait()?.success() {
        bail!("loadtest {arguments}: {}", complained.trim());
    }
    Ok((serde_json::from_str(&said)?, other))
}

/// The status that a request with one event gets.
pub(crate) fn post(address: SocketAddr) -> Result<u16> {
    const EVENT: &str = r#"{"type":"bench.request"}"#;
    let mut stream = TcpStream::connect(address)?;
    let head =
        "POST /v1/events HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json";
    stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{EVENT}", EVENT.len()).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("no status in {answer}"))
}

fn dies_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Looks every half millisecond, for that is what the start is measured by.
fn wait_until(part: &mut Part, mut is_there: impl FnMut() -> bool) -> Result<()> {
    let deadline: Instant = clock::now() + PATIENCE;
    while !is_there() {
        if !part.is_running() {
            bail!("a process ended before it was ready");
        }
        if clock::now() > deadline {
            bail!("a process was not ready in time");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

fn is_ready(ops: SocketAddr) -> bool {
    get(ops, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// An answer with its head.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Different ports, each free for TCP and UDP: all are held until the last is found.
fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for address in &mut addresses {
        let (listener, socket) = free_port()?;
        *address = listener.local_addr()?;
        held.push((listener, socket));
    }
    Ok(addresses)
}

fn free_port() -> Result<(TcpListener, UdpSocket)> {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        if let Ok(socket) = UdpSocket::bind(listener.local_addr()?) {
            return Ok((listener, socket));
        }
    }
    bail!("no port is free")
}
