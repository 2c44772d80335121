//! Checks of the repository's own files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::sources::{modules, root};

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Two versions of OpenTelemetry would compile, but produce empty trace ids.
#[test]
fn there_is_one_version_of_opentelemetry() {
    let lock = text("Cargo.lock");
    for name in ["opentelemetry", "opentelemetry_sdk", "opentelemetry-proto", "tracing"] {
        assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
    }
}

/// Cargo unifies features, and every service is in one binary, so a feature that one crate enables is on for all. For crates that read bytes
/// from outside, each feature is listed here, so that none is added unnoticed (as gzip for request bodies once was).
#[test]
fn crates_that_read_outside_bytes_have_the_listed_features() {
    let expected = [
        ("actix-http", "default"),
        ("actix-web", "cookies,macros"),
        ("flate2", "any_impl,any_zlib,runtime_detection,zlib-rs"),
        ("h2", ""),
        ("httparse", "default,std"),
        ("hyper", "client,default,http1,http2,server"),
        ("hyper-util", "client,client-legacy,default,http1,tokio"),
        ("opentelemetry-proto", "gen-tonic-messages,metrics,prost,trace"),
        ("prost", "default,derive,std"),
        ("rustls", "log,logging,ring,std,tls12"),
        ("serde_json", "default,raw_value,std"),
        ("ureq", "_ring,_rustls,_tls,rustls,rustls-no-provider,rustls-webpki-roots"),
    ];
    let manifest = root().join("crates/cruddur/Cargo.toml");
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}|{f}", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    for (name, features) in expected {
        let lines = tree.lines().filter(|line| line.split(' ').next() == Some(name));
        let found: BTreeSet<_> = lines.filter_map(|line| line.split('|').nth(1)?.split(' ').next()).collect();
        assert_eq!(found, BTreeSet::from([features]), "{name}");
    }
}

/// The packages for a registry. Each depends on no other package of this repository.
const PUBLISHED: [&str; 4] = ["settings", "xray", "otlp", "telemetry"];

#[test]
fn four_packages_can_be_published_and_no_other() {
    let root_manifest = text("Cargo.toml");
    for name in PUBLISHED {
        let dependency = format!("\n{name} = {{ package = \"cruddur-{name}\", path = \"crates/{name}\", version = ");
        assert!(root_manifest.contains(&dependency), "no version of {name}, which a package on a registry requires");
    }
    let local: Vec<&str> = root_manifest
        .lines()
        .filter(|line| line.contains("path = "))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .collect();
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.chain(["frontend-proxy", "tests", "tests/xray-schema"].map(|path| root().join(path))) {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(manifest.contains("publish.workspace = true"), !PUBLISHED.contains(&name), "{name}");
        if PUBLISHED.contains(&name) {
            assert!(manifest.contains(&format!("name = \"cruddur-{name}\"")) && folder.join("README.md").is_file());
            let dependencies = manifest.split("[dev-dependencies]").next().unwrap().lines();
            let unpublished = dependencies
                .filter_map(|line| line.split(['.', ' ']).next())
                .find(|name| local.contains(name) && !PUBLISHED.contains(name));
            assert_eq!(unpublished, None, "{name} depends on a package that is not published");
        }
    }
}

/// `rust-toolchain.toml` pins the oldest supported compiler, so every test runs with it.
#[test]
fn the_tests_run_with_the_oldest_supported_compiler() {
    let (manifest, toolchain) = (text("Cargo.toml"), text("rust-toolchain.toml"));
    let quoted = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_start_matches(" = ");
        line.trim_matches('"').to_owned()
    };
    let oldest = quoted(&manifest, "rust-version");
    assert_eq!(quoted(&toolchain, "channel"), format!("{oldest}.0"));
    for name in PUBLISHED {
        let readme = text(&format!("crates/{name}/README.md"));
        assert!(readme.contains(&format!("Minimum Rust: {oldest}")), "crates/{name}/README.md");
    }
}

