//! Clients that take what they can get, and brokers that stand still: memory stays within its cap, everybody hears why
//! they wait, and who is calm is served.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_wire::{GatewayFrame, Reason};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Carrier, Client, Link, LinkError, frame, hello};
use crate::destination::Destination;
use crate::gateway::{Gateway, PATIENCE};

const BATCH: usize = 64;
const CAP_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// One event of about 200 bytes.
fn event() -> Vec<u8> {
    format!(r#"{{"type":"flow.flood","data":{{"filling":"{}"}}}}"#, "x".repeat(160)).into_bytes()
}

fn batch() -> Vec<Vec<u8>> {
    vec![event(); BATCH]
}

/// Sends as fast as its credit allows, and says which reasons it was told, until it is given up.
async fn flood_within_credit(mut client: Client, told: watch::Sender<BTreeSet<u8>>) -> Result<(), LinkError> {
    let (batch, bytes) = (batch(), (event().len() * BATCH) as u64);
    let (mut sent, mut sent_bytes) = (0, 0);
    let (mut limit, mut limit_bytes) = (client.welcome.limit, client.welcome.limit_bytes);
    loop {
        while sent + BATCH as u64 <= limit && sent_bytes + bytes <= limit_bytes {
            client.events(sent + 1, &batch).await?;
            (sent, sent_bytes) = (sent + BATCH as u64, sent_bytes + bytes);
        }
        match client.next().await? {
            GatewayFrame::Ack(ack) => {
                assert!(ack.limit >= limit && ack.limit_bytes >= limit_bytes, "credit is never taken back");
                (limit, limit_bytes) = (ack.limit, ack.limit_bytes);
                told.send_if_modified(|told| told.insert(ack.reason.as_u8()));
            }
            GatewayFrame::Pong(_) => {}
            other => return Err(format!("unexpected {other:?}").into()),
        }
    }
}

/// Sends whatever the connection takes, and never reads; counts the events that it took.
async fn flood_beyond_credit(mut client: Client, sent: Arc<AtomicU64>) -> Result<(), LinkError> {
    let batch = batch();
    let mut next = 1;
    loop {
        client.events(next, &batch).await?;
        sent.fetch_add(BATCH as u64, Ordering::Relaxed);
        next += BATCH as u64;
    }
}

/// Sends one event and waits for its acknowledgement: how long each took.
async fn calm(client: &mut Client, first_seq: u64, count: u64) -> Vec<Duration> {
    let mut took = Vec::new();
    for seq in first_seq..first_seq + count {
        let sent = Instant::now();
        client.events(seq, &[event()]).await.unwrap();
        loop {
            match client.next().await.unwrap() {
                GatewayFrame::Ack(ack) if ack.upto >= seq => break,
                GatewayFrame::Ack(_) | GatewayFrame::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        took.push(sent.elapsed());
    }
    took.sort();
    took
}

/// The same while others flood, of which `sent` counts what was read: how much that was while each event of its own was on
/// its way. It is not held back for them.
async fn calm_among_others(client: &mut Client, first_seq: u64, count: u64, sent: &AtomicU64) -> Vec<u64> {
    let first_window = client.welcome.limit - client.welcome.upto;
    let mut meanwhile = Vec::new();
    for seq in first_seq..first_seq + count {
        let before = sent.load(Ordering::Relaxed);
        client.events(seq, &[event()]).await.unwrap();
        loop {
            let GatewayFrame::Ack(ack) = client.next().await.unwrap() else { continue };
            // That the destination is slow everybody hears.
            let own = [Reason::Memory, Reason::Rate, Reason::Quota];
            assert!(!own.contains(&ack.reason), "one who is calm is told {:?}", ack.reason);
            assert!(ack.limit >= ack.upto + first_window, "its credit: {ack:?}");
            if ack.upto >= seq {
                break;
            }
        }
        meanwhile.push(sent.load(Ordering::Relaxed) - before);
    }
    meanwhile.sort_unstable();
    meanwhile
}

/// What the gateway has of the machine's memory.
fn resident_bytes(gateway: &Gateway) -> f64 {
    let status = format!("/proc/{}/status", gateway.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Waits until the figure in `series` has not moved for a second.
async fn at_rest(gateway: &Gateway, series: &str) -> f64 {
    let began = Instant::now();
    let mut before = -1.0;
    loop {
        let now = gateway.metrics().await.get(series);
        if (now - before).abs() < f64::EPSILON {
            return now;
        }
        assert!(began.elapsed() < PATIENCE, "{series} does not come to rest at {now}");
        before = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_frozen_memory_stays_within_its_cap_and_everything_flows_when_it_is_back() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(3).await;
    let gateway = kafka.gateway_with(&topic, "limits.budget_bytes = \"32MiB\"").await;
    let mut floods = JoinSet::new();
    let mut reasons = Vec::new();
    let mut clients = Vec::new();
    for number in 0..60 {
        // A QUIC connection holds up to 450 KiB beside the budget, unread; a WebSocket leaves it to the sockets.
        let name = format!("flooder-{number}");
        clients.push(Client::open(&gateway, Carrier::WebSocket, &name, 1).await);
    }
    let mut calm_client = Client::open(&gateway, Carrier::WebSocket, "calm", 1).await;
    // What is allotted once, with the first events, is no growth.
    calm(&mut calm_client, 1, 100).await;
    let idle = resident_bytes(&gateway);
    kafka.brokers().freeze(0);
    for (number, client) in clients.into_iter().enumerate() {
        if number % 2 == 0 {
            floods.spawn(flood_beyond_credit(client, Arc::default()));
        } else {
            let told = watch::Sender::new(BTreeSet::new());
            reasons.push(told.subscribe());
            floods.spawn(flood_within_credit(client, told));
        }
    }
    for told in &mut reasons {
        let heard = told.wait_for(|told| told.contains(&Reason::Broker.as_u8()));
        tokio::time::timeout(PATIENCE, heard).await.expect("the reason is told").unwrap();
    }
    let held = at_rest(&gateway, "tidegate_bytes_in_flight").await;
    let resident = resident_bytes(&gateway);
    println!(
        "idle {idle}, held {held}, resident {resident}: grown by {:.2} of the cap",
        (resident - idle) / CAP_BYTES
    );
    assert!(held > 0.5 * CAP_BYTES, "the budget is used: {held}");
    assert!(held <= CAP_BYTES, "and not exceeded: {held}");
    assert!(resident <= idle + 1.1 * CAP_BYTES, "{resident} bytes resident, {idle} before");
    floods.abort_all();
    kafka.brokers().thaw(0);
    let back = Instant::now();
    calm(&mut calm_client, 101, 1).await;
    println!("flows {:?} after the return", back.elapsed());
    calm_client.vanish();
    gateway.idle().await;
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ignores_credit_sends_slowly_never_reads_or_leaves_holds_up_nobody() {
    const BUDGET_BYTES: u32 = 16 << 20;
    let gateway = Arc::new(Gateway::start("limits.budget_bytes = \"16MiB\"").await);
    let mut calm_client = Client::open(&gateway, Carrier::Quic, "calm", 1).await;
    let sent = Arc::new(AtomicU64::new(0));
    let alone = calm_among_others(&mut calm_client, 1, 10, &sent).await;
    assert_eq!(alone, [0; 10]);
    let mut others = JoinSet::new();
    for number in 0..4 {
        let carrier = [Carrier::Quic, Carrier::WebSocket][number % 2];
        let client = Client::open(&gateway, carrier, &format!("flooder-{number}"), 1).await;
        let sent = Arc::clone(&sent);
        others.spawn(async move { drop(flood_beyond_credit(client, sent).await) });
    }
    for number in 0..20 {
        let mut client = Client::open(&gateway, Carrier::Quic, &format!("slow-{number}"), 1).await;
        others.spawn(async move {
            let bytes = frame(1, false, &batch());
            // Half a frame, and then a byte a second.
            client.raw(&bytes[..bytes.len() / 2]).await.unwrap();
            for byte in &bytes[bytes.len() / 2..] {
                tokio::time::sleep(Duration::from_secs(1)).await;
                client.raw(&[*byte]).await.unwrap();
            }
        });
    }
    let leaver = Arc::clone(&gateway);
    others.spawn(async move {
        loop {
            let mut link = Link::connect(&leaver, Carrier::WebSocket).await.unwrap();
            link.send(&tidegate_wire::ClientFrame::Hello(hello("leaver", 1))).await.unwrap();
            link.events(1, &batch()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // Not before there is something to wait behind.
    while sent.load(Ordering::Relaxed) < 10_000 {
        tokio::task::yield_now().await;
    }
    let meanwhile = calm_among_others(&mut calm_client, 11, 100, &sent).await;
    let held = gateway.metrics().await.get("tidegate_bytes_in_flight");
    // An event of theirs holds 512 bytes beside its own.
    let fit = u64::from(BUDGET_BYTES) / (512 + event().len() as u64);
    println!(
        "read of others while one was on its way: p50 {}, most {}; {fit} fit in",
        meanwhile[50], meanwhile[99]
    );
    assert!(held <= f64::from(BUDGET_BYTES), "{held} bytes held");
    // Who waited behind those who flood would see a good part of what they may hold go first, as often as not. It is counted
    // in events, since the machine is shared with those who flood; `make bench` measures the time.
    assert!(meanwhile[50] < fit / 4, "{} of the others' went first", meanwhile[50]);
    others.shutdown().await;
    calm_client.vanish();
    gateway.idle().await;
    gateway.assert_accounted().await;
}
