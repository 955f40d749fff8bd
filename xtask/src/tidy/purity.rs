//! Libraries take data and return results: no files, network, clock, threads, environment or
//! generator of their own outside tests, and no feature that takes something away.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    Finding,
    dependencies::{LIBRARIES, layer_of},
    sources::Source,
};

/// What nothing below the services may name, with what it does instead.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "bytes are handed in"),
    ("std::io", "bytes are handed in"),
    ("std::net", "a machine says what to fetch"),
    ("std::process", "libraries start nothing"),
    ("std::thread", "the caller has the threads"),
    ("std::env", "settings are handed in"),
    ("std::time::SystemTime", "time is a parameter"),
    ("std::time::Instant", "time is a parameter"),
    ("SystemTime", "time is a parameter"),
    ("Instant", "time is a parameter"),
    ("rand::thread_rng", "the generator is a parameter"),
    ("rand::rng", "the generator is a parameter"),
    ("getrandom", "the generator is a parameter"),
];

/// Beginnings of feature names that switch something off: such features do not add up.
const SUBTRACTIVE: &[&str] = &["no", "without", "disable", "disabled", "not"];

/// Finds impure names and features that are not additive in the reusable libraries.
pub(crate) fn check(sources: &[Source]) -> Result<Vec<Finding>, String> {
    let libraries: Vec<&Source> = sources.iter().filter(|source| is_library(&source.path)).collect();
    let mut findings: Vec<Finding> =
        libraries.iter().filter(|s| s.path.ends_with("/Cargo.toml")).flat_map(|s| features(s)).collect();
    let mut found = Vec::new();
    let mut of_tests = BTreeSet::new();
    for source in libraries.into_iter().filter(|source| source.is_rust()) {
        let file = syn::parse_file(&source.text).map_err(|error| format!("{}: {error}", source.path))?;
        let mut names = Names { path: &source.path, findings: Vec::new(), test_files: Vec::new() };
        names.visit_file(&file);
        of_tests.extend(names.test_files);
        found.push((source.path.as_str(), names.findings));
    }
    let product = found.into_iter().filter(|(path, _)| !of_tests.contains(*path));
    findings.extend(product.flat_map(|(_, findings)| findings));
    Ok(findings)
}

/// Whether a file belongs to the code of a reusable library, or is its manifest.
fn is_library(path: &str) -> bool {
    let Some((name, file)) = path.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let layer = layer_of(&format!("freehold-{name}"));
    layer.is_some_and(|layer| layer <= LIBRARIES) && (file.starts_with("src/") || file == "Cargo.toml")
}

/// Features of a manifest whose names say that they switch something off.
fn features(manifest: &Source) -> Vec<Finding> {
    let section = manifest.text.lines().skip_while(|line| line.trim() != "[features]").skip(1);
    let names = section.take_while(|line| !line.trim_start().starts_with('['));
    names
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().trim_matches('"'))
        .filter(|name| SUBTRACTIVE.contains(&name.split(['-', '_']).next().unwrap_or_default()))
        .map(|name| format!("{}: feature `{name}` takes away; features only add", manifest.path))
        .collect()
}

/// Collects the names that the product part of one file uses.
struct Names<'a> {
    path: &'a str,
    findings: Vec<Finding>,
    /// Files of modules that exist in tests only.
    test_files: Vec<String>,
}

