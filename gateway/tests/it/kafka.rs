//! Apache Kafka as it is released: brokers as processes that can be killed and started again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::gateway::PATIENCE;
use crate::port::free_port;
use crate::swallow::Swallow;

/// One record as a consumer sees it.
#[derive(Clone, Debug)]
pub struct Consumed {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: HashMap<String, String>,
    pub timestamp_ms: i64,
}

/// A cluster of one or three brokers, gone when dropped.
pub struct Cluster {
    nodes: Vec<Node>,
    /// One before each node, or none.
    pub proxies: Vec<Swallow>,
    directory: TempDir,
}

struct Node {
    id: usize,
    port: u16,
    arguments: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts `count` brokers and waits until all of them have found each other.
    pub async fn start(count: usize) -> Self {
        Self::launched(count, false).await
    }

    /// The same with a proxy before each: whoever comes by [`Cluster::proxied_brokers`] can be cut off, which neither the
    /// brokers among themselves nor the tests' own clients notice.
    pub async fn start_behind_proxies(count: usize) -> Self {
        Self::launched(count, true).await
    }

    async fn launched(count: usize, behind_proxies: bool) -> Self {
        let directory = directory();
        let mut proxies = Vec::new();
        let ports: Vec<_> = (0..count).map(|_| (free_port().port(), free_port().port())).collect();
        let voters: Vec<_> =
            ports.iter().enumerate().map(|(id, (_, port))| format!("{}@127.0.0.1:{port}", id + 1)).collect();
        let replicas = count.min(3);
        let nodes = ports.iter().enumerate().map(|(id, (port, controller))| {
            let mut arguments = vec![
                "node".to_owned(),
                (id + 1).to_string(),
                directory.path().join(format!("node-{id}")).display().to_string(),
                voters.join(","),
                port.to_string(),
                controller.to_string(),
            ];
            arguments.extend([
                "auto.create.topics.enable=false".to_owned(),
                format!("default.replication.factor={replicas}"),
                format!("min.insync.replicas={}", if count == 1 { 1 } else { 2 }),
                format!("offsets.topic.replication.factor={replicas}"),
                // Nothing expires, however old its timestamp says it is.
                "log.retention.ms=-1".to_owned(),
                // A broker that was killed is missed soon.
                "broker.session.timeout.ms=3000".to_owned(),
                "broker.heartbeat.interval.ms=500".to_owned(),
            ]);
            if behind_proxies {
                let behind = free_port();
                let proxy = Swallow::before(behind);
                arguments.extend(listeners(*port, *controller, behind, proxy.address()));
                proxies.push(proxy);
            }
            Node { id, port: *port, arguments, child: Mutex::default() }
        });
        let nodes = nodes.collect();
        let cluster = Self { nodes, proxies, directory };
        cluster.nodes.iter().for_each(Node::launch);
        cluster.wait_for(count).await;
        cluster
    }

