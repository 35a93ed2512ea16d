//! HTTP requests: the same contract in one exchange.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_wire::body::BodyKind;
use tidegate_wire::{ClientFrame, CloseCode, Code, Hello, Reason};

use super::Gateway;
use crate::access::Access;
use crate::carrier::Carrier;
use crate::config::{ByteSize, Config};
use crate::deliver::Health;
use crate::listen::link::{Answer, Coding, Conflict, Gate, Numbering, Post, Standing};
use crate::outcome::Outcome;
use crate::rates::{Client, Who};

pub(super) async fn post(gateway: &Gateway, body: &str, first_seq: Option<u64>) -> Answer {
    post_as(gateway, body, first_seq, false).await
}

async fn post_as(gateway: &Gateway, body: &str, first_seq: Option<u64>, respond_async: bool) -> Answer {
    let numbering = first_seq.map(|first_seq| Numbering { client: "a", epoch: 1, first_seq });
    send(gateway, body, numbering, respond_async, [127, 0, 0, 1].into()).await
}

async fn send(
    gateway: &Gateway,
    body: &str,
    numbering: Option<Numbering<'_>>,
    respond_async: bool,
    from: IpAddr,
) -> Answer {
    let client = numbering.map_or(Client::Unknown, |numbering| Client::Named(numbering.client));
    let who = Who { tenant: "default", token: None, client, address: from };
    let meter = &gateway.sessions.0.rates.meter(&who, crate::session::now());
    let config = Config::default();
    let access = Access::new(&config.auth, &config.origins, &[]);
    let grant = access.authenticate(None).unwrap();
    let (kind, body) = (BodyKind::Lines, body.as_bytes());
    let post = Post { kind, body, numbering, respond_async, grant: &grant, meter, from };
    gateway.sessions.post(post).await
}

