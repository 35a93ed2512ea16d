//! From a JSON value to Avro's binary encoding.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::logical::{self, Tick};
use super::parse::absent;
use super::{Field, Mismatch, Node, UuidForm};

/// How deep schemas may nest: events themselves are less deep, but each union and default is a step too.
const DEPTH_MAX: usize = 256;
/// Steps for each value of the data. A union tries its types one after the other, and unions in unions would take for ever.
const STEPS_PER_VALUE: usize = 64;

/// Appends the encoding of `data` by the node at `root`, at most `bytes_max`; where it does not fit, `out` stays as it is.
pub(super) fn encode(
    nodes: &[Node],
    root: usize,
    data: &Value,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Mismatch> {
    let begin = out.len();
    // Defaults that are written in place of what is absent take steps too, and are as many as the schema has nodes.
    let steps = (count(data) + nodes.len()).saturating_mul(STEPS_PER_VALUE);
    let mut writer = Writer { nodes, out, begin, bytes_max, steps, depth: 0 };
    let written = writer.write(root, data);
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

fn count(data: &Value) -> usize {
    match data {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

struct Writer<'a> {
    nodes: &'a [Node],
    out: &'a mut Vec<u8>,
    /// Where in `out` it begins.
    begin: usize,
    bytes_max: usize,
    steps: usize,
    depth: usize,
}

impl Writer<'_> {
    fn write(&mut self, at: usize, data: &Value) -> Result<(), Mismatch> {
        let Some(node) = self.nodes.get(at) else { return Err(Mismatch::new("has no type")) };
        self.steps =
            self.steps.checked_sub(1).ok_or_else(|| Mismatch::new("its unions take too many tries"))?;
        if self.depth == DEPTH_MAX {
            return Err(Mismatch::new("is nested too deep for its schema"));
        }
        self.depth += 1;
        let written = self.node(node, data);
        self.depth -= 1;
        // After each value: defaults are written as often as data calls for them.
        written.and_then(|()| self.room(0))
    }

    /// Whether there is room for `more` bytes.
    fn room(&self, more: usize) -> Result<(), Mismatch> {
        let bytes = (self.out.len() - self.begin).saturating_add(more);
        if bytes > self.bytes_max { Err(Mismatch::too_large(self.bytes_max)) } else { Ok(()) }
    }

    fn node(&mut self, node: &Node, data: &Value) -> Result<(), Mismatch> {
        match node {
            Node::Null => data.as_null().ok_or_else(|| unfit("null")),
            Node::Boolean => {
                data.as_bool().map(|value| self.out.push(value.into())).ok_or_else(|| unfit("a boolean"))
            }
            Node::Int => self.int(logical::integer(data), "an integer of 32 bits"),
            Node::Long => self.number(logical::integer(data), "an integer of 64 bits"),
            Node::Float => self.float(data),
            Node::Double => {
                let number = data.as_f64().ok_or_else(|| unfit("a number"))?;
                self.out.extend_from_slice(&number.to_le_bytes());
                Ok(())
            }
            Node::Bytes => {
                let bytes = bytes(data)?;
                self.sized(&bytes);
                Ok(())
            }
            Node::String => {
                let text = data.as_str().ok_or_else(|| unfit("a text"))?;
                self.sized(text.as_bytes());
                Ok(())
            }
            Node::Fixed(size) => {
                let bytes = bytes(data)?;
                if bytes.len() != *size {
                    return Err(Mismatch::new(format!("has {} bytes, not {size}", bytes.len())));
                }
                self.out.extend_from_slice(&bytes);
                Ok(())
            }
            Node::Enum(symbols) => self.symbol(symbols, data),
            Node::Array(items) => self.array(*items, data),
            Node::Map(values) => self.map(*values, data),
            Node::Record { name, fields } => {
                let members = data.as_object().ok_or_else(|| unfit("an object"))?;
                self.record(name, fields, members)
            }
            Node::Union(branches) => self.union(branches, data),
            Node::Decimal { precision, scale, size } => self.decimal(data, *precision, *scale, *size),
            Node::Uuid(form) => self.uuid(*form, data),
            Node::Date => {
                let days = logical::integer(data).or_else(|| logical::days(data.as_str()?));
                self.int(days, "a date such as \"2026-01-31\", or days since 1970")
            }
            Node::TimeOfDay(tick) => {
                let ticks = logical::integer(data).or_else(|| tick.of_day(data.as_str()?));
                let expected = "a time such as \"12:34:56\", or an integer";
                if *tick == Tick::Millis { self.int(ticks, expected) } else { self.number(ticks, expected) }
            }
            Node::Moment(tick) => {
                let ticks = logical::integer(data).or_else(|| tick.moment(data.as_str()?));
                self.number(ticks, "a time of RFC 3339, or an integer")
            }
            Node::LocalMoment(tick) => {
                let ticks = logical::integer(data).or_else(|| tick.local_moment(data.as_str()?));
                self.number(ticks, "a time such as \"2026-01-31T12:34:56\", or an integer")
            }
        }
    }

    fn int(&mut self, value: Option<i64>, expected: &str) -> Result<(), Mismatch> {
        self.number(value.filter(|value| i32::try_from(*value).is_ok()), expected)
    }

    fn number(&mut self, value: Option<i64>, expected: &str) -> Result<(), Mismatch> {
        self.long(value.ok_or_else(|| unfit(expected))?);
        Ok(())
    }

    fn float(&mut self, data: &Value) -> Result<(), Mismatch> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to what the schema has; out of range is refused"
        )]
        let number = data.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        let number = number.ok_or_else(|| unfit("a number that 32 bits hold"))?;
        self.out.extend_from_slice(&number.to_le_bytes());
        Ok(())
    }

    fn symbol(&mut self, symbols: &[String], data: &Value) -> Result<(), Mismatch> {
        let text = data.as_str().ok_or_else(|| unfit("a text"))?;
        let position = symbols.iter().position(|symbol| symbol == text);
        let position = position.ok_or_else(|| Mismatch::new(format!("is none of {}", symbols.join(", "))))?;
        self.size(position);
        Ok(())
    }

    fn array(&mut self, node: usize, data: &Value) -> Result<(), Mismatch> {
        let items = data.as_array().ok_or_else(|| unfit("a list"))?;
        if !items.is_empty() {
            self.size(items.len());
            for (index, item) in items.iter().enumerate() {
                self.write(node, item).map_err(|mismatch| mismatch.within(&index))?;
            }
        }
        self.long(0);
        Ok(())
    }

    fn map(&mut self, node: usize, data: &Value) -> Result<(), Mismatch> {
        let members = data.as_object().ok_or_else(|| unfit("an object"))?;
        if !members.is_empty() {
            self.size(members.len());
            for (name, value) in members {
                self.sized(name.as_bytes());
                self.write(node, value).map_err(|mismatch| mismatch.within(name))?;
            }
        }
        self.long(0);
        Ok(())
    }

    fn record(&mut self, name: &str, fields: &[Field], members: &Map<String, Value>) -> Result<(), Mismatch> {
        let mut written = 0;
        for field in fields {
            let value = match members.get(&field.name) {
                Some(value) => {
                    written += 1;
                    value
                }
                None => absent(field, self.nodes)
                    .ok_or_else(|| Mismatch::new("is absent and has no default").within(&field.name))?,
            };
            self.write(field.node, value).map_err(|mismatch| mismatch.within(&field.name))?;
        }
        if written == members.len() {
            return Ok(());
        }
        // It would be lost.
        let unknown = members.keys().find(|member| !fields.iter().any(|field| field.name == **member));
        let unknown = unknown.map_or("", String::as_str);
        Err(Mismatch::new(format!("is no field of `{name}`")).within(unknown))
    }

    /// The first type of the union that fits.
    fn union(&mut self, branches: &[usize], data: &Value) -> Result<(), Mismatch> {
        let begin = self.out.len();
        let mut why = None;
        let mut tried = 0;
        for (position, branch) in branches.iter().enumerate() {
            if matches!(self.nodes.get(*branch), Some(Node::Null)) != data.is_null() {
                continue;
            }
            tried += 1;
            self.size(position);
            match self.write(*branch, data) {
                Ok(()) => return Ok(()),
                Err(mismatch) if mismatch.is_too_large() => return Err(mismatch),
                Err(mismatch) => why = Some(mismatch),
            }
            self.out.truncate(begin);
        }
        match (why, tried) {
            (Some(why), 1) => Err(why),
            _ if self.steps == 0 => Err(Mismatch::new("its unions take too many tries")),
            _ => Err(Mismatch::new("fits none of the types of its union")),
        }
    }

    fn decimal(
        &mut self,
        data: &Value,
        precision: usize,
        scale: usize,
        size: Option<usize>,
    ) -> Result<(), Mismatch> {
        let text = match data {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err(unfit("a number, or a text such as \"12.34\"")),
        };
        let bytes = logical::shortest(logical::decimal(&text, precision, scale).map_err(Mismatch::new)?);
        let Some(size) = size else {
            self.sized(&bytes);
            return Ok(());
        };
        let spare = size
            .checked_sub(bytes.len())
            .ok_or_else(|| Mismatch::new(format!("does not fit {size} bytes")))?;
        self.room(size)?;
        let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        self.out.extend(std::iter::repeat_n(sign, spare));
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn uuid(&mut self, form: UuidForm, data: &Value) -> Result<(), Mismatch> {
        let text = data.as_str().ok_or_else(|| unfit("a UUID"))?;
        let uuid = Uuid::parse_str(text).map_err(|_| unfit("a UUID"))?;
        match form {
            UuidForm::Text => self.sized(text.as_bytes()),
            UuidForm::Bytes => self.sized(uuid.as_bytes()),
            UuidForm::Fixed => self.out.extend_from_slice(uuid.as_bytes()),
        }
        Ok(())
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn size(&mut self, size: usize) {
        self.long(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Zigzag, seven bits a byte, the lowest first.
    fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push((rest & 0x7f) as u8);
    }
}

fn unfit(expected: &str) -> Mismatch {
    Mismatch::new(format!("is not {expected}"))
}

/// The bytes of a text as Avro writes them in JSON: a character up to U+00FF for each.
fn bytes(data: &Value) -> Result<Vec<u8>, Mismatch> {
    let text = data.as_str().ok_or_else(|| unfit("a text"))?;
    let bytes = text.chars().map(|char| u8::try_from(u32::from(char)));
    bytes.collect::<Result<_, _>>().map_err(|_| unfit("bytes: a character up to U+00FF for each"))
}
