//! Settings from the environment; all faults are reported together.
//!
//! A service reads all its variables through one [`Settings`], which remembers each fault instead of stopping at the first. The
//! service then calls [`Settings::finish`]. A blank variable counts as unset, as OpenTelemetry's specification requires. An
//! invalid value never affects other variables: before a reader reports a variable as missing, it checks [`Settings::is_wrong`].
//! A fault that does not prevent the service from starting is a warning ([`Settings::warn`]). Does not print and does not exit.
//! Quotes a value only in [`Settings::parse`] and [`Settings::choose`], and only if it contains no `@` or `?`, because a URL may
//! hold a password next to them. Read other secrets with [`Settings::text`] and report them with [`Settings::fault`].
//!
//! ```
//! use std::net::SocketAddr;
//! let mut settings = settings::Settings::from_lookup(|name| (name == "LISTEN").then(|| "nowhere".to_owned()));
//! let listen: Option<SocketAddr> = settings.parse("LISTEN", "an address such as 127.0.0.1:4567");
//! let faults = settings.finish(listen).unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "LISTEN: \"nowhere\" is not valid (invalid socket address syntax); give an address such as 127.0.0.1:4567"
//! );
//! ```

pub mod allowed_hosts;
pub mod host;
pub mod origin;
pub mod quantity;

mod faults;
mod listen;
mod nearest;
mod placeholder;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use faults::Fault;

pub use faults::Faults;
pub use listen::Listen;
pub use nearest::nearest;
pub use placeholder::is_placeholder;

/// The page of the package, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The variables of a process and the faults found in them so far.
pub struct Settings {
    lookup: Lookup,
    /// The names of all variables that are set.
    names: Vec<String>,
    read_names: BTreeSet<String>,
    /// The default of each variable that has one and has been read.
    defaults: BTreeMap<String, String>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    /// The code's values for variables that are unset.
    provided: Vec<(String, String)>,
}

type Lookup = Box<dyn Fn(&str) -> Option<OsString>>;

/// Reads a value from the process's environment with `read`.
///
/// # Errors
/// Every variable whose value is invalid, one per line.
pub fn from_env<T>(read: impl FnOnce(&mut Settings) -> T) -> Result<T, Faults> {
    let mut settings = Settings::from_env();
    let value = read(&mut settings);
    settings.finish(value)
}

/// The names of the process's variables.
pub fn variable_names() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

/// Reads a file that a setting names, of at most `limit` bytes.
///
/// # Errors
/// The file cannot be read, is larger, or is not a regular file (reading a pipe could block).
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")))
    }
}

