//! What cannot start says so in one line.

use crate::destination::Destination;
use crate::gateway::Gateway;
use crate::loadtest::{Loadtest, loadtest};
use crate::port::free_port;
use crate::token;

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_make_no_sense_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (text, empty) = (file("text", "{\"type\":\"a\"}\nnot JSON\n"), file("empty", "\n"));
    let nowhere = free_port();
    for (arguments, said) in [
        ("--numbered".to_owned(), "--numbered is for --carrier https"),
        ("--carrier https --ignore-credit".to_owned(), "--ignore-credit is for sessions"),
        ("--client-prefix a --carrier https".to_owned(), "--client-prefix is for sessions"),
        ("--size 20".to_owned(), "--size 20: the smallest event has"),
        ("--duration 0".to_owned(), "--duration 0: more than 0 seconds"),
        ("--rate -1".to_owned(), "--rate -1: events a second, 0 or more"),
        ("--rate inf".to_owned(), "--rate inf: events a second"),
        ("--events 0".to_owned(), "--events 0"),
        (
            "--freeze 1 --freeze-after 6 --freeze-for 5".to_owned(),
            "--freeze-after and --freeze-for: together",
        ),
        (format!("--payload {text}"), "text, line 2: not an event"),
        (format!("--payload {empty}"), "empty: no events in it"),
        ("--payload /not/there".to_owned(), "--payload /not/there: No such file"),
        ("--ca /not/there".to_owned(), "--ca /not/there"),
        ("--pid 4294967295".to_owned(), "process 4294967295 is not there"),
    ] {
        let ended = loadtest(&format!("run https://{nowhere} {arguments}")).await;
        assert!(ended.only_line().contains(said), "{arguments}: {}", ended.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_that_is_not_the_ports_is_named() {
    let gateway = Gateway::start("").await;
    let (secure, plain) = (gateway.secure, gateway.plain);
    for (url, carrier, said) in [
        (format!("http://{secure}"), "websocket", "this port speaks TLS: write https://"),
        (format!("http://{secure}"), "https", "this port speaks TLS: write https://"),
        (format!("https://{plain}"), "websocket", "this port speaks no TLS: write http://"),
        (format!("https://{plain}"), "https", "this port speaks no TLS: write http://"),
        (format!("http://{plain}"), "quic", "--carrier quic: needs an https:// address"),
        (format!("http://{plain}"), "webtransport", "--carrier webtransport: needs an https:// address"),
    ] {
        let ended = loadtest(&format!("run {url} --carrier {carrier} --clients 2")).await;
        assert!(ended.only_line().contains(said), "{url} {carrier}: {}", ended.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_held_back_says_by_what() {
    let gateway = Gateway::start("log.max_bytes = \"4MiB\"\n").await;
    let run =
        format!("run http://{} --clients 2 --events 10000 --batch 10 --size 1000 --grace 1", gateway.plain);
    let ended = loadtest(&run).await;
    assert_eq!(ended.status, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("(the gateway holds credit back: `full`)"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_cannot_be_read_is_refused() {
    for arguments in [
        "run",
        "run localhost:8080",
        "run http://a --batch 0",
        "run http://a --verify",
        "run http://a --allow-duplicates",
        "run http://a --client-prefix a/b",
        "walk",
    ] {
        let ended = loadtest(arguments).await;
        assert_eq!((ended.status, ended.output.as_str()), (Some(2), ""), "{arguments}");
        assert!(ended.errors.starts_with("error: "), "{arguments}: {}", ended.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_not_there_is_named() {
    let nowhere = free_port();
    for carrier in ["websocket", "websocket-json", "https"] {
        let ended = loadtest(&format!("run https://{nowhere} --clients 50 --carrier {carrier}")).await;
        let line = ended.only_line();
        assert!(line.contains(&nowhere.to_string()) && line.contains("refused"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_gateway_that_says_nothing_can_be_interrupted() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let run = Loadtest::start(&format!("run http://{} --clients 100", silent.local_addr().unwrap()));
    let _connection = silent.accept().await.unwrap();
    run.interrupt();
    assert_eq!(run.ended().await.only_line(), "loadtest: interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_good_is_named() {
    let (token, hash) = token::make("web");
    let auth = format!(
        "[auth]\nmode = \"tokens\"\n[[auth.tokens]]\nid = \"web\"\nhash = \"{hash}\"\ntenant = \"t\"\n"
    );
    let gateway = Gateway::start(&auth).await;
    for (carrier, said) in
        [("websocket", "(auth)"), ("quic", "(auth)"), ("webtransport", ""), ("https", "401")]
    {
        let run = format!(
            "run https://{} --json --carrier {carrier} --clients 3 --events 30 --batch 10",
            gateway.secure
        );
        for bad in ["", "--token web.wrong"] {
            let ended = loadtest(&format!("{run} {bad}")).await;
            assert!(ended.only_line().contains(said), "{carrier} {bad}: {}", ended.errors);
        }
        let good = loadtest(&format!("{run} --token {token}")).await.faultless();
        assert_eq!(good.count("acknowledged"), 30, "{carrier}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_or_a_kafka_that_is_not_there_is_named() {
    let kafka = Destination::shared_kafka().await;
    let gateway = Gateway::start("").await;
    let run = format!("run http://{} --verify --topic not-there --brokers", gateway.plain);
    let ended = loadtest(&format!("{run} {}", kafka.brokers().brokers())).await;
    assert!(ended.only_line().contains("not-there"), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_the_gateway_will_not_take_are_named() {
    let limits = "limits.max_batch_events = 100\nlimits.credit_events = 50\n";
    let gateway = Gateway::start(limits).await;
    for (arguments, said) in [
        ("--batch 101", "the gateway takes 100 events in a frame: --batch 101 is too many"),
        ("--batch 51", "credit of 50 events"),
        ("--batch 50 --size 20000", "credit of 50 events and 262144 bytes"),
        ("--batch 50 --size 20000 --ignore-credit", "the gateway takes 524288"),
    ] {
        let ended = loadtest(&format!("run http://{} --clients 1 {arguments}", gateway.plain)).await;
        assert_ne!(ended.status, Some(0));
        assert!(ended.errors.contains(said), "{arguments}: {}", ended.errors);
    }
}
