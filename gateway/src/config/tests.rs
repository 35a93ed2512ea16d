//! The shipped files, and every refusal: what is said, and where its caret stands.

mod edits;

use super::*;
use crate::record::Encoding;

const REFERENCE: &str = include_str!("../../../config/tidegate.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    let variable = |name: &str| match name {
        "KAFKA_BROKERS" => Some("kafka-1:9092".to_owned()),
        "TIDEGATE_TOKEN_HASH" => Some(format!("{HASH_PREFIX}{}", "0".repeat(64))),
        "BAD_CONDITION" => Some("type = 1".to_owned()),
        _ => None,
    };
    let file = |path: &Path| match path.to_str() {
        Some("/run/secrets/kafka-password") => Ok("s3cret\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    Config::parse_with("t.toml", text, &Sources { variable: &variable, file: &file })
}

#[track_caller]
fn parsed(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// `at` is `line:column`, counted from 1.
#[track_caller]
fn refuses(text: &str, at: &str, expected: &[&str]) {
    let report = refused(text);
    let place = format!("--> t.toml:{at}\n");
    assert!(report.contains(&place), "no {at} in:\n{report}");
    for part in expected {
        assert!(report.contains(part), "no `{part}` in:\n{report}");
    }
    assert!(report.contains('^') && report.contains("help: "), "neither caret nor remedy in:\n{report}");
}

#[test]
fn the_shipped_file_states_exactly_the_defaults() {
    assert_eq!(parsed(REFERENCE), Config::default());
}

#[test]
fn without_a_file_everything_has_its_default() {
    assert_eq!(Loaded::read(None).unwrap().config, Config::default());
    assert_eq!(parsed(""), Config::default());
}

/// What is commented out in the reference is an entry or a section, with a comment of its own behind it.
fn uncommented() -> String {
    let entry = |line: &&str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_.\"".contains(&b));
        line.starts_with('[') || is_key
    };
    let lines = REFERENCE.lines().map(|line| line.strip_prefix("# ").filter(entry).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_in_the_shipped_file_hold_when_uncommented() {
    let config = parsed(&uncommented());
    assert!(config.tls.is_some() && config.demo.directory.is_some());
    let kafka = config.kafka.as_ref().unwrap();
    assert_eq!((kafka.properties.len(), kafka.topics.missing), (2, Topics::default().missing));
    let [sensors, rest, dead] = config.kafka_topics().try_into().unwrap();
    assert_eq!(
        (sensors.missing, sensors.partitions, sensors.replication),
        (Missing::Wait, Some(24), Some(2))
    );
    assert_eq!((rest.missing, rest.partitions, rest.replication), (Missing::Fail, Some(12), Some(3)));
    assert_eq!((dead.name.as_str(), dead.partitions), ("sensors.dead", Some(12)));
    assert_eq!(config.auth.mode, Some(AuthMode::Tokens));
    assert_eq!(config.auth.tokens.len(), 1);
    assert!(config.rates.client.events_burst.is_some() && config.rates.address.connections.is_some());
    assert_eq!(config.discovery.exclude.len(), 1);
    let [sensors, rest] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!(sensors.when.as_ref().unwrap().text(), "type.startsWith(\"sensor.\") && source == \"/hall\"");
    assert_eq!(*rest, Route { topic: "rest".into(), ..Route::to_events() }, "defaults as stated");
    assert_eq!(sensors.tolerance_ms, rest.tolerance_ms);
    assert!(sensors.expire.is_some() && sensors.sample.is_some() && sensors.throttle.len() == 1);
    assert!(sensors.dedup.is_some() && sensors.deadband.is_some());
    let [hot] = sensors.filters.as_slice() else { panic!("{:?}", sensors.filters) };
    assert_eq!((sensors.redact.len(), sensors.fields.len()), (1, 1));
    assert!(hot.keep.is_some() && hot.on_error == OnError::default() && hot.shadow);
}

#[test]
fn the_example_files_hold() {
    let kafka = parsed(include_str!("../../../config/kafka.toml")).kafka.unwrap();
    assert_eq!(kafka.brokers, "kafka-1:9092");
    assert_eq!(kafka.properties.get("sasl.password").map(String::as_str), Some("s3cret"));
    let tokens = parsed(include_str!("../../../config/tokens.toml"));
    assert_eq!((tokens.auth.tokens.len(), tokens.topics()), (2, vec!["sensors".into(), "events".into()]));
    let routes = parsed(include_str!("../../../config/routes.toml"));
    assert_eq!(routes.routes.iter().map(|route| route.encoding).next(), Some(Encoding::Binary));
    assert_eq!(routes.topics(), ["temperatures", "stops", "audit.v1", "events"]);
    let rules = parsed(include_str!("../../../config/rules.toml"));
    assert_eq!(rules.routes.iter().map(|route| route.filters.len()).collect::<Vec<_>>(), [3, 1, 0]);
    assert!(parsed(include_str!("../../../config/behind-proxy.toml")).listen.secure.is_empty());
    assert!(parsed(include_str!("../../../config/demo.toml")).demo.directory.is_some());
    let image = parsed(include_str!("../../../config/image.toml"));
    assert_eq!((image.auth.mode, image.auth.tokens.len()), (Some(AuthMode::Tokens), 1));
}

#[test]
fn what_topics_need_is_checked() {
    let route = |more: &str| format!("[[routes]]\ntopic = \"a\"\n{more}");
    let acks = &["an acknowledged event could be lost", "all in-sync replicas", "remove the line"];
    refuses(&route("acks = \"1\""), "3:8", acks);
    assert_eq!(parsed(&route("acks = \"all\"")).kafka_topics().len(), 1);
    refuses(&route("missing = \"make\""), "3:11", &["missing cannot be `make`", "fail, create, wait"]);
    refuses(&route("compression = \"zip\""), "3:15", &["compression cannot be `zip`", "zstd"]);
    refuses(&route("linger_ms = 60000"), "3:13", &["too long", "0 to 10000"]);
    refuses(&route("partitions = 0"), "3:14", &["1 to 100000"]);
    refuses(&route("replication = 0"), "3:15", &["1 to 1000"]);
    refuses(&route("dead_letter = \"a\""), "3:15", &["`a` is the topic of a route"]);
    refuses(&route("dead_letter = \"a b\""), "3:15", &["`a b` cannot be a Kafka topic"]);
    refuses("[kafka]\nbrokers = \"a:1\"\ntopics.partitions = 0", "3:21", &["1 to 100000"]);
    let two = |more: &str| {
        format!("[[routes]]\nwhen = 'type == \"x\"'\ntopic = \"a\"\nlinger_ms = 50\n{}", route(more))
    };
    refuses(&two(""), "5:1", &["route 1 leads to `a` too", "write the same"]);
    assert_eq!(parsed(&two("linger_ms = 50")).kafka_topics().len(), 1);
    let route = |n| format!("[[routes]]\nwhen = 'type == \"{n}\"'\ntopic = \"t{n}\"\nlinger_ms = {n}\n");
    let many = (0..8).map(route).collect::<Vec<_>>().concat();
    refuses(&many, "1:3", &["9 different pairs", "at most 8"]);
}

#[test]
fn topics_are_counted_once_in_the_order_of_the_routes() {
    assert_eq!(Config::default().topics(), ["events"]);
    let route = |topic: &str| format!("[[routes]]\nwhen = 'type == \"x\"'\ntopic = \"{topic}\"\n");
    assert_eq!(parsed(&["b", "a", "b"].map(route).concat()).topics(), ["b", "a"]);
}

#[test]
fn sizes_are_numbers_or_text() {
    let limits = parsed("[limits]\nbudget_bytes = 33554432\nmax_event_bytes = \"100KB\"").limits;
    assert_eq!((limits.budget_bytes, limits.max_event_bytes), (ByteSize(32 << 20), ByteSize(100_000)));
}

#[test]
fn what_is_not_toml_is_refused() {
    refuses("[listen]\nplain = localhost:8080", "2:9", &["quotes"]);
    refuses("[listen]\nplain = \"a:1\"\nplain = \"b:1\"", "3:1", &["duplicate key", "remove one of the two"]);
    refuses("[listen\nplain = \"a:1\"", "1:8", &["[name]"]);
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known() {
    refuses("[lisen]\nplain = \"\"", "1:2", &["unknown section `lisen`", "did you mean `listen`?"]);
    refuses("[listen]\nsecur = \"\"", "2:1", &["unknown key `secur` in [listen]", "did you mean `secure`?"]);
    refuses("[log]\nzzz = 1", "2:1", &["possible here: directory, max_bytes, segment_bytes"]);
    refuses("[auth]\nmode = \"token\"", "2:8", &["mode cannot be `token`", "did you mean `tokens`?"]);
    refuses("[[routes]]\ntopic = \"a\"\nwen = \"\"", "3:1", &["unknown key `wen` in [routes]", "`when`?"]);
    refuses("[logging]\nformat = \"xml\"", "2:10", &["format cannot be `xml`", "text, json"]);
    refuses(
        "[[routes]]\ntopic = \"a\"\nencoding = \"avro\"",
        "3:12",
        &["cannot be `avro`", "structured, binary"],
    );
}

#[test]
fn values_of_the_wrong_type_are_refused_with_an_example() {
    refuses(
        "[limits]\nsessions = \"many\"",
        "2:12",
        &["sessions must be a whole number", "sessions = 20000"],
    );
    refuses("[limits]\nsessions = -1", "2:12", &["not integer `-1`"]);
    refuses("[limits]\nsessions = 1.5", "2:12", &["whole number"]);
    refuses("[listen]\nplain = 8080", "2:9", &["plain must be text", "plain = \"localhost:8080\""]);
    refuses("[origins]\nallow = \"*\"", "2:9", &["allow must be a list", "allow = []"]);
    refuses("kafka = \"a:9092\"", "1:9", &["kafka must be a section", "[kafka] on a line"]);
    refuses("[tls]\nkey = \"k\"", "1:1", &["`certificate` is missing", "certificate = \"certs/tls.crt\""]);
    refuses(
        "[kafka]\nbrokers = \"a:1\"\n[kafka.properties]\nx = 5",
        "4:5",
        &["x must be text", "x = \"...\""],
    );
    refuses("[[auth.tokens]]\nid = \"a\"", "1:1", &["`hash` is missing", "tidegate token --id NAME"]);
}

#[test]
fn bad_sizes_are_refused() {
    refuses("[log]\nmax_bytes = \"1G\"", "2:13", &["`1G` is not a size", "GiB"]);
    refuses("[log]\nmax_bytes = \"99999999TiB\"", "2:13", &["more bytes than can be counted"]);
    refuses("[log]\nmax_bytes = -5", "2:13", &["not integer `-5`", "max_bytes = \"1GiB\""]);
    refuses("[log]\nmax_bytes = true", "2:13", &["not boolean `true`"]);
}

#[test]
fn missing_variables_and_files_are_refused() {
    refuses("[listen]\nplain = \"${NOPE}:80\"", "2:10", &["variable NOPE is not set", "set NOPE"]);
    refuses("[origins]\nallow = [\"a\", \"x${NOPE\"]", "2:17", &["without its `}`"]);
    let file = "[kafka]\nbrokers = \"a:1\"\n[kafka.properties]\n\"sasl.password\" = \"file:/none\"";
    refuses(file, "4:20", &["cannot read the file /none: no such file"]);
}

#[test]
fn addresses_are_checked() {
    refuses("[listen]\nplain = \"localhost\"", "2:9", &["plain has no port", "\"localhost:8080\""]);
    refuses("[listen]\nops = \"localhost:x\"", "2:7", &["ops has the port `x`"]);
    refuses("[listen]\nsecure = \"\"\nplain = \"\"", "3:9", &["both secure and plain are off"]);
    refuses("[listen]\nplain = \"localhost:4433\"", "2:9", &["plain has the address of secure"]);
    assert_eq!(
        parsed("[listen]\nsecure = \"localhost:0\"\nplain = \"localhost:0\"").listen.ops,
        "localhost:9600"
    );
}

#[test]
fn a_listener_beyond_loopback_needs_a_word_on_authentication() {
    let open = ["tokens` makes one", "auth.mode = \"none\""];
    refuses("[listen]\nplain = \"0.0.0.0:8080\"", "2:9", &["reachable from other machines", open[1]]);
    refuses("[listen]\nsecure = \"[::]:4433\"", "2:10", &["reachable from other machines"]);
    refuses("[listen]\nsecure = \"ingest.example.com:4433\"", "2:10", &["reachable from other machines"]);
    parsed("[listen]\nplain = \"0.0.0.0:8080\"\n[auth]\nmode = \"none\"");
    parsed("[listen]\nops = \"0.0.0.0:9600\"");
}

#[test]
fn paths_are_checked() {
    for prefix in ["v1", "/v1/", "/", "", "/a b", "/a//b", "/.well-known"] {
        refuses(
            &format!("[listen]\nprefix = \"{prefix}\""),
            "2:10",
            &["cannot be what paths start with", "\"/v1\""],
        );
    }
    refuses("[listen]\npublic_url = \"https://a/b\"", "2:14", &["public_url has a path"]);
    refuses("[listen]\npublic_url = \"http://a\"", "2:14", &["is not https"]);
    refuses("[listen]\nquic_key = \"\"", "2:12", &["quic_key is empty"]);
    refuses("[tls]\ncertificate = \"a\"\nkey = \"\"", "3:7", &["key is empty"]);
    refuses("[log]\ndirectory = \"\"", "2:13", &["directory is empty"]);
}

#[test]
fn limits_are_held_to_the_protocol() {
    refuses(
        "[limits]\nmax_event_bytes = \"2MiB\"",
        "2:19",
        &["max_event_bytes cannot be 2MiB", "1B to 1MiB"],
    );
    refuses("[limits]\nmax_frame_bytes = 0", "2:19", &["max_frame_bytes cannot be 0B", "1B to 2MiB"]);
    refuses("[limits]\nmax_batch_events = 1001", "2:20", &["from 1 to 1000"]);
    refuses("[limits]\nmax_body_bytes = \"5MiB\"", "2:18", &["1B to 4MiB"]);
    refuses("[limits]\nmax_inflated_body_bytes = \"17MiB\"", "2:27", &["1B to 16MiB"]);
    refuses("[limits]\ncredit_events = 0", "2:17", &["from 1 to 16384"]);
    refuses("[limits]\ncredit_bytes = \"8MiB\"", "2:16", &["1B to 4MiB"]);
    refuses("[limits]\nsessions = 0", "2:12", &["sessions cannot be 0"]);
    refuses("[shutdown]\ndrain_ms = 4000000000", "2:12", &["drain_ms cannot be 4000000000"]);
    let too_long = "[shutdown]\ngrace_ms = 9000\nspread_ms = 800";
    refuses(
        too_long,
        "2:12",
        &["(9000) and spread_ms (800) leave 200 of drain_ms (10000)", "at least 500 ms"],
    );
}

#[test]
fn limits_must_fit_each_other() {
    refuses(
        "[limits]\nmax_event_bytes = \"512KiB\"\ncredit_bytes = \"1MiB\"",
        "2:19",
        &["raise max_frame_bytes"],
    );
    refuses("[limits]\nmax_event_bytes = \"300KiB\"", "2:19", &["credit must hold one event"]);
    refuses(
        "[limits]\ncredit_bytes = \"1KiB\"",
        "2:16",
        &["max_event_bytes (256KiB) is larger than credit_bytes (1KiB)"],
    );
    refuses("[limits]\nbudget_bytes = \"8MiB\"", "2:16", &["the budget must hold one body"]);
    refuses("[limits]\nmax_body_bytes = \"100KiB\"", "2:18", &["an event must fit into a body"]);
    refuses("[limits]\nping_ms = 80000", "2:11", &["idle_ms (75000) is not longer than ping_ms (80000)"]);
    refuses("[log]\nsegment_bytes = \"2GiB\"", "2:17", &["a segment of 2GiB", "from 512KiB"]);
    refuses("[log]\nmax_bytes = \"1MiB\"", "2:13", &["do not hold one segment of 64MiB"]);
}

#[test]
fn rates_are_checked() {
    let rate = |section: &str, line: &str| format!("[rates.{section}]\n{line}");
    refuses(&rate("client", "events_per_second = 0"), "2:21", &["from 1 to 1000000000", "leave it out"]);
    refuses(&rate("tenant", "bytes_per_second = 0"), "2:20", &["bytes_per_second cannot be 0B"]);
    refuses(&rate("client", "events_burst = 5"), "2:16", &["events_burst without events_per_second"]);
    refuses(
        &rate("client", "bytes_per_second = \"1MiB\"\nbytes_burst = \"64KiB\""),
        "3:15",
        &["bytes_burst (64KiB) is less than limits.max_event_bytes (256KiB)", "raise bytes_burst"],
    );
    refuses(&rate("address", "bytes_burst = \"1MiB\""), "2:15", &["bytes_burst without bytes_per_second"]);
    refuses(&rate("address", "connections = 30000"), "2:15", &["connections (30000)", "25000"]);
    refuses(&rate("address", "connections_burst = 3"), "2:21", &["without connections_per_second"]);
    refuses(&rate("address", "ipv4_prefix = 33"), "2:15", &["ipv4_prefix cannot be 33", "from 1 to 32"]);
    refuses(&rate("address", "ipv6_prefix = 0"), "2:15", &["from 1 to 128"]);
    refuses(
        "[rates]\nkeys_max = 1000\nclient.events_per_second = 1",
        "2:12",
        &["limits.connections (25000)", "at least 25000"],
    );
    refuses("[rates]\nkeys_max = 20000000", "2:12", &["up to 10000000"]);
    refuses(&rate("token", "events_per_second = 10"), "1:8", &["nobody is asked for one", "\"tokens\""]);
    refuses(
        "[rates]\nclient.events_per_second = 20\ntenant.events_per_second = 10",
        "2:28",
        &["client.events_per_second (20) is more than tenant.events_per_second (10)", "never be reached"],
    );
    refuses(&rate("client", "events_per_minute = 1"), "2:1", &["did you mean `events_per_second`?"]);
    // Without a rate nobody is remembered.
    parsed("[rates]\nkeys_max = 0");
    // One second's worth is less than one event, and that is no mistake.
    parsed(&rate("client", "bytes_per_second = \"4KiB\""));
}

#[test]
fn kafka_is_held_to_the_promise() {
    refuses("[kafka]\nbrokers = \"kafka-1\"", "2:11", &["the broker `kafka-1` has no port"]);
    refuses("[kafka]\nbrokers = \"a:1,,b:2\"", "2:11", &["the broker `` has no port"]);
    let property = |line: &str| format!("[kafka]\nbrokers = \"a:1\"\n[kafka.properties]\n{line}");
    refuses(&property("acks = \"1\""), "4:8", &["an acknowledged event could be lost", "\"all\" or \"-1\""]);
    refuses(&property("\"enable.idempotence\" = \"false\""), "4:24", &["could be lost"]);
    refuses(&property("\"bootstrap.servers\" = \"b:1\""), "4:23", &["set by kafka.brokers"]);
    parsed(&property("acks = \"all\""));
}

#[test]
fn delivery_modes_are_read() {
    for (mode, expected) in [
        ("direct", DeliveryMode::Direct),
        ("spool", DeliveryMode::Spool),
        ("failover", DeliveryMode::Failover),
    ] {
        assert_eq!(parsed(&format!("[delivery]\nmode = \"{mode}\"")).delivery.mode, expected);
    }
    refuses("[delivery]\nmode = \"x\"", "2:8", &["possible here: direct, spool, failover"]);
}

#[test]
fn the_age_of_records_is_an_age() {
    let log = parsed("[log]\nmax_age = \"7d\"").log;
    assert_eq!(log.max_age, Some(Age(std::time::Duration::from_secs(604_800))));
    refuses("[log]\nmax_age = \"0s\"", "2:11", &["max_age cannot be 0s", "at least 1s", "remove the line"]);
    refuses("[log]\nmax_age = \"week\"", "2:11", &["`week` is not an age", "such as \"7d\""]);
}

const HASH: &str = "hmac-sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn tokens_are_checked() {
    let with =
        |lines: &str| format!("[auth]\nmode = \"tokens\"\n[[auth.tokens]]\nhash = \"{HASH}\"\n{lines}");
    parsed(&with("id = \"web\"\nclients = \"web-*\"\ntopics = [\"events\"]"));
    refuses("[auth]\nmode = \"tokens\"", "2:8", &["without a token", "tidegate token --id"]);
    refuses(&with("id = \"a.b\""), "5:6", &["`a.b` cannot be a token's id", "no dot"]);
    refuses(&with("id = \"a\"\ntenant = \"a/b\""), "6:10", &["`a/b` cannot be a tenant"]);
    refuses(&with("id = \"a\"\nclients = \"a b\""), "6:11", &["matches no client's name"]);
    refuses(
        &with("id = \"a\"\ntopics = [\"events\", \"b\"]"),
        "6:21",
        &["to the topic `b`", "topics are: events"],
    );
    refuses(&with("id = \"a\"\ntopics = []"), "6:1", &["of no use"]);
    let twice = with(&format!("id = \"a\"\n[[auth.tokens]]\nhash = \"{HASH}\"\nid = \"a\""));
    refuses(&twice, "8:6", &["there is another token `a`"]);
    let unused = format!("[[auth.tokens]]\nid = \"a\"\nhash = \"{HASH}\"");
    refuses(&unused, "1:8", &["nobody would be asked", "mode = \"tokens\""]);
    refuses(&format!("[auth]\nmode = \"none\"\n{unused}"), "2:8", &["nobody would be asked"]);
}

#[test]
fn hashes_are_held_to_their_form() {
    for hash in [
        "secret",
        "hmac-sha256:",
        HASH.trim_end_matches('f'),
        &HASH.replace('0', "g"),
        &HASH.replace("01", "+1"),
    ] {
        let text = format!("[auth]\nmode = \"tokens\"\n[[auth.tokens]]\nid = \"web\"\nhash = \"{hash}\"");
        refuses(&text, "5:8", &["not the hash of a token's secret", "`tidegate token --id web`"]);
    }
}

#[test]
fn origins_are_checked() {
    refuses(
        "[origins]\nallow = [\"*\", \"https://a/\"]",
        "2:15",
        &["`https://a/` has a path", "scheme://host"],
    );
    parsed("[origins]\nallow = [\"*\", \"https://a.example:8443\"]");
}

#[test]
fn routes_are_checked() {
    refuses("[[routes]]\ntopic = \"a b\"", "2:9", &["`a b` cannot be a Kafka topic"]);
    refuses("[[routes]]\nwhen = 'type == \"a\"'", "1:1", &["`topic` is missing"]);
    refuses(
        "[[routes]]\ntopic = \"a\"\n[[routes]]\ntopic = \"b\"",
        "3:1",
        &["no event comes here: route 1 above"],
    );
}

#[test]
fn the_caret_stands_inside_a_condition() {
    let when = |value: &str| format!("[[routes]]\nwhen = {value}\ntopic = \"a\"");
    refuses(&when("'type = \"a\"'"), "2:14", &["`=` is not part", "write `==`"]);
    refuses(&when("\"type = \\\"a\\\"\""), "2:14", &["`=` is not part"]);
    refuses(&when("\"type == \\\"a\\\" || X\""), "2:26", &["no attribute `X`"]);
    refuses(&when("'''\ntype == 5'''"), "3:1", &["string == int is never true"]);
    refuses(&when("\"\""), "2:9", &["found the end", "expected a value"]);
    refuses(&when("'$${'"), "2:8", &["`$` is not part"]);
    refuses(&when("'${BAD_CONDITION}'"), "2:8", &["`=` is not part"]);
    refuses(&when("5"), "2:8", &["when must be text"]);
}

#[test]
fn every_expression_that_is_wrong_is_shown_at_once() {
    let report = refused(
        "[[routes]]\ntopic = \"a\"\nwhen = 'type.startsWith(5)'\n[[routes.filters]]\nkeep = 'data.x >'\n\
         [[routes.filters]]\ndrop = 'int(data.a) == 5'\n[[routes.filters]]\nkeep = 'type'",
    );
    for place in ["t.toml:3:25", "t.toml:5:17", "t.toml:7:9", "t.toml:9:9"] {
        assert!(report.contains(place), "{place} is not in\n{report}");
    }
}

#[test]
fn filters_are_checked() {
    let filter = |lines: &str| format!("[[routes]]\ntopic = \"a\"\n[[routes.filters]]\n{lines}");
    refuses(&filter("keep = 'data.a >'"), "4:17", &["found the end", "expected a value"]);
    refuses(&filter("drop = 'data[type]'"), "4:14", &["not written out"]);
    refuses(&filter("keep = 'true'\ndrop = 'false'"), "5:8", &["both `keep` and `drop`"]);
    refuses(&filter("name = \"a\""), "3:1", &["neither `keep` nor `drop`"]);
    refuses(&filter("keep = 'true'\nname = \"a b\""), "5:8", &["`a b` cannot be a name"]);
    refuses(&filter("keep = 'true'\non_error = \"fail\""), "5:12", &["on_error cannot be `fail`"]);
    let twice = "keep = 'true'\nname = \"a\"\n[[routes.filters]]\nkeep = 'true'\nname = \"a\"";
    refuses(&filter(twice), "8:8", &["`a` is the name of a filter above"]);
    refuses("[[routes]]\ntopic = \"a\"\nname = \"\"", "3:8", &["`` cannot be a name"]);
    parsed(&filter("keep = 'data.a > 1'\nname = \"hot\"\non_error = \"drop\"\nshadow = true"));
}

#[test]
fn what_is_told_to_browsers_is_checked() {
    let exclude = |lines: &str| format!("[[discovery.exclude]]\n{lines}");
    refuses(&exclude("transport = \"quic\"\nbrowser = \"safari\""), "2:13", &["no transport `quic`"]);
    refuses(&exclude("transport = \"websocket\"\nbrowser = \"Safari\""), "3:11", &["not a browser's name"]);
    refuses(&exclude("transport = \"websocket\"\nbrowser = \"a\"\nbelow = \"x\""), "4:9", &["not a version"]);
    refuses("[listen]\nplain = \"\"\n[demo]\ndirectory = \"d\"", "4:13", &["plain listener, which is off"]);
    refuses("[logging]\nlevel = \"loud\"", "2:9", &["`loud` is not a level"]);
    refuses("[logging]\nlevel = \"a=b=c\"", "2:9", &["`a=b=c` is not a level"]);
    parsed("[logging]\nlevel = \"info,tidegate::session=debug\"");
}

#[test]
fn all_faults_are_reported_in_the_order_of_the_file() {
    let names = refused("[listen]\nsecur = \"\"\nplian = \"\"\n[limits]\nsessions = \"x\"");
    let at = |place: &str| names.find(place).unwrap_or_else(|| panic!("no {place} in:\n{names}"));
    assert!(at("t.toml:2:1") < at("t.toml:3:1") && at("t.toml:3:1") < at("t.toml:5:12"));
    let values = refused("[listen]\nprefix = \"x\"\nquic_key = \"\"");
    assert!(values.contains("t.toml:2:10") && values.contains("t.toml:3:12"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Loaded::read(Some(Path::new("/none/tidegate.toml"))).unwrap_err();
    assert!(error.to_string().contains("cannot read the configuration /none/tidegate.toml"), "{error}");
}
