//! Lengths of functions and files, as a ratchet: what is recorded may fall and never rise.

use std::path::PathBuf;

use serde_json::{Value, json};
use syn::{spanned::Spanned, visit::Visit};

use super::{Finding, sources::Source};
use crate::process::{Outcome, workspace_root};

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 800;
const PARAMETERS: usize = 5;
const MEDIAN_FUNCTION_LINES: usize = 9;

struct Function {
    place: String,
    lines: usize,
    parameters: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    longest_function: usize,
    longest_file: usize,
    median_function: usize,
}

/// Finds functions and files over the limits, and sizes above the recorded ones.
pub(crate) fn check(sources: &[Source]) -> Result<Vec<Finding>, String> {
    let functions = functions(sources)?;
    let mut findings: Vec<Finding> = functions.iter().filter_map(function_finding).collect();
    findings.extend(
        files(sources).filter(|(_, lines)| *lines > FILE_LINES).map(|(path, lines)| {
            format!("{path}: {lines} lines; at most {FILE_LINES}: split it by sub-state")
        }),
    );
    let (now, recorded) = (measure(sources, &functions), read_recorded()?);
    for (name, now, recorded) in [
        ("longest function", now.longest_function, recorded.longest_function),
        ("longest file", now.longest_file, recorded.longest_file),
        ("median function", now.median_function, recorded.median_function),
    ] {
        if now > recorded {
            findings.push(format!("{name}: {now} lines, recorded are {recorded}"));
        }
    }
    eprintln!("tidy: {} functions, {now:?}, recorded {recorded:?}", functions.len());
    Ok(findings)
}

/// Writes the present sizes where they are lower than the recorded ones.
pub(crate) fn record(sources: &[Source]) -> Outcome {
    let (now, recorded) = (measure(sources, &functions(sources)?), read_recorded()?);
    let text = json!({
        "longest_function": now.longest_function.min(recorded.longest_function),
        "longest_file": now.longest_file.min(recorded.longest_file),
        "median_function": now.median_function.min(recorded.median_function),
    });
    std::fs::write(record_file(), format!("{text:#}\n"))
        .map_err(|error| format!("cannot write sizes: {error}"))
}

fn function_finding(function: &Function) -> Option<Finding> {
    let Function { place, lines, parameters } = function;
    if *lines > FUNCTION_LINES {
        return Some(format!("{place}: a function of {lines} lines; at most {FUNCTION_LINES}"));
    }
    let too_many = *parameters > PARAMETERS;
    too_many.then(|| format!("{place}: a function with {parameters} parameters; at most {PARAMETERS}"))
}

fn files(sources: &[Source]) -> impl Iterator<Item = (&str, usize)> {
    sources.iter().filter(|s| s.is_rust()).map(|s| (s.path.as_str(), s.text.lines().count()))
}

fn measure(sources: &[Source], functions: &[Function]) -> Sizes {
    let mut lines: Vec<usize> = functions.iter().map(|function| function.lines).collect();
    lines.sort_unstable();
    Sizes {
        longest_function: lines.last().copied().unwrap_or(0),
        longest_file: files(sources).map(|(_, lines)| lines).max().unwrap_or(0),
        median_function: lines.get(lines.len() / 2).copied().unwrap_or(0),
    }
}

fn functions(sources: &[Source]) -> Result<Vec<Function>, String> {
    let mut found = Collector::default();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let file = syn::parse_file(&source.text).map_err(|error| format!("{}: {error}", source.path))?;
        found.path.clone_from(&source.path);
        found.visit_file(&file);
    }
    Ok(found.functions)
}

#[derive(Default)]
struct Collector {
    path: String,
    functions: Vec<Function>,
}

impl Collector {
    fn add(&mut self, signature: &syn::Signature, body: proc_macro2::Span) {
        let first = signature.span().start().line;
        let place = format!("{}:{first}", self.path);
        let lines = body.end().line + 1 - first;
        self.functions.push(Function { place, lines, parameters: signature.inputs.len() });
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, item.block.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, item.block.span());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn record_file() -> PathBuf {
    workspace_root().join("xtask/sizes.json")
}

fn read_recorded() -> Result<Sizes, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot read xtask/sizes.json: {error}");
    let text = std::fs::read_to_string(record_file()).map_err(|error| unreadable(&error))?;
    let json: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let size = |name: &str, limit: usize| {
        let recorded = json.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        recorded.unwrap_or(limit)
    };
    Ok(Sizes {
        longest_function: size("longest_function", FUNCTION_LINES),
        longest_file: size("longest_file", FILE_LINES),
        median_function: size("median_function", MEDIAN_FUNCTION_LINES),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> Vec<Function> {
        functions(&[Source { path: "a.rs".into(), text: text.into() }]).unwrap()
    }

    #[test]
    fn a_function_is_measured_from_its_signature_to_its_brace() {
        let found = measured("/// Doc\nfn one(\n    a: u8,\n) {\n    let b = a;\n}\n");
        assert_eq!((found[0].lines, found[0].parameters), (5, 1));
    }

    #[test]
    fn long_functions_and_long_parameter_lists_are_findings() {
        let long = format!("fn long() {{\n{}}}\n", "    let a = 1;\n".repeat(FUNCTION_LINES));
        assert!(function_finding(&measured(&long)[0]).unwrap().contains("72 lines"));
        let wide = "fn wide(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}";
        assert!(function_finding(&measured(wide)[0]).unwrap().contains("6 parameters"));
        assert!(function_finding(&measured("fn good(a: u8) {}")[0]).is_none());
    }
}
