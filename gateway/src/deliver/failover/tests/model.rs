//! Clients, a Kafka that comes and goes, and a gateway that is killed, in any order: what holds whatever happens.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::ticket::{Settled, Ticket};

#[derive(Clone, Debug)]
enum Event {
    /// A client sends so many more.
    Send(usize, usize),
    Away,
    Back,
    /// Kafka delivers so many, if it is there.
    Deliver(usize),
    /// The gateway's thread does something, so often.
    Work(usize),
    /// The gateway is killed and started again.
    Kill,
}

const CLIENTS: usize = 3;

fn event(kills: bool) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..CLIENTS, 1..5_usize).prop_map(|(client, count)| Event::Send(client, count)),
        2 => Just(Event::Away),
        2 => Just(Event::Back),
        4 => (1..8_usize).prop_map(Event::Deliver),
        6 => (1..6_usize).prop_map(Event::Work),
        u32::from(kills) => Just(Event::Kill),
    ]
}

/// What one client knows: which of its numbers, from 1 on, are settled; and how far it has sent.
#[derive(Default)]
struct Client {
    settled: Arc<Mutex<Vec<bool>>>,
    sent: usize,
}

impl Client {
    fn upto(&self) -> usize {
        self.settled.lock().unwrap().iter().take_while(|settled| **settled).count()
    }
}

struct Frame {
    settled: Arc<Mutex<Vec<bool>>>,
    first: usize,
    taken: usize,
}

impl Settled for Frame {
    fn settled(self: Box<Self>, frame: Settlement) {
        // A client hears nothing of a frame of which anything was lost.
        if frame.lost == 0 {
            let mut settled = self.settled.lock().unwrap();
            let end = self.first + self.taken;
            if settled.len() < end {
                settled.resize(end, false);
            }
            settled[self.first..end].fill(true);
        }
    }
}

struct World {
    home: TempDir,
    kafka: Arc<Kafka>,
    bench: Option<Bench>,
    clients: Vec<Client>,
}

impl World {
    fn new() -> Self {
        let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
        let bench = Some(Bench::new(&home, &kafka, Away::Log));
        Self { home, kafka, bench, clients: (0..CLIENTS).map(|_| Client::default()).collect() }
    }

    fn bench(&mut self) -> &mut Bench {
        self.bench.as_mut().unwrap()
    }

    fn send(&mut self, client: usize, count: usize) {
        let bench = self.bench.as_ref().unwrap();
        let who = &mut self.clients[client];
        // One at a time, so that what is not taken need not be settled.
        for _ in 0..count {
            let value = format!("{client} {}", who.sent);
            let frame = Frame { settled: Arc::clone(&who.settled), first: who.sent, taken: 1 };
            let (records, ticket) = (records(&[value]), Ticket::new(1, Box::new(frame)));
            if bench.shared.submit(&records, 0, &ticket) == 0 {
                return;
            }
            who.sent += 1;
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Send(client, count) => self.send(client, count),
            Event::Away => self.kafka.set_up(false),
            Event::Back => self.kafka.set_up(true),
            Event::Deliver(count) => drop(self.kafka.deliver(count)),
            Event::Work(times) => (0..times).for_each(|_| self.bench().step()),
            Event::Kill => {
                self.bench.take().unwrap().kill();
                self.bench = Some(Bench::new(&self.home, &self.kafka, Away::Log));
                for client in &mut self.clients {
                    // What it does not know to be settled it sends again.
                    client.sent = client.upto();
                }
            }
        }
    }

    /// Everything comes to rest, and every client has heard of everything.
    fn rest(&mut self) {
        self.kafka.set_up(true);
        let kafka = Arc::clone(&self.kafka);
        until(|| {
            kafka.deliver(usize::MAX);
            self.bench().step();
            self.bench().shared.route() == Route::Kafka && kafka.waiting() == 0
        });
    }

    /// What Kafka has of each client, in order.
    fn delivered(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut of_clients = BTreeMap::<_, Vec<_>>::new();
        for value in self.kafka.delivered() {
            let (client, number) = value.split_once(' ').unwrap();
            of_clients.entry(client.parse().unwrap()).or_default().push(number.parse().unwrap());
        }
        of_clients
    }
}

/// Each number the first time it comes.
fn first_times(numbers: &[usize]) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn while_the_gateway_lives_everything_arrives_once_and_in_order(
        events in proptest::collection::vec(event(false), 1..60),
    ) {
        let mut world = World::new();
        events.iter().for_each(|event| world.happens(event));
        world.rest();
        let delivered = world.delivered();
        for (client, who) in world.clients.iter().enumerate() {
            prop_assert_eq!(who.upto(), who.sent, "settled in the end");
            let expected: Vec<_> = (0..who.sent).collect();
            prop_assert_eq!(delivered.get(&client).cloned().unwrap_or_default(), expected);
        }
        world.bench.take().unwrap().kill();
    }

    #[test]
    fn whatever_is_killed_nothing_acknowledged_is_missing_and_nothing_overtakes(
        events in proptest::collection::vec(event(true), 1..60),
    ) {
        let mut world = World::new();
        events.iter().for_each(|event| world.happens(event));
        world.rest();
        let delivered = world.delivered();
        for (client, who) in world.clients.iter().enumerate() {
            let numbers = delivered.get(&client).cloned().unwrap_or_default();
            let first_times = first_times(&numbers);
            let in_order: Vec<_> = (0..first_times.len()).collect();
            prop_assert_eq!(&first_times, &in_order, "client {}: {:?}", client, numbers);
            prop_assert!(first_times.len() >= who.upto(), "acknowledged and missing");
        }
        world.bench.take().unwrap().kill();
    }
}
