//! The serialised form of a node.
//!
//! ```text
//! leaf    0x01  count  { key  event  generation }*
//! branch  0x02  depth  prefix  children(2)  { len  max_generation  id(20) }*
//! ```
//!
//! The entries of a leaf are in the order of keys; a key after the first is its distance to the one
//! before, less 1. The children of a branch are in the order of nibbles.
//!
//! Numbers are LEB128 in their shortest form; `prefix` holds the common nibbles only; `children` is
//! a little-endian bit set. There is one way to write a node, and [`decode`] refuses every other.

use std::sync::Arc;

use crate::map::Entry;
use crate::node::{Body, Branch, FAN_OUT, LEAF_MAX, NIBBLES, Node, Region, Summary};
use crate::store::{Corruption, NodeId};

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

pub(crate) fn encode(body: &Body) -> Vec<u8> {
    match body {
        Body::Leaf(items) => encode_leaf(items),
        Body::Branch(branch) => encode_branch(branch),
    }
}

fn encode_leaf(items: &[(u64, Entry)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + items.len() * 12);
    out.push(LEAF);
    write_number(&mut out, items.len() as u64);
    let mut next = 0;
    for (key, entry) in items {
        write_number(&mut out, key.wrapping_sub(next));
        write_number(&mut out, entry.event);
        write_number(&mut out, entry.generation);
        next = key.wrapping_add(1);
    }
    out
}

fn encode_branch(branch: &Branch) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + FAN_OUT * (NodeId::LEN + 8));
    out.push(BRANCH);
    out.push(branch.region.depth);
    write_number(&mut out, branch.region.prefix.checked_shr(unused_bits(branch.region.depth)).unwrap_or(0));
    let present =
        branch.children.iter().rev().fold(0u16, |bits, child| bits << 1 | u16::from(child.is_some()));
    out.extend_from_slice(&present.to_le_bytes());
    for child in branch.children.iter().flatten() {
        let summary = child.summary();
        write_number(&mut out, summary.len as u64);
        write_number(&mut out, summary.max_generation);
        out.extend_from_slice(child.id().as_bytes());
    }
    out
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // Lossless: masked to seven bits.
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Number of bits of a key that come after `depth` nibbles.
fn unused_bits(depth: u8) -> u32 {
    u32::from(NIBBLES.saturating_sub(depth)) * 4
}

/// Reads a node and checks that it has the shape that [`encode`] gives its content.
pub(crate) fn decode(bytes: &[u8]) -> Result<Body, Corruption> {
    let mut reader = Reader { rest: bytes };
    let body = match reader.byte()? {
        LEAF => Body::Leaf(decode_leaf(&mut reader)?),
        BRANCH => Body::Branch(Box::new(decode_branch(&mut reader)?)),
        _ => return Err(Corruption::Format),
    };
    if reader.rest.is_empty() { Ok(body) } else { Err(Corruption::Format) }
}

fn decode_leaf(reader: &mut Reader<'_>) -> Result<Box<[(u64, Entry)]>, Corruption> {
    let count = reader.number()?;
    if count > LEAF_MAX as u64 {
        return Err(Corruption::Shape);
    }
    let mut next = Some(0u64);
    let mut items = Vec::with_capacity(LEAF_MAX);
    for _ in 0..count {
        let distance = reader.number()?;
        let key = next.and_then(|next| next.checked_add(distance)).ok_or(Corruption::Shape)?;
        items.push((key, Entry { event: reader.number()?, generation: reader.number()? }));
        next = key.checked_add(1);
    }
    Ok(items.into())
}

fn decode_branch(reader: &mut Reader<'_>) -> Result<Branch, Corruption> {
    let depth = reader.byte()?;
    if depth >= NIBBLES {
        return Err(Corruption::Shape);
    }
    let (common, unused) = (reader.number()?, unused_bits(depth));
    let prefix = common.checked_shl(unused).unwrap_or(0);
    if prefix.checked_shr(unused).unwrap_or(0) != common {
        return Err(Corruption::Shape);
    }
    let region = Region { prefix, depth };
    let present = u16::from_le_bytes([reader.byte()?, reader.byte()?]);
    let mut children = [const { None }; FAN_OUT];
    for (nibble, place) in children.iter_mut().enumerate() {
        if present & (1u16 << nibble) != 0 {
            *place = Some(decode_child(reader, region.slot(nibble))?);
        }
    }
    let branch = Branch { region, children };
    if present.count_ones() < 2 || branch.summary().len <= LEAF_MAX {
        return Err(Corruption::Shape);
    }
    Ok(branch)
}

fn decode_child(reader: &mut Reader<'_>, region: Region) -> Result<Arc<Node>, Corruption> {
    let len = usize::try_from(reader.number()?).map_err(|_| Corruption::Shape)?;
    let max_generation = reader.number()?;
    let id = NodeId::from_bytes(reader.array()?);
    if len == 0 {
        return Err(Corruption::Shape);
    }
    Ok(Node::stored(id, Summary { len, max_generation }, region))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Corruption> {
        let (byte, rest) = self.rest.split_first().ok_or(Corruption::Format)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corruption> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Corruption::Format)?;
        self.rest = rest;
        Ok(*array)
    }

    fn number(&mut self) -> Result<u64, Corruption> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let overflows = shift == 63 && bits > 1;
            let is_padding = byte == 0 && shift != 0;
            if overflows || is_padding {
                return Err(Corruption::Format);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Corruption::Format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Result<u64, Corruption> {
        Reader { rest: bytes }.number()
    }

    #[test]
    fn numbers_have_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(numbers(&bytes), Ok(number));
        }
        for refused in [&[][..], &[0x80], &[0x80, 0x00], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(numbers(refused), Err(Corruption::Format), "{refused:?}");
        }
    }

    #[test]
    fn a_node_of_another_shape_is_refused() {
        let entry = |number: u8| [number, 1, 1];
        let mut too_many = vec![LEAF, 33];
        (0..33).for_each(|_| too_many.extend(entry(0)));
        let mut two_small_children = vec![BRANCH, 15, 0, 3, 0];
        (0..2).for_each(|_| {
            two_small_children.extend([1, 1]);
            two_small_children.extend([0; 20]);
        });
        let mut one_child = vec![BRANCH, 3, 0, 1, 0, 40, 1];
        one_child.extend([0; 20]);
        let table: [(&str, Vec<u8>, Corruption); 9] = [
            ("nothing", vec![], Corruption::Format),
            ("another kind", vec![3], Corruption::Format),
            ("cut off", vec![LEAF, 1, 5], Corruption::Format),
            ("bytes left over", vec![LEAF, 0, 0], Corruption::Format),
            ("too many entries", too_many, Corruption::Shape),
            ("too deep", vec![BRANCH, 16, 0, 0, 0], Corruption::Shape),
            ("prefix too long", vec![BRANCH, 1, 0x10, 0, 0], Corruption::Shape),
            ("should be a leaf", two_small_children, Corruption::Shape),
            ("should be its only child", one_child, Corruption::Shape),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(decode(&bytes).map(|_| ()), Err(expected), "{name}");
        }
    }

    #[test]
    fn keys_beyond_the_greatest_are_refused() {
        let mut bytes = vec![LEAF, 2];
        write_number(&mut bytes, u64::MAX);
        bytes.extend([1, 1, 0, 1, 1]);
        assert_eq!(decode(&bytes).map(|_| ()), Err(Corruption::Shape));
    }
}
