//! What edits of payloads become in records.

use super::*;

/// A pipeline with one route that has these rules.
struct Edits {
    pipeline: Pipeline,
}

impl Edits {
    fn new(rules: &str) -> Self {
        let config = Config::parse("t.toml", &format!("[[routes]]\ntopic = \"t\"\n{rules}")).unwrap();
        let topics = ["t".to_owned()];
        let pipeline = Pipeline::new(Limits::default(), &config.routes, &topics, Encodes::ByRoute).unwrap();
        Self { pipeline }
    }

    /// The record of a structured event with this `rest`, and its key.
    fn record(&self, rest: &str) -> Result<(String, String), Code> {
        self.take(&Raw::Structured(format!(r#"{{"type":"t"{rest}}}"#).as_bytes()))
    }

    fn take(&self, raw: &Raw<'_>) -> Result<(String, String), Code> {
        let config = Config::default();
        let access = Access::new(&config.auth, &config.origins, &["t".to_owned()]);
        let grant = access.authenticate(None).unwrap();
        let mut aliases = Aliases::default();
        let attributes = r#"{"type":"t"}"#.into();
        aliases.define(&Define { alias: 1, attributes }, &Limits::default()).unwrap();
        let sender = Sender { grant: &grant, aliases: &aliases };
        let mut stamp = Stamp::new(NOW_MS, "/shop/web-1", Some("web-1"), numbered());
        let mut records = Records::default();
        let ran = self.pipeline.rules().run(raw, 0, sender, &mut stamp, &mut records, &mut Untold);
        ran.map_err(|reject| {
            assert!(!reject.message.contains("secret"), "{}", reject.message);
            reject.code
        })?;
        let record = records.get(0).unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        Ok((text(record.value), text(record.key)))
    }

    /// The payload of the record of an event with this one.
    fn data(&self, data: &str) -> Result<String, Code> {
        let (value, _) = self.record(&format!(",\"data\":{data}"))?;
        let (_, data) = value.split_once("\"data\":").unwrap();
        Ok(data.strip_suffix('}').unwrap().to_owned())
    }

    fn counts(&self) -> Vec<[u64; 4]> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let rules = self.pipeline.rules();
        let counts = rules.tallies().map(|(_, tally)| tally.counts());
        counts.map(|c| [load(&c.kept), load(&c.changed), load(&c.dropped), load(&c.faults)]).collect()
    }
}

const OCTETS: &str = r#","datacontenttype":"application/octet-stream","data_base64":"AAEC""#;
const REMOVE: &str = "[[routes.redact]]\npath = \"data.user.email\"\naction = \"remove\"\n";

#[test]
fn what_is_redacted_is_in_no_record_and_all_else_is_as_it_was_sent() {
    let edits = Edits::new(REMOVE);
    assert_eq!(
        edits.data(r#"{ "a" : 1.0, "user":{"email":"secret" , "\u0062":2}}"#).unwrap(),
        r#"{ "a" : 1.0, "user":{"\u0062":2}}"#
    );
    assert_eq!(edits.data(r#"{"a":1}"#).unwrap(), r#"{"a":1}"#);
    assert_eq!(edits.record("").unwrap().0.find("data\""), None);
    assert_eq!(edits.data(r#"{"user":"secret"}"#), Err(Code::Schema));
    assert_eq!(edits.data(r#"{"user":{"email":1,"email":"secret"}}"#), Err(Code::Malformed));
    assert_eq!(edits.counts(), [[2, 1, 1, 1]]);
    let binary = Edits::new(&format!("encoding = \"binary\"\n{REMOVE}"));
    assert_eq!(binary.record(r#","data":{"user":{"email":"secret"}}"#).unwrap().0, r#"{"user":{}}"#);
}

#[test]
fn a_hash_is_hmac_sha_256_with_the_key_of_the_file() {
    // As `openssl dgst -sha256 -hmac` has it, the first half.
    let rules = "[[routes.redact]]\npath = \"data.x\"\naction = \"hash\"\nkey = \"0123456789abcdef\"\n";
    let first = Edits::new(rules).data(r#"{"x":"what do ya want for nothing?"}"#).unwrap();
    assert_eq!(first, r#"{"x":"e9265dc1bf18d4ec36915d9e82226c7e"}"#);
    assert_eq!(Edits::new(rules).data(r#"{"x":"\u0077hat do ya want for nothing?"}"#).unwrap(), first);
    assert_ne!(
        Edits::new(&rules.replace("abcdef", "abcdeg"))
            .data(r#"{"x":"what do ya want for nothing?"}"#)
            .unwrap(),
        first
    );
}

#[test]
fn no_other_content_type_is_a_way_around() {
    let (strict, lenient) = (Edits::new(REMOVE), Edits::new(&format!("{REMOVE}on_error = \"keep\"\n")));
    for rest in [
        r#","datacontenttype":"text/plain","data":"{\"user\":{\"email\":\"secret\"}}""#,
        r#","data_base64":"eyJ1c2VyIjp7ImVtYWlsIjoic2VjcmV0In19""#,
        OCTETS,
        r#","data":"{\"user\":{\"email\":\"secret\"}}""#,
        r#","data":[{"user":{"email":"secret"}}]"#,
    ] {
        assert_eq!(strict.record(rest), Err(Code::Schema), "{rest}");
        assert!(lenient.record(rest).is_ok(), "{rest}");
    }
    let text = r#","datacontenttype":"text/plain","data":{"user":{"email":"secret"}}"#;
    assert!(strict.record(text).unwrap().0.ends_with(r#""data":{"user":{}}}"#));
    let record = Record { alias: 1, payload: b"{\"user\":{\"email\":\"\xff\"}}", ..Record::default() };
    assert_eq!(strict.take(&Raw::Record(record)), Err(Code::Malformed));
    let record = Record { alias: 1, payload: b"{\"user\":{\"email\":\"secret\"},}", ..Record::default() };
    assert_eq!(strict.take(&Raw::Record(record)), Err(Code::Malformed));
    let record = Record { alias: 1, payload: br#"{"user":{"email":"secret"}}"#, ..Record::default() };
    assert!(strict.take(&Raw::Record(record)).unwrap().0.ends_with(r#""data":{"user":{}}}"#));
}

#[test]
fn what_is_not_json_is_told_that_whatever_rules_say() {
    let filtered = format!("{REMOVE}[[routes.filters]]\ndrop = 'type == \"t\"'\n");
    for rules in [REMOVE, &filtered] {
        let edits = Edits::new(rules);
        for data in
            [r#"{"user":{"email":"secret"},}"#, r#"{"user":01}"#, r#"{"user":{"email":1,"email":2},}"#]
        {
            assert_eq!(edits.data(data), Err(Code::Malformed), "{data}");
            let record = Record { alias: 1, payload: data.as_bytes(), ..Record::default() };
            assert_eq!(edits.take(&Raw::Record(record)), Err(Code::Malformed), "{data}");
        }
    }
}

#[test]
fn filters_see_what_came_and_keys_what_is_left() {
    let edits = Edits::new(&format!(
        "key = \"data.user.email\"\n{REMOVE}[[routes.fields]]\nset = \"data.known\"\nvalue = 'has(data.user.email)'\n\
         [[routes.filters]]\nkeep = 'data.user.email == \"secret\"'\n"
    ));
    let (value, key) = edits.record(r#","data":{"user":{"email":"secret"}}"#).unwrap();
    assert!(value.ends_with(r#""data":{"user":{},"known":false}}"#), "{value}");
    assert_eq!(key, "web-1");
    assert_eq!(edits.data(r#"{"user":{"email":"other"}}"#), Err(Code::Filtered));
    let edits = Edits::new("key = \"data.b\"\n[[routes.fields]]\nrename = \"data.a\"\nto = \"b\"\n");
    assert_eq!(edits.record(r#","data":{"a":"k"}"#).unwrap().1, "k");
}

#[test]
fn fields_change_one_after_the_other() {
    let edits = Edits::new(
        "[[routes.fields]]\nrename = \"data.a\"\nto = \"b\"\n\
         [[routes.fields]]\nset = \"data.sum\"\nvalue = 'data.b + data.c'\n\
         [[routes.fields]]\nset = \"data.kind\"\nvalue = 'type'\n\
         [[routes.fields]]\ndrop = \"data.*.debug\"\n",
    );
    assert_eq!(
        edits.data(r#"{"a":1,"c":2,"x":{"debug":[1],"y":0}}"#).unwrap(),
        r#"{"b":1,"c":2,"x":{"y":0},"sum":3,"kind":"t"}"#
    );
    assert_eq!(edits.data(r#"{"a":1,"b":2}"#).unwrap(), r#"{"a":1,"b":2,"kind":"t"}"#);
    assert_eq!(edits.data("[1]").unwrap(), "[1]");
    assert_eq!(edits.data(r#"{"b":1,"b":2}"#), Err(Code::Malformed));
    assert!(edits.record(OCTETS).is_ok());
    assert_eq!(edits.counts(), [[3, 1, 0, 3], [3, 1, 0, 3], [2, 2, 0, 2], [3, 1, 0, 2]]);
    let strict = Edits::new("[[routes.fields]]\nset = \"data.a.b\"\nvalue = '1'\non_error = \"drop\"\n");
    assert_eq!(strict.data(r#"{"a":{}}"#).unwrap(), r#"{"a":{"b":1}}"#);
    assert_eq!(strict.data("{}"), Err(Code::Schema));
    assert_eq!(strict.record(OCTETS), Err(Code::Schema));
}

#[test]
fn shadows_change_nothing_and_refuse_nothing() {
    let edits = Edits::new(&format!(
        "{REMOVE}shadow = true\n[[routes.fields]]\ndrop = \"data.a\"\nshadow = true\n[[routes.fields]]\nset = \"data.a.b\"\nvalue = '1'\non_error = \"drop\"\nshadow = true\n"
    ));
    let data = r#"{"user":{"email":"known"},"a":1}"#;
    assert_eq!(edits.data(data).unwrap(), data);
    assert_eq!(edits.data(r#"{"user":"known"}"#).unwrap(), r#"{"user":"known"}"#);
    assert_eq!(edits.counts(), [[0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 2, 2]]);
}

#[test]
fn what_grows_too_large_is_refused_whatever_faults_do() {
    let hash = "[[routes.redact]]\npath = \"data[*]\"\naction = \"hash\"\nkey = \"0123456789abcdef\"\non_error = \"keep\"\n";
    let ones = |count: usize| format!("[{}1]", "1,".repeat(count));
    assert!(Edits::new(hash).data(&ones(1_000)).is_ok());
    assert_eq!(Edits::new(hash).data(&ones(50_000)), Err(Code::TooLarge));
    let set = "[[routes.fields]]\nset = \"data.b\"\nvalue = 'data.a'\n";
    assert_eq!(Edits::new(set).data(&format!(r#"{{"a":"{}"}}"#, "x".repeat(200_000))), Err(Code::TooLarge));
}

#[test]
fn one_event_leaves_nothing_to_the_next() {
    let edits = Edits::new(REMOVE);
    for _ in 0..3 {
        assert_eq!(edits.data(r#"{"user":{"email":"secret"}}"#).unwrap(), r#"{"user":{}}"#);
        assert_eq!(edits.data(r#"{"b":1}"#).unwrap(), r#"{"b":1}"#);
        assert_eq!(edits.data(r#"{"user":[]}"#), Err(Code::Schema));
    }
}

#[test]
fn rules_that_stay_go_on_counting() {
    let rules =
        |path: &str| format!("[[routes]]\ntopic = \"t\"\n{}", REMOVE.replace("data.user.email", path));
    let edits = Edits::new(REMOVE);
    edits.data(r#"{"user":{"email":"secret"}}"#).unwrap();
    let replace =
        |text: &str| edits.pipeline.replace(&Config::parse("t.toml", text).unwrap().routes).unwrap();
    replace(&rules("data.user.email"));
    assert_eq!(edits.counts(), [[0, 1, 0, 0]]);
    replace(&rules("data.user.name"));
    assert_eq!(edits.counts(), [[0, 0, 0, 0]]);
}

#[test]
fn what_is_dropped_from_some_places_and_not_from_others_is_a_fault_too() {
    let rules = "[[routes.fields]]\ndrop = \"data.items[*].x.y\"\n";
    let data = r#"{"items":[{"x":{"y":1}},{"x":5}]}"#;
    let lenient = Edits::new(rules);
    assert_eq!(lenient.data(data).unwrap(), r#"{"items":[{"x":{}},{"x":5}]}"#);
    assert_eq!(lenient.counts(), [[0, 1, 0, 1]]);
    let strict = Edits::new(&format!("{rules}on_error = \"drop\"\n"));
    assert_eq!(strict.data(data), Err(Code::Schema));
    assert_eq!(strict.counts(), [[0, 0, 1, 1]]);
}

#[test]
fn what_a_shadow_would_make_too_large_goes_on() {
    let set = "[[routes.fields]]\nset = \"data.b\"\nvalue = 'data.a'\nshadow = true\n";
    let edits = Edits::new(set);
    let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(200_000));
    assert_eq!(edits.data(&data), Ok(data));
    assert_eq!(edits.counts(), [[0, 0, 1, 0]]);
}
