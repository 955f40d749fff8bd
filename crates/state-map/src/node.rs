//! The shape of the trie.
//!
//! INVARIANT: the shape is a function of the entries alone. A set of at most [`LEAF_MAX`] entries
//! is one leaf; a larger set is a branch at the first nibble (four bits, most significant first) in
//! which its keys differ. So the same content has the same nodes, the same bytes and the same root
//! id, whatever the order of insertions and removals.

use std::sync::{Arc, OnceLock};

use crate::codec;
use crate::map::Entry;
use crate::store::{Corruption, LoadError, NodeId, NodeStore};

/// The most entries that one leaf holds: a small room is a single node, and copying a leaf stays below 1 KiB.
pub(crate) const LEAF_MAX: usize = 32;

/// Number of children of a branch: one for each value of a nibble.
pub(crate) const FAN_OUT: usize = 16;

/// Number of nibbles in a key.
pub(crate) const NIBBLES: u8 = 16;

/// What a parent knows of a node without loading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) len: usize,
    /// The greatest generation below; 0 when there is no entry.
    pub(crate) max_generation: u64,
}

/// The keys that begin with the first `depth` nibbles of `prefix`; the other bits of `prefix` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) prefix: u64,
    pub(crate) depth: u8,
}

#[derive(Debug)]
pub(crate) struct Node {
    summary: Summary,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Made in memory; hashed when somebody asks.
    Made { body: Body, id: OnceLock<NodeId> },
    /// Kept in a store; loaded when somebody asks.
    Stored { id: NodeId, region: Region, body: OnceLock<Body> },
}

#[derive(Debug)]
pub(crate) enum Body {
    /// Entries in the order of keys.
    Leaf(Box<[(u64, Entry)]>),
    Branch(Box<Branch>),
}

#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// The keys below have these nibbles in common, and differ in the next one.
    pub(crate) region: Region,
    /// By the value of that next nibble.
    pub(crate) children: [Option<Arc<Node>>; FAN_OUT],
}

impl Region {
    pub(crate) const ALL: Region = Region { prefix: 0, depth: 0 };

    pub(crate) fn around(key: u64, depth: u8) -> Region {
        let below = u64::MAX.checked_shr(u32::from(depth) * 4).unwrap_or(0);
        Region { prefix: key & !below, depth }
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        Region::around(key, self.depth).prefix == self.prefix
    }

    pub(crate) fn contains_region(&self, other: &Region) -> bool {
        other.depth >= self.depth && self.contains(other.prefix)
    }

    /// The part of this region whose next nibble is `nibble`.
    pub(crate) fn slot(&self, nibble: usize) -> Region {
        // Lossless: a nibble is below sixteen.
        let bits = (nibble as u64).checked_shl(shift(self.depth)).unwrap_or(0);
        Region { prefix: self.prefix | bits, depth: self.depth.saturating_add(1) }
    }
}

/// The value of the nibble of `key` that comes after `depth` others.
pub(crate) fn nibble(key: u64, depth: u8) -> usize {
    // Lossless: masked to four bits.
    (key.checked_shr(shift(depth)).unwrap_or(0) & 0xf) as usize
}

/// How many leading nibbles two keys have in common.
pub(crate) fn common_nibbles(a: u64, b: u64) -> u8 {
    // Lossless: at most sixteen.
    ((a ^ b).leading_zeros() / 4) as u8
}

fn shift(depth: u8) -> u32 {
    u32::from(NIBBLES.saturating_sub(1).saturating_sub(depth)) * 4
}

impl Node {
    pub(crate) fn empty() -> Arc<Node> {
        Node::leaf(Box::new([]))
    }

    pub(crate) fn leaf(items: Box<[(u64, Entry)]>) -> Arc<Node> {
        Node::made(Body::Leaf(items))
    }

    fn made(body: Body) -> Arc<Node> {
        let summary = body.summary();
        Node::summarised(summary, body)
    }

    /// A node whose summary the caller has already worked out.
    pub(crate) fn summarised(summary: Summary, body: Body) -> Arc<Node> {
        Arc::new(Node { summary, content: Content::Made { body, id: OnceLock::new() } })
    }

    /// A node that is loaded when it is needed.
    pub(crate) fn stored(id: NodeId, summary: Summary, region: Region) -> Arc<Node> {
        Arc::new(Node { summary, content: Content::Stored { id, region, body: OnceLock::new() } })
    }

    /// Loads the root of a stored map, of which nothing but the id is known.
    pub(crate) fn open(id: NodeId, nodes: &impl NodeStore) -> Result<Arc<Node>, LoadError> {
        let body = read(id, nodes)?;
        let (summary, loaded) = (body.summary(), OnceLock::from(body));
        Ok(Arc::new(Node { summary, content: Content::Stored { id, region: Region::ALL, body: loaded } }))
    }