impl Settings {
    /// Reads the process's own environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn from_env() -> Self {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        Self { names, ..Self::with(Box::new(|name| std::env::var_os(name))) }
    }

    /// Reads from `lookup` instead of the environment; for tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self::with(Box::new(move |name: &str| lookup(name).map(OsString::from)))
    }

    fn with(lookup: Lookup) -> Self {
        Self {
            lookup,
            names: Vec::new(),
            read_names: BTreeSet::new(),
            defaults: BTreeMap::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
            provided: Vec::new(),
        }
    }

    /// Reads from these variables instead of the environment; for tests.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let names = pairs.iter().map(|(name, _)| name.clone()).collect();
        let lookup = move |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Self { names, ..Self::from_lookup(lookup) }
    }

    /// The variable's text without surrounding white space; `None` if it is unset or blank. A value in quotes is a fault: a list
    /// in a compose file, or an `env_file`, keeps quotes as part of the value.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.read_names.insert(name.to_owned());
        let Some(value) = self.own(name) else {
            return self.provided(name).filter(|value| !value.is_empty()).map(str::to_owned);
        };
        match value.into_string() {
            Ok(text) if is_quoted(&text) => {
                self.fault(name, "is between quotes, which are part of its value; remove them");
                None
            }
            Ok(text) => {
                let text = text.trim();
                (!text.is_empty()).then(|| text.to_owned())
            }
            Err(_) => {
                self.fault(name, "is not valid UTF-8; give it as UTF-8 text");
                None
            }
        }
    }

    /// Gives a variable the value that the code has for it, which holds as long as the variable is unset or blank. A blank value
    /// is a fault. A fault of such a value names the variable, and marks the value as the code's.
    ///
    /// ```
    /// let mut settings = settings::Settings::from_pairs(&[("PORT", "80")]);
    /// settings.provide("PORT", "4567");
    /// settings.provide("HOST", "localhost");
    /// assert_eq!((settings.text("PORT").as_deref(), settings.text("HOST").as_deref()), (Some("80"), Some("localhost")));
    /// ```
    pub fn provide(&mut self, name: &str, value: &str) {
        self.provided.retain(|(own, _)| own != name);
        self.provided.push((name.to_owned(), value.trim().to_owned()));
        if value.trim().is_empty() {
            self.fault(name, "is blank; give a value");
        }
    }

    /// Whether the variable's value is the one that the code has [provided](Self::provide).
    pub fn is_provided(&self, name: &str) -> bool {
        self.provided(name).is_some() && !self.is_set(name)
    }

    /// Whether the variable itself is set and not blank.
    pub fn is_set(&self, name: &str) -> bool {
        self.own(name).is_some()
    }

    fn provided(&self, name: &str) -> Option<&str> {
        self.provided.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The variable's own value, unless it is blank.
    fn own(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| value.to_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// The variable's value; `None` if it is unset, blank, or invalid. An invalid value is remembered as a fault.
    /// `expected` completes the sentence "give …".
    pub fn parse<T>(&mut self, name: &str, expected: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        self.parse_text(name, &text, expected)
    }

    /// Parses `text`, which is all or part of the variable `name`. Returns `None` if it is invalid, and remembers that as a fault
    /// of the variable.
    pub fn parse_text<T>(&mut self, name: &str, text: &str, expected: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, format!("{} is not valid ({error}); give {expected}", shown(text)));
                None
            }
        }
    }

    /// The meaning of the variable's value, which must be one of the words in `choices`, in upper or lower case. `None` if it is
    /// unset, blank, or another word; another word is remembered as a fault.
    pub fn choose<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let choice = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)).map(|(_, meaning)| *meaning);
        if choice.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(name, format!("{} is not valid: use {}", shown(&text), any_of(&words)));
        }
        choice
    }

    /// Like [`Settings::text`], with a default.
    pub fn text_or(&mut self, name: &str, default: &str) -> String {
        self.note_default(name, default);
        self.text(name).unwrap_or_else(|| default.to_owned())
    }

    /// Like [`Settings::parse`], with a default, which also replaces an invalid value.
    pub fn parse_or<T>(&mut self, name: &str, default: T, expected: &str) -> T
    where
        T: FromStr + fmt::Display,
        T::Err: fmt::Display,
    {
        self.note_default(name, &default);
        self.parse(name, expected).unwrap_or(default)
    }

    /// Like [`Settings::choose`], with a default, which must be one of the choices.
    pub fn choose_or<T: Copy + PartialEq>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
        if let Some((word, _)) = choices.iter().find(|(_, meaning)| *meaning == default) {
            self.note_default(name, word);
        }
        self.choose(name, choices).unwrap_or(default)
    }

    /// The address to listen on; `port` of 127.0.0.1 by default.
    pub fn listen(&mut self, name: &str, port: u16) -> SocketAddr {
        let default = Listen::loopback(port);
        self.parse_or(name, default, &format!("an address such as {default}")).0
    }

    /// Remembers the default of a variable, as it would be written in the variable; for readers that apply it themselves.
    pub fn note_default(&mut self, name: &str, default: impl fmt::Display) {
        self.defaults.insert(name.to_owned(), default.to_string());
    }

    /// Remembers a fault: its subject (a variable, a folder, a port), and what is wrong and how to fix it.
    pub fn fault(&mut self, subject: impl Into<String>, problem: impl Into<String>) {
        let subject = subject.into();
        let fault = Fault { is_in_code: self.is_provided(&subject), subject, problem: problem.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Remembers a warning: a variable that the service does not follow although it starts, and what the service does instead.
    pub fn warn(&mut self, subject: impl Into<String>, instead: impl Into<String>) {
        let warning = Fault { subject: subject.into(), problem: instead.into(), is_in_code: false };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The warnings so far: the variable, and what the service does instead.
    pub fn warnings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.warnings.iter().map(|warning| (warning.subject.as_str(), warning.problem.as_str()))
    }

    /// Whether this variable has a fault, which then explains its missing value.
    pub fn is_wrong(&self, name: &str) -> bool {
        self.faults.iter().any(|fault| fault.subject == name)
    }

    /// The names of all variables that are set and not blank.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(move |name| self.is_set(name))
    }

    /// The names of all variables that have been read, whether or not they are set.
    pub fn read_names(&self) -> impl Iterator<Item = &str> {
        self.read_names.iter().map(String::as_str)
    }

    /// The default of each variable that has one and has been read, as it would be written in the variable. A default that depends
    /// on the machine, or that no value can express, is not among them.
    pub fn defaults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.defaults.iter().map(|(name, default)| (name.as_str(), default.as_str()))
    }

    /// The faults so far: the subject of each, and what is wrong and how to fix it.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.faults.iter().map(|fault| (fault.subject.as_str(), fault.problem.as_str()))
    }

    /// The variables that are set and have been read; and those that are set and begin with one of `prefixes` but were never
    /// read, and so are probably misspelt. Blank variables count as unset.
    pub fn set(&self, prefixes: &[&str]) -> (Vec<&str>, Vec<&str>) {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for name in self.names() {
            if self.read_names.contains(name) {
                known.push(name);
            } else if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                unknown.push(name);
            }
        }
        known.sort_unstable();
        unknown.sort_unstable();
        (known, unknown)
    }

    /// The variable that `name` was probably meant to be: the closest of those that have been read.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.read_names())
    }

    /// Returns `value` if there are no faults, otherwise all faults.
    pub fn finish<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(Faults(self.faults)) }
    }
}

/// The value in quotes, unless it may hold a password.
fn shown(text: &str) -> String {
    if text.contains(['@', '?']) { "the value".to_owned() } else { format!("{text:?}") }
}

/// `a`, `a or b`, `a, b or c`
fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    text.len() > 1 && ['\'', '"'].iter().any(|quote| text.starts_with(*quote) && text.ends_with(*quote))
}
