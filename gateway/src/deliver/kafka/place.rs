//! Which event a delivery report is of.

/// Which event of which frame: what travels through librdkafka, as one number, and comes back in its report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) index: u32,
}

const _: () = assert!(usize::BITS >= 64, "a place is packed into a pointer");

impl Place {
    pub(super) fn pack(self) -> usize {
        (self.slot as usize) << 32 | self.index as usize
    }

    pub(super) fn unpack(packed: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
        Self { slot: (packed >> 32) as u32, index: packed as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_way_through_librdkafka() {
        for place in [Place { slot: 0, index: 0 }, Place { slot: 7, index: u32::MAX }] {
            assert_eq!(Place::unpack(place.pack()), place);
        }
    }
}
