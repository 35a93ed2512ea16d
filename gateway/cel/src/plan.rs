//! Which fields of a payload are looked for: one tree of all paths, so that one pass finds them all.

use crate::problem::Problem;
use std::ops::Range;

/// The most places in all.
const NODES_MAX: usize = 4_096;
/// The longest path.
const SEGMENTS_MAX: usize = 16;

/// A step from a value into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    Key(String),
    Index(u32),
}

/// A place in the payload: what a pass over it finds is kept under this number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place(u16);

impl Place {
    /// The payload itself.
    pub(crate) const ROOT: Self = Self(0);

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

/// All places that some rules look at.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) keys: Vec<Key>,
    /// Those that its names have: see [`length_bit`].
    lengths: u64,
    /// In their order.
    pub(crate) indexes: Vec<(u32, Place)>,
}

impl Node {
    /// What is one step below.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let named = self.keys.iter().map(|key| key.place);
        named.chain(self.indexes.iter().map(|(_, place)| *place))
    }

    /// Where the member called `name` is kept.
    #[inline]
    pub(crate) fn named(&self, name: &[u8]) -> Option<Place> {
        if self.lengths & length_bit(name) == 0 {
            return None;
        }
        let same = |key: &&Key| key.name.first() == name.first() && *key.name == *name;
        self.keys.iter().find(same).map(|key| key.place)
    }
}

/// A name that is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    name: Box<[u8]>,
    pub(crate) place: Place,
}

/// Most names of a payload are told from those that are looked for by their length alone.
#[inline]
fn length_bit(name: &[u8]) -> u64 {
    1 << (name.len() % 64)
}

impl Default for Plan {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Plan {
    /// The paths that are looked for, as expressions write them, each once.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.write_paths(Place::ROOT, "data", &mut paths);
        paths
    }

    /// Those at `place` that nothing is looked for below.
    fn write_paths(&self, place: Place, path: &str, paths: &mut Vec<String>) {
        let Some(node) = self.node(place).filter(|node| !node.keys.is_empty() || !node.indexes.is_empty())
        else {
            if place != Place::ROOT {
                paths.push(path.to_owned());
            }
            return;
        };
        for Key { name, place } in &node.keys {
            let name = String::from_utf8_lossy(name);
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            let path = if plain { format!("{path}.{name}") } else { format!("{path}[{name:?}]") };
            self.write_paths(*place, &path, paths);
        }
        for (index, place) in &node.indexes {
            self.write_paths(*place, &format!("{path}[{index}]"), paths);
        }
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    #[inline]
    pub(crate) fn node(&self, place: Place) -> Option<&Node> {
        self.nodes.get(place.index())
    }

    /// The place of what is one segment below `parent`, made if need be.
    pub(crate) fn below(
        &mut self,
        parent: Place,
        segment: &Segment,
        at: &Range<usize>,
    ) -> Result<Place, Problem> {
        let known = self.node(parent).and_then(|node| match segment {
            Segment::Key(key) => node.named(key.as_bytes()),
            Segment::Index(index) => {
                node.indexes.iter().find(|(other, _)| other == index).map(|(_, place)| *place)
            }
        });
        if let Some(place) = known {
            return Ok(place);
        }
        let place = self.apart(at)?;
        let Some(node) = self.nodes.get_mut(parent.index()) else { return Ok(place) };
        match segment {
            Segment::Key(key) => {
                let name = key.as_bytes();
                node.lengths |= length_bit(name);
                node.keys.push(Key { name: name.into(), place });
            }
            Segment::Index(index) => {
                let position = node.indexes.partition_point(|(other, _)| other < index);
                node.indexes.insert(position, (*index, place));
            }
        }
        Ok(place)
    }

    /// A place that nothing leads to: where the elements of an array are put, one after the other.
    pub(crate) fn apart(&mut self, at: &Range<usize>) -> Result<Place, Problem> {
        let place = u16::try_from(self.nodes.len()).ok().filter(|place| usize::from(*place) < NODES_MAX);
        let place = place.ok_or_else(|| {
            let message = format!("rules look at more than {NODES_MAX} fields of the payload");
            Problem::new(at.clone(), message, "look at fewer, or split the route")
        })?;
        self.nodes.push(Node::default());
        Ok(Place(place))
    }
}

/// Whether a path may be so long.
pub(crate) fn check_length(segments: usize, at: &Range<usize>) -> Result<(), Problem> {
    if segments <= SEGMENTS_MAX {
        return Ok(());
    }
    Err(Problem::new(
        at.clone(),
        format!("a path of {segments} steps"),
        format!("take at most {SEGMENTS_MAX}"),
    ))
}
