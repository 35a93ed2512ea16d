//! Numbers measured several times.

/// One figure, as often as it was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// One more measurement.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The one in the middle; 0 without any.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
            (Some(above), Some(below)) if sorted.len().is_multiple_of(2) => f64::midpoint(*above, *below),
            (Some(value), _) => *value,
            _ => 0.0,
        }
    }

    /// The smallest and the largest.
    pub(crate) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0))
    }

    /// Each measurement by the one of the same round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.zip(other, |one, other| if other == 0.0 { 0.0 } else { one / other })
    }

    /// Each measurement less the one of the same round.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.zip(other, |one, other| one - other)
    }

    fn zip(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| with(*one, *other)).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series(values.to_vec())
    }

    #[test]
    fn the_median_is_the_middle_and_the_range_the_ends() {
        let text = |values: &[f64]| format!("{} {:?}", series(values).median(), series(values).range());
        assert_eq!(text(&[]), "0 (0.0, 0.0)");
        assert_eq!(text(&[3.0, 1.0, 2.0]), "2 (1.0, 3.0)");
        assert_eq!(text(&[4.0, 1.0, 2.0, 3.0]), "2.5 (1.0, 4.0)");
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine was twice as fast in the second round; the ratio is the same in both.
        let ratio = series(&[1.0, 2.0]).over(&series(&[2.0, 4.0]));
        assert_eq!(ratio.0, [0.5, 0.5]);
        assert_eq!(series(&[3.0]).minus(&series(&[1.0])).0, [2.0]);
    }
}
