//! What of the log cannot be read, or is not there any more.

use super::*;

/// 600 records in several segments.
fn bench() -> Bench {
    let bench = Bench::new();
    for first in (0..600).step_by(30) {
        bench.store(first..first + 30);
    }
    assert!(bench.segments() > 3);
    bench
}

fn first_of(segment: &Path) -> u64 {
    segment.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn damaged_records_are_counted_and_passed_over() {
    let bench = Bench::new();
    bench.store(0..5);
    let path = segments(bench.home.path())[0].clone();
    let mut segment = fs::read(&path).unwrap();
    let third = segment.windows(7).position(|window| window == b"client2").unwrap();
    segment[third] ^= 1;
    fs::write(&path, segment).unwrap();
    let mut bench = bench.restarted();
    bench.step();
    // What is read again is not counted again.
    bench.kafka.lose();
    bench.run();
    assert_eq!(bench.delivered(), [0, 1, 3, 4]);
    assert_eq!((bench.series.damaged.get(), bench.series.missing.get()), (1, 0));
}

#[test]
fn a_damaged_or_foreign_cursor_repeats_and_loses_nothing() {
    for damage in [&b"rubbish"[..], &[0xff; 12], b""] {
        let mut bench = Bench::new();
        bench.store(0..10);
        bench.run();
        bench.forwarder.persist(bench.now);
        fs::write(bench.home.path().join("forwarded"), damage).unwrap();
        let mut bench = bench.restarted();
        bench.store(10..20);
        bench.run();
        assert_eq!(bench.delivered()[bench.delivered().len() - 10..], (10..20).collect::<Vec<_>>());
    }
    // One from a log that was replaced is beyond everything there is.
    let bench = Bench::new();
    bench.store(0..5);
    let mark = Watermark::forwarded(bench.home.path()).unwrap();
    mark.publish(1_000_000).unwrap();
    let mut bench = bench.restarted();
    bench.store(5..10);
    bench.run();
    assert_eq!(bench.delivered(), all(10));
}

#[test]
fn records_whose_segment_was_taken_away_are_counted_and_the_rest_arrives() {
    for is_restarted in [false, true] {
        let mut bench = bench();
        let paths = segments(bench.home.path());
        let (first, end) = (first_of(&paths[1]), first_of(&paths[3]));
        for path in &paths[1..3] {
            fs::remove_file(path).unwrap();
        }
        if is_restarted {
            bench = bench.restarted();
        }
        bench.run();
        // The numbers begin with 0, sequences with 1.
        let expected: Vec<u32> =
            all(600).into_iter().filter(|n| !(first..end).contains(&u64::from(n + 1))).collect();
        assert_eq!(bench.delivered(), expected);
        assert_eq!((bench.series.missing.get(), bench.series.damaged.get()), (end - first, 0));
        assert_eq!((bench.series.records.get(), bench.series.lag.get()), (expected.len() as u64, 0));
    }
}

#[test]
fn a_log_of_which_nothing_is_left_is_counted_and_done_with() {
    for is_restarted in [false, true] {
        let mut bench = bench();
        for path in segments(bench.home.path()) {
            fs::remove_file(path).unwrap();
        }
        if is_restarted {
            bench = bench.restarted();
            assert_eq!(crate::deliver::log::backlog(bench.home.path()).unwrap(), 0, "told once");
        } else {
            assert_eq!(crate::deliver::log::backlog(bench.home.path()).unwrap(), 600);
        }
        until(|| {
            bench.step();
            bench.forwarder.has_all()
        });
        assert_eq!((bench.series.missing.get(), bench.series.lag.get()), (600, 0));
        bench.store([600]);
        bench.run();
        assert_eq!(bench.delivered(), [600]);
    }
}

#[test]
fn what_is_missing_from_the_oldest_segments_is_told_once() {
    let bench = bench();
    let paths = segments(bench.home.path());
    fs::remove_file(&paths[0]).unwrap();
    let gone = first_of(&paths[1]) - 1;
    let bench = bench.restarted();
    assert_eq!(bench.series.missing.get(), gone);
    let mut bench = bench.restarted();
    bench.run();
    assert_eq!(bench.series.missing.get(), 0);
}

#[test]
fn a_segment_of_another_version_is_waited_for_and_neither_passed_nor_deleted() {
    let mut bench = bench();
    let second = segments(bench.home.path())[1].clone();
    let whole = fs::read(&second).unwrap();
    let mut foreign = whole.clone();
    foreign[8] += 1;
    let sum = crc32c::crc32c(&foreign[..28]);
    foreign[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&second, foreign).unwrap();
    for _ in 0..500 {
        bench.step();
        bench.kafka.deliver(usize::MAX);
    }
    let before = u32::try_from(first_of(&second) - 1).unwrap();
    assert_eq!(bench.delivered(), all(before), "what is before it");
    let note = bench.forwarder.standing().note(&*bench.kafka).unwrap();
    assert!(note.contains("written by another version"), "{note}");
    assert!(bench.series.stalled_seconds.get() >= 5);
    bench.forwarder.persist(bench.now);
    assert!(second.exists());
    fs::write(&second, whole).unwrap();
    bench.run();
    assert_eq!(bench.delivered(), all(600));
    assert_eq!((bench.forwarder.standing().note(&*bench.kafka), bench.series.missing.get()), (None, 0));
    assert_eq!(bench.series.stalled_seconds.get(), 0);
}
