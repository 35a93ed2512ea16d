//! What rules that remember events may say, one line a case.

use crate::config::Config;

fn parse(rules: &str) -> Result<Config, String> {
    let text = format!("[[routes]]\ntopic = \"a\"\n{rules}");
    Config::parse("t.toml", &text).map_err(|error| error.to_string())
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = parse(
        "throttle = [{ events_per_second = 0.1 }, { key = 'source', events_per_second = 2.5 }]\n\
         sample = { rate = 10 }\ndedup = { window = \"10m\" }\n\
         deadband = { key = ['source', 'data.room'], value = 'data.celsius', change_percent = 1 }\n",
    )
    .unwrap();
    let route = &config.routes[0];
    let [whole, each] = route.throttle.as_slice() else { panic!("{:?}", route.throttle) };
    assert_eq!((whole.burst(), whole.keys_max()), (1, 1));
    assert_eq!((each.burst(), each.keys_max()), (3, 100_000));
    assert_eq!(route.sample.as_ref().unwrap().key.one_line(), "id");
    let dedup = route.dedup.as_ref().unwrap();
    assert_eq!((dedup.key.one_line(), dedup.keys_max), ("source, id".to_owned(), 100_000));
    let deadband = route.deadband.as_ref().unwrap();
    assert_eq!(deadband.key.as_ref().unwrap().one_line(), "source, data.room");
    assert_eq!((deadband.silence_max, deadband.keys_max), (None, 100_000));
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    for (rule, message, help) in [
        ("expire = { after = \"0s\" }", "expired after no time", "at least \"1s\""),
        ("expire = {}", "`after` is missing", ""),
        ("throttle = [{ key = 'source' }]", "`events_per_second` is missing", ""),
        ("throttle = [{ events_per_second = 0 }]", "0 events a second", "write 0.001"),
        ("throttle = [{ events_per_second = -1.5 }]", "-1.5 events a second", "write 0.001"),
        ("throttle = [{ events_per_second = nan }]", "NaN events a second", "write 0.001"),
        ("throttle = [{ events_per_second = 1, burst = 0 }]", "0 events at once", "1 to 1,000,000"),
        (
            "throttle = [{ events_per_second = 1, keys_max = 5 }]",
            "`keys_max` without `key`",
            "key = 'source'",
        ),
        ("throttle = [{ key = 'id', events_per_second = 1, keys_max = 0 }]", "0 keys", "1 to 100,000,000"),
        ("throttle = [{ key = 'id ==', events_per_second = 1 }]", "", "help: "),
        ("sample = { rate = 0 }", "one event in 0", "1,000,000,000"),
        ("sample = { rate = 1.5 }", "rate", ""),
        ("sample = { rate = 2, key = [] }", "0 expressions for one key", "1 to 8"),
        ("sample = { rate = 2, key = 7 }", "an expression as text, or a list of them", ""),
        ("sample = { rate = 2, key = ['id', 'data.'] }", "", "help: "),
        ("dedup = {}", "`window` is missing", ""),
        ("dedup = { window = \"0s\" }", "a time of 0s", "\"1s\" to \"7d\""),
        ("dedup = { window = \"8d\" }", "a time of 8d", "\"1s\" to \"7d\""),
        ("dedup = { window = \"1m\", keys_max = 0 }", "0 keys", "1 to 100,000,000"),
        ("dedup = { window = \"1m\", keys_max = 100000001 }", "100000001 keys", "1 to 100,000,000"),
        ("dedup = { window = \"1m\", keys = 1 }", "`keys`", ""),
        ("deadband = { value = 'data.a' }", "neither `change` nor `change_percent`", "change = 0.5"),
        ("deadband = { value = 'data.a', change = 1, change_percent = 1 }", "both `change`", "write one"),
        ("deadband = { value = 'data.a', change = -0.5 }", "not a distance", "write 0"),
        ("deadband = { value = 'data.a', change_percent = inf }", "not a distance", "write 0"),
        ("deadband = { value = 'data.a', change = 1, silence_max = \"0s\" }", "a time of 0s", "\"1s\""),
        ("deadband = { value = 'data.a', change = 1, keys_max = 0 }", "0 keys", "1 to 100,000,000"),
    ] {
        let report = parse(rule).map(drop).unwrap_err();
        assert!(report.contains(message) && report.contains(help), "{rule}:\n{report}");
        assert!(report.contains("t.toml:3") && report.contains('^'), "no place in:\n{report}");
    }
}

#[test]
fn expressions_of_all_rules_are_counted_together() {
    let key: Vec<_> = (0..8).map(|n| format!("'data.a{n}'")).collect();
    assert!(parse(&format!("dedup = {{ key = [{}], window = \"1m\" }}", key.join(", "))).is_ok());
    let route = |from: u32| {
        let rules = (from..from + 16).map(|n| {
            let key: Vec<_> = (0..8).map(|part| format!("'data.a{n}.b{part}'")).collect();
            format!("[[routes.throttle]]\nkey = [{}]\nevents_per_second = 1\n", key.join(", "))
        });
        format!("[[routes]]\nwhen = 'data.t'\ntopic = \"a\"\n{}", rules.collect::<String>())
    };
    let text: String = (0..40).map(|n| route(n * 16)).collect();
    let report = Config::parse("t.toml", &text).map(drop).unwrap_err().to_string();
    assert!(report.contains("fields"), "{report}");
}
