//! kill -9 of brokers and gateway at random under load, in every delivery mode: nothing acknowledged is lost, every
//! client's events stay in order, and nothing is doubled but by a gateway that was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Signal, kill_process};
use tidegate::deliver::log::Cursor;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::{Carrier, Sender};
use crate::faults::numbered_events;
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::Cluster;
use crate::modes::forwarded;
use crate::random::Random;
use crate::recordings::members;

/// A failing one fails again, as far as clocks allow.
const SEED: u64 = 1;
const KILLS: usize = 20;
/// Of them the last ones are brokers': what happens to sessions that live through these is known exactly.
const LAST_OF_BROKERS: usize = 3;
const CLIENTS: usize = 4;
/// More than a client can send in the time.
const EVENTS: usize = 200_000;

/// As `delivery.mode` has them.
const MODES: [&str; 3] = ["direct", "spool", "failover"];

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_of_brokers_and_gateway_lose_and_reorder_nothing_in_any_mode() {
    let kafka = Arc::new(Cluster::start(3).await);
    // The same brokers die for all modes, each of which has a gateway and clients of its own.
    let mut trials = join_all(MODES.map(|mode| Trial::start(&kafka, mode))).await;
    kill_at_random(&kafka, &mut trials).await;
    for trial in trials {
        trial.verify(&kafka).await;
    }
}

/// A gateway in one mode, with its clients.
struct Trial {
    mode: &'static str,
    topic: String,
    world: Arc<World>,
    clients: Vec<Client>,
    gateway_kills: usize,
}

impl Trial {
    async fn start(kafka: &Cluster, mode: &'static str) -> Self {
        let topic = format!("chaos-{mode}");
        kafka.create_topic(&topic, 3).await;
        let config = format!("delivery.mode = \"{mode}\"\n[[routes]]\ntopic = \"{topic}\"\n");
        let world = Arc::new(World::new(Gateway::start_with_kafka(&kafka.brokers(), &config).await));
        let events: Arc<[Vec<u8>]> = numbered_events(EVENTS).into();
        let clients = (0..CLIENTS).map(|index| Client::start(index, &world, &events)).collect();
        Self { mode, topic, world, clients, gateway_kills: 0 }
    }

    /// Waits for a random moment, counted in acknowledged events, whatever the machine's speed.
    async fn some_more(&self, seed: u64, what: &str) {
        let mut random = Random::new(seed);
        let client = &self.clients[usize::try_from(random.below(CLIENTS as u64)).unwrap()];
        let acknowledged = client.acknowledged(1 + random.below(100));
        assert!(timeout(PATIENCE, acknowledged).await.is_ok(), "{}: nothing settles {what}", self.mode);
    }

    async fn kill_gateway(&mut self, seed: u64, what: &str) {
        self.some_more(seed, what).await;
        self.world.kill_gateway().await;
        self.gateway_kills += 1;
    }
}

/// Client and number, and how often: what came again after a kill may be there beside what came before it.
type Unnoted = BTreeMap<(String, u64), usize>;

/// The gateway, and what tells its clients that it was killed.
struct World {
    /// Read by whoever is connected.
    gateway: RwLock<Gateway>,
    /// Counts kills.
    killed: watch::Sender<u64>,
    /// For each kill, what the log had that was not noted as being in Kafka.
    unnoted_at_kills: Mutex<Vec<Unnoted>>,
}

impl World {
    fn new(gateway: Gateway) -> Self {
        let unnoted_at_kills = Mutex::default();
        Self { gateway: RwLock::new(gateway), killed: watch::Sender::new(0), unnoted_at_kills }
    }

    /// kill -9, and another one in its place.
    async fn kill_gateway(&self) {
        kill_process(self.gateway.read().await.pid(), Signal::KILL).unwrap();
        self.killed.send_modify(|killed| *killed += 1);
        let mut gateway = self.gateway.write().await;
        gateway.ended().await;
        self.unnoted_at_kills.lock().unwrap().push(unnoted(&gateway.path("log")));
        gateway.launch();
        gateway.answers().await;
    }
}

/// What the log in `directory` has from the record on that its file `forwarded` names.
fn unnoted(directory: &Path) -> Unnoted {
    let mut found = Unnoted::new();
    if !directory.exists() {
        return found;
    }
    // Eight bytes and their checksum; nothing before the first note.
    let noted = fs::read(directory.join("forwarded")).unwrap_or_default();
    let noted = noted.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut cursor = Cursor::open(directory, noted).unwrap();
    while let Some(record) = cursor.next().unwrap() {
        let client = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        let number = members(record.value.unwrap())["data"].get().parse().unwrap();
        *found.entry((client, number)).or_default() += 1;
    }
    found
}

/// A client that sends until it is told to finish, over changing carriers.
struct Client {
    progress: watch::Receiver<u64>,
    finish: CancellationToken,
    task: JoinHandle<History>,
}

/// What a client knows in the end.
struct History {
    name: String,
    /// Everything up to here was acknowledged.
    upto: u64,
    /// The numbers that it had sent and not heard of when the gateway was killed.
    in_flight_at_kills: Vec<RangeInclusive<u64>>,
}

impl Client {
    fn start(index: usize, world: &Arc<World>, events: &Arc<[Vec<u8>]>) -> Self {
        let (world, events) = (Arc::clone(world), Arc::clone(events));
        let finish = CancellationToken::new();
        let finishing = finish.clone();
        let (told, progress) = watch::channel(0);
        let random = Random::new(SEED * 1_000 + index as u64);
        let task = tokio::spawn(async move {
            let mut sender = Sender::new(&format!("device-{index}"), &events, 4);
            (sender.window, sender.pause, sender.progress) = (16, Duration::from_millis(20), told);
            send(&world, &mut sender, random, finishing).await
        });
        Self { progress, finish, task }
    }

