//! The repository's own Rust files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item};

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folders of the services and of the libraries, below the repository's.
pub(crate) fn crates() -> Vec<String> {
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut crates: Vec<_> = crates.map(|name| format!("crates/{}", name.to_str().unwrap())).collect();
    crates.push("frontend-proxy".to_owned());
    crates
}

/// The modules of the crate whose `lib.rs` or `main.rs` is in `folder`, by their paths, such as `span::layer`; the crate's root is
/// empty. Modules of unit tests are skipped. Of two modules with one name, of which a feature selects one, reads the file that has
/// the module's name.
pub(crate) fn modules(folder: &Path) -> BTreeMap<Vec<String>, syn::File> {
    let mut modules = BTreeMap::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let file = read(folder, &path);
        for item in &file.items {
            if let Item::Mod(item) = item
                && item.content.is_none()
                && !is_test(&item.attrs)
            {
                paths.push([path.as_slice(), &[item.ident.to_string()]].concat());
            }
        }
        modules.insert(path, file);
    }
    modules
}

fn read(folder: &Path, path: &[String]) -> syn::File {
    let inner = path.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
    let candidates = match path {
        [] => vec![folder.join("lib.rs"), folder.join("main.rs")],
        _ => vec![inner.with_extension("rs"), inner.join("mod.rs")],
    };
    let file =
        candidates.iter().find(|file| file.exists()).unwrap_or_else(|| panic!("no file for {path:?} in {folder:?}"));
    syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Whether an item is for unit tests alone.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}
