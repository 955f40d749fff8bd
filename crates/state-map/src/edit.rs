//! Insertion and removal: new nodes along one path, everything else shared.

use std::sync::Arc;

use crate::map::Entry;
use crate::node::{Body, Branch, FAN_OUT, LEAF_MAX, Node, Region, Summary, common_nibbles, nibble};
use crate::store::{LoadError, NodeStore};

/// One key that changes.
#[derive(Clone, Copy)]
pub(crate) struct Edit {
    pub(crate) key: u64,
    pub(crate) old: Option<Entry>,
    pub(crate) new: Entry,
}

/// The trie `node` with the edit made. `edit.old` is what the trie holds for the key.
pub(crate) fn insert(node: &Arc<Node>, edit: Edit, nodes: &impl NodeStore) -> Result<Arc<Node>, LoadError> {
    match node.body(nodes)? {
        Body::Leaf(items) => Ok(insert_in_leaf(items, edit)),
        Body::Branch(branch) if !branch.region.contains(edit.key) => Ok(join(node, branch, edit)),
        Body::Branch(branch) => {
            let child = match branch.child(edit.key) {
                Some(child) => insert(child, edit, nodes)?,
                None => Node::leaf(Box::new([(edit.key, edit.new)])),
            };
            let branch = branch.with_child(edit.key, Some(child));
            let summary = summary_after(node.summary(), &branch, edit);
            Ok(Node::summarised(summary, Body::Branch(Box::new(branch))))
        }
    }
}

fn insert_in_leaf(items: &[(u64, Entry)], edit: Edit) -> Arc<Node> {
    let at = items.partition_point(|(key, _)| *key < edit.key);
    let (before, after) = items.split_at_checked(at).unwrap_or((items, &[]));
    let after = match after {
        [(key, _), rest @ ..] if *key == edit.key => rest,
        _ => after,
    };
    let mut items = Vec::with_capacity(before.len() + 1 + after.len());
    items.extend_from_slice(before);
    items.push((edit.key, edit.new));
    items.extend_from_slice(after);
    if items.len() > LEAF_MAX { Node::build(&items) } else { Node::leaf(items.into()) }
}

/// A branch above `node`, whose keys all differ from the new one before the nibble in which they
/// differ from each other.
fn join(node: &Arc<Node>, branch: &Branch, edit: Edit) -> Arc<Node> {
    let region = Region::around(edit.key, common_nibbles(edit.key, branch.region.prefix));
    let above = Branch { region, children: [const { None }; FAN_OUT] }
        .with_child(branch.region.prefix, Some(Arc::clone(node)))
        .with_child(edit.key, Some(Node::leaf(Box::new([(edit.key, edit.new)]))));
    let summary = summary_after(node.summary(), &above, edit);
    Node::summarised(summary, Body::Branch(Box::new(above)))
}

/// The summary after an edit; looks at the children only when the greatest generation may have gone away.
fn summary_after(before: Summary, branch: &Branch, edit: Edit) -> Summary {
    let lost_the_greatest = edit.old.is_some_and(|old| old.generation == before.max_generation);
    if edit.new.generation < before.max_generation && lost_the_greatest {
        return branch.summary();
    }
    Summary {
        len: before.len.saturating_add(usize::from(edit.old.is_none())),
        max_generation: before.max_generation.max(edit.new.generation),
    }
}

/// The trie `node` without `key`, which it holds.
pub(crate) fn remove(node: &Arc<Node>, key: u64, nodes: &impl NodeStore) -> Result<Arc<Node>, LoadError> {
    if node.summary().len <= LEAF_MAX.saturating_add(1) {
        let mut items = Vec::with_capacity(node.summary().len);
        collect(node, nodes, &mut items)?;
        items.retain(|(other, _)| *other != key);
        return Ok(Node::leaf(items.into()));
    }
    match node.body(nodes)? {
        // Not met: a leaf holds no more than `LEAF_MAX`.
        Body::Leaf(_) => Ok(Arc::clone(node)),
        Body::Branch(branch) => {
            let child = match branch.child(key) {
                Some(child) if child.summary().len > 1 => Some(remove(child, key, nodes)?),
                _ => None,
            };
            Ok(without_single_children(branch.with_child(key, child)))
        }
    }
}

/// The node of a branch that may have lost its last child but one.
fn without_single_children(branch: Branch) -> Arc<Node> {
    let mut children = branch.children.iter().flatten();
    match (children.next(), children.next()) {
        (Some(only), None) => Arc::clone(only),
        _ => {
            let summary = branch.summary();
            Node::summarised(summary, Body::Branch(Box::new(branch)))
        }
    }
}

/// Appends every entry of `node` in the order of keys.
fn collect(node: &Node, nodes: &impl NodeStore, out: &mut Vec<(u64, Entry)>) -> Result<(), LoadError> {
    match node.body(nodes)? {
        Body::Leaf(items) => out.extend_from_slice(items),
        Body::Branch(branch) => {
            for child in branch.children.iter().flatten() {
                collect(child, nodes, out)?;
            }
        }
    }
    Ok(())
}

/// The entry of `key`.
pub(crate) fn get(root: &Node, key: u64, nodes: &impl NodeStore) -> Result<Option<Entry>, LoadError> {
    let mut node = root;
    loop {
        match node.body(nodes)? {
            Body::Leaf(items) => {
                let at = items.partition_point(|(other, _)| *other < key);
                return Ok(items.get(at).filter(|(other, _)| *other == key).map(|(_, entry)| *entry));
            }
            Body::Branch(branch) => match branch.children.get(nibble(key, branch.region.depth)) {
                Some(Some(child)) if branch.region.contains(key) => node = child,
                _ => return Ok(None),
            },
        }
    }
}
