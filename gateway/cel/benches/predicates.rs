//! What rules cost for an event with 200 bytes of payload: `cargo bench --package tidegate-cel`. All cases take turns, so that
//! what else the machine does hits them alike; each line is the median of the rounds and how far they spread.
#![expect(clippy::unwrap_used, reason = "what goes wrong here must not be measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::Instant;

use cel::{Context, Program as Oracle, Value as Theirs};
use tidegate_cel::{Attributes, Compiler, Findings, Program, Text, Value};
use tidegate_wire::json;

const PAYLOAD: &str = r#"{"device":"sensor-0042","site":"north-hall","seq":18237,"temp":21.5,"humidity":0.43,"battery":3.71,"ok":true,"tags":["a","b"],"pos":{"lat":52.52,"lon":13.405},"note":"nothing unusual to report today"}"#;
const TYPE: &str = "sensor.reading";
const DEPTH: u32 = 64;
const ROUNDS: usize = 15;
const TIMES: u32 = 20_000;

/// What is measured, and what it is called.
type Case<'a> = (&'a str, Box<dyn FnMut() + 'a>);

struct Named<'a>(&'a [String]);

impl<'a> Attributes<'a> for Named<'_> {
    fn get(&self, position: u16) -> Option<Value<'a>> {
        let name = self.0.get(usize::from(position))?;
        (name == "type").then(|| Value::Text(Text::plain(TYPE)))
    }
}

/// Rules of one route.
struct Rules {
    compiler: Compiler,
    programs: Vec<Program>,
    findings: Findings,
}

impl Rules {
    fn new(rules: &[&str]) -> Self {
        let mut compiler = Compiler::default();
        let programs = rules.iter().map(|rule| compiler.condition(rule).unwrap()).collect();
        Self { compiler, programs, findings: Findings::default() }
    }

    /// Checks the payload and asks all of them.
    fn judge(&mut self) {
        let (plan, payload) = (self.compiler.plan(), Some(black_box(PAYLOAD)));
        plan.read(payload, DEPTH, &mut self.findings).unwrap();
        let named = Named(self.compiler.attributes());
        for program in &self.programs {
            black_box(program.holds(plan, payload, &named, &mut self.findings)).unwrap();
        }
    }
}

/// As a program would use the crate `cel`: the payload becomes a value, and the rule is executed on it.
fn by_cel(program: &Oracle) {
    let payload: serde_json::Value = serde_json::from_str(black_box(PAYLOAD)).unwrap();
    let mut context = Context::default();
    context.add_variable("data", payload).unwrap();
    context.add_variable_from_value("type", TYPE);
    assert!(matches!(black_box(program.execute(&context)), Ok(Theirs::Bool(true))));
}

fn main() -> io::Result<()> {
    let many: Vec<&str> = [
        "data.temp < 20.0 || data.site != 'x'",
        "data.battery > 3.0",
        "type == 'x' || data.seq > 5",
        "!data.note.contains('zz')",
    ]
    .into_iter()
    .cycle()
    .take(100)
    .collect();
    let (mut one, mut two) = (
        Rules::new(&["data.temp > 20.0"]),
        Rules::new(&["type.startsWith('sensor.') && data.pos.lat > 50.0"]),
    );
    let mut hundred = Rules::new(&many);
    let theirs = Oracle::compile("data.temp > 20.0").unwrap();
    let mut cases: Vec<Case<'_>> = vec![
        (
            "checking the payload alone",
            Box::new(|| assert!(json::check(black_box(PAYLOAD.as_bytes()), DEPTH).is_ok())),
        ),
        ("with `data.temp > 20.0`", Box::new(|| one.judge())),
        ("with `type.startsWith('sensor.') && data.pos.lat > 50.0`", Box::new(|| two.judge())),
        ("with 100 rules", Box::new(|| hundred.judge())),
        ("`data.temp > 20.0` by the crate cel and serde_json", Box::new(|| by_cel(&theirs))),
    ];
    let mut took: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, run), took) in cases.iter_mut().zip(&mut took) {
            let started = Instant::now();
            (0..TIMES).for_each(|_| run());
            took.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
        }
    }
    let mut out = io::stdout();
    writeln!(
        out,
        "| an event with {} bytes of payload | ns, median | of {ROUNDS} rounds |\n|---|---|---|",
        PAYLOAD.len()
    )?;
    for ((name, _), took) in cases.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        let at = |index: usize| took.get(index).copied().unwrap_or_default();
        writeln!(out, "| {name} | {:.0} | {:.0} to {:.0} |", at(ROUNDS / 2), at(0), at(ROUNDS - 1))?;
    }
    Ok(())
}