    /// The canonical trie of `items`, which are in the order of keys, each key once.
    pub(crate) fn build(items: &[(u64, Entry)]) -> Arc<Node> {
        match items {
            [(first, _), .., (last, _)] if items.len() > LEAF_MAX => {
                let region = Region::around(*first, common_nibbles(*first, *last));
                let mut children = [const { None }; FAN_OUT];
                for part in items.chunk_by(|a, b| nibble(a.0, region.depth) == nibble(b.0, region.depth)) {
                    if let Some((key, _)) = part.first()
                        && let Some(child) = children.get_mut(nibble(*key, region.depth))
                    {
                        *child = Some(Node::build(part));
                    }
                }
                Node::made(Body::Branch(Box::new(Branch { region, children })))
            }
            _ => Node::leaf(items.into()),
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    /// What is in the node, loaded on the first call.
    pub(crate) fn body(&self, nodes: &impl NodeStore) -> Result<&Body, LoadError> {
        match &self.content {
            Content::Made { body, .. } => Ok(body),
            Content::Stored { id, region, body } => {
                if let Some(body) = body.get() {
                    return Ok(body);
                }
                let loaded = read(*id, nodes)?;
                if loaded.summary() != self.summary || !loaded.is_within(region) {
                    return Err(LoadError::Corrupt { id: *id, what: Corruption::Misplaced });
                }
                Ok(body.get_or_init(|| loaded))
            }
        }
    }

    /// The body, if no store is needed to have it.
    pub(crate) fn loaded_body(&self) -> Option<&Body> {
        match &self.content {
            Content::Made { body, .. } => Some(body),
            Content::Stored { body, .. } => body.get(),
        }
    }

    /// The name of the node; hashes whatever below it has not been hashed.
    pub(crate) fn id(&self) -> NodeId {
        match &self.content {
            Content::Made { body, id } => *id.get_or_init(|| NodeId::of(&codec::encode(body))),
            Content::Stored { id, .. } => *id,
        }
    }

    /// The name of the node, if it is known without hashing anything.
    fn known_id(&self) -> Option<&NodeId> {
        match &self.content {
            Content::Made { id, .. } => id.get(),
            Content::Stored { id, .. } => Some(id),
        }
    }

    /// The serialised form of a node whose body is `body`; remembers the id.
    pub(crate) fn encode(&self, body: &Body) -> (NodeId, Vec<u8>) {
        let bytes = codec::encode(body);
        let id = match &self.content {
            Content::Made { id, .. } => *id.get_or_init(|| NodeId::of(&bytes)),
            Content::Stored { id, .. } => *id,
        };
        (id, bytes)
    }

    /// Whether two nodes are known to hold the same without looking below them. `false` means only
    /// that somebody has to look.
    pub(crate) fn is_same(a: &Arc<Node>, b: &Arc<Node>) -> bool {
        Arc::ptr_eq(a, b) || matches!((a.known_id(), b.known_id()), (Some(a), Some(b)) if a == b)
    }
}

impl Body {
    fn summary(&self) -> Summary {
        match self {
            Body::Leaf(items) => Summary {
                len: items.len(),
                max_generation: items.iter().map(|(_, entry)| entry.generation).max().unwrap_or(0),
            },
            Body::Branch(branch) => branch.summary(),
        }
    }

    fn is_within(&self, region: &Region) -> bool {
        match self {
            Body::Leaf(items) => items.iter().all(|(key, _)| region.contains(*key)),
            Body::Branch(branch) => region.contains_region(&branch.region),
        }
    }
}

impl Branch {
    pub(crate) fn child(&self, key: u64) -> Option<&Arc<Node>> {
        self.children.get(nibble(key, self.region.depth))?.as_ref()
    }

    /// A copy of this branch in which `child` stands where `key` belongs.
    pub(crate) fn with_child(&self, key: u64, child: Option<Arc<Node>>) -> Branch {
        let mut copy = self.clone();
        if let Some(place) = copy.children.get_mut(nibble(key, self.region.depth)) {
            *place = child;
        }
        copy
    }

    pub(crate) fn summary(&self) -> Summary {
        self.children.iter().flatten().fold(Summary { len: 0, max_generation: 0 }, |sum, child| Summary {
            len: sum.len.saturating_add(child.summary.len),
            max_generation: sum.max_generation.max(child.summary.max_generation),
        })
    }
}

/// Reads a node and checks that it is the one that was asked for.
pub(crate) fn read(id: NodeId, nodes: &impl NodeStore) -> Result<Body, LoadError> {
    let bytes =
        nodes.get(&id).map_err(|source| LoadError::Store { id, source })?.ok_or(LoadError::Missing { id })?;
    if NodeId::of(&bytes) != id {
        return Err(LoadError::Corrupt { id, what: Corruption::Hash });
    }
    codec::decode(&bytes).map_err(|what| LoadError::Corrupt { id, what })
}
