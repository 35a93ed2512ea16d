//! Objects and arrays passed over whole.

use super::{Error, Scanner};

/// Where the object or array ends that begins at `at`. Without recursion: what a client nests costs it bytes and us bits.
pub(super) fn nested(text: &str, at: usize, max_depth: u32) -> Result<usize, Error> {
    let mut here = Scanner { text, at };
    let mut open = Open::default();
    let mut levels_left = max_depth;
    let mut in_object = false;
    loop {
        // At a member or an element; at first at the bracket itself.
        if in_object {
            here.name()?;
        }
        match here.space() {
            Some(bracket @ (b'{' | b'[')) => {
                let Some(left) = levels_left.checked_sub(1) else {
                    return Err(here.error("nested too deep"));
                };
                levels_left = left;
                here.at += 1;
                in_object = bracket == b'{';
                open.push(in_object);
                if here.space() != Some(closing(in_object)) {
                    continue;
                }
            }
            first => drop(here.scalar(first)?),
        }
        // After a member or an element, or at the end of what is empty.
        loop {
            match here.peek() {
                Some(b',') => {
                    here.at += 1;
                    break;
                }
                Some(byte) if byte == closing(in_object) => {
                    here.at += 1;
                    levels_left += 1;
                    let Some(outer) = open.pop() else { return Ok(here.at) };
                    in_object = outer;
                }
                Some(b' ' | b'\n' | b'\r' | b'\t') => here.at += 1,
                _ if in_object => return Err(here.error("expected `,` or `}`")),
                _ => return Err(here.error("expected `,` or `]`")),
            }
        }
    }
}

#[inline]
fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

/// Which brackets are open: one bit each, the innermost lowest, below a 1. Beyond 63 levels the outer ones move to the heap.
struct Open {
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
    fn push(&mut self, object: bool) {
        if self.objects.leading_zeros() == 0 {
            self.outer.push(self.objects);
            self.objects = 1;
        }
        self.objects = self.objects << 1 | u64::from(object);
    }

    /// Whether the next outer one is an object; `None` where there is none.
    #[inline]
    fn pop(&mut self) -> Option<bool> {
        self.objects >>= 1;
        if self.objects == 1 {
            self.objects = self.outer.pop()?;
        }
        Some(self.objects & 1 == 1)
    }
}
