//! The public items of each library, one a line: what somebody who depends on it has to know.

mod item;
mod modules;

use modules::{Modules, is_public};

use crate::{
    process::{Outcome, workspace_root},
    tidy::library_names,
};

/// What fits a page or two.
const LINES: usize = 120;

/// What to list.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this library, by its package name
    library: Option<String>,
    /// Print only how long each list is
    #[arg(long)]
    short: bool,
}

/// The task `api`.
pub(crate) fn run(options: &Options) -> Outcome {
    let wanted = |name: &&str| options.library.as_deref().is_none_or(|library| library == *name);
    let libraries: Vec<&str> = library_names().filter(wanted).collect();
    if libraries.is_empty() {
        return Err("there is no such library; leave the name out to list all of them".into());
    }
    let mut lengths = Vec::new();
    for library in libraries {
        let lines = list(library)?;
        if !options.short {
            println!("# {library}\n\n{}\n", lines.join("\n"));
        }
        lengths.push((library, lines.len()));
    }
    for (library, length) in lengths {
        let verdict = if length <= LINES { "fits a page or two" } else { "longer than two pages" };
        println!("{library}: {length} lines, {verdict}");
    }
    Ok(())
}

fn list(library: &str) -> Result<Vec<String>, String> {
    let folder = library.trim_start_matches("freehold-");
    let modules = Modules::read(&workspace_root().join("crates").join(folder).join("src"))?;
    Ok(list_module(&modules, &[], ""))
}

/// The public items of a module, with those of its public modules behind them.
fn list_module(modules: &Modules, path: &[String], prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inner = Vec::new();
    for item in modules.items(path) {
        match item {
            syn::Item::Use(reexport) if is_public(&reexport.vis) => {
                for (name, target) in modules::reexports(&reexport.tree) {
                    match modules.find(path, &target) {
                        Some(found) => lines.extend(item::describe(modules, found, prefix)),
                        None => lines.push(format!("{prefix}use {name}")),
                    }
                }
            }
            syn::Item::Mod(module) if is_public(&module.vis) => {
                let name = module.ident.to_string();
                let mut below = path.to_vec();
                below.push(name.clone());
                inner.extend(list_module(modules, &below, &format!("{prefix}{name}::")));
            }
            other => lines.extend(item::describe(modules, other, prefix)),
        }
    }
    lines.extend(inner);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &[(&str, &str)]) -> Vec<String> {
        list_module(&Modules::parse(files).unwrap(), &[], "")
    }

    #[test]
    fn reexported_items_are_listed_with_their_methods_and_traits() {
        let lines = listed(&[
            ("lib", "mod room;\npub use room::{Room, open};"),
            (
                "room",
                "#[derive(Clone, Debug)] pub struct Room<'a> { pub id: &'a str, secret: u8 }
                 impl<'a> Room<'a> { pub fn id(\n&self,\n) -> &'a str { self.id } fn hidden(&self) {} }
                 impl Drop for Room<'_> { fn drop(&mut self) {} }
                 pub fn open(id: &str) -> Room<'_> { Room { id, secret: 0 } }
                 pub fn not_listed() {}",
            ),
        ]);
        assert_eq!(
            lines,
            [
                "struct Room<'a> { id: &'a str, .. }: Clone, Debug, Drop",
                "    fn id(&self) -> &'a str",
                "fn open(id: &str) -> Room<'_>",
            ]
        );
    }

    #[test]
    fn enums_traits_constants_and_public_modules_are_listed() {
        let lines = listed(&[
            ("lib", "pub mod formats;\npub const MAX: u8 = 3;\npub use rand_core;"),
            (
                "formats",
                "#[non_exhaustive] pub enum Kind { A, B(u8), C { x: u8 } }
                 pub trait Read: Sized { fn read(&self) -> u8; fn more(&self) {} }
                 #[cfg(test)] mod tests { pub struct No; }",
            ),
        ]);
        assert_eq!(
            lines,
            [
                "const MAX: u8",
                "use rand_core",
                "enum formats::Kind { A, B(u8), C { x: u8 }, .. }",
                "trait formats::Read: Sized",
                "    fn read(&self) -> u8",
                "    fn more(&self) { .. }",
            ]
        );
    }
}