/// `tests/targets` needs the standard libraries of other systems, which a machine may not have. So this test finds each use of what only Unix
/// or Linux has, and requires a `cfg` on its item or on its module.
#[test]
fn what_only_some_systems_have_is_behind_a_cfg_in_the_packages() {
    let is_guard = |line: &str| line.contains("cfg") && (line.contains("unix") || line.contains("target_os"));
    let is_special = |line: &str| {
        ["os::unix", "os::fd", "os::linux", "signal::unix", "rustix::"].iter().any(|path| line.contains(path))
    };
    let mut guarded = Vec::new();
    for file in PUBLISHED.iter().flat_map(|name| sources(&format!("crates/{name}/src"))) {
        let source = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        let uses = || lines.iter().enumerate().filter(|(_, line)| is_special(line)).map(|(at, _)| at);
        if uses().next().is_none() {
            continue;
        }
        let declaration = format!("mod {};", file.file_stem().unwrap().to_str().unwrap());
        let folder = file.parent().unwrap();
        let parents = [folder.join("mod.rs"), folder.join("lib.rs"), folder.with_extension("rs")];
        let parent: String = parents.iter().filter_map(|parent| fs::read_to_string(parent).ok()).collect();
        let above = parent.lines().zip(parent.lines().skip(1)).find(|(_, line)| line.trim_end() == declaration);
        let is_module = above.is_some_and(|(attribute, _)| is_guard(attribute));
        // Or its function, a few lines above.
        let is_item = |at: usize| lines[at.saturating_sub(5)..at].iter().any(|line| is_guard(line));
        for at in uses() {
            assert!(is_module || is_item(at), "{}:{}: no cfg on the item or its module", file.display(), at + 1);
        }
        guarded.push(file);
    }
    assert!(guarded.iter().any(|file| file.ends_with("exporter/backlog.rs")), "{guarded:?}");
    let manifest = text("crates/telemetry/Cargo.toml");
    let everywhere = manifest.split("\n[target.").next().unwrap();
    assert!(!everywhere.contains("\nrustix"), "rustix does not compile everywhere");
}

/// A method of one trait would make calls of the other's ambiguous where both are in scope. The names are those of tracing-opentelemetry 0.34.
#[test]
fn no_method_of_our_spans_is_one_of_tracing_opentelemetry() {
    let source = syn::parse_file(&text("crates/telemetry/src/span/ext.rs")).unwrap();
    let methods = source.items.iter().filter_map(|item| match item {
        syn::Item::Trait(item) => Some(item),
        _ => None,
    });
    let methods = methods.flat_map(|item| &item.items).filter_map(|item| match item {
        syn::TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    });
    let methods: BTreeSet<String> = methods.collect();
    let theirs = [
        "set_parent",
        "add_link",
        "add_link_with_attributes",
        "context",
        "set_attribute",
        "set_status",
        "add_event",
        "add_event_with_timestamp",
    ];
    assert!(methods.contains("set") && theirs.iter().all(|name| !methods.contains(*name)), "{methods:?}");
}

/// The workspaces that people open with one click start as the README says.
#[test]
fn every_workspace_definition_runs_the_readmes_commands() {
    let readme = text("README.md");
    for command in ["cargo run", "tests/run"] {
        assert!(readme.contains(&format!("\n{command}")), "README.md has no line that begins with {command}");
    }
    for file in [".gitpod.yml", ".devcontainer/devcontainer.json"] {
        assert!(text(file).contains("cargo run"), "{file} does not run the README's command");
    }
}

