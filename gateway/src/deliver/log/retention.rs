//! Which segments go: pure, so every rule is a table test.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::directory::SegmentFile;

/// A segment is ended after this part of the greatest age, so that no record stays for much longer than that because of
/// those that came after it.
pub(super) const PARTS: u32 = 8;

/// A segment to be deleted.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Going {
    pub path: PathBuf,
    /// How many of its records nothing has taken.
    pub expired: u64,
}

/// Those of `segments`, which are the oldest first, that are to be deleted: `released` is the first sequence that is still
/// needed, `end` where the last segment ends. What is younger stays, and so does everything after it: the log has no
/// holes.
pub(super) fn going(
    segments: &[SegmentFile],
    end: u64,
    released: u64,
    max_age: Option<Duration>,
    now: SystemTime,
) -> Vec<Going> {
    let ends = segments.iter().skip(1).map(|segment| segment.first).chain([end]);
    let too_old = |segment: &SegmentFile| {
        let age = segment.modified.and_then(|modified| now.duration_since(modified).ok());
        matches!((age, max_age), (Some(age), Some(max_age)) if age > max_age)
    };
    segments
        .iter()
        .zip(ends)
        .take_while(|(segment, end)| *end <= released || too_old(segment))
        .map(|(segment, end)| Going {
            path: segment.path.clone(),
            expired: end.saturating_sub(segment.first.max(released)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Segments of records 1 to 10, 11 to 20, 21 to 30, last written 3, 2 and 1 hours ago: which go, and how many of their
    /// records expire.
    #[track_caller]
    fn gone(released: u64, max_age: Option<Duration>, expected: &[u64]) {
        let now = SystemTime::UNIX_EPOCH + 100 * HOUR;
        let segments: Vec<_> = (0..3_u32)
            .map(|n| SegmentFile {
                first: u64::from(n) * 10 + 1,
                path: n.to_string().into(),
                bytes: 1,
                modified: Some(now - (3 - n) * HOUR),
            })
            .collect();
        let going = going(&segments, 31, released, max_age, now);
        assert_eq!(going.iter().map(|going| going.expired).collect::<Vec<_>>(), expected);
        assert!((0..).zip(&going).all(|(n, going)| going.path.to_str() == Some(n.to_string().as_str())));
    }

    #[test]
    fn what_is_forwarded_goes_in_whole_segments() {
        gone(0, None, &[]);
        gone(10, None, &[]);
        gone(11, None, &[0]);
        gone(25, None, &[0, 0]);
        gone(31, None, &[0, 0, 0]);
    }

    #[test]
    fn what_is_too_old_goes_and_what_nothing_had_taken_of_it_is_counted() {
        gone(0, Some(4 * HOUR), &[]);
        gone(0, Some(3 * HOUR), &[]);
        gone(0, Some(HOUR * 5 / 2), &[10]);
        gone(16, Some(HOUR * 3 / 2), &[0, 5]);
        gone(0, Some(HOUR / 2), &[10, 10, 10]);
    }

    #[test]
    fn what_was_written_in_the_future_stays() {
        let now = SystemTime::UNIX_EPOCH + HOUR;
        let of = |modified| SegmentFile { first: 1, path: "x".into(), bytes: 1, modified };
        for modified in [Some(now + HOUR), None] {
            assert_eq!(going(&[of(modified)], 11, 0, Some(Duration::ZERO), now), []);
        }
    }
}
