//! Which segments go: pure, so every rule is a table test.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::directory::SegmentFile;

/// A segment is ended after this part of the greatest age, so that no record stays for much longer than that because of
/// those that came after it.
pub(super) const PARTS: u32 = 8;

/// A step of the wall clock beside the steady one, from which on it is a jump and not a correction.
const JUMP: Duration = Duration::from_secs(60);

/// The wall clock, as far as it is believed.
///
/// Files are dated by it, so one that is wrong makes all of them too old at once. After a start and after a jump it is
/// believed only when it has run evenly for an eighth of the greatest age: until then it may be set right, or be seen.
#[derive(Debug)]
pub(super) struct Clock {
    max_age: Duration,
    looked: (SystemTime, Instant),
    even_since: Instant,
}

impl Clock {
    pub(super) fn new(max_age: Duration, wall: SystemTime, now: Instant) -> Self {
        Self { max_age, looked: (wall, now), even_since: now }
    }

    /// What time it is; `None` while that is in doubt.
    pub(super) fn read(&mut self, wall: SystemTime, now: Instant) -> Option<SystemTime> {
        let (before, looked_at) = std::mem::replace(&mut self.looked, (wall, now));
        let expected = before + now.saturating_duration_since(looked_at);
        let off = wall.duration_since(expected).unwrap_or_else(|error| error.duration());
        let doubt = self.max_age / PARTS;
        if off > JUMP.min(doubt) {
            self.even_since = now;
            tracing::warn!(
                seconds = off.as_secs(),
                "the clock has jumped: because of log.max_age nothing is deleted before it has run evenly for {doubt:?}"
            );
        }
        (now.saturating_duration_since(self.even_since) >= doubt).then_some(wall)
    }
}

/// A segment to be deleted.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Going {
    pub path: PathBuf,
    pub first: u64,
    /// How many of its records nothing has taken.
    pub expired: u64,
}

/// Those of `segments`, which are the oldest first, that are to be deleted: `released` is the first sequence that is still
/// needed, `end` where the last segment ends; nothing is too old at an unknown time. What is younger stays, and so does everything after it: the log has no
/// holes.
pub(super) fn going(
    segments: &[SegmentFile],
    end: u64,
    released: u64,
    max_age: Option<Duration>,
    now: Option<SystemTime>,
) -> Vec<Going> {
    let ends = segments.iter().skip(1).map(|segment| segment.first).chain([end]);
    let too_old = |segment: &SegmentFile| {
        let age = segment.modified.zip(now).and_then(|(modified, now)| now.duration_since(modified).ok());
        matches!((age, max_age), (Some(age), Some(max_age)) if age > max_age)
    };
    segments
        .iter()
        .zip(ends)
        .take_while(|(segment, end)| *end <= released || too_old(segment))
        .map(|(segment, end)| Going {
            path: segment.path.clone(),
            first: segment.first,
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
        let going = going(&segments, 31, released, max_age, Some(now));
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
            assert_eq!(going(&[of(modified)], 11, 0, Some(Duration::ZERO), Some(now)), []);
        }
        let old = [of(Some(SystemTime::UNIX_EPOCH))];
        assert_eq!(going(&old, 11, 0, Some(Duration::ZERO), Some(now)).len(), 1);
        assert_eq!(going(&old, 11, 0, Some(Duration::ZERO), None), [], "nobody knows how late it is");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn a_clock_is_believed_once_it_has_run_evenly_for_an_eighth_of_the_age() {
        let (wall, start) = (SystemTime::UNIX_EPOCH + 1_000 * HOUR, Instant::now());
        let minute = Duration::from_secs(60);
        // Each look: minutes since the start, and how far the wall clock is ahead by then, in minutes.
        let looks = [
            (0, 0, false),
            (59, 0, false),
            (60, 0, true),
            (61, 0, true),
            // It is set to next year.
            (62, 525_600, false),
            (121, 525_600, false),
            // It is set right before anything was deleted for it.
            (121, 0, false),
            (180, 0, false),
            (181, 0, true),
            // One that is corrected by and by does not jump.
            (182, 1, true),
            (183, 2, true),
            // And one that stays wrong is believed in the end.
            (184, 9_000, false),
            (244, 9_000, true),
        ];
        let mut clock = Clock::new(8 * HOUR, wall, start);
        for (at, ahead, expected) in looks {
            let (now, wall) = (start + at * minute, wall + (at + ahead) * minute);
            assert_eq!(clock.read(wall, now), expected.then_some(wall), "after {at} minutes");
        }
    }
}
