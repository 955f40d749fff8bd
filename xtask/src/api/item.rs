//! One public item as lines of text.

use syn::{punctuated::Punctuated, spanned::Spanned};

use super::modules::{Modules, is_public};

/// The line of an item, and one for each of its methods; nothing for items that are not public.
pub(super) fn describe(modules: &Modules, item: &syn::Item, prefix: &str) -> Vec<String> {
    match item {
        syn::Item::Const(item) if is_public(&item.vis) => {
            vec![format!("const {prefix}{}: {}", item.ident, text(&*item.ty))]
        }
        syn::Item::Type(item) if is_public(&item.vis) => {
            vec![format!("type {prefix}{}{} = {}", item.ident, text(&item.generics), text(&*item.ty))]
        }
        syn::Item::Fn(item) if is_public(&item.vis) => vec![function(&item.sig, prefix)],
        syn::Item::Struct(item) if is_public(&item.vis) => {
            let head = format!(
                "struct {prefix}{}{}{}",
                item.ident,
                text(&item.generics),
                fields(&item.fields, true)
            );
            with_methods(modules, head, &item.ident, &item.attrs)
        }
        syn::Item::Enum(item) if is_public(&item.vis) => {
            let head = format!("enum {prefix}{}{} {}", item.ident, text(&item.generics), variants(item));
            with_methods(modules, head, &item.ident, &item.attrs)
        }
        syn::Item::Trait(item) if is_public(&item.vis) => trait_lines(item, prefix),
        _ => Vec::new(),
    }
}

fn with_methods(
    modules: &Modules,
    head: String,
    name: &syn::Ident,
    attributes: &[syn::Attribute],
) -> Vec<String> {
    let mut traits = derived(attributes);
    let mut methods = Vec::new();
    for block in modules.implementations(name) {
        if let Some((implemented, _)) = &block.trait_ {
            traits.push(text(implemented));
        } else {
            methods.extend(block.items.iter().filter_map(associated));
        }
    }
    let shown = if traits.is_empty() { head } else { format!("{head}: {}", traits.join(", ")) };
    std::iter::once(shown).chain(methods).collect()
}

fn associated(item: &syn::ImplItem) -> Option<String> {
    match item {
        syn::ImplItem::Fn(item) if is_public(&item.vis) => Some(format!("    {}", function(&item.sig, ""))),
        syn::ImplItem::Const(item) if is_public(&item.vis) => {
            Some(format!("    const {}: {}", item.ident, text(&item.ty)))
        }
        _ => None,
    }
}

fn trait_lines(item: &syn::ItemTrait, prefix: &str) -> Vec<String> {
    let bounds = item.supertraits.iter().map(text).collect::<Vec<_>>().join(" + ");
    let colon = if bounds.is_empty() { "" } else { ": " };
    let head = format!("trait {prefix}{}{}{colon}{bounds}", item.ident, text(&item.generics));
    let inner = item.items.iter().filter_map(|item| match item {
        syn::TraitItem::Fn(item) => {
            let body = if item.default.is_some() { " { .. }" } else { "" };
            Some(format!("    {}{body}", function(&item.sig, "")))
        }
        syn::TraitItem::Type(item) => {
            let bounds = item.bounds.iter().map(text).collect::<Vec<_>>().join(" + ");
            let colon = if bounds.is_empty() { "" } else { ": " };
            Some(format!("    type {}{colon}{bounds}", item.ident))
        }
        syn::TraitItem::Const(item) => Some(format!("    const {}: {}", item.ident, text(&item.ty))),
        _ => None,
    });
    std::iter::once(head).chain(inner).collect()
}

/// A signature, with the prefix in front of the name.
fn function(signature: &syn::Signature, prefix: &str) -> String {
    let name = signature.ident.to_string();
    text(signature).replacen(&format!("fn {name}"), &format!("fn {prefix}{name}"), 1)
}

fn variants(item: &syn::ItemEnum) -> String {
    let mut shown: Vec<String> = item
        .variants
        .iter()
        .map(|variant| format!("{}{}", variant.ident, fields(&variant.fields, false)))
        .collect();
    if item.attrs.iter().any(|attribute| attribute.path().is_ident("non_exhaustive")) {
        shown.push("..".to_owned());
    }
    format!("{{ {} }}", shown.join(", "))
}

/// Fields in braces or parentheses; `..` stands for those that are private.
fn fields(fields: &syn::Fields, of_struct: bool) -> String {
    let seen = |field: &&syn::Field| !of_struct || is_public(&field.vis);
    let list = |fields: &Punctuated<syn::Field, syn::Token![,]>| {
        let mut shown: Vec<String> = fields.iter().filter(seen).map(field).collect();
        if shown.len() < fields.len() {
            shown.push("..".to_owned());
        }
        shown.join(", ")
    };
    match fields {
        syn::Fields::Named(named) => format!(" {{ {} }}", list(&named.named)),
        syn::Fields::Unnamed(unnamed) => format!("({})", list(&unnamed.unnamed)),
        syn::Fields::Unit => String::new(),
    }
}

fn field(field: &syn::Field) -> String {
    let name = field.ident.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    format!("{name}{}", text(&field.ty))
}

fn derived(attributes: &[syn::Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // An attribute that is no list derives nothing.
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|segment| segment.ident.to_string()));
            Ok(())
        });
    }
    names
}

/// The text of a piece of syntax on one line.
fn text(syntax: &impl Spanned) -> String {
    let source = syntax.span().source_text().unwrap_or_default();
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace("( ", "(").replace(", )", ")").replace(" )", ")").replace(", >", ">")
}