/// Posts while the destination commits whatever comes.
async fn committed(gateway: &Gateway, body: &str, first_seq: Option<u64>, good: usize) -> Answer {
    let sink = Arc::clone(&gateway.sink);
    let settle = async move {
        sink.holds(good).await;
        sink.commit(good);
    };
    tokio::join!(post(gateway, body, first_seq), settle).0
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_when_the_events_are_durable_and_names_the_bad_ones() {
    let gateway = Gateway::new();
    let answer = committed(&gateway, "{\"type\":\"t\"}\n[]\n\n{\"type\":\"t\"}", None, 2).await;
    let Answer::Durable { accepted, rejected, standing: None, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((accepted, rejected[0].0, rejected[0].1.code), (2, 1, Code::Malformed));
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn repeated_numbers_count_as_accepted_and_are_not_produced_again() {
    let gateway = Gateway::new();
    let body = "{\"type\":\"t\"}\n[]\n";
    for (good, produced) in [(1, 1), (0, 1)] {
        let answer = committed(&gateway, body, Some(1), good).await;
        let Answer::Durable { accepted, rejected, standing: Some(standing), .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((accepted, rejected.len()), (1, 1));
        assert_eq!(standing, Standing { upto: 2, limit: 2 + 1_024, limit_bytes: 4 << 20 });
        assert_eq!(gateway.count(Carrier::Https, Outcome::Committed), produced);
    }
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_asks_and_gives_nothing_up() {
    let gateway = Gateway::new();
    committed(&gateway, "{\"type\":\"t\"}", Some(1), 1).await;
    let answer = post(&gateway, "", Some(50)).await;
    let Answer::Durable { accepted: 0, standing: Some(standing), .. } = answer else { panic!("{answer:?}") };
    assert_eq!(standing.upto, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_over_from_a_session_and_a_session_resumes_after_it() {
    let gateway = Gateway::new();
    let (session, _) = gateway.client("a", 1).await;
    committed(&gateway, "{\"type\":\"t\"}", Some(1), 1).await;
    assert_eq!(session.close_code().await, CloseCode::TakenOver);
    let (_session, welcome) = gateway.client("a", 1).await;
    assert_eq!((welcome.resumed, welcome.upto), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time() {
    let gateway = Gateway::new();
    let second = async {
        gateway.sink.holds(1).await;
        let answer = post(&gateway, "{\"type\":\"t\"}", Some(2)).await;
        gateway.sink.commit(1);
        answer
    };
    let (first, second) = tokio::join!(post(&gateway, "{\"type\":\"t\"}", Some(1)), second);
    assert!(matches!(second, Answer::Conflict(Conflict::Busy)), "{second:?}");
    assert!(matches!(first, Answer::Durable { accepted: 1, .. }), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_over_from_a_request() {
    let gateway = Gateway::new();
    let session = async {
        gateway.sink.holds(1).await;
        gateway.client("a", 1).await
    };
    let (request, _session) = tokio::join!(post(&gateway, "{\"type\":\"t\"}", Some(1)), session);
    assert!(matches!(request, Answer::Conflict(Conflict::TakenOver)), "{request:?}");
    gateway.sink.commit(1);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_an_older_numbering_is_told_so() {
    let gateway = Gateway::new();
    let mut newer = gateway.connect(Carrier::Quic, Coding::Binary);
    let hello = Hello { client: Some("a".into()), epoch: Some(2), ..Hello::default() };
    newer.send(&ClientFrame::Hello(hello)).await;
    newer.welcome().await;
    let stale = post(&gateway, "", Some(1)).await;
    assert!(matches!(stale, Answer::Conflict(Conflict::StaleEpoch { known: 2 })), "{stale:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_durable_in_time_is_unknown_and_settles_all_the_same() {
    let gateway = Gateway::new();
    assert!(matches!(post(&gateway, "{\"type\":\"t\"}", None).await, Answer::Timeout));
    gateway.sink.commit(1);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn while_the_destination_is_away_nothing_is_taken() {
    let gateway = Gateway::new();
    *gateway.sink.health.lock().unwrap() = Health::Away { reason: Reason::Broker, detail: String::new() };
    let answer = post(&gateway, "{\"type\":\"t\"}", None).await;
    assert!(matches!(answer, Answer::Busy { reason: Reason::Broker, .. }), "{answer:?}");
    assert_eq!(gateway.metrics.carrier(Carrier::Https).received.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn lost_events_are_not_called_accepted() {
    let gateway = Gateway::new();
    let lose = async {
        gateway.sink.holds(1).await;
        gateway.sink.lose();
    };
    let (answer, ()) = tokio::join!(post(&gateway, "{\"type\":\"t\"}", None), lose);
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn numbers_beyond_the_greatest_are_refused_whole() {
    let gateway = Gateway::new();
    let body = "{\"type\":\"t\"}\n{\"type\":\"t\"}";
    let greatest = tidegate_wire::limits::NUMBER_MAX;
    let answer = post(&gateway, body, Some(greatest)).await;
    assert!(matches!(&answer, Answer::BadBody(detail) if detail.contains("9007199254740991")), "{answer:?}");
    let answer = committed(&gateway, body, Some(greatest - 1), 2).await;
    assert!(matches!(answer, Answer::Durable { accepted: 2, .. }), "{answer:?}");
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_request_after_a_loss_does_not_call_safe_what_was_lost_before_it() {
    let gateway = Gateway::new();
    let lose = async {
        gateway.sink.holds(1).await;
        gateway.sink.lose();
    };
    let (answer, ()) = tokio::join!(post(&gateway, "{\"type\":\"t\"}", Some(1)), lose);
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
    let answer = post(&gateway, "{\"type\":\"t\"}", Some(2)).await;
    assert!(matches!(answer, Answer::Lost), "{answer:?}");
    // Sent again from where it was lost, everything is taken.
    let answer = committed(&gateway, "{\"type\":\"t\"}\n{\"type\":\"t\"}", Some(1), 2).await;
    assert!(matches!(answer, Answer::Durable { accepted: 2, .. }), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_client_keep_their_order_when_there_is_no_room() {
    let gateway = Gateway::new();
    gateway.sink.set_room(0);
    let first = post_as(&gateway, "{\"type\":\"first\"}", Some(1), true).await;
    assert!(matches!(first, Answer::Admitted { admitted: 1, .. }), "{first:?}");
    let room = async {
        gateway.sink.set_room(10);
        gateway.sink.holds(2).await;
        let values = gateway.sink.values();
        assert!(values[0].contains("first") && values[1].contains("second"), "{values:?}");
        gateway.sink.commit(2);
    };
    let (second, ()) = tokio::join!(post(&gateway, "{\"type\":\"second\"}", Some(2)), room);
    assert!(matches!(second, Answer::Durable { accepted: 1, .. }), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_while_something_is_owed_is_refused_whole_and_told_when_to_come() {
    let mut config = Config::default();
    config.rates.tenant.events_per_second = Some(2);
    let gateway = Gateway::with(config);
    // Taken whole although it is more than may come at once: what is beyond is owed.
    let four = "{\"type\":\"t\"}\n".repeat(4);
    let answer = committed(&gateway, &four, None, 4).await;
    assert!(matches!(answer, Answer::Durable { accepted: 4, .. }), "{answer:?}");
    let answer = post(&gateway, "{\"type\":\"t\"}", Some(1)).await;
    let Answer::Busy { reason: Reason::Quota, retry_ms: 1_000 } = answer else { panic!("{answer:?}") };
    let asked = post(&gateway, "", Some(1)).await;
    assert!(matches!(asked, Answer::Durable { accepted: 0, .. }), "who only asks is answered: {asked:?}");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let answer = committed(&gateway, "{\"type\":\"t\"}", Some(1), 1).await;
    assert!(matches!(answer, Answer::Durable { accepted: 1, .. }), "{answer:?}");
    assert_eq!(gateway.count(Carrier::Https, Outcome::Committed), 5);
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_can_never_fit_is_told_so_and_one_that_may_fit_later_when_to_come() {
    let gateway = Gateway::limited(|limits| limits.budget_bytes = ByteSize(16 << 10));
    let lines = |count| "{\"type\":\"t\"}\n".repeat(count);
    // 14 KiB are for requests, and an event takes 524 bytes at least.
    let answer = post(&gateway, &lines(28), None).await;
    let Answer::TooLarge(why) = answer else { panic!("{answer:?}") };
    for figure in ["28 events", "336 bytes", "14672 bytes", "14336"] {
        assert!(why.contains(figure), "{figure}: {why}");
    }
    let answer = committed(&gateway, &lines(27), None, 27).await;
    assert!(matches!(answer, Answer::Durable { accepted: 27, .. }), "{answer:?}");
    let (mut other, _) = gateway.client("other", 1).await;
    other.good(1, 1).await;
    gateway.sink.holds(1).await;
    let answer = post(&gateway, &lines(27), None).await;
    assert!(matches!(answer, Answer::Busy { reason: Reason::Memory, retry_ms: 1_000 }), "{answer:?}");
    gateway.sink.commit(1);
    other.acked(1).await;
    gateway.assert_accounted();
}

#[tokio::test(start_paused = true)]
async fn who_floods_with_requests_has_its_share_and_a_quiet_one_gets_in() {
    for flooder in [None, Some("flooder")] {
        let gateway = Gateway::limited(|limits| limits.budget_bytes = ByteSize(64 << 10));
        let event = "{\"type\":\"t\"}";
        let mut seq = 1;
        while matches!(post_of(&gateway, event, flooder, &mut seq, 1).await, Answer::Admitted { .. }) {}
        assert!(seq > 20, "it has some: {seq}");
        let held = gateway.metrics.bytes_in_flight.get();
        assert!(held < (64 << 10) * 7 / 16 + 1_024, "and not more than it leaves: {held}");
        for (quiet, address) in [(Some("quiet"), 1), (None, 2)] {
            let answer = post_of(&gateway, event, quiet, &mut 1, address).await;
            assert!(matches!(answer, Answer::Admitted { .. }), "{quiet:?} beside {flooder:?}: {answer:?}");
        }
        gateway.commit_all().await;
        let answer = post_of(&gateway, event, flooder, &mut seq, 1).await;
        assert!(matches!(answer, Answer::Admitted { .. }), "{answer:?}");
        gateway.commit_all().await;
        gateway.assert_accounted();
    }
}

/// One event of a client or, without a name, of an address; it is not waited for.
async fn post_of(gateway: &Gateway, body: &str, client: Option<&str>, seq: &mut u64, address: u8) -> Answer {
    let numbering = client.map(|client| Numbering { client, epoch: 1, first_seq: *seq });
    let from = [192, 0, address, 1].into();
    let answer = send(gateway, body, numbering, true, from).await;
    *seq += u64::from(matches!(answer, Answer::Admitted { .. }));
    answer
}