    /// The cluster of one node that all tests share, each with topics of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(1)).await
    }

    /// `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(",")
    }

    /// `bootstrap.servers` by way of the proxies.
    pub fn proxied_brokers(&self) -> String {
        self.proxies.iter().map(|proxy| proxy.address().to_string()).collect::<Vec<_>>().join(",")
    }

    /// SIGKILL.
    pub fn kill(&self, node: usize) {
        self.nodes[node].kill();
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub fn freeze(&self, node: usize) {
        self.nodes[node].signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].signal(Signal::CONT);
    }

    /// Starts a killed broker again, on its data, and waits until the cluster is whole.
    pub async fn restart(&self, node: usize) {
        self.nodes[node].launch();
        self.wait_for(self.nodes.len()).await;
    }

    /// Makes a topic that every broker has a replica of.
    pub async fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    /// The same with settings of its own.
    pub async fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let replicas = i32::try_from(self.nodes.len().min(3)).unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        // librdkafka gives a question up where the broker that it asks gets another name meanwhile; it may have been heard.
        let deadline = Instant::now() + PATIENCE;
        let mut is_repeated = false;
        let made = loop {
            match admin.create_topics([&topic], &options).await {
                Ok(made) => break made,
                Err(error) => assert!(Instant::now() < deadline, "{name}: {error}"),
            }
            is_repeated = true;
        };
        for made in made {
            let is_there = matches!(made, Err((_, RDKafkaErrorCode::TopicAlreadyExists)));
            assert!(made.is_ok() || is_there && is_repeated, "{name}: {made:?}");
        }
    }

    /// How many partitions a topic has.
    pub async fn partitions(&self, topic: &str) -> usize {
        let (config, topic) = (self.client(), topic.to_owned());
        let count = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            consumer.fetch_metadata(Some(&topic), PATIENCE).unwrap().topics()[0].partitions().len()
        };
        tokio::task::spawn_blocking(count).await.unwrap()
    }

    /// Every record of a topic, each partition in order.
    pub async fn consume(&self, topic: &str) -> Vec<Consumed> {
        let (config, topic) = (self.client(), topic.to_owned());
        tokio::task::spawn_blocking(move || consume(&config, &topic)).await.unwrap()
    }

    /// Waits until partition 0 of a topic has so many records.
    pub async fn records(&self, topic: &str, at_least: usize) {
        let (config, topic) = (self.client(), topic.to_owned());
        let reached = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                let (_, high) = watermarks(&consumer, &topic, 0);
                if usize::try_from(high).unwrap() >= at_least {
                    return;
                }
                assert!(Instant::now() < deadline, "{topic} has only {high} records");
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        tokio::task::spawn_blocking(reached).await.unwrap();
    }

    /// Removes the oldest records of partition 0, those before `offset`.
    pub async fn delete_records(&self, topic: &str, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
        let deleted = admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
        deleted.elements().into_iter().for_each(|partition| partition.error().unwrap());
    }

    /// Writes records to partition 0, as they are.
    pub async fn produce(&self, topic: &str, values: Vec<Vec<u8>>) {
        let (config, topic) = (self.client(), topic.to_owned());
        let produce = move || {
            let producer: BaseProducer = config.create().unwrap();
            for value in &values {
                producer.send(BaseRecord::<(), _>::to(&topic).partition(0).payload(value)).unwrap();
            }
            producer.flush(PATIENCE).unwrap();
        };
        tokio::task::spawn_blocking(produce).await.unwrap();
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config.set("group.id", "tests").set("enable.auto.commit", "false");
        // A position that is not there is an error here, and no reason to go on elsewhere.
        config.set("auto.offset.reset", "error");
        config
    }

    async fn wait_for(&self, count: usize) {
        let config = self.client();
        let up = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                let found = consumer.fetch_metadata(None, Duration::from_secs(1));
                if found.is_ok_and(|metadata| metadata.brokers().len() >= count) {
                    return true;
                }
                if Instant::now() > deadline {
                    return false;
                }
            }
        };
        let up = tokio::task::spawn_blocking(up).await.unwrap();
        assert!(up, "Kafka did not come up; see {}", self.directory.path().display());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(Node::kill);
    }
}

impl Node {
    fn launch(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
        *self.child.lock().unwrap() = Some(spawn(script, self.arguments.clone()));
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap();
        kill_process(Pid::from_child(child.as_ref().unwrap()), signal).unwrap();
    }

    fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
            eprintln!("kafka: node {} is gone", self.id);
        }
    }
}

/// A second listener, `behind` a proxy, of a broker that tells whoever comes by it the proxy's address.
fn listeners(port: u16, controller: u16, behind: SocketAddr, proxy: SocketAddr) -> [String; 3] {
    [
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},PROXIED://{behind}"
        ),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://{proxy}"),
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT"
            .to_owned(),
    ]
}

/// A directory for a cluster, named after this process: the shared cluster outlives every test and is killed with the
/// process, so what it leaves is removed by a later one.
fn directory() -> TempDir {
    const PREFIX: &str = "tidegate-kafka-";
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be removing it too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir().unwrap()
}

/// The first offset and the one after the last. A broker that has just come back may not lead its partitions yet.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok(watermarks) => return watermarks,
            Err(error) => assert!(Instant::now() < deadline, "{topic} {partition}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn consume(config: &ClientConfig, topic: &str) -> Vec<Consumed> {
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions: Vec<i32> =
        metadata.topics()[0].partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
    let mut records = Vec::new();
    for partition in partitions {
        let (low, high) = watermarks(&consumer, topic, partition);
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
        consumer.assign(&assignment).unwrap();
        let mut next = low;
        while next < high {
            let polled = consumer.poll(PATIENCE).expect("a record in time");
            // Such as a broker that does not lead again yet: librdkafka goes on by itself, and silence ends the wait.
            let Ok(message) = polled else { continue };
            next = message.offset() + 1;
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            records.push(Consumed {
                partition,
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().unwrap_or_default().to_vec(),
                headers: headers
                    .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
                    .collect(),
                timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            });
        }
    }
    records
}

/// Starts a process that dies with this one, however this one ends. The kernel ties that to the thread that started it,
/// so one thread that never ends starts all of them.
pub fn spawn(program: PathBuf, arguments: Vec<String>) -> Child {
    type Wanted = (PathBuf, Vec<String>, SyncSender<Child>);
    static SPAWNER: OnceLock<Arc<SyncSender<Wanted>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (wanted, wishes) = sync_channel::<Wanted>(16);
        std::thread::spawn(move || {
            for (program, arguments, reply) in wishes {
                let child = Command::new("setpriv")
                    .args(["--pdeathsig", "KILL"])
                    .arg(program)
                    .args(arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                reply.send(child).unwrap();
            }
        });
        Arc::new(wanted)
    });
    let (reply, child) = sync_channel(1);
    spawner.send((program, arguments, reply)).unwrap();
    child.recv().unwrap()
}
