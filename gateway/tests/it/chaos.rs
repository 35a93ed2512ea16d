//! kill -9 of brokers and gateway at random under load, in every delivery mode: nothing acknowledged is lost, every
//! client's events stay in order, and nothing is doubled but by a gateway that was killed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Signal, kill_process};
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

/// How events get to Kafka.
struct Mode {
    /// As `delivery.mode` has it.
    name: &'static str,
    /// What a killed gateway's successor may do twice.
    repeats: Repeats,
}

/// What may be doubled by kill -9 of the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Repeats {
    /// What was not acknowledged when it was killed: its clients send it again.
    Unacknowledged,
    /// Also what had been forwarded since the last note of how far that was.
    Forwarded,
}

const MODES: [Mode; 3] = [
    Mode { name: "direct", repeats: Repeats::Unacknowledged },
    Mode { name: "spool", repeats: Repeats::Forwarded },
    Mode { name: "failover", repeats: Repeats::Forwarded },
];

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_of_brokers_and_gateway_lose_and_reorder_nothing_in_any_mode() {
    let kafka = Arc::new(Cluster::start(3).await);
    // The same brokers die for all modes, each of which has a gateway and clients of its own.
    let mut trials = join_all(MODES.iter().map(|mode| Trial::start(&kafka, mode))).await;
    kill_at_random(&kafka, &mut trials).await;
    for trial in trials {
        trial.verify(&kafka).await;
    }
}

/// A gateway in one mode, with its clients.
struct Trial {
    mode: &'static Mode,
    topic: String,
    world: Arc<World>,
    clients: Vec<Client>,
    gateway_kills: usize,
}

impl Trial {
    async fn start(kafka: &Cluster, mode: &'static Mode) -> Self {
        let topic = format!("chaos-{}", mode.name);
        kafka.create_topic(&topic, 3).await;
        let config = format!("delivery.mode = \"{}\"\n[[routes]]\ntopic = \"{topic}\"\n", mode.name);
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
        assert!(timeout(PATIENCE, acknowledged).await.is_ok(), "{}: nothing settles {what}", self.mode.name);
    }

    async fn kill_gateway(&mut self, seed: u64, what: &str) {
        self.some_more(seed, what).await;
        self.world.kill_gateway().await;
        self.gateway_kills += 1;
    }
}

/// The gateway, and what tells its clients that it was killed.
struct World {
    /// Read by whoever is connected.
    gateway: RwLock<Gateway>,
    /// Counts kills.
    killed: watch::Sender<u64>,
}

impl World {
    fn new(gateway: Gateway) -> Self {
        Self { gateway: RwLock::new(gateway), killed: watch::Sender::new(0) }
    }

    /// kill -9, and another one in its place.
    async fn kill_gateway(&self) {
        kill_process(self.gateway.read().await.pid(), Signal::KILL).unwrap();
        self.killed.send_modify(|killed| *killed += 1);
        let mut gateway = self.gateway.write().await;
        gateway.ended().await;
        gateway.launch();
        gateway.answers().await;
    }
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
    /// The highest number sent before the gateway was killed the last time.
    highest_at_last_kill: u64,
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
    let mut history = History {
        name: sender.name.clone(),
        upto: 0,
        in_flight_at_kills: Vec::new(),
        highest_at_last_kill: 0,
    };
    loop {
        let gateway = world.gateway.read().await;
        let carrier = random.pick(&Carrier::ALL);
        // Sooner or later it comes by another way.
        let until = sender.upto + 1 + random.below(2_000);
        tokio::select! {
            biased;
            _ = killed.changed() => {
                history.in_flight_at_kills.push(sender.upto + 1..=sender.highest);
                history.highest_at_last_kill = sender.highest;
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
        for (numbers, history) in arrived(kafka, &topic, &histories).await.iter().zip(&histories) {
            let who = format!("{}, {}, {gateway_kills} kills of the gateway", mode.name, history.name);
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
            assert_doubles(numbers, history, mode, gateway_kills, &who);
        }
        world.gateway.read().await.assert_accounted().await;
    }
}

/// What is there more than once must be what a killed gateway may have left half done.
fn assert_doubles(numbers: &[u64], history: &History, mode: &Mode, gateway_kills: usize, who: &str) {
    let mut seen = BTreeSet::new();
    let doubled: BTreeSet<u64> = numbers.iter().copied().filter(|number| !seen.insert(*number)).collect();
    match mode.repeats {
        Repeats::Unacknowledged => {
            let excused =
                |number: &u64| history.in_flight_at_kills.iter().any(|range| range.contains(number));
            let doubled: Vec<_> = doubled.into_iter().filter(|number| !excused(number)).collect();
            assert!(doubled.is_empty(), "{who}: doubled in a living session: {doubled:?}");
        }
        Repeats::Forwarded => {
            let doubled: Vec<_> = doubled.range(history.highest_at_last_kill + 1..).collect();
            assert!(doubled.is_empty(), "{who}: doubled in a living session: {doubled:?}");
            // Each gateway begins once where the forwarder before it was, and clients repeat what they had not heard of.
            let steps_back = numbers.windows(2).filter(|pair| pair[1] <= pair[0]).count();
            assert!(steps_back <= 2 * gateway_kills, "{who}: {steps_back} times back: {numbers:?}");
        }
    }
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
