//! What crashes and failing disks leave in the files.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// A log of `count` records in one segment, as it is while a gateway runs or after it was killed: not cut, the rest
/// of the segment zeros.
struct Image {
    name: PathBuf,
    segment: Vec<u8>,
    durable: Vec<u8>,
    /// Where each record begins, and where the last one ends.
    bounds: Vec<usize>,
}

impl Image {
    fn new(values: &[String]) -> Self {
        let home = TempDir::new().unwrap();
        let config = config(home.path(), 1 << 20, 1 << 12);
        let log = Log::open(&config, LogSeries::default(), topics()).unwrap();
        store(&log, values);
        let file = directory::segments(home.path()).unwrap().remove(0);
        let mut bounds = vec![usize::try_from(segment::HEADER_BYTES).unwrap()];
        for record in records(values).iter_from(0) {
            bounds.push(bounds.last().unwrap() + segment::size("events", &record));
        }
        Self {
            name: file.path.file_name().unwrap().into(),
            segment: fs::read(&file.path).unwrap(),
            durable: fs::read(home.path().join("durable")).unwrap(),
            bounds,
        }
    }

    fn end(&self) -> usize {
        *self.bounds.last().unwrap()
    }

    /// A directory with this segment, changed, and with the watermark or without.
    fn with(&self, segment: &[u8], watermark: bool) -> TempDir {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join(&self.name), segment).unwrap();
        if watermark {
            fs::write(home.path().join("durable"), &self.durable).unwrap();
        }
        home
    }
}

/// Opens the log, which must not refuse, stores one more record and returns what is readable then and what was counted.
#[track_caller]
fn recovered(home: &TempDir) -> (Vec<(u64, String)>, u64) {
    let (before, _) = read(home.path());
    let (log, metrics) = open(home.path());
    store(&log, &["new"]);
    end(log);
    let (mut found, _) = read(home.path());
    let (sequence, value) = found.pop().unwrap();
    assert_eq!(value, "new");
    assert!(found.last().is_none_or(|(last, _)| *last < sequence));
    assert_eq!(found, before, "opening lost or found records");
    (found, metrics.damaged.get())
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let values = numbered(4);
    let image = Image::new(&values);
    let whole: Vec<_> = (1..).zip(values.iter().cloned()).collect();
    for cut in 0..image.end() {
        let kept = image.bounds[1..].iter().filter(|end| **end <= cut).count();
        // Killed within a write: the rest is zeros. Power lost: the file itself may be short.
        let mut zeros = image.segment.clone();
        zeros[cut..].fill(0);
        for torn in [zeros, image.segment[..cut].to_vec()] {
            assert_eq!(recovered(&image.with(&torn, false)), (whole[..kept].to_vec(), 0), "cut at {cut}");
            if cut % 7 == 0 {
                // Where it is known how far the log was durable, what is missing is damage; but not behind a segment
                // that ends with a record, for what came after it may have been moved elsewhere.
                let damaged = if torn.len() > image.bounds[kept] { whole.len() - kept } else { 0 } as u64;
                assert_eq!(recovered(&image.with(&torn, true)).1, damaged, "cut at {cut}");
            }
        }
    }
}

