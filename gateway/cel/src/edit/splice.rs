//! Parts of a payload replaced or left out; everything between them is copied as it is.

/// An output that follows a payload from its beginning to its end.
#[derive(Debug)]
pub(super) struct Splice<'a, 'o> {
    payload: &'a str,
    /// Up to here the payload is in `out`, or has been replaced.
    copied: usize,
    out: &'o mut Vec<u8>,
}

impl<'a, 'o> Splice<'a, 'o> {
    /// Nothing is copied yet; what was in `out` is gone.
    pub(super) fn new(payload: &'a str, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        Self { payload, copied: 0, out }
    }

    /// Leaves out from `start` to `end`; places come in their order. The buffer, for what comes in its place.
    pub(super) fn cut(&mut self, start: usize, end: usize) -> &mut Vec<u8> {
        self.copy(start);
        self.copied = end.max(self.copied);
        self.out
    }

    /// How long the output is so far.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Copies what is left; the length of all.
    pub(super) fn finish(mut self) -> usize {
        self.copy(self.payload.len());
        self.out.len()
    }

    fn copy(&mut self, end: usize) {
        let bytes = self.payload.as_bytes();
        self.out.extend_from_slice(bytes.get(self.copied..end).unwrap_or_default());
        self.copied = end.max(self.copied);
    }
}

/// The members or elements around one that goes: which commas go with it.
#[derive(Debug)]
pub(super) struct Siblings {
    /// Where the last one ended; at first, after the opening bracket.
    end: usize,
    has_kept: bool,
    has_cut: bool,
}

impl Siblings {
    pub(super) fn new(opened: usize) -> Self {
        Self { end: opened, has_kept: false, has_cut: false }
    }

    /// One stays that begins at `start`: the first that does stands after no comma.
    #[inline]
    pub(super) fn keep(&mut self, start: usize, splice: &mut Splice<'_, '_>) {
        if self.has_cut && !self.has_kept {
            splice.cut(self.end, start);
        }
        self.has_kept = true;
    }

    /// One goes that ends at `end`, and the comma before it.
    pub(super) fn cut(&mut self, end: usize, splice: &mut Splice<'_, '_>) {
        splice.cut(self.end, end);
        self.has_cut = true;
    }

    /// One has ended.
    #[inline]
    pub(super) fn ended(&mut self, end: usize) {
        self.end = end;
    }
}
