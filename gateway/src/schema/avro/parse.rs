//! From the text of a schema to its nodes.

use std::collections::{BTreeMap, HashMap};

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, UuidSchema};
use serde_json::Value;

use super::logical::Tick;
use super::{AvroSchema, Field, Node, Reference, UuidForm, encode};

pub(super) fn parse(text: &str, references: &[Reference]) -> Result<AvroSchema, String> {
    let others = references.iter().map(|reference| reference.text.as_str());
    let (schema, others) = Schema::parse_str_with_list(text, others).map_err(|error| error.to_string())?;
    let mut compiler = Compiler::default();
    for other in &others {
        compiler.compile(other, None)?;
    }
    let root = compiler.compile(&schema, None)?;
    let Compiler { nodes, waiting, .. } = compiler;
    if let Some(name) = waiting.into_keys().next() {
        return Err(format!("`{name}` is the name of no type"));
    }
    check_defaults(&nodes)?;
    Ok(AvroSchema { nodes, root })
}

/// What a default takes at most: no event could hold more.
const DEFAULT_BYTES_MAX: usize = 1 << 24;

fn check_defaults(nodes: &[Node]) -> Result<(), String> {
    for node in nodes {
        let Node::Record { name, fields } = node else { continue };
        for field in fields {
            let Some(default) = &field.default else { continue };
            encode::encode(nodes, field.node, default, DEFAULT_BYTES_MAX, &mut Vec::new()).map_err(
                |why| format!("the default of field `{}` of `{name}` does not fit: {why}", field.name),
            )?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Compiler {
    nodes: Vec<Node>,
    named: HashMap<String, usize>,
    /// Names met before what they stand for.
    waiting: BTreeMap<String, usize>,
}

impl Compiler {
    /// Where the node of `schema` is; names without a namespace are of the one around it.
    fn compile(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<usize, String> {
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int,
            Schema::Long => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes => Node::Bytes,
            Schema::String => Node::String,
            Schema::Array(array) => Node::Array(self.compile(&array.items, namespace)?),
            Schema::Map(map) => Node::Map(self.compile(&map.types, namespace)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.compile(branch, namespace));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                let full = full(&record.name, namespace);
                // Before its fields, which may name it.
                let at = self.name(&full);
                let inner = full.rsplit_once('.').map(|(namespace, _)| namespace.to_owned());
                let fields = record.fields.iter().map(|field| {
                    let node = self.compile(&field.schema, inner.as_deref())?;
                    Ok(Field { name: field.name.clone(), node, default: field.default.clone() })
                });
                let fields = fields.collect::<Result<_, String>>()?;
                return Ok(self.put(at, Node::Record { name: full, fields }));
            }
            Schema::Enum(names) => {
                let at = self.name(&full(&names.name, namespace));
                return Ok(self.put(at, Node::Enum(names.symbols.clone())));
            }
            Schema::Fixed(fixed) | Schema::Duration(fixed) => {
                let at = self.name(&full(&fixed.name, namespace));
                return Ok(self.put(at, Node::Fixed(fixed.size)));
            }
            Schema::Decimal(decimal) => return self.decimal(decimal, namespace),
            Schema::Uuid(UuidSchema::String) => Node::Uuid(UuidForm::Text),
            Schema::Uuid(UuidSchema::Bytes) => Node::Uuid(UuidForm::Bytes),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                let at = self.name(&full(&fixed.name, namespace));
                return Ok(self.put(at, Node::Uuid(UuidForm::Fixed)));
            }
            Schema::Date => Node::Date,
            Schema::TimeMillis => Node::TimeOfDay(Tick::Millis),
            Schema::TimeMicros => Node::TimeOfDay(Tick::Micros),
            Schema::TimestampMillis => Node::Moment(Tick::Millis),
            Schema::TimestampMicros => Node::Moment(Tick::Micros),
            Schema::TimestampNanos => Node::Moment(Tick::Nanos),
            Schema::LocalTimestampMillis => Node::LocalMoment(Tick::Millis),
            Schema::LocalTimestampMicros => Node::LocalMoment(Tick::Micros),
            Schema::LocalTimestampNanos => Node::LocalMoment(Tick::Nanos),
            Schema::Ref { name } => return Ok(self.find(&full(name, namespace))),
            Schema::BigDecimal => return Err("the logical type `big-decimal` is not supported".into()),
        };
        Ok(self.push(node))
    }

    fn decimal(&mut self, decimal: &DecimalSchema, namespace: Option<&str>) -> Result<usize, String> {
        let DecimalSchema { precision, scale, .. } = *decimal;
        if precision > 38 {
            return Err(format!("a decimal of {precision} digits is not supported: 38 are the most"));
        }
        Ok(match &decimal.inner {
            InnerDecimalSchema::Bytes => self.push(Node::Decimal { precision, scale, size: None }),
            InnerDecimalSchema::Fixed(fixed) => {
                let at = self.name(&full(&fixed.name, namespace));
                self.put(at, Node::Decimal { precision, scale, size: Some(fixed.size) })
            }
        })
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn put(&mut self, at: usize, node: Node) -> usize {
        if let Some(place) = self.nodes.get_mut(at) {
            *place = node;
        }
        at
    }

    /// The place of a type that is about to be compiled.
    fn name(&mut self, full: &str) -> usize {
        let at = self.waiting.remove(full).unwrap_or_else(|| self.push(Node::Null));
        self.named.insert(full.to_owned(), at);
        at
    }

    /// The place of a type that is named: it may be compiled later.
    fn find(&mut self, full: &str) -> usize {
        if let Some(at) = self.named.get(full).or_else(|| self.waiting.get(full)) {
            return *at;
        }
        let at = self.push(Node::Null);
        self.waiting.insert(full.to_owned(), at);
        at
    }
}

fn full(name: &Name, namespace: Option<&str>) -> String {
    name.fullname(namespace)
}

/// Whether a default is there for a field, or what stands for it.
pub(super) fn absent<'a>(field: &'a Field, nodes: &[Node]) -> Option<&'a Value> {
    const NULL: &Value = &Value::Null;
    let is_null = |at: &usize| matches!(nodes.get(*at), Some(Node::Null));
    field.default.as_ref().or_else(|| match nodes.get(field.node) {
        Some(Node::Null) => Some(NULL),
        Some(Node::Union(branches)) if branches.iter().any(is_null) => Some(NULL),
        _ => None,
    })
}
