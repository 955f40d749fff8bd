//! The modules of one library, parsed.

use std::{collections::BTreeMap, path::Path};

/// Every module by its path from the root of the library.
pub(super) struct Modules(BTreeMap<Vec<String>, Vec<syn::Item>>);

impl Modules {
    /// Reads the files below a `src` folder.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let mut modules = Self(BTreeMap::new());
        modules.read_folder(folder, &[])?;
        Ok(modules)
    }

    fn read_folder(&mut self, folder: &Path, path: &[String]) -> Result<(), String> {
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
        for entry in folder.read_dir().map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut below = path.to_vec();
            if !["lib", "mod"].contains(&name.as_str()) {
                below.push(name);
            }
            if file.is_dir() {
                self.read_folder(&file, &below)?;
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                self.add(below, &std::fs::read_to_string(&file).map_err(unreadable)?)?;
            }
        }
        Ok(())
    }

    /// Modules of which name and text are given.
    #[cfg(test)]
    pub(super) fn parse(files: &[(&str, &str)]) -> Result<Self, String> {
        let mut modules = Self(BTreeMap::new());
        for (name, text) in files {
            let path = if *name == "lib" { Vec::new() } else { vec![(*name).to_owned()] };
            modules.add(path, text)?;
        }
        Ok(modules)
    }

    fn add(&mut self, path: Vec<String>, text: &str) -> Result<(), String> {
        let file = syn::parse_file(text).map_err(|error| format!("{}: {error}", path.join("/")))?;
        self.0.insert(path, file.items);
        Ok(())
    }

    /// The items of a module.
    pub(super) fn items(&self, path: &[String]) -> &[syn::Item] {
        self.0.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// The item that a re-export in a module names.
    pub(super) fn find(&self, from: &[String], target: &[String]) -> Option<&syn::Item> {
        let (name, module) = target.split_last()?;
        let path = match module.split_first() {
            Some((first, rest)) if first == "crate" => rest.to_vec(),
            Some((first, rest)) if first == "self" => [from, rest].concat(),
            _ => [from, module].concat(),
        };
        let items = self.items(&path);
        let here = items.iter().find(|item| name_of(item).is_some_and(|ident| ident == name.as_str()));
        here.or_else(|| {
            let uses = items.iter().filter_map(|item| match item {
                syn::Item::Use(reexport) => Some(reexports(&reexport.tree)),
                _ => None,
            });
            let (_, next) = uses.flatten().find(|(exported, _)| exported == name)?;
            if next == target { None } else { self.find(&path, &next) }
        })
    }

    /// Every implementation block of a type, wherever it is.
    pub(super) fn implementations(&self, name: &syn::Ident) -> impl Iterator<Item = &syn::ItemImpl> {
        self.0.values().flatten().filter_map(move |item| match item {
            syn::Item::Impl(block) if implemented_type(block) == Some(name) => Some(block),
            _ => None,
        })
    }
}

fn implemented_type(block: &syn::ItemImpl) -> Option<&syn::Ident> {
    let syn::Type::Path(path) = block.self_ty.as_ref() else { return None };
    path.path.segments.last().map(|segment| &segment.ident)
}

fn name_of(item: &syn::Item) -> Option<&syn::Ident> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}

/// Whether an item can be named from outside, if its module can.
pub(super) fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// The names that a `use` makes, each with the path behind it.
pub(super) fn reexports(tree: &syn::UseTree) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident, tree: &syn::UseTree| {
        let mut found = reexports(tree);
        found.iter_mut().for_each(|(_, path)| path.insert(0, name.to_string()));
        found
    };
    match tree {
        syn::UseTree::Path(path) => with(&path.ident, &path.tree),
        syn::UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        syn::UseTree::Rename(rename) => vec![(rename.rename.to_string(), vec![rename.ident.to_string()])],
        syn::UseTree::Group(group) => group.items.iter().flat_map(reexports).collect(),
        syn::UseTree::Glob(_) => vec![("*".to_owned(), vec!["*".to_owned()])],
    }
}
