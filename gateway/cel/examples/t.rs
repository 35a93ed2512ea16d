use std::time::Instant;
use tidegate_cel::*;
struct A;
impl<'a> Attributes<'a> for A {
    fn get(&self, _: u16) -> Option<Value<'a>> {
        Some(Value::Text(Text::plain("sensor.reading")))
    }
}
fn main() {
    let payload = r#"{"device":"sensor-0042","site":"north-hall","seq":18237,"temp":21.5,"humidity":0.43,"battery":3.71,"ok":true,"tags":["a","b"],"pos":{"lat":52.52,"lon":13.405},"note":"nothing unusual to report today"}"#;
    println!("payload {}", payload.len());
    let n: u32 = std::env::args().nth(1).map_or(2_000_000, |n| n.parse().unwrap());
    for rules in [
        vec!["data.temp > 20.0"],
        vec!["type.startsWith('sensor.') && data.temp > 20.0"],
        vec!["data.pos.lat > 50.0 && data.battery < 4.0 || data.ok"],
        (0..100)
            .map(|i| {
                [
                    "data.temp > 20.0 && data.site == 'x'",
                    "data.battery < 3.0",
                    "type == 'x' && data.seq > 5",
                    "data.note.contains('zz')",
                ][i % 4]
            })
            .collect(),
    ] {
        let mut c = Compiler::default();
        let ps: Vec<_> = rules.iter().map(|r| c.condition(r).unwrap()).collect();
        let mut f = Findings::default();
        for round in 0..3 {
            let n = n / rules.len() as u32;
            let mut hits = 0u64;
            let t = Instant::now();
            for _ in 0..n {
                c.plan().read(Some(std::hint::black_box(payload)), 64, &mut f).unwrap();
            }
            let scan = t.elapsed();
            let t = Instant::now();
            for _ in 0..n {
                for p in &ps {
                    hits += p
                        .holds(c.plan(), Some(std::hint::black_box(payload)), &A, &mut f)
                        .unwrap_or(false) as u64;
                }
            }
            let run = t.elapsed();
            if round == 2 {
                println!(
                    "{} rules: scan {:.0} ns, run {:.0} ns, {hits}",
                    rules.len(),
                    scan.as_nanos() as f64 / n as f64,
                    run.as_nanos() as f64 / n as f64
                );
            }
        }
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(tidegate_wire::json::check(std::hint::black_box(payload).as_bytes(), 64))
                .unwrap();
        }
        println!("check {:.0}", t.elapsed().as_nanos() as f64 / n as f64);
    }
}
