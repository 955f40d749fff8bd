//! What the tables of the store hold, as it is recorded: whoever changes that gives the schema another version. Otherwise a store of
//! before would be opened, and its rows taken for damaged ones.

use std::path::PathBuf;

use quote::ToTokens as _;
use syn::{Attribute, Fields, Item};

use super::{Finding, sources::Source};
use crate::process::{Outcome, workspace_root};

const TABLES: &str = "crates/store/src/tables/";
const RECORD: &str = "crates/store/schema.txt";
const VERSION: &str = "SCHEMA_VERSION";

/// A version of the schema, and what its tables hold: the definitions of tables, keys and rows, without what is said of them.
#[derive(Debug, PartialEq, Eq)]
struct Schema {
    version: String,
    definitions: Vec<String>,
}

/// Finds tables that are not those that are recorded.
pub(crate) fn check(sources: &[Source]) -> Result<Vec<Finding>, String> {
    Ok(difference(&Schema::now(sources)?, &Schema::recorded()?).into_iter().collect())
}

/// Records the tables, if their version is another than before.
pub(crate) fn record(sources: &[Source]) -> Outcome {
    let (now, recorded) = (Schema::now(sources)?, Schema::recorded()?);
    if now.version == recorded.version {
        return difference(&now, &recorded).map_or(Ok(()), Err);
    }
    let text = format!("version {}\n{}\n", now.version, now.definitions.join("\n"));
    std::fs::write(record_file(), text).map_err(|error| format!("cannot write {RECORD}: {error}"))
}

fn difference(now: &Schema, recorded: &Schema) -> Option<Finding> {
    let changed = |one: &Schema, other: &Schema| {
        one.definitions.iter().find(|definition| !other.definitions.contains(definition)).cloned()
    };
    match (now == recorded, now.version == recorded.version) {
        (true, _) => None,
        (false, true) => {
            let first = changed(now, recorded).or_else(|| changed(recorded, now));
            let first = first.unwrap_or_else(|| "their order".to_owned());
            Some(format!(
                "{TABLES}: the tables are others than those of version {}: raise {VERSION} ({first})",
                now.version
            ))
        }
        (false, false) => {
            Some(format!("{RECORD}: `cargo xtask tidy --ratchet` records version {}", now.version))
        }
    }
}

impl Schema {
    fn now(sources: &[Source]) -> Result<Self, String> {
        let mut schema = Schema { version: String::new(), definitions: Vec::new() };
        for source in sources.iter().filter(|source| source.path.starts_with(TABLES)) {
            let file = syn::parse_file(&source.text).map_err(|error| format!("{}: {error}", source.path))?;
            for item in file.items {
                match item {
                    Item::Const(item) if item.ident == VERSION => {
                        schema.version = item.expr.to_token_stream().to_string();
                    }
                    item => schema.definitions.extend(definition(item)),
                }
            }
        }
        Ok(schema)
    }

    fn recorded() -> Result<Self, String> {
        let text = std::fs::read_to_string(record_file());
        let text = text.map_err(|error| format!("cannot read {RECORD}: {error}"))?;
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("version "));
        let version = version.ok_or_else(|| format!("{RECORD} names no version"))?.to_owned();
        Ok(Schema { version, definitions: lines.map(str::to_owned).collect() })
    }
}

/// An item that says what tables hold, on one line.
fn definition(item: Item) -> Option<String> {
    match item {
        Item::Const(mut item) if item.ty.to_token_stream().to_string().starts_with("Table <") => {
            item.attrs.clear();
            Some(item.to_token_stream().to_string())
        }
        Item::Type(mut item) => {
            item.attrs.clear();
            Some(item.to_token_stream().to_string())
        }
        Item::Struct(mut item) => {
            item.attrs.retain(is_of_form);
            strip(&mut item.fields);
            Some(item.to_token_stream().to_string())
        }
        Item::Enum(mut item) => {
            item.attrs.retain(is_of_form);
            for variant in &mut item.variants {
                variant.attrs.retain(is_of_form);
                strip(&mut variant.fields);
            }
            Some(item.to_token_stream().to_string())
        }
        _ => None,
    }
}

fn strip(fields: &mut Fields) {
    fields.iter_mut().for_each(|field| field.attrs.retain(is_of_form));
}

/// Whether an attribute changes how something is stored.
fn is_of_form(attribute: &Attribute) -> bool {
    attribute.path().is_ident("serde")
}

fn record_file() -> PathBuf {
    workspace_root().join(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        let path = format!("{TABLES}some.rs");
        Schema::now(&[Source { path, text: format!("pub const SCHEMA_VERSION: u32 = 7;\n{text}") }]).unwrap()
    }

    const ROW: &str = "/// A row.\n#[derive(Debug)]\npub struct Row {\n    /// When.\n    pub ts: i64,\n}\n";

    #[test]
    fn what_is_said_of_a_table_does_not_count_and_what_it_holds_does() {
        let tables = "/// Rows.\npub const ROWS: Table<u32, Row> = Table::new(TableId(1), \"rows\");\n";
        let before = schema(&format!("{tables}{ROW}"));
        assert_eq!((before.version.as_str(), before.definitions.len()), ("7", 2));
        let reworded =
            schema(&format!("{tables}{ROW}").replace("When.", "Since when.").replace("Debug", "Clone"));
        assert_eq!(difference(&reworded, &before), None);
        for (from, to) in [("i64", "u64"), ("pub ts", "#[serde(default)] pub ts"), ("Table<u32", "Table<u64")]
        {
            let changed = schema(&format!("{tables}{ROW}").replace(from, to));
            assert!(difference(&changed, &before).unwrap().contains("raise SCHEMA_VERSION"), "{to}");
        }
        let fewer = schema(ROW);
        assert!(difference(&fewer, &before).unwrap().contains("ROWS"));
        let raised = Schema { version: "8".to_owned(), ..fewer };
        assert!(difference(&raised, &before).unwrap().contains("records version 8"));
    }
}
