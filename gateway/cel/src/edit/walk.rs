//! The pass of a [`Redactor`] over a payload: checks it, follows all paths, and splices.

use tidegate_wire::json::{Kind, Scanner, Token};

use super::redact::{Done, Redactor};
use super::rewrite::Texts;
use super::splice::{Siblings, Splice};
use super::tree::{Marks, Rules};
use super::{Buffers, EditError};
use crate::scan::{Malformed, deeper};
use crate::value::Text;

pub(super) struct Walk<'a, 'w> {
    redactor: &'w Redactor,
    scanner: Scanner<'a>,
    active: &'w mut Vec<u16>,
    seen: &'w mut Vec<u16>,
    name: &'w mut String,
    texts: &'w mut Texts,
    splice: Splice<'a, 'w>,
    bytes_max: usize,
    done: Done,
}

impl<'a, 'w> Walk<'a, 'w> {
    pub(super) fn new(
        redactor: &'w Redactor,
        payload: &'a str,
        bytes_max: usize,
        buffers: &'w mut Buffers,
        out: &'w mut Vec<u8>,
    ) -> Self {
        let Buffers { active, seen, name, texts } = buffers;
        active.clear();
        seen.clear();
        let splice = Splice::new(payload, out);
        let (scanner, done) = (Scanner::new(payload), Done::default());
        Self { redactor, scanner, active, seen, name, texts, splice, bytes_max, done }
    }

    pub(super) fn run(mut self, max_depth: u32) -> Result<Done, EditError> {
        let mut marks = Marks::default();
        self.redactor.tree.enter(0, 0, self.active, &mut marks);
        self.value(0, marks, max_depth)?;
        self.scanner.end()?;
        if self.done.is_edited && self.splice.finish() > self.bytes_max {
            return Err(EditError::TooLong);
        }
        Ok(self.done)
    }

    /// The value that is next stands at the nodes from `begin` on.
    fn value(&mut self, begin: usize, marks: Marks, max_depth: u32) -> Result<(), EditError> {
        let first = self.scanner.ahead();
        let holds_others = matches!(first, Some(b'{' | b'['));
        let hit = marks.ends | if holds_others { 0 } else { marks.leaves };
        if hit & !self.redactor.shadows != 0 || hit != 0 && !holds_others {
            let token = self.scanner.value(max_depth)?;
            // What may be left of it is not what other paths lead through.
            if !holds_others && token.kind != Kind::Null && hit & self.redactor.wholes == 0 {
                self.done.faults |= marks.objects | marks.arrays;
            }
            return self.rewrite(hit, token);
        }
        self.done.changed |= hit;
        match first {
            Some(b'{') => {
                self.done.faults |= marks.arrays;
                self.members(begin, max_depth)
            }
            Some(b'[') => {
                self.done.faults |= marks.objects;
                self.elements(begin, max_depth)
            }
            _ => {
                let token = self.scanner.value(max_depth)?;
                if token.kind != Kind::Null {
                    self.done.faults |= marks.objects | marks.arrays;
                }
                Ok(())
            }
        }
    }

    fn rewrite(&mut self, hit: Rules, token: Token<'a>) -> Result<(), EditError> {
        let changed = self.texts.rewrite(&self.redactor.redactions, hit, token);
        self.done.changed |= changed;
        if changed & !self.redactor.shadows == 0 {
            return Ok(());
        }
        let end = self.scanner.position();
        let out = self.splice.cut(end - token.raw.len(), end);
        self.texts.write(out);
        self.done.is_edited = true;
        if self.splice.len() > self.bytes_max { Err(EditError::TooLong) } else { Ok(()) }
    }

    fn members(&mut self, begin: usize, max_depth: u32) -> Result<(), EditError> {
        let depth = deeper(max_depth, self.scanner.position())?;
        let (inner, seen) = (self.active.len(), self.seen.len());
        // A copy, whose place stays in a register.
        let mut scanner = self.scanner;
        scanner.open(b'{', "expected an object")?;
        let mut siblings = Siblings::new(scanner.position());
        let mut first = true;
        while scanner.another(b'}', first, "expected `,` or `}`")? {
            first = false;
            scanner.ahead();
            let start = scanner.position();
            let name = scanner.name()?;
            let marks = self.named(begin..inner, seen, name, scanner.position())?;
            if self.active.len() == inner {
                siblings.keep(start, &mut self.splice);
                scanner.value(depth)?;
            } else {
                self.scanner = scanner;
                self.sibling(&mut siblings, start, inner, marks, depth)?;
                scanner = self.scanner;
            }
            siblings.ended(scanner.position());
        }
        self.scanner = scanner;
        self.seen.truncate(seen);
        Ok(())
    }

