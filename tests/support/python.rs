//! A Python with packages from PyPI, in a separate environment under `target/` that is kept for the next run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Without this lock, two simultaneous tests would create the same environment.
static MAKING: Mutex<()> = Mutex::new(());

/// Imports a module, and checks the versions of the packages that specify one.
const HAS: &str = r"
import importlib, importlib.metadata, sys
importlib.import_module(sys.argv[1])
for package in sys.argv[2:]:
    name, _, version = package.partition('==')
    assert version in ('', importlib.metadata.version(name))
";

/// The interpreter, once it can import `module` from the `packages`; `None` if they cannot be installed.
pub(crate) fn with(packages: &[&str], module: &str) -> Option<PathBuf> {
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/python");
    let python = folder.join("bin/python");
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let has = || run(&python, &[&["-c", HAS, module], packages].concat());
    let made = has()
        || (run(Path::new("python3"), &["-m", "venv", folder.to_str().unwrap()])
            && run(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat())
            && has());
    made.then_some(python)
}
