//! Modules are in layers: `docs/src/architecture.md` lists each crate's modules from the ground up, and a module imports only those listed before
//! it. So there are no circular imports, and a reader can start at the ground.

use std::collections::BTreeMap;
use std::fs;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

use crate::support::sources::{self, crates, is_test, root};

/// A crate's modules by their paths, such as `span::layer`; the crate's root is empty.
type Modules = BTreeMap<Vec<String>, Module>;

#[derive(Default)]
struct Module {
    /// Every path that the module names, relative to the crate's root.
    paths: Vec<Vec<String>>,
    /// The names that `use` introduces, and their paths.
    aliases: BTreeMap<String, Vec<String>>,
}

#[test]
fn a_module_imports_only_modules_below_it() {
    let document = fs::read_to_string(root().join("docs/src/architecture.md")).unwrap();
    let listed = listed(&document);
    for folder in crates() {
        assert!(
            listed.iter().any(|(listed, _)| *listed == folder),
            "docs/src/architecture.md does not list the modules of {folder}"
        );
    }
    let wrong: Vec<String> = listed.iter().flat_map(|(folder, floors)| faults(folder, floors)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn an_import_that_points_upward_is_found() {
    let mut modules = Modules::new();
    read(&syn::parse_file("use crate::high::Thing; mod low; mod high;").unwrap(), &[], &mut modules);
    for (path, text) in [("low", "fn f() { super::high::g() }"), ("high", "pub use super::low::f; pub fn g() {}")] {
        read(&syn::parse_file(text).unwrap(), &[path.to_owned()], &mut modules);
    }
    let floors = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(upward(&modules, &floors(&["high", "low", "lib"])), ["high imports low"]);
    assert_eq!(upward(&modules, &floors(&["low", "high", "lib"])), ["low imports high"]);
    assert_eq!(upward(&modules, &floors(&["low", "lib"])), ["high is not in the list"]);
}

/// A re-export counts as its target: `outer::Thing` of a module that has `pub use inner::Thing` is an import of `inner`.
#[test]
fn an_import_through_a_re_export_counts_as_its_target() {
    let mut modules = Modules::new();
    for (path, text) in [("", "mod a; mod b; mod c;"), ("a", "pub use crate::b::Thing;"), ("b", "pub struct Thing;")] {
        let path: Vec<String> = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        read(&syn::parse_file(text).unwrap(), &path, &mut modules);
    }
    read(&syn::parse_file("fn f(_: crate::a::Thing) { m!(crate::a) }").unwrap(), &["c".to_owned()], &mut modules);
    assert_eq!(imports(&modules, &["c".to_owned()]), ["a", "b"]);
}

/// The lists under `### path` of the section on floors: each line starts with a module's name.
fn listed(document: &str) -> Vec<(String, Vec<String>)> {
    let section = document.split("\n## ").find(|section| section.starts_with("Floors")).unwrap_or_default();
    let lists = section.split("\n### ").skip(1).map(|list| {
        let (folder, lines) = list.split_once('\n').unwrap();
        let names = lines.lines().filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
        (folder.trim_matches('`').to_owned(), names.map(|(name, _)| name.to_owned()).collect())
    });
    lists.collect()
}

fn faults(folder: &str, floors: &[String]) -> Vec<String> {
    let mut modules = Modules::new();
    for (path, file) in sources::modules(&root().join(folder).join("src")) {
        read(&file, &path, &mut modules);
    }
    let missing = floors.iter().filter(|name| !modules.contains_key(&path_of(name)));
    let missing = missing.map(|name| format!("{folder}: {name} is in the list and not in the crate"));
    missing.chain(upward(&modules, floors).into_iter().map(|fault| format!("{folder}: {fault}"))).collect()
}

fn path_of(name: &str) -> Vec<String> {
    if matches!(name, "lib" | "main") { Vec::new() } else { name.split("::").map(str::to_owned).collect() }
}

fn name_of(path: &[String]) -> String {
    if path.is_empty() { "lib".to_owned() } else { path.join("::") }
}

fn upward(modules: &Modules, floors: &[String]) -> Vec<String> {
    let floor = |path: &[String]| floors.iter().position(|name| path_of(name) == path);
    let mut faults = Vec::new();
    for path in modules.keys() {
        let name = name_of(path);
        let Some(own) = floor(path) else {
            faults.push(format!("{name} is not in the list"));
            continue;
        };
        let above =
            imports(modules, path).into_iter().filter(|import| floor(&path_of(import)).is_some_and(|at| at > own));
        faults.extend(above.map(|import| format!("{name} imports {import}")));
    }
    faults
}

/// The other modules that a module names.
fn imports(modules: &Modules, path: &[String]) -> Vec<String> {
    let mut found: Vec<String> = modules[path]
        .paths
        .iter()
        .flat_map(|named| reached(modules, named))
        .filter(|import| import != path)
        .map(|import| name_of(&import))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The modules that a path leads to: the module of its longest prefix. If that module only re-exports the next name, the targets of the re-export.
fn reached(modules: &Modules, named: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut named = named.to_vec();
    // No chain of re-exports is longer; a circular one ends here.
    for _ in 0..8 {
        let Some(length) = (0..=named.len()).rev().find(|length| modules.contains_key(&named[..*length])) else {
            break;
        };
        let (module, rest) = named.split_at(length);
        let leads = rest.first().and_then(|name| modules[module].aliases.get(name));
        match leads {
            Some(alias) => named = [alias.as_slice(), &rest[1..]].concat(),
            None => {
                found.push(module.to_vec());
                break;
            }
        }
    }
    found
}

/// Reads what a module names. Skips tests.
fn read(file: &syn::File, path: &[String], modules: &mut Modules) {
    let mut names = Names { path: path.to_vec(), module: Module::default() };
    for item in file.items.iter().filter(|item| !is_test(attributes(item))) {
        names.visit_item(item);
    }
    modules.insert(path.to_vec(), names.module);
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}

struct Names {
    path: Vec<String>,
    module: Module,
}

impl Names {
    /// A path from the crate's root.
    fn absolute(&self, named: &[String]) -> Vec<String> {
        match named.first().map(String::as_str) {
            Some("crate" | "$crate") => named[1..].to_vec(),
            Some("self") => [self.path.as_slice(), &named[1..]].concat(),
            Some("super") => {
                let ups = named.iter().take_while(|name| *name == "super").count();
                [&self.path[..self.path.len().saturating_sub(ups)], &named[ups..]].concat()
            }
            _ => [self.path.as_slice(), named].concat(),
        }
    }

    fn import(&mut self, tree: &UseTree, before: &[String]) {
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &[before, &[path.ident.to_string()]].concat()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => self.module.paths.push(self.absolute(before)),
            UseTree::Name(name) if name.ident == "self" => {
                let target = self.absolute(before);
                self.alias(before.last().cloned().unwrap_or_default(), target);
            }
            UseTree::Name(name) => {
                let target = self.absolute(&[before, &[name.ident.to_string()]].concat());
                self.alias(name.ident.to_string(), target);
            }
            UseTree::Rename(rename) => {
                let target = self.absolute(&[before, &[rename.ident.to_string()]].concat());
                self.alias(rename.rename.to_string(), target);
            }
        }
    }

    fn alias(&mut self, name: String, target: Vec<String>) {
        self.module.paths.push(target.clone());
        self.module.aliases.insert(name, target);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let named: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() && named.len() > 1 {
            self.module.paths.push(self.absolute(&named));
        }
        visit::visit_path(self, path);
    }

    /// A macro's tokens are not parsed; what they name begins with `crate`, or with `$crate` in a definition.
    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let tokens = mac.tokens.to_string();
        for named in tokens.split("crate ::").skip(1) {
            let named = named
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == ' '))
                .next()
                .unwrap_or_default();
            let named: Vec<String> = named.split("::").map(|name| name.trim().to_owned()).collect();
            self.module.paths.push(named);
        }
        visit::visit_macro(self, mac);
    }
}
