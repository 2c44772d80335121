//! A type's name is unique in its crate, so that a reader who meets it knows which type it is.

use std::collections::BTreeMap;

use syn::Item;

use crate::support::sources::{crates, is_test, modules, root};

/// Counts the types of modules. Those of unit tests, and those within a function, are seen by few readers, and are not counted.
#[test]
fn a_types_name_is_unique_in_its_crate() {
    let sources = crates().into_iter().map(|folder| root().join(folder).join("src"));
    let mut wrong = Vec::new();
    for folder in sources.chain(["tests", "tests/xray-schema/src"].map(|folder| root().join(folder))) {
        let mut places = BTreeMap::<String, Vec<String>>::new();
        for (path, file) in modules(&folder) {
            for name in types(&file.items) {
                places.entry(name).or_default().push(path.join("::"));
            }
        }
        assert!(!places.is_empty(), "{}", folder.display());
        let repeated = places.into_iter().filter(|(_, places)| places.len() > 1);
        wrong.extend(repeated.map(|(name, places)| format!("{}: {name} in {}", folder.display(), places.join(", "))));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_types_of_a_file_are_those_of_its_modules() {
    let text = "struct A; enum B {} trait C { type Item; } type D = u8; union E { a: u8 } impl F { type Item = u8; }
        mod inner { struct A; fn f() { struct G; } } #[cfg(test)] mod tests { struct H; } #[cfg(test)] struct I;";
    assert_eq!(types(&syn::parse_file(text).unwrap().items), ["A", "B", "C", "D", "E", "A"]);
}

/// The names of the types among the items, and in modules among them.
fn types(items: &[Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        let (name, attributes) = match item {
            Item::Struct(item) => (&item.ident, &item.attrs),
            Item::Enum(item) => (&item.ident, &item.attrs),
            Item::Trait(item) => (&item.ident, &item.attrs),
            Item::Type(item) => (&item.ident, &item.attrs),
            Item::Union(item) => (&item.ident, &item.attrs),
            Item::Mod(item) if !is_test(&item.attrs) => {
                names.extend(item.content.iter().flat_map(|(_, items)| types(items)));
                continue;
            }
            _ => continue,
        };
        if !is_test(attributes) {
            names.push(name.to_string());
        }
    }
    names
}
