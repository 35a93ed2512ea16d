//! Rates over a session: nothing is refused, credit waits, and the client hears why and how long.

use std::time::Duration;

use tidegate_wire::{ClientFrame, GatewayFrame, Hello, Ping, Reason, Reauth};

use super::Gateway;
use super::gateway::{Client, events};
use crate::access::Issued;
use crate::carrier::Carrier;
use crate::config::{AuthMode, ByteSize, Config, Rates, Token};
use crate::listen::link::{Coding, Packet};
use crate::outcome::Outcome;
use crate::rates::{Client as Name, Who};

fn limited(change: impl FnOnce(&mut Rates)) -> Gateway {
    let mut config = Config::default();
    change(&mut config.rates);
    Gateway::with(config)
}

/// Sends good events, and commits them.
async fn committed(gateway: &Gateway, client: &mut Client, first_seq: u64, count: usize) {
    client.good(first_seq, count).await;
    gateway.sink.holds(count).await;
    gateway.sink.commit(count);
}

#[tokio::test(start_paused = true)]
async fn who_sends_faster_than_its_rate_is_held_back_and_loses_nothing() {
    let gateway = limited(|rates| rates.client.events_per_second = Some(10));
    let (mut client, welcome) = gateway.client("a", 1).await;
    assert_eq!(welcome.limit, 10, "no more than may come at once");
    let began = crate::session::now();
    committed(&gateway, &mut client, 1, 30).await;
    let held = client.acked(30).await;
    assert_eq!((held.reason, held.retry_ms, held.limit), (Reason::Rate, 2_000, 10));
    let renewed = client.ack().await;
    assert_eq!((renewed.reason, renewed.retry_ms, renewed.limit), (Reason::Ok, 0, 40));
    assert_eq!(crate::session::now() - began, Duration::from_secs(2));
    assert_eq!(gateway.rate_limited("client"), 1, "counted once");
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_ignores_its_credit_is_read_no_faster_than_its_rate() {
    let gateway = limited(|rates| {
        rates.client.events_per_second = Some(10);
        rates.client.events_burst = Some(1);
    });
    let (mut client, _) = gateway.client("a", 1).await;
    let began = crate::session::now();
    // One at a time, each of which settles at once: there is never anything unsettled.
    for seq in 1..=21 {
        committed(&gateway, &mut client, seq, 1).await;
        client.acked(seq).await;
    }
    // One burst and one event beyond its credit are ahead of the rate.
    let took = crate::session::now() - began;
    assert!(took >= Duration::from_millis(1_800), "21 events at 10 a second came in {took:?}");
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn coming_again_does_not_help_and_another_client_is_not_concerned() {
    let gateway = limited(|rates| rates.client.events_per_second = Some(10));
    let (mut client, _) = gateway.client("a", 1).await;
    committed(&gateway, &mut client, 1, 30).await;
    client.acked(30).await;
    let (mut again, welcome) = gateway.client("a", 31).await;
    assert_eq!(
        (welcome.upto, welcome.limit, welcome.limit_bytes),
        (30, 30, 0),
        "no first window while it owes"
    );
    let told = again.ack().await;
    assert_eq!((told.reason, told.retry_ms), (Reason::Rate, 2_000));
    let (mut other, welcome) = gateway.client("b", 1).await;
    assert_eq!(welcome.limit, 10);
    committed(&gateway, &mut other, 1, 10).await;
    assert_eq!(other.acked(10).await.reason, Reason::Ok);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn bytes_count_as_well_as_events() {
    let gateway = limited(|rates| {
        rates.client.bytes_per_second = Some(ByteSize(256 << 10));
    });
    let (mut client, welcome) = gateway.client("a", 1).await;
    assert_eq!((welcome.limit, welcome.limit_bytes), (1_024, 256 << 10));
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(99_976));
    let events: Vec<_> = vec![event.as_str(); 4];
    client.events(1, &events).await;
    gateway.sink.holds(4).await;
    gateway.sink.commit(4);
    let held = client.acked(4).await;
    let expected_ms = (event.len() as u64 * 4 - (256 << 10)) * 1_000 / (256 << 10);
    assert_eq!(held.reason, Reason::Rate);
    assert!(held.retry_ms.abs_diff(expected_ms) <= 2, "{} ms instead of {expected_ms}", held.retry_ms);
}

/// A gateway with two tokens, `web` of the tenant `shop` and `app` of another, and the tokens themselves.
fn with_tokens(change: impl FnOnce(&mut Rates)) -> (Gateway, [String; 2]) {
    with_tokens_of("shop", "plant", change)
}

/// The same, of these tenants.
fn with_tokens_of(web: &str, app: &str, change: impl FnOnce(&mut Rates)) -> (Gateway, [String; 2]) {
    let mut config = Config::default();
    let tokens = [("web", web), ("app", app)].map(|(id, tenant)| {
        let Issued { token, hash } = Issued::new(id).unwrap();
        let entry = Token { id: id.into(), hash, tenant: tenant.into(), clients: None, topics: None };
        config.auth.tokens.push(entry);
        token
    });
    config.auth.mode = Some(AuthMode::Tokens);
    change(&mut config.rates);
    (Gateway::with(config), tokens)
}

async fn open(gateway: &Gateway, token: &str, name: Option<&str>) -> Client {
    let mut client = gateway.connect(Carrier::Quic, Coding::Binary);
    let hello = Hello {
        client: name.map(str::to_owned),
        epoch: name.map(|_| 1),
        token: Some(token.to_owned()),
        ..Hello::default()
    };
    client.send(&ClientFrame::Hello(hello)).await;
    client.welcome().await;
    client
}

/// Two clients of the first token send as much as they may together, and one more; the second token's is asked last.
#[track_caller]
fn shared(
    change: impl FnOnce(&mut Rates),
    limit: &'static str,
    reason: Reason,
    stranger: Reason,
) -> impl Future<Output = ()> {
    let (gateway, [web, app]) = with_tokens(change);
    async move {
        for (token, name, expected) in
            [(&web, Some("a"), Reason::Ok), (&web, None, reason), (&app, Some("a"), stranger)]
        {
            let mut client = open(&gateway, token, name).await;
            committed(&gateway, &mut client, 1, 6).await;
            assert_eq!(client.acked(6).await.reason, expected, "{limit}: {name:?}");
        }
        let expected = [reason, stranger].into_iter().filter(|told| *told != Reason::Ok).count();
        assert_eq!(gateway.rate_limited(limit), expected as u64);
        gateway.assert_accounted();
    }
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_token_or_tenant_or_address_share_its_rate() {
    shared(|rates| rates.token.events_per_second = Some(10), "token", Reason::Rate, Reason::Ok).await;
    shared(|rates| rates.tenant.events_per_second = Some(10), "tenant", Reason::Quota, Reason::Ok).await;
    shared(|rates| rates.address.events_per_second = Some(10), "address", Reason::Rate, Reason::Rate).await;
    shared(|rates| rates.client.events_per_second = Some(10), "client", Reason::Ok, Reason::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn lossy_events_beyond_the_rate_are_dropped_and_cost_the_others_nothing() {
    let gateway = limited(|rates| rates.client.events_per_second = Some(10));
    let (mut client, _) = gateway.client("a", 1).await;
    let event = r#"{"type":"t"}"#;
    for seq in 1..=3 {
        client.packet(Packet::Frames(events(seq, true, &[event; 4]))).await;
    }
    // 8 of 12 fit, and 2 more do.
    client.good(1, 2).await;
    gateway.sink.holds(10).await;
    gateway.sink.commit(10);
    assert_eq!(client.acked(2).await.reason, Reason::Ok);
    client.packet(Packet::Frames(events(13, true, &[event]))).await;
    client.good(3, 1).await;
    gateway.sink.holds(1).await;
    gateway.sink.commit(1);
    assert_eq!(client.acked(3).await.reason, Reason::Rate, "of the reliable one alone");
    assert_eq!(gateway.count(Carrier::Quic, Outcome::LossyDropped), 5);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_comes_again_and_again_gets_nothing_through_while_it_owes() {
    let gateway = limited(|rates| rates.client.events_per_second = Some(10));
    let (mut client, _) = gateway.client("a", 1).await;
    committed(&gateway, &mut client, 1, 30).await;
    client.acked(30).await;
    let owed = gateway.sessions.0.rates.meter(&named("a"), crate::session::now());
    let until = owed.owed(crate::session::now()).unwrap().until;
    let mut again = client;
    for _ in 0..20 {
        drop(again);
        again = gateway.client("a", 31).await.0;
        assert_eq!(again.ack().await.reason, Reason::Rate);
        // Signs of life are answered, and events wait.
        again.send(&ClientFrame::Ping(Ping::default())).await;
        assert!(matches!(again.next().await, Some(GatewayFrame::Pong(_))));
        again.good(31, 10).await;
        gateway.settled_down().await;
        assert_eq!(gateway.sink.values().len(), 0, "a frame of who owes");
    }
    assert_eq!(owed.owed(crate::session::now()).unwrap().until, until, "and it owes no more than before");
    gateway.sink.holds(10).await;
    assert!(crate::session::now() >= until);
    gateway.sink.commit(10);
    assert_eq!(again.acked(40).await.upto, 40);
    drop(again);
    gateway.settled_down().await;
    gateway.assert_accounted();
}

fn named(name: &str) -> Who<'_> {
    Who { tenant: "default", token: None, client: Name::Named(name), address: [127, 0, 0, 1].into() }
}

/// A session with a new token of the same tenant owes what it owed, whether it has a name or not.
#[tokio::test(start_paused = true)]
async fn another_token_does_not_pay_what_is_owed() {
    for name in [None, Some("a")] {
        let (gateway, tokens) = with_tokens_of("shop", "shop", |rates| {
            rates.client.events_per_second = Some(10);
        });
        let [first, second] = &tokens;
        let mut client = open(&gateway, first, name).await;
        let began = crate::session::now();
        committed(&gateway, &mut client, 1, 30).await;
        assert_eq!(client.acked(30).await.retry_ms, 2_000);
        client.send(&ClientFrame::Reauth(Reauth { token: second.clone() })).await;
        client.good(31, 10).await;
        gateway.sink.holds(10).await;
        gateway.sink.commit(10);
        client.acked(40).await;
        client.good(41, 1).await;
        gateway.sink.holds(1).await;
        gateway.sink.commit(1);
        client.acked(41).await;
        let took = crate::session::now() - began;
        assert!(took >= Duration::from_secs(3), "{name:?}: 41 events at 10 a second came in {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_owes_is_waited_for_by_who_changes_to_it() {
    let (gateway, [busy, calm]) =
        with_tokens_of("shop", "shop", |rates| rates.token.events_per_second = Some(10));
    let mut flooder = open(&gateway, &busy, Some("a")).await;
    committed(&gateway, &mut flooder, 1, 30).await;
    assert_eq!(flooder.acked(30).await.reason, Reason::Rate);
    let mut client = open(&gateway, &calm, Some("b")).await;
    client.send(&ClientFrame::Reauth(Reauth { token: busy })).await;
    let told = client.ack().await;
    assert_eq!((told.reason, told.retry_ms), (Reason::Rate, 2_000));
}