/// Every file and heading that a page links to exists.
#[test]
fn no_link_in_the_documentation_is_dead() {
    let mut dead = Vec::new();
    for page in documentation() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            if !file.contains("://") && !(target.exists() && (anchor.is_empty() || has_heading(&target, anchor))) {
                dead.push(format!("{} links to {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

/// Whether a page has a heading with this anchor, as mdBook and GitHub form it.
fn has_heading(page: &Path, anchor: &str) -> bool {
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let text = fs::read_to_string(page).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let book = root().join("docs/src");
    let summary = text("docs/src/SUMMARY.md");
    for page in documentation() {
        let Ok(name) = page.strip_prefix(&book) else { continue };
        let name = name.to_str().unwrap();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in the summary");
    }
}

/// Figures say which command prints them; the command has these options.
#[test]
fn every_documented_command_of_a_bench_exists() {
    let mut commands = 0;
    for page in documentation() {
        let page = fs::read_to_string(page).unwrap();
        for command in page.split('`').skip(1).step_by(2) {
            let mut words = command.split_whitespace().skip_while(|word| !word.starts_with("bench/"));
            let Some(script) = words.next().filter(|script| root().join(script).is_file()) else { continue };
            let source = text(script);
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(source.contains(option), "`{command}`: {script} has no {option}");
            }
            commands += 1;
        }
    }
    assert!(commands > 10, "{commands} commands of benches are documented");
}

/// Pages name a source file by its path, or by the end of it.
#[test]
fn every_documented_source_file_exists() {
    let files: Vec<PathBuf> = ["crates", "frontend-proxy", "tests", "bench"].into_iter().flat_map(sources).collect();
    for page in documentation() {
        let text = fs::read_to_string(&page).unwrap();
        for name in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.ends_with(".rs") && !name.contains(char::is_whitespace))
        {
            assert!(files.iter().any(|file| file.ends_with(name)), "{} names {name}", page.display());
        }
    }
}

/// The pages that people read: the book's, the journal's, and those at the root.
fn documentation() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders: Vec<PathBuf> = ["docs/src", "journal", ""].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            } else if path.is_dir() && path.starts_with(root().join("docs/src")) {
                folders.push(path);
            }
        }
    }
    pages
}

/// Some code, or the compose file, reads every variable named in the documentation.
#[test]
fn every_documented_variable_is_read() {
    let files = ["crates", "frontend-proxy/src", "tests"].into_iter().flat_map(sources);
    let sources: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_ours =
        |word: &str| ["CRUDDUR_", "HONEYCOMB_", "OTEL_", "AWS_XRAY_"].iter().any(|prefix| word.starts_with(prefix));
    let compose = text("docker-compose.yml");
    let configuration = text("docs/src/configuration.md");
    // This section has patterns of names, most of which are ignored; a test in `telemetry` compares them with the code.
    let (before, specification) =
        configuration.split_once("\n## Variables of OpenTelemetry's specification\n").unwrap();
    let (_, after) = specification.split_once("\n## ").unwrap();
    let documents = ["README.md", ".env.example", "journal/week2.md"].map(text).concat() + before + after;
    let words = documents.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    for variable in words.filter(|word| is_ours(word)).collect::<BTreeSet<_>>() {
        let read = sources.contains(&format!("\"{variable}\"")) || compose.contains(&format!("${{{variable}:"));
        assert!(read, "{variable} is documented and nothing reads it");
    }
}

/// The example lists the variables that the compose file takes from it, and no others.
#[test]
fn the_env_example_lists_what_the_compose_file_reads() {
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let (compose, example) = (text("docker-compose.yml"), text(".env.example"));
    let read: BTreeSet<&str> =
        compose.split("${").skip(1).filter_map(|rest| rest.split([':', '-', '}']).next()).collect();
    let lines = example.lines().map(|line| line.trim_start_matches("# "));
    let listed = lines.filter_map(|line| Some(line.split_once('=')?.0)).filter(is_name).collect();
    assert_eq!(read, listed);
}

/// A file that no module declares would not be compiled, and its tests would not run.
#[test]
fn every_file_of_these_tests_is_a_module() {
    let folder = root().join("tests");
    let modules = modules(&folder);
    let others = ["xray-schema", "packages"].map(|other| folder.join(other));
    for file in sources("tests").into_iter().filter(|file| !others.iter().any(|other| file.starts_with(other))) {
        let path = file.strip_prefix(&folder).unwrap().with_extension("");
        let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
        let names: Vec<String> = names.filter(|name| !["main", "mod"].contains(&name.as_str())).collect();
        assert!(modules.contains_key(&names), "no module declares {}", file.display());
    }
}

/// The Rust files below a folder of the repository.
fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
