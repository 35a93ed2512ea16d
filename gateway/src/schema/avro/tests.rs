//! What is written is read back by another implementation.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use super::*;

const BYTES_MAX: usize = 1_000;

/// What a reader finds.
#[track_caller]
fn read(schema: &Value, data: &Value) -> Avro {
    let text = schema.to_string();
    let mut out = vec![7];
    AvroSchema::parse(&text, &[]).unwrap().encode(data, BYTES_MAX, &mut out).unwrap();
    let reader = apache_avro::Schema::parse_str(&text).unwrap();
    let mut bytes = &out[1..];
    let value = GenericDatumReader::builder(&reader).build().unwrap().read_value(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
    value
}

#[track_caller]
fn misfit(schema: &Value, data: &Value) -> String {
    let mut out = vec![7];
    let said =
        AvroSchema::parse(&schema.to_string(), &[]).unwrap().encode(data, BYTES_MAX, &mut out).unwrap_err();
    assert_eq!(out, [7], "nothing is left of it");
    said.to_string()
}

fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "R", "namespace": "shop", "fields": fields})
}

#[test]
fn every_type_is_read_back() {
    let logical = |of: &str, name: &str| json!({"type": of, "logicalType": name});
    for (schema, data, expected) in [
        (json!("null"), json!(null), Avro::Null),
        (json!("boolean"), json!(true), Avro::Boolean(true)),
        (json!("int"), json!(-65), Avro::Int(-65)),
        (json!("long"), json!(i64::MIN), Avro::Long(i64::MIN)),
        (json!("long"), json!(2.0), Avro::Long(2)),
        (json!("float"), json!(1.5), Avro::Float(1.5)),
        (json!("double"), json!(3), Avro::Double(3.0)),
        (json!("string"), json!("é"), Avro::String("é".into())),
        (json!("bytes"), json!("\u{0}\u{ff}"), Avro::Bytes(vec![0, 255])),
        (json!({"type": "fixed", "name": "F", "size": 2}), json!("ab"), Avro::Fixed(2, vec![97, 98])),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), json!("B"), Avro::Enum(1, "B".into())),
        (
            json!({"type": "array", "items": "int"}),
            json!([1, 2]),
            Avro::Array(vec![Avro::Int(1), Avro::Int(2)]),
        ),
        (json!({"type": "array", "items": "int"}), json!([]), Avro::Array(vec![])),
        (
            json!({"type": "map", "values": "int"}),
            json!({"a": 1}),
            Avro::Map([("a".into(), Avro::Int(1))].into()),
        ),
        (json!(["null", "long", "string"]), json!("x"), Avro::Union(2, Box::new(Avro::String("x".into())))),
        (json!(["string", "null"]), json!(null), Avro::Union(1, Box::new(Avro::Null))),
        (logical("int", "date"), json!("1970-02-01"), Avro::Date(31)),
        (logical("int", "time-millis"), json!("00:00:01.5"), Avro::TimeMillis(1_500)),
        (logical("long", "timestamp-millis"), json!("1970-01-01T00:00:01Z"), Avro::TimestampMillis(1_000)),
        (logical("long", "timestamp-micros"), json!(7), Avro::TimestampMicros(7)),
    ] {
        assert_eq!(read(&schema, &data), expected, "{schema}");
    }
}

#[test]
fn decimals_and_uuids_are_read_back() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2});
    for (data, unscaled) in [(json!(12.34), 1_234), (json!("-0.5"), -50), (json!(7), 700)] {
        let Avro::Decimal(read) = read(&decimal, &data) else { panic!("{data} is no decimal") };
        assert_eq!(Vec::try_from(&read).unwrap(), super::logical::shortest(unscaled), "{data}");
    }
    let fixed = json!({"type": "fixed", "name": "D", "size": 5, "logicalType": "decimal", "precision": 6, "scale": 2});
    let Avro::Decimal(found) = read(&fixed, &json!("-0.5")) else { panic!("no decimal") };
    assert_eq!(Vec::try_from(&found).unwrap(), [255, 255, 255, 255, 206]);
    let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    for schema in [
        json!({"type": "string", "logicalType": "uuid"}),
        json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}),
    ] {
        assert_eq!(read(&schema, &json!(id)), Avro::Uuid(id.parse().unwrap()), "{schema}");
    }
}

#[test]
fn what_is_absent_is_its_default_or_null() {
    let schema = record(&json!([
        {"name": "id", "type": "string"},
        {"name": "count", "type": "int", "default": 3},
        {"name": "note", "type": ["null", "string"]},
        {"name": "tags", "type": {"type": "map", "values": "int"}, "default": {"a": 1}},
        {"name": "raw", "type": "bytes", "default": "\u{00ff}"}]));
    let Avro::Record(fields) = read(&schema, &json!({"id": "x"})) else { panic!("no record") };
    let values: Vec<_> = fields.into_iter().map(|(_, value)| value).collect();
    assert_eq!(
        values,
        [
            Avro::String("x".into()),
            Avro::Int(3),
            Avro::Union(0, Box::new(Avro::Null)),
            Avro::Map([("a".into(), Avro::Int(1))].into()),
            Avro::Bytes(vec![255]),
        ]
    );
}

