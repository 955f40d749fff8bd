//! The picture as a page that needs nothing else.

use serde_json::{Value, json};

use crate::draw::svg::{STYLE, escape, write_svg};
use crate::draw::{Node, Picture};

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const CONTROLS: &str = r#"<aside>
<form>
<input type="search" id="search" placeholder="search ids, types, senders, content">
<label><input type="checkbox" id="auth"> draw all auth edges (else those of the event pointed at)</label>
<label><input type="checkbox" data-class="wins"> in the final state</label>
<label><input type="checkbox" data-class="conflicted"> in conflict</label>
<label><input type="checkbox" data-class="lost"> lost</label>
<label><input type="checkbox" data-class="rejected"> rejected</label>
</form>
<div id="about"><p class="hint">Point at an event to see its PDU and its edges; click to keep it.</p></div>
</aside>
"#;

/// A self-contained page.
pub(super) fn page(picture: &Picture) -> String {
    let mut svg = String::new();
    write_svg(picture, None, &mut svg);
    let svg = svg.replacen("class=\"room\"", "class=\"room hover-auth\"", 1);
    let events: Vec<Value> = picture.nodes.iter().map(about).collect();
    // Nothing in a script element may look like the end of it.
    let events = Value::Array(events).to_string().replace('<', "\\u003c");
    let title = escape(&picture.title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n{svg}</main>\n{CONTROLS}\
         <script type=\"application/json\" id=\"events\">{events}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

fn about(node: &Node) -> Value {
    let title = match node.state_key.as_deref() {
        None | Some("") => node.event_type.clone(),
        Some(key) => format!("{} {key}", node.event_type),
    };
    json!({ "id": node.event_id, "title": title, "notes": node.notes, "pdu": node.pdu })
}