#[test]
fn of_ten_thousand_flipped_bits_each_costs_at_most_its_record_and_all_are_counted() {
    let values = numbered(1_000);
    let image = Image::new(&values);
    let mut flips = proptest::test_runner::TestRunner::deterministic();
    let mut random = |below: usize| flips.rng().random_range(0..below);
    for _round in 0..50 {
        let mut flipped = image.segment.clone();
        let mut hit = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let bit = random(image.end() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            hit.extend(image.bounds.partition_point(|bound| *bound <= bit / 8).checked_sub(1));
        }
        // Two flips may undo each other, and a record be whole after all.
        let is_whole = |n: usize| {
            let bytes = image.bounds[n]..image.bounds[n + 1];
            flipped[bytes.clone()] == image.segment[bytes]
        };
        hit.retain(|n| !is_whole(*n));
        let home = image.with(&flipped, true);
        let (found, damaged) = recovered(&home);
        let expected: Vec<_> = (0..values.len())
            .filter(|n| !hit.contains(n))
            .map(|n| (n as u64 + 1, values[n].clone()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(damaged, hit.len() as u64);
    }
}

#[test]
fn a_record_that_was_durable_and_is_torn_counts_as_damaged_and_its_number_is_not_used_again() {
    let values = numbered(4);
    let image = Image::new(&values);
    let mut torn = image.segment.clone();
    torn[image.end() - 5..].fill(0);
    let home = image.with(&torn, true);
    assert_eq!(recovered(&home).1, 1);
    assert_eq!(read(home.path()).0.last().unwrap().0, 5);
}

#[test]
fn a_flipped_bit_costs_the_record_it_is_in_and_no_other() {
    let values = numbered(5);
    let image = Image::new(&values);
    for bit in 0..image.end() * 8 {
        let mut flipped = image.segment.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hit = image.bounds.windows(2).position(|bounds| (bounds[0]..bounds[1]).contains(&(bit / 8)));
        let expected: Vec<_> = (0..values.len())
            .filter(|n| Some(*n) != hit)
            .map(|n| (n as u64 + 1, values[n].clone()))
            .collect();
        let home = image.with(&flipped, true);
        let (found, damaged) = read(home.path());
        assert_eq!((found, damaged), (expected.clone(), u64::from(hit.is_some())), "bit {bit}");
        if bit % 29 == 0 {
            assert_eq!(recovered(&home), (expected, u64::from(hit.is_some())), "bit {bit}");
        }
    }
}

#[test]
fn a_record_is_found_behind_zeros_even_if_it_begins_with_some() {
    let group = |n: u32| {
        let mut group = Vec::new();
        let records = records(&["x".to_owned(), n.to_string()]);
        for record in records.iter_from(0) {
            segment::append(&mut group, "events", &record, segment::size("events", &record));
        }
        segment::number(&mut group, 1);
        group
    };
    let second = segment::size("events", &records(["x"]).get(0).unwrap());
    let mut content = (0..10_000).map(group).find(|group| group[second] == 0).unwrap();
    content[..second].fill(0);
    let home = TempDir::new().unwrap();
    fs::write(directory::path(home.path(), 1), [segment::header(1), content].concat()).unwrap();
    let (found, damaged) = read(home.path());
    assert_eq!((found.len(), found[0].0, damaged), (1, 2, 1));
}

#[test]
fn damage_in_an_older_segment_is_counted_too() {
    let home = TempDir::new().unwrap();
    for _ in 0..3 {
        let (log, _) = open(home.path());
        store(&log, &numbered(10));
        end(log);
    }
    let oldest = directory::segments(home.path()).unwrap().remove(0).path;
    let mut content = fs::read(&oldest).unwrap();
    let last = content.len() - 3;
    content[100] ^= 1;
    content[last] ^= 1;
    fs::write(&oldest, content).unwrap();
    let (log, metrics) = open(home.path());
    for _ in 0..30_000 {
        if metrics.damaged.get() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(metrics.damaged.get(), 2);
    let (found, damaged) = read(home.path());
    assert_eq!((found.len(), damaged), (28, 2));
    drop(log);
}

#[test]
fn a_segment_of_rubbish_is_kept_and_passed_over() {
    let rubbish: Vec<u8> = (0..5_000_u32).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
    for watermark in [false, true] {
        let image = Image::new(&numbered(3));
        let home = image.with(&rubbish, watermark);
        assert_eq!(recovered(&home), (vec![], if watermark { 3 } else { 0 }));
        let kept = fs::read_dir(home.path()).unwrap().any(|entry| {
            let content = fs::read(entry.unwrap().path()).unwrap();
            !content.is_empty() && rubbish.starts_with(&content) && content.len() > 4_990
        });
        assert!(kept, "the rubbish is gone");
    }
}

#[test]
fn empty_files_and_files_of_a_newer_version_do_not_keep_the_log_from_starting() {
    let image = Image::new(&numbered(3));
    assert_eq!(recovered(&image.with(&[], false)), (vec![], 0));
    let mut newer = image.segment.clone();
    newer[8] = 2;
    let sum = crc32c::crc32c(&newer[..28]);
    newer[28..32].copy_from_slice(&sum.to_le_bytes());
    for watermark in [true, false] {
        let home = image.with(&newer, watermark);
        assert_eq!(recovered(&home), (vec![], 0));
        assert_eq!(fs::read(home.path().join(&image.name)).unwrap(), newer);
    }
}

#[test]
fn numbers_are_not_used_again_after_all_segments_were_moved_away() {
    let image = Image::new(&numbered(3));
    let home = image.with(&image.segment, true);
    fs::remove_file(home.path().join(&image.name)).unwrap();
    assert_eq!(recovered(&home), (vec![], 0));
    assert_eq!(read(home.path()).0, [(4, "new".to_owned())]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_file_other_records_survive(
        sizes in proptest::collection::vec(0_usize..300, 1..12),
        at in 0.0..1.0_f64,
        with in proptest::collection::vec(any::<u8>(), 1..200),
        truncate: bool,
    ) {
        let values: Vec<_> = sizes.iter().zip(0..).map(|(size, n)| format!("{n} {}", "v".repeat(*size))).collect();
        let image = Image::new(&values);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let at = (image.end() as f64 * at) as usize;
        let mut garbled = image.segment.clone();
        let end = (at + with.len()).min(garbled.len());
        garbled[at..end].copy_from_slice(&with[..end - at]);
        if truncate { garbled.truncate(end); }
        let whole = |n: usize| {
            let bytes = image.bounds[n]..image.bounds[n + 1];
            garbled.get(bytes.clone()) == image.segment.get(bytes)
        };
        let expected: Vec<_> = (0..values.len()).filter(|n| whole(*n)).map(|n| (n as u64 + 1, values[n].clone())).collect();
        let (found, damaged) = recovered(&image.with(&garbled, true));
        let lost = (values.len() - expected.len()) as u64;
        prop_assert_eq!(found, expected);
        prop_assert!(damaged <= lost);
        prop_assert!(truncate || damaged == lost);
    }
}