#[test]
fn a_mismatch_names_the_place_and_what_is_expected() {
    let schema = record(&json!([
        {"name": "id", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
            {"name": "price", "type": ["null", "double"]}]}}, "default": []},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A", "B"]}, "default": "A"},
        {"name": "n", "type": ["int", "string"], "default": 0}]));
    for (data, said) in [
        (
            json!({"id": "a", "items": [{"price": 1}, {"price": "x"}]}),
            "`data/items/1/price`: is not a number",
        ),
        (json!({}), "`data/id`: is absent and has no default"),
        (json!({"id": 7}), "`data/id`: is not a text"),
        (json!({"id": "a", "more": 1}), "`data/more`: is no field of `shop.R`"),
        (json!({"id": "a", "kind": "C"}), "`data/kind`: is none of A, B"),
        (json!({"id": "a", "n": 1.5}), "`data/n`: fits none of the types of its union"),
        (json!([1]), "`data`: is not an object"),
    ] {
        assert_eq!(misfit(&schema, &data), said);
    }
    assert!(misfit(&json!("int"), &json!(1_i64 << 31)).contains("integer of 32 bits"));
    assert!(misfit(&json!("float"), &json!(1e300)).contains("32 bits hold"));
    assert!(misfit(&json!("bytes"), &json!("€")).contains("U+00FF"));
}

#[test]
fn recursive_and_named_types_are_found() {
    let list = json!({"type": "record", "name": "Node", "namespace": "a.b", "fields": [
        {"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Node"]}]});
    let Avro::Record(fields) = read(&list, &json!({"value": 1, "next": {"value": 2}})) else {
        panic!("no record")
    };
    assert!(matches!(&fields[1].1, Avro::Union(1, next) if matches!(**next, Avro::Record(_))));
    let address = Reference {
        name: "address".into(),
        text: json!({"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "city", "type": "string"}]})
            .to_string(),
    };
    let text = record(&json!([{"name": "to", "type": "shop.Address"}])).to_string();
    let mut out = Vec::new();
    let schema = AvroSchema::parse(&text, &[address]).unwrap();
    schema.encode(&json!({"to": {"city": "x"}}), BYTES_MAX, &mut out).unwrap();
    assert_eq!(out, [2, b'x']);
}

#[test]
fn unions_in_unions_end_however_they_are_made() {
    // Each level is tried twice, so 2^60 tries without a limit.
    let side = |name: &str, extra: &str| {
        json!({"type": "record", "name": name, "fields": [
            {"name": "c", "type": ["null", "L", "R"], "default": null}, {"name": extra, "type": "int"}]})
    };
    let schema = json!({"type": "record", "name": "Top", "fields": [{"name": "c", "type": [
        {"type": "record", "name": "L", "fields": [{"name": "c", "type": ["null", "L", side("R", "y")], "default": null}, {"name": "x", "type": "int"}]},
        "R"]}]});
    let mut data = json!({});
    (0..60).for_each(|_| data = json!({"c": data}));
    let said = misfit(&schema, &data);
    assert!(said.contains("too many tries"), "{said}");
    let endless = record(&json!([{"name": "r", "type": "R", "default": {}}]));
    assert!(AvroSchema::parse(&endless.to_string(), &[]).is_err());
}

#[test]
fn what_cannot_be_a_schema_is_refused() {
    for (text, why) in [
        ("{", "JSON"),
        (r#"{"type":"strnig"}"#, "strnig"),
        (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#, "default"),
        (r#"{"type":"bytes","logicalType":"big-decimal"}"#, "big-decimal"),
        (r#"{"type":"bytes","logicalType":"decimal","precision":50,"scale":2}"#, "38"),
    ] {
        let said = AvroSchema::parse(text, &[]).unwrap_err();
        assert!(said.to_lowercase().contains(&why.to_lowercase()), "{text}: {said}");
    }
}

#[test]
fn defaults_and_fixed_sizes_make_nothing_larger_than_it_may_be() {
    let item = json!({"type": "record", "name": "I", "fields": [
        {"name": "note", "type": "string", "default": "x".repeat(99)}]});
    let schema = json!({"type": "array", "items": item});
    let items = |count: usize| Value::Array(vec![json!({}); count]);
    let bytes = |schema: &Value, data: &Value| {
        let mut out = vec![7];
        let said = AvroSchema::parse(&schema.to_string(), &[]).unwrap().encode(data, BYTES_MAX, &mut out);
        said.map(|()| out.len() - 1).map_err(|why| (why.is_too_large(), out.len(), out.capacity() < 4_000))
    };
    assert_eq!(bytes(&schema, &items(9)), Ok(9 * 101 + 2));
    assert_eq!(bytes(&schema, &items(10_000)), Err((true, 1, true)));
    // No other type of a union is tried then.
    assert_eq!(bytes(&json!([schema, {"type": "map", "values": "int"}]), &items(10)), Err((true, 1, true)));
    let decimal =
        json!({"type": "fixed", "name": "D", "size": 100_000, "logicalType": "decimal", "precision": 5});
    assert_eq!(bytes(&decimal, &json!(1)), Err((true, 1, true)));
}
