//! Where the rules of the routes come from: a file, or Cruddur's own. Reads one file, opens nothing else.

use std::path::PathBuf;

use settings::{Faults, Settings};

use super::file;
use super::reader::Variables;
use super::rule::Rule;

/// Largest routes file, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Cruddur's own routes.
pub(super) const CRUDDUR: &str = include_str!("cruddur.toml");

/// The source of the routes, at start and at each reload.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// `None` if Cruddur's own routes are used.
    pub(crate) file: Option<PathBuf>,
    pub(crate) variables: Variables,
}

impl Source {
    /// The rules in the file; records each fault in `settings`.
    pub(crate) fn read(&self, settings: &mut Settings) -> Vec<Rule> {
        let Some(path) = &self.file else {
            return file::parse(CRUDDUR, "the built-in routes", &self.variables, settings);
        };
        let name = path.display().to_string();
        match settings::read_file(path, MAX_FILE).map(String::from_utf8) {
            Ok(Ok(text)) => file::parse(&text, &name, &self.variables, settings),
            Ok(Err(_)) => {
                settings.fault(name, "is not valid UTF-8; save it as UTF-8 text");
                Vec::new()
            }
            Err(error) => {
                settings.fault(name, format!("cannot read the file: {error}; name a routes file, or none"));
                Vec::new()
            }
        }
    }

    /// Reads the rules again.
    ///
    /// # Errors
    /// All faults of the file.
    pub(crate) fn read_again(&self) -> Result<Vec<Rule>, Faults> {
        let mut settings = Settings::from_pairs(&[]);
        let rules = self.read(&mut settings);
        settings.finish(rules)
    }
}