    /// Waits until so many more events of it are acknowledged.
    async fn acknowledged(&self, more: u64) {
        let mut progress = self.progress.clone();
        let point = *progress.borrow_and_update() + more;
        progress.wait_for(|upto| *upto >= point).await.expect("the client goes on");
    }

    /// Has it send a little more, and stop then.
    async fn finish(self) -> History {
        self.acknowledged(50).await;
        self.finish.cancel();
        self.task.await.unwrap()
    }
}

async fn send(
    world: &World,
    sender: &mut Sender<'_>,
    mut random: Random,
    finishing: CancellationToken,
) -> History {
    let mut killed = world.killed.subscribe();
    let mut history = History { name: sender.name.clone(), upto: 0, in_flight_at_kills: Vec::new() };
    loop {
        let gateway = world.gateway.read().await;
        let carrier = random.pick(&Carrier::ALL);
        // Sooner or later it comes by another way.
        let until = sender.upto + 1 + random.below(2_000);
        tokio::select! {
            biased;
            _ = killed.changed() => {
                history.in_flight_at_kills.push(sender.upto + 1..=sender.highest);
            }
            () = finishing.cancelled() => break,
            ended = sender.run(&gateway, carrier, until) => {
                assert!(!sender.is_done(), "more events are needed than {EVENTS}");
                if ended.is_err() {
                    // The gateway was killed, or turns it away for now.
                    drop(gateway);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
    history.upto = sender.upto;
    history
}

async fn kill_at_random(kafka: &Arc<Cluster>, trials: &mut [Trial]) {
    let mut random = Random::new(SEED);
    let mut restarting: Option<JoinHandle<()>> = None;
    for kill in 1..=KILLS {
        let (seed, what) = (random.next(), format!("before kill {kill}"));
        if kill <= KILLS - LAST_OF_BROKERS && random.below(3) > 0 {
            join_all(trials.iter_mut().map(|trial| trial.kill_gateway(seed, &what))).await;
            continue;
        }
        if let Some(restarting) = restarting.take() {
            restarting.await.unwrap();
        }
        join_all(trials.iter().map(|trial| trial.some_more(seed, &what))).await;
        let node = usize::try_from(random.below(3)).unwrap();
        // Without two of them nothing becomes durable in Kafka.
        let other = (random.below(3) == 0).then_some((node + 1) % 3);
        kafka.kill(node);
        other.inspect(|other| kafka.kill(*other));
        // They come back while others have taken their partitions over, or while these wait for them.
        let kafka = Arc::clone(kafka);
        restarting = Some(tokio::spawn(async move {
            let nodes = [Some(node), other];
            join_all(nodes.into_iter().flatten().map(|node| kafka.restart(node))).await;
        }));
    }
    if let Some(restarting) = restarting {
        restarting.await.unwrap();
    }
}

impl Trial {
    async fn verify(self, kafka: &Cluster) {
        let Self { mode, topic, world, clients, gateway_kills } = self;
        let histories = join_all(clients.into_iter().map(Client::finish)).await;
        forwarded(&*world.gateway.read().await).await;
        let unnoted = world.unnoted_at_kills.lock().unwrap().clone();
        for (numbers, history) in arrived(kafka, &topic, &histories).await.iter().zip(&histories) {
            let who = format!("{mode}, {}, {gateway_kills} kills of the gateway", history.name);
            let mut seen = BTreeSet::new();
            let first_times: Vec<u64> =
                numbers.iter().copied().filter(|number| seen.insert(*number)).collect();
            let missing: Vec<_> = (1..=history.upto).filter(|number| !seen.contains(number)).collect();
            let (count, first) = (missing.len(), missing.first());
            assert!(
                missing.is_empty(),
                "{who}: {count} of {} acknowledged are missing, from {first:?} on",
                history.upto
            );
            assert!(first_times.is_sorted(), "{who}: out of order: {numbers:?}");
            assert_doubles(numbers, history, &unnoted, &who);
        }
        world.gateway.read().await.assert_accounted().await;
    }
}

/// A number may be there once more for each gateway that was killed before it was acknowledged, and whose client sent it
/// again, and for each time it stood in the log then without a note that it is in Kafka.
fn assert_doubles(numbers: &[u64], history: &History, unnoted: &[Unnoted], who: &str) {
    let mut times = BTreeMap::<u64, usize>::new();
    numbers.iter().for_each(|number| *times.entry(*number).or_default() += 1);
    let excuses = |number: u64| {
        let sent_again = history.in_flight_at_kills.iter().filter(|range| range.contains(&number)).count();
        let key = (history.name.clone(), number);
        sent_again + unnoted.iter().filter_map(|unnoted| unnoted.get(&key)).sum::<usize>()
    };
    let too_often: Vec<_> = times
        .into_iter()
        .filter(|(number, times)| *times > 1 + excuses(*number))
        .map(|(number, times)| (number, times, excuses(number)))
        .collect();
    assert!(too_often.is_empty(), "{who}: (number, times, excuses): {too_often:?}");
}

/// The numbers of each client as they stand in its partition.
async fn arrived(kafka: &Cluster, topic: &str, histories: &[History]) -> Vec<Vec<u64>> {
    let mut arrived = vec![Vec::new(); histories.len()];
    for record in kafka.consume(topic).await {
        let key = record.key.unwrap();
        let client = histories.iter().position(|history| history.name.as_bytes() == key).unwrap();
        arrived[client].push(members(&record.value)["data"].get().parse().unwrap());
    }
    arrived
}
