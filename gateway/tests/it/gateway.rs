//! The gateway's own binary as a process: started on free ports, killed or asked to end, and looked at from outside.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::port::free_port;
use crate::tls::Authority;

/// Long enough for a machine that does other things too; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway process and the directory it lives in.
pub struct Gateway {
    child: Option<Child>,
    directory: TempDir,
    pub secure: SocketAddr,
    pub plain: SocketAddr,
    pub ops: SocketAddr,
    pub authority: Authority,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    pub http: reqwest::Client,
}

impl Gateway {
    /// Starts a gateway on the embedded log with `more` lines of configuration, and waits until it is ready.
    pub async fn start(more: &str) -> Self {
        Self::configured(true, more).started().await
    }

    /// Starts a gateway that delivers to the Kafka at `brokers`.
    pub async fn start_with_kafka(brokers: &str, more: &str) -> Self {
        Self::start(&format!("kafka.brokers = \"{brokers}\"\n{more}")).await
    }

    /// Starts a gateway that makes a development certificate; `authority` knows nothing of it.
    pub async fn start_without_certificate(more: &str) -> Self {
        Self::configured(false, more).started().await
    }

    /// Writes the configuration, and starts nothing yet.
    pub fn prepare(more: &str) -> Self {
        Self::configured(true, more)
    }

    fn configured(certificate: bool, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (secure, plain, ops) = (free_port(), free_port(), free_port());
        let authority = Authority::write(directory.path());
        let dir = directory.path().display();
        let tls = format!("tls.certificate = \"{dir}/tls.crt\"\ntls.key = \"{dir}/tls.key\"\n");
        let config = format!(
            "listen.secure = \"{secure}\"\nlisten.plain = \"{plain}\"\nlisten.ops = \"{ops}\"\n\
             listen.quic_key = \"{dir}/quic.key\"\nlog.directory = \"{dir}/log\"\n\
             sessions.snapshot = \"{dir}/sessions.snapshot\"\nlog.segment_bytes = \"4MiB\"\n\
             {tls}{more}\n",
            tls = if certificate { tls.as_str() } else { "" },
        );
        std::fs::write(directory.path().join("tidegate.toml"), config).unwrap();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(authority.client(&["h2", "http/1.1"]))
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            child: None,
            directory,
            secure,
            plain,
            ops,
            authority,
            log: Arc::default(),
            reader: None,
            http,
        }
    }

    async fn started(mut self) -> Self {
        self.launch();
        self.ready().await;
        self
    }

    /// Adds lines to the configuration, for the next launch.
    pub fn configure(&self, more: &str) {
        let path = self.path("tidegate.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{more}\n{before}")).unwrap();
    }

    /// Starts the process on what was prepared, or again after it ended.
    pub fn launch(&mut self) {
        self.launch_as(command());
    }

    /// The same with a disk of `size` for itself mounted at `name`, which only its own process sees.
    pub fn launch_with_small_disk(&mut self, name: &str, size: &str) {
        let directory = self.path(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut unshare = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={size} tmpfs '{}' && exec \"$@\"", directory.display());
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount, "sh"]);
        unshare.arg(command().get_program());
        self.launch_as(unshare);
    }

    fn launch_as(&mut self, mut command: Command) {
        let mut child = command
            .arg("--config")
            .arg(self.path("tidegate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::clone(&self.log);
        self.reader = Some(std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().push(line);
            }
        }));
        self.child = Some(child);
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) {
        self.says_200("/readyz").await;
    }

    /// Waits until the process works, be it ready or not.
    pub async fn answers(&mut self) {
        self.says_200("/healthz").await;
    }

    async fn says_200(&mut self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        let url = format!("http://{}{path}", self.ops);
        loop {
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status() == 200
            {
                return;
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.reader.take().unwrap().join().unwrap();
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "{path} is not 200 in time:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What `/readyz` says now.
    pub async fn readiness(&self) -> (u16, String) {
        let answer = self.http.get(format!("http://{}/readyz", self.ops)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < deadline, "did not end in time:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// A file of the gateway's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the process has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The plain listener's URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.plain)
    }

    /// All samples of `/metrics`: `name{labels}` and value.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.http.get(format!("http://{}/metrics", self.ops)).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Metrics(samples.collect())
    }

    /// Waits until no session is open; what `/metrics` says then.
    pub async fn idle(&self) -> Metrics {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            if metrics.sum("tidegate_sessions", "") == 0.0 {
                return metrics;
            }
            assert!(Instant::now() < deadline, "sessions are still open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is in flight, then holds the gateway to its equation.
    pub async fn assert_accounted(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            let in_flight = metrics.sum("tidegate_events_in_flight", "");
            if in_flight == 0.0 {
                return metrics.assert_equation();
            }
            assert!(Instant::now() < deadline, "{in_flight} events are still in flight");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What `tidegate tail` prints: every event of the log.
    pub fn tail(&self) -> Vec<serde_json::Value> {
        self.tail_raw().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same, as printed.
    pub fn tail_raw(&self) -> String {
        let output = command().arg("tail").arg("--config").arg(self.path("tidegate.toml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the gateway's log ---\n{}", self.log());
        }
    }
}

/// Samples of one scrape.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// One sample, or 0 where there is none.
    pub fn get(&self, sample: &str) -> f64 {
        self.0.get(sample).copied().unwrap_or(0.0)
    }

    /// The sum over all samples of a series whose labels contain `label`.
    pub fn sum(&self, series: &str, label: &str) -> f64 {
        let of_series = |name: &str| name.split('{').next() == Some(series) && name.contains(label);
        self.0.iter().filter(|(name, _)| of_series(name)).map(|(_, value)| value).sum()
    }

    /// All names with their labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn assert_equation(&self) {
        for carrier in ["webtransport", "quic", "datagram", "websocket", "https"] {
            let label = format!("carrier=\"{carrier}\"");
            let received = self.sum("tidegate_events_received_total", &label);
            let outcomes = self.sum("tidegate_events_total", &label);
            assert_eq!(received, outcomes, "received = sum of outcomes on {carrier}");
            let lost = self.get(&format!("tidegate_events_total{{carrier=\"{carrier}\",outcome=\"lost\"}}"));
            assert_eq!(lost, 0.0, "lost on {carrier}");
        }
    }
}

/// The gateway's binary.
pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// Runs the binary with a configuration that is expected to fail: exit status and standard error.
pub fn refused(directory: &Path, config: &str) -> (Option<i32>, String) {
    let path = directory.join("tidegate.toml");
    std::fs::write(&path, config).unwrap();
    let output = command().arg("--config").arg(path).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