impl Names<'_> {
    fn see(&mut self, name: &str, span: proc_macro2::Span) {
        let plain = name.strip_prefix("::").unwrap_or(name);
        let std = plain.replacen("core::", "std::", 1);
        let begins = |banned: &str| {
            std.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let Some((_, instead)) = IMPURE.iter().find(|(banned, _)| begins(banned)) else { return };
        let line = span.start().line;
        self.findings.push(format!("{}:{line}: `{plain}` in a library: {instead}", self.path));
    }

    fn see_use(&mut self, prefix: &str, tree: &syn::UseTree) {
        let join = |name: &syn::Ident| {
            if prefix.is_empty() { name.to_string() } else { format!("{prefix}::{name}") }
        };
        match tree {
            syn::UseTree::Path(path) => self.see_use(&join(&path.ident), &path.tree),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.see_use(prefix, item));
            }
            syn::UseTree::Name(name) => self.see(&join(&name.ident), name.span()),
            syn::UseTree::Rename(rename) => self.see(&join(&rename.ident), rename.span()),
            syn::UseTree::Glob(glob) => self.see(prefix, glob.span()),
        }
    }

    /// The paths in the arguments of a macro, which syn leaves as they are.
    fn see_tokens(&mut self, tokens: TokenStream) {
        let mut name = String::new();
        let mut start = None;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if name.is_empty() || name.ends_with("::") => {
                    start.get_or_insert(ident.span());
                    name.push_str(&ident.to_string());
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !name.is_empty() => {
                    name.push(':');
                    continue;
                }
                TokenTree::Group(group) => self.see_tokens(group.stream()),
                _ => {}
            }
            self.see_from(&mut name, &mut start);
        }
        self.see_from(&mut name, &mut start);
    }

    fn see_from(&mut self, name: &mut String, start: &mut Option<proc_macro2::Span>) {
        if let Some(span) = start.take() {
            self.see(name, span);
        }
        name.clear();
    }

    fn skip_test_module(&mut self, module: &syn::ItemMod) {
        if module.content.is_some() {
            return;
        }
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        self.test_files.push(format!("{folder}/{}.rs", module.ident));
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_of_tests(attributes(item)) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item {
            self.skip_test_module(module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.see_use("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.see(&names.join("::"), path.span());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.see_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        let condition = list.tokens.to_string().replace(' ', "");
        if condition.contains("not(feature") {
            let line = attribute.span().start().line;
            let place = format!("{}:{line}", self.path);
            self.findings.push(format!("{place}: code that a feature takes away; features only add"));
        }
    }
}

/// Whether an item is compiled in tests only.
fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<Finding> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
        check(&sources).unwrap()
    }

    fn in_library(text: &str) -> usize {
        findings(&[("crates/event/src/lib.rs", text)]).len()
    }

    #[test]
    fn files_clocks_threads_and_generators_are_found_however_they_are_named() {
        assert_eq!(in_library("use std::fs;"), 1);
        assert_eq!(in_library("use std::{collections::BTreeMap, env, thread::spawn};"), 2);
        assert_eq!(in_library("use std::time::{Duration, Instant as Now};"), 1);
        assert_eq!(in_library("use std::net::*;"), 1);
        assert_eq!(in_library("fn f() { let now = std::time::SystemTime::now(); }"), 1);
        assert_eq!(in_library("fn f() -> ::std::fs::File { todo() }"), 1);
        assert_eq!(in_library("fn f() { print!(\"{}\", std::env::var(\"A\")); }"), 1);
        assert_eq!(in_library("fn f() { rand::thread_rng(); getrandom::fill(&mut []); }"), 2);
    }

    #[test]
    fn what_only_sounds_alike_is_in_order() {
        assert_eq!(in_library("use std::collections::BTreeMap;\nfn fs(env: u8) -> u8 { env }"), 0);
        assert_eq!(in_library("/// As `std::fs::read` would.\nuse std::time::Duration;"), 0);
        assert_eq!(in_library("use crate::thread::Thread; fn f(instant: Instants) {}"), 0);
    }

    #[test]
    fn tests_programs_and_the_workshop_may_use_the_machine() {
        assert_eq!(in_library("#[cfg(test)] mod tests { use std::fs; }"), 0);
        assert_eq!(findings(&[("crates/event/tests/it.rs", "use std::fs;")]).len(), 0);
        assert_eq!(findings(&[("crates/bin/roomlab/src/main.rs", "use std::fs;")]).len(), 0);
        assert_eq!(findings(&[("crates/testkit/src/lib.rs", "use std::fs;")]).len(), 0);
        let module = ("crates/event/src/test_disk.rs", "use std::fs;");
        assert_eq!(findings(&[module]).len(), 1);
        let declared = ("crates/event/src/lib.rs", "#[cfg(test)] mod test_disk;");
        assert_eq!(findings(&[module, declared]).len(), 0);
    }

    #[test]
    fn features_that_take_away_are_found() {
        let manifest = |features: &str| {
            findings(&[("crates/event/Cargo.toml", &format!("[features]\n{features}\n[lints]\nno-x = 1"))])
                .len()
        };
        assert_eq!(manifest("serde = []\nnotes = []"), 0);
        assert_eq!(manifest("no-std = []\n\"without_serde\" = []"), 2);
        assert_eq!(in_library("#[cfg(feature = \"serde\")] fn f() {}"), 0);
        assert_eq!(in_library("#[cfg(not(feature = \"serde\"))] fn f() {}"), 1);
    }
}
