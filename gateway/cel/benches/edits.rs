//! What edits cost for an event with 200 bytes of payload: `cargo bench --package tidegate-cel`. All cases take turns, so that
//! what else the machine does hits them alike; each line is the median of the rounds and how far they spread.
#![expect(clippy::unwrap_used, reason = "what goes wrong here must not be measured")]
#![expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::Instant;

use tidegate_cel::Value;
use tidegate_cel::edit::{Action, Buffers, Edited, Field, Path, Pattern, Redaction, Redactor};
use tidegate_wire::json;

const PAYLOAD: &str = r#"{"session":"8f14e45f","user":{"id":18237,"email":"someone@example.org","plan":"free"},"page":"/shop/basket","ip":"192.0.2.17","items":[{"sku":"a-1","n":2},{"sku":"b-7","n":1}],"ms":41.5,"note":"paid"}"#;
const DEPTH: u32 = 64;
const BYTES_MAX: usize = 256 * 1024;
const ROUNDS: usize = 15;
const TIMES: u32 = 20_000;

/// What is measured, and what it is called.
type Case<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// Redactions of one route.
struct Redactions {
    redactor: Redactor,
    buffers: Buffers,
    out: Vec<u8>,
}

impl Redactions {
    fn new(redactions: &[(&str, Action, Option<&str>)]) -> Self {
        let redactions = redactions.iter().map(|(path, action, pattern)| Redaction {
            path: Path::parse(path).unwrap(),
            action: action.clone(),
            pattern: pattern.map(|pattern| Pattern::parse(pattern).unwrap()),
            ignore_case: false,
            is_shadow: false,
        });
        let redactor = Redactor::new(redactions.collect()).unwrap();
        Self { redactor, buffers: Buffers::default(), out: Vec::new() }
    }

    /// Checks the payload and makes all of them.
    fn run(&mut self) {
        let payload = black_box(PAYLOAD);
        let done = self.redactor.run(payload, DEPTH, BYTES_MAX, &mut self.buffers, &mut self.out).unwrap();
        assert!(done.is_edited);
        black_box(&self.out);
    }
}

/// As a program would that takes the payload apart and puts it together again.
fn by_tree() {
    let mut payload: serde_json::Value = serde_json::from_str(black_box(PAYLOAD)).unwrap();
    payload.get_mut("user").unwrap().as_object_mut().unwrap().remove("email").unwrap();
    *payload.get_mut("ip").unwrap() = "***".into();
    black_box(serde_json::to_vec(&payload).unwrap());
}

fn main() -> io::Result<()> {
    let mut two =
        Redactions::new(&[("data.user.email", Action::Remove, None), ("data.ip", Action::Mask, None)]);
    let mut any = Redactions::new(&[
        ("data.**.email", Action::Remove, None),
        ("data.items[*].sku", Action::Mask, None),
    ]);
    let mut address = Redactions::new(&[("data.ip", Action::Address, None)]);
    let mut pattern = Redactions::new(&[("data.user.email", Action::Mask, Some("^[^@]+"))]);
    let names: Vec<String> = (0..63).map(|n| format!("data.user.x{n}")).collect();
    let many = names.iter().map(String::as_str).chain(["data.user.email"]);
    let mut many = Redactions::new(&many.map(|path| (path, Action::Mask, None)).collect::<Vec<_>>());
    let field = Field::new(&Path::parse("data.site").unwrap()).unwrap();
    let (mut buffers, mut out) = (Buffers::default(), Vec::new());
    let mut set = || {
        let edited = field.set(Value::Int(1), black_box(PAYLOAD), BYTES_MAX, &mut buffers, &mut out);
        assert_eq!(edited, Ok(Edited::Changed));
    };
    let mut cases: Vec<Case<'_>> = vec![
        (
            "checking the payload alone",
            Box::new(|| assert!(json::check(black_box(PAYLOAD.as_bytes()), DEPTH).is_ok())),
        ),
        ("and remove `data.user.email`, mask `data.ip`", Box::new(|| two.run())),
        ("and remove `data.**.email`, mask `data.items[*].sku`", Box::new(|| any.run())),
        ("and truncate the address in `data.ip`", Box::new(|| address.run())),
        ("and mask what matches `^[^@]+` in `data.user.email`", Box::new(|| pattern.run())),
        ("and 64 redactions", Box::new(|| many.run())),
        ("set `data.site`, the payload being checked", Box::new(&mut set)),
        ("the first two by serde_json", Box::new(by_tree)),
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
    let bytes = PAYLOAD.len();
    writeln!(
        out,
        "| an event with {bytes} bytes of payload | ns, median | of {ROUNDS} rounds |\n|---|---|---|"
    )?;
    for ((name, _), took) in cases.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        let at = |index: usize| took.get(index).copied().unwrap_or_default();
        writeln!(out, "| {name} | {:.0} | {:.0} to {:.0} |", at(ROUNDS / 2), at(0), at(ROUNDS - 1))?;
    }
    Ok(())
}
