//! All paths of a route in one tree, so that one pass follows them all.

use std::ops::BitOr;

use super::path::{Path, Step};

/// A set of redactions, by their positions.
pub(super) type Rules = u64;

/// The paths from the payload on. A value may stand at several nodes at once: `*` and `**` are beside the names.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) names: Vec<Edge>,
    /// Those that its names have: see [`length_bit`].
    lengths: u64,
    pub(super) indexes: Vec<(u32, u16)>,
    pub(super) any_member: Option<u16>,
    pub(super) any_element: Option<u16>,
    /// Where the same value stands too: `**` begins here.
    deep: Option<u16>,
    /// It is `**`: what is below stands here too.
    pub(super) is_deep: bool,
    marks: Marks,
}

/// A name that is looked for.
#[derive(Debug)]
pub(super) struct Edge {
    name: Box<[u8]>,
    ignores_case: bool,
    pub(super) to: u16,
}

/// What redactions say of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// Those that lead to it.
    pub(super) ends: Rules,
    /// Those that lead to it if it holds no others.
    pub(super) leaves: Rules,
    /// Those that can be followed only if it is an object, and only if it is an array.
    pub(super) objects: Rules,
    pub(super) arrays: Rules,
}

impl BitOr for Marks {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self {
            ends: self.ends | other.ends,
            leaves: self.leaves | other.leaves,
            objects: self.objects | other.objects,
            arrays: self.arrays | other.arrays,
        }
    }
}

/// Most names of a payload are told from those that are looked for by their length alone.
#[inline]
fn length_bit(name: &[u8]) -> u64 {
    1 << (name.len() % 64)
}

impl Node {
    /// Whether it looks for a name as long as this.
    #[inline]
    pub(super) fn may_name(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name) != 0
    }
}

impl Edge {
    #[inline]
    pub(super) fn is(&self, name: &[u8]) -> bool {
        if self.ignores_case { self.name.eq_ignore_ascii_case(name) } else { *self.name == *name }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds the path of the redaction at `rule`.
    pub(super) fn add(&mut self, path: &Path, ignores_case: bool, rule: usize) {
        let rule: Rules = 1 << (rule % 64);
        // After `*` and `**` a path takes what fits and passes by what does not.
        let mut expects = true;
        let mut at = 0;
        for step in &path.steps {
            expects &= *step != Step::Deep;
            if let Some(node) = self.nodes.get_mut(usize::from(at)).filter(|_| expects) {
                match step {
                    Step::Name(_) | Step::AnyMember => node.marks.objects |= rule,
                    _ => node.marks.arrays |= rule,
                }
            }
            expects &= *step != Step::AnyMember;
            at = self.below(at, step, ignores_case);
        }
        if let Some(Node { is_deep, marks, .. }) = self.nodes.get_mut(usize::from(at)) {
            *(if *is_deep { &mut marks.leaves } else { &mut marks.ends }) |= rule;
        }
    }

    /// The node one step below, made if need be.
    fn below(&mut self, parent: u16, step: &Step, ignores_case: bool) -> u16 {
        // Paths have at most 64 times 16 steps.
        let new = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let Some(node) = self.nodes.get_mut(usize::from(parent)) else { return parent };
        let to = match step {
            Step::Name(name) => {
                let name = name.as_bytes();
                let is_same = |edge: &&Edge| edge.ignores_case == ignores_case && edge.is(name);
                match node.names.iter().find(is_same) {
                    Some(edge) => edge.to,
                    None => {
                        node.lengths |= length_bit(name);
                        node.names.push(Edge { name: name.into(), ignores_case, to: new });
                        new
                    }
                }
            }
            Step::Index(index) => match node.indexes.iter().find(|(other, _)| other == index) {
                Some((_, to)) => *to,
                None => {
                    node.indexes.push((*index, new));
                    new
                }
            },
            Step::AnyMember => *node.any_member.get_or_insert(new),
            Step::AnyElement => *node.any_element.get_or_insert(new),
            Step::Deep => *node.deep.get_or_insert(new),
        };
        if to == new {
            self.nodes.push(Node { is_deep: *step == Step::Deep, ..Node::default() });
        }
        to
    }

    #[inline]
    pub(super) fn node(&self, at: u16) -> Option<&Node> {
        self.nodes.get(usize::from(at))
    }

    /// A value stands at node `at`: adds that, and where else it stands then, to `active` from `begin` on.
    #[inline]
    pub(super) fn enter(&self, at: u16, begin: usize, active: &mut Vec<u16>, marks: &mut Marks) {
        let mut next = Some(at);
        while let Some(at) = next {
            if active.get(begin..).is_some_and(|entered| entered.contains(&at)) {
                return;
            }
            let Some(node) = self.node(at) else { return };
            active.push(at);
            *marks = *marks | node.marks;
            next = node.deep;
        }
    }
}
