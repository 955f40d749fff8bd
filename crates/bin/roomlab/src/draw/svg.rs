//! The picture as SVG.

use std::fmt::Write;

use crate::draw::layout::{BOX_HEIGHT, BOX_WIDTH, EdgeKind};
use crate::draw::{Marks, Node, Picture};

/// Lines and boxes, shared by image and page.
pub(super) const STYLE: &str = include_str!("picture.css");

/// Ten colours that are told apart, also by most of those who see fewer.
const COLOURS: [&str; 10] = [
    "#3b6fb6", "#d9822b", "#2e8b57", "#a0439c", "#b8433a", "#17909c", "#8a6d1f", "#6a5acd", "#c2477f",
    "#5b6b7a",
];

/// A self-contained image.
pub(super) fn image(picture: &Picture) -> String {
    let mut style = STYLE.to_owned();
    // An image runs no script: one rule for each event lights up its edges.
    for index in 0..picture.nodes.len() {
        let _ = writeln!(style, ".room:has(#e{index}:hover) .f{index} {{ opacity: 0.9; }}");
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write_svg(picture, Some(&style), &mut out);
    out
}

/// The `<svg>` element. Writing to a string cannot fail.
pub(super) fn write_svg(picture: &Picture, style: Option<&str>, out: &mut String) {
    let (width, height) = (picture.layout.width, picture.layout.height);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"room\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    );
    if let Some(style) = style {
        let _ = writeln!(out, "<style>{style}</style>");
    }
    let _ = writeln!(out, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>");
    write_ruler(picture, out);
    write_legend(picture, out);
    write_edges(picture, out);
    for (index, node) in picture.nodes.iter().enumerate() {
        write_node(picture, index, node, out);
    }
    out.push_str("</svg>\n");
}

/// Every other layer is shaded, every fifth numbered.
fn write_ruler(picture: &Picture, out: &mut String) {
    for (layer, (top, bottom)) in picture.layout.layers.iter().enumerate() {
        if layer % 2 == 1 {
            let (y, width, height) = (top.saturating_sub(11), picture.layout.width, bottom - top + 22);
            let _ = writeln!(out, "<rect class=\"band\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>");
        }
        if layer % 5 == 0 {
            let _ = writeln!(out, "<text class=\"ruler\" x=\"34\" y=\"{}\">{layer}</text>", top + 22);
        }
    }
}

fn write_legend(picture: &Picture, out: &mut String) {
    let _ = writeln!(out, "<text class=\"title\" x=\"24\" y=\"26\">{}</text>", escape(&picture.title));
    let samples = [
        ("state", "state"),
        ("message", "message"),
        ("state wins", "in the final state"),
        ("state conflicted", "in conflict"),
        ("state conflicted lost", "lost"),
        ("state rejected", "rejected"),
    ];
    let mut x = 24;
    for (class, words) in samples {
        let _ = writeln!(
            out,
            "<g class=\"{class}\"><rect class=\"box\" x=\"{x}\" y=\"40\" width=\"20\" height=\"14\" rx=\"3\"/></g><text class=\"legend\" x=\"{}\" y=\"51\">{words}</text>",
            x + 26
        );
        x += 42 + words.len() * 7;
    }
    let mut x = 24;
    for (index, server) in picture.servers.iter().enumerate().take(12) {
        let _ = writeln!(
            out,
            "{}<text class=\"legend\" x=\"{}\" y=\"71\">{}</text>",
            server_dot(x + 7, 67, index),
            x + 18,
            escape(server)
        );
        x += 34 + server.len() * 7;
    }
}

fn write_edges(picture: &Picture, out: &mut String) {
    let is_create =
        |event: usize| picture.nodes.get(event).is_some_and(|node| node.event_type == "m.room.create");
    for kind in [EdgeKind::Auth, EdgeKind::Prev] {
        for edge in picture.layout.edges.iter().filter(|edge| edge.kind == kind) {
            let (class, colour) = match kind {
                EdgeKind::Prev => ("prev", colour(edge.strand)),
                // Nearly everything cites the create event: these edges say nothing until asked.
                EdgeKind::Auth if is_create(edge.to) => ("auth faint", "#7a5ea8"),
                EdgeKind::Auth => ("auth", "#7a5ea8"),
            };
            let _ = writeln!(
                out,
                "<path class=\"{class} f{} t{}\" stroke=\"{colour}\" d=\"{}\"/>",
                edge.from, edge.to, edge.path
            );
        }
    }
}

fn write_node(picture: &Picture, index: usize, node: &Node, out: &mut String) {
    let (x, y) = picture.layout.corners.get(index).copied().unwrap_or_default();
    let strand = colour(picture.layout.strands.get(index).copied().unwrap_or(0));
    let _ = writeln!(
        out,
        "<g class=\"event {}\" id=\"e{index}\" transform=\"translate({x} {y})\" tabindex=\"0\">",
        classes(node.marks)
    );
    let _ = writeln!(out, "<title>{}\n\n{}</title>", escape(&node.notes.join("\n")), escape(&node.pdu));
    let _ = writeln!(
        out,
        "<rect class=\"box\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"5\"/><rect width=\"5\" height=\"{BOX_HEIGHT}\" rx=\"2\" fill=\"{strand}\"/>"
    );
    let (headline, detail) = texts(node);
    let _ = writeln!(
        out,
        "<text class=\"head\" x=\"12\" y=\"15\">{}</text><text class=\"detail\" x=\"12\" y=\"29\">{}</text>",
        escape(&headline),
        escape(&detail)
    );
    let _ = writeln!(
        out,
        "{}<text class=\"badge\" x=\"{}\" y=\"14\">{}</text></g>",
        server_dot(BOX_WIDTH - 12, 26, node.server),
        BOX_WIDTH - 6,
        badge(node)
    );
}

fn server_dot(x: usize, y: usize, server: usize) -> String {
    format!(
        "<circle cx=\"{x}\" cy=\"{y}\" r=\"7\" fill=\"{}\"/><text class=\"letter\" x=\"{x}\" y=\"{}\">{}</text>",
        colour(server + 3),
        y + 3,
        letter(server)
    )
}

/// The classes that say how an event looks.
pub(super) fn classes(marks: Marks) -> String {
    let mut classes = String::from(if marks.state.is_some() { "state" } else { "message" });
    let standing = marks.state.unwrap_or_default();
    let named = [
        (standing.wins, " wins"),
        (standing.conflicted, " conflicted"),
        (standing.lost, " lost"),
        (marks.rejected, " rejected"),
        (marks.extremity, " extremity"),
    ];
    named.iter().filter(|(applies, _)| *applies).for_each(|(_, class)| classes.push_str(class));
    classes
}

/// What is special in as few signs as possible.
fn badge(node: &Node) -> String {
    let standing = node.marks.state.unwrap_or_default();
    let signs = [
        (node.missing > 0, "…"),
        (node.marks.rejected, "✗"),
        (standing.lost, "↯"),
        (standing.wins, "★"),
        (node.marks.extremity, "▼"),
    ];
    signs.iter().filter(|(applies, _)| *applies).map(|(_, sign)| *sign).collect()
}

/// What the box says: what happened to whom, and who did it.
fn texts(node: &Node) -> (String, String) {
    let short = node.event_type.strip_prefix("m.room.").unwrap_or(&node.event_type);
    let key = node.state_key.as_deref().filter(|key| !key.is_empty());
    let headline = match (key, &node.membership) {
        (None, _) => short.to_owned(),
        (Some(user), Some(membership)) => format!("{membership} {}", localpart(user)),
        (Some(key), None) => format!("{short} {key}"),
    };
    let id: String = node.event_id.chars().take(9).collect();
    (cut(&headline, 25), format!("{} {id}", cut(localpart(&node.sender), 18)))
}

fn localpart(user_id: &str) -> &str {
    user_id.split_once(':').map_or(user_id, |(localpart, _)| localpart)
}

/// A letter for each server, so that nobody has to tell colours apart.
fn letter(server: usize) -> char {
    char::from_digit((server % 26) as u32 + 10, 36).unwrap_or('?').to_ascii_uppercase()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

pub(super) fn colour(index: usize) -> &'static str {
    COLOURS.iter().cycle().nth(index % COLOURS.len()).copied().unwrap_or("#555")
}

/// Text as XML: what has a meaning there is escaped, what may not be there is replaced.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
