//! How much flows: whether records have company worth waiting for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts frames in windows of time: one atomic update a frame, no lock.
pub(super) struct Flow {
    began: Instant,
    /// A [`Count`], packed.
    count: AtomicU64,
}

/// Long enough that chance alone does not make a steady flow look now sparse, now dense.
const WINDOW: Duration = Duration::from_millis(100);

/// Frames in a window up to which each is worth a request of its own: 1,000 a second.
///
/// By measurement (one broker, one partition, single events, percent of a core): sending each of 200, 500, 1,000,
/// 2,000 or 8,000 frames a second at once takes 5, 10, 15, 27, 60 % in the gateway, letting them linger for 5 ms
/// takes 3, 4, 5, 7, 13 %; the broker pays about as much again. So 4.5 ms cost a tenth of a core here, and soon
/// several times that. Only frames count: the records of one are sent together anyway.
const FEW: u16 = 100;

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, count: AtomicU64::new(Count::default().pack()) }
    }

    /// Counts a frame. Returns whether few came lately, this one included.
    pub(super) fn add(&self, now: Instant) -> bool {
        let window = self.window(now);
        let mut packed = self.count.load(Ordering::Relaxed);
        loop {
            let mut count = Count::unpack(packed).at(window);
            count.current = count.current.saturating_add(1);
            match self.count.compare_exchange_weak(packed, count.pack(), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return count.is_few(),
                Err(newer) => packed = newer,
            }
        }
    }

    /// Whether few frames came lately.
    pub(super) fn is_sparse(&self, now: Instant) -> bool {
        Count::unpack(self.count.load(Ordering::Relaxed)).at(self.window(now)).is_few()
    }

    /// Which window it is; wraps after years, which at worst makes one frame linger.
    fn window(&self, now: Instant) -> u32 {
        let windows = now.saturating_duration_since(self.began).as_millis() / WINDOW.as_millis();
        #[expect(clippy::cast_possible_truncation, reason = "wraps")]
        let window = windows as u32;
        window
    }
}

/// Frames of a window and of the one before.
#[derive(Clone, Copy, Default)]
struct Count {
    window: u32,
    previous: u16,
    current: u16,
}

impl Count {
    fn pack(self) -> u64 {
        u64::from(self.window) << 32 | u64::from(self.previous) << 16 | u64::from(self.current)
    }

    fn unpack(packed: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the parts are taken apart")]
        Self { window: (packed >> 32) as u32, previous: (packed >> 16) as u16, current: packed as u16 }
    }

    /// As seen from `window`. Another thread may have begun a later one already: then it is that one's.
    fn at(self, window: u32) -> Self {
        match window.wrapping_sub(self.window) {
            0 => self,
            1 => Self { window, previous: self.current, current: 0 },
            ahead if ahead < u32::MAX / 2 => Self { window, previous: 0, current: 0 },
            _ => self,
        }
    }

    fn is_few(self) -> bool {
        self.current.max(self.previous) <= FEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn flow() -> (Flow, Instant) {
        let now = Instant::now();
        (Flow::new(now), now)
    }

    #[test]
    fn a_flow_is_sparse_until_it_is_more_than_a_thousand_frames_a_second() {
        for (frames_a_second, sparse) in
            [(1, true), (100, true), (900, true), (1_200, false), (200_000, false)]
        {
            let (flow, began) = flow();
            let gap = Duration::from_secs(1) / frames_a_second;
            let last = (0..=frames_a_second).map(|n| flow.add(began + gap * n));
            assert_eq!(last.last(), Some(sparse), "{frames_a_second} frames a second");
        }
    }

    #[test]
    fn a_dense_flow_is_noticed_at_once_and_remembered_for_a_window() {
        let (flow, began) = flow();
        let sparse = (0..1_000).take_while(|_| flow.add(began)).count();
        assert_eq!(sparse, usize::from(FEW));
        assert!(!flow.is_sparse(began + WINDOW));
        assert!(!flow.is_sparse(began + WINDOW * 199 / 100));
        assert!(flow.is_sparse(began + 2 * WINDOW));
        assert!(flow.add(began + 2 * WINDOW));
    }

    #[test]
    fn bursts_with_pauses_between_them_are_dense() {
        let (flow, began) = flow();
        for burst in 0..10 {
            let at = began + burst * WINDOW;
            let last = (0..=FEW).map(|_| flow.add(at)).last();
            assert_eq!(last, Some(false));
            assert!(!flow.is_sparse(at + WINDOW), "the next burst finds it dense");
        }
    }

    #[test]
    fn a_clock_that_another_thread_read_later_is_the_later_window() {
        let (flow, began) = flow();
        assert_eq!((0..=FEW).map(|_| flow.add(began + WINDOW)).last(), Some(false));
        assert!(!flow.add(began), "counted in the window under way");
        assert!(flow.is_sparse(began + 3 * WINDOW));
    }
}
