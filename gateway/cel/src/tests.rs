//! What rules say about events.

mod conformance;
mod language;
mod oracle;
mod refusals;

use crate::{Attributes, Compiler, Fault, Findings, Text, Value};

/// Attributes by their names.
struct Named<'a>(&'a [String], &'a [(&'a str, &'a str)]);

impl<'a> Attributes<'a> for Named<'a> {
    fn get(&self, position: u16) -> Option<Value<'a>> {
        let name = &self.0[usize::from(position)];
        let value = self.1.iter().find(|(other, _)| other == name)?.1;
        Some(Value::Text(Text::plain(value)))
    }
}

/// What an event with these attributes and this payload gives.
fn give<T>(
    expression: &str,
    attributes: &[(&str, &str)],
    payload: Option<&str>,
    read: impl Fn(Result<Value<'_>, Fault>) -> T,
) -> T {
    let mut compiler = Compiler::default();
    let program = compiler.value(expression).unwrap_or_else(|problem| panic!("{expression}: {problem}"));
    let mut findings = Findings::default();
    compiler.plan().read(payload, 64, &mut findings).unwrap();
    let named = Named(compiler.attributes(), attributes);
    let holds = program.holds(compiler.plan(), payload, &named, &mut findings);
    let value = program.value(compiler.plan(), payload, &named, &mut findings);
    if let Ok(Value::Bool(value)) = value {
        assert_eq!(holds, Ok(value), "{expression}");
    }
    read(value)
}

fn shown(value: Result<Value<'_>, Fault>) -> String {
    match value {
        Err(fault) => format!("{fault:?}"),
        Ok(Value::Text(text)) => format!("{:?}", text.read(&mut String::new()).unwrap()),
        Ok(Value::Bool(value)) => value.to_string(),
        Ok(Value::Int(value)) => value.to_string(),
        Ok(Value::Uint(value)) => format!("{value}u"),
        Ok(Value::Double(value)) => format!("{value:?}"),
        Ok(Value::Duration(nanos)) => format!("{nanos}ns"),
        Ok(value) => value.type_name().to_owned(),
    }
}