    fn elements(&mut self, begin: usize, max_depth: u32) -> Result<(), EditError> {
        let depth = deeper(max_depth, self.scanner.position())?;
        let inner = self.active.len();
        self.scanner.open(b'[', "expected an array")?;
        let mut siblings = Siblings::new(self.scanner.position());
        let mut index = 0;
        while self.scanner.another(b']', index == 0, "expected `,` or `]`")? {
            self.scanner.ahead();
            let start = self.scanner.position();
            let marks = self.indexed(begin..inner, index);
            self.sibling(&mut siblings, start, inner, marks, depth)?;
            siblings.ended(self.scanner.position());
            index = index.saturating_add(1);
        }
        Ok(())
    }

    /// A member or element that begins at `start`; its value stands at the nodes from `inner` on.
    #[inline]
    fn sibling(
        &mut self,
        siblings: &mut Siblings,
        start: usize,
        inner: usize,
        marks: Marks,
        depth: u32,
    ) -> Result<(), EditError> {
        let removed = marks.ends & self.redactor.removes;
        if self.active.len() == inner {
            siblings.keep(start, &mut self.splice);
            self.scanner.value(depth)?;
        } else if removed != 0 {
            self.scanner.value(depth)?;
            siblings.cut(self.scanner.position(), &mut self.splice);
            self.done.changed |= removed;
            self.done.is_edited = true;
        } else {
            siblings.keep(start, &mut self.splice);
            self.value(inner, marks, depth)?;
        }
        self.active.truncate(inner);
        Ok(())
    }

    /// Enters the nodes that lead on from `nodes` to the member called `name`, whose value begins after byte `value_at`.
    #[inline]
    fn named(
        &mut self,
        nodes: std::ops::Range<usize>,
        seen: usize,
        name: Token<'a>,
        value_at: usize,
    ) -> Result<Marks, Malformed> {
        let text = match name.kind {
            Kind::String { escaped: true } => Text::json(name.inner(), true).read(self.name).ok(),
            _ => Some(name.inner()),
        };
        let (tree, inner) = (&self.redactor.tree, nodes.end);
        let mut marks = Marks::default();
        for at in nodes {
            let Some((at, node)) = self.active.get(at).and_then(|at| Some((*at, tree.node(*at)?))) else {
                continue;
            };
            if node.is_deep {
                tree.enter(at, inner, self.active, &mut marks);
            }
            if let Some(any) = node.any_member {
                tree.enter(any, inner, self.active, &mut marks);
            }
            // A name with half a surrogate pair is nobody's.
            let Some(text) = text.map(str::as_bytes).filter(|text| node.may_name(text)) else { continue };
            for edge in node.names.iter().filter(|edge| edge.is(text)) {
                if self.seen.get(seen..).is_some_and(|seen| seen.contains(&edge.to)) {
                    return Err(Malformed::Duplicate(value_at));
                }
                self.seen.push(edge.to);
                tree.enter(edge.to, inner, self.active, &mut marks);
            }
        }
        Ok(marks)
    }

    /// Enters the nodes that lead on from `nodes` to the element at `index`.
    #[inline]
    fn indexed(&mut self, nodes: std::ops::Range<usize>, index: u32) -> Marks {
        let (tree, inner) = (&self.redactor.tree, nodes.end);
        let mut marks = Marks::default();
        for at in nodes {
            let Some((at, node)) = self.active.get(at).and_then(|at| Some((*at, tree.node(*at)?))) else {
                continue;
            };
            if node.is_deep {
                tree.enter(at, inner, self.active, &mut marks);
            }
            if let Some(any) = node.any_element {
                tree.enter(any, inner, self.active, &mut marks);
            }
            for (_, to) in node.indexes.iter().filter(|(wanted, _)| *wanted == index) {
                tree.enter(*to, inner, self.active, &mut marks);
            }
        }
        marks
    }
}
