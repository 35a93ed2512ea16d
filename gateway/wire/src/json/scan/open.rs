/// Which brackets are open: one bit each, the innermost lowest, below a 1. Beyond 63 levels the outer ones move to the heap.
pub(super) struct Open {
    objects: u64,
    outer: Vec<u64>,
}

impl Default for Open {
    fn default() -> Self {
        Self { objects: 1, outer: Vec::new() }
    }
}

impl Open {
    #[inline]
    pub(super) fn push(&mut self, object: bool) {
        if self.objects.leading_zeros() == 0 {
            self.outer.push(self.objects);
            self.objects = 1;
        }
        self.objects = self.objects << 1 | u64::from(object);
    }

    /// Whether the next outer one is an object; `None` where there is none.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<bool> {
        self.objects >>= 1;
        if self.objects == 1 {
            self.objects = self.outer.pop()?;
        }
        Some(self.objects & 1 == 1)
    }
}
