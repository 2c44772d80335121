//! Settings from the environment, every fault reported at once.
//!
//! A service reads all its variables through one [`Settings`], which remembers each fault instead of stopping at the
//! first, and then calls [`Settings::finish`]. A blank variable counts as unset, as OpenTelemetry's specification asks.
//! Does not print, does not exit, and quotes a value back only where [`Settings::parse`] was asked to read it and it has
//! no `@` or `?`, beside which a URL may hold a password; other secrets go through [`Settings::text`] and [`Settings::fault`].
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

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{AddrParseError, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

/// The variables of a process and the faults found in them so far.
pub struct Settings {
    lookup: Lookup,
    /// The names of all variables that are set.
    names: Vec<String>,
    asked: BTreeSet<String>,
    faults: Vec<Fault>,
}

type Lookup = Box<dyn Fn(&str) -> Option<OsString>>;

/// Everything that is wrong with a process's variables, a line each.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

/// An address to listen on: `127.0.0.1:4567`, `[::1]:4567`, or `localhost:4567`, which is the first of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    subject: String,
    problem: String,
}

/// What `read` makes of the process's environment.
///
/// # Errors
/// Every variable that is set and wrong, a line each.
pub fn from_env<T>(read: impl FnOnce(&mut Settings) -> T) -> Result<T, Faults> {
    let mut settings = Settings::from_env();
    let value = read(&mut settings);
    settings.finish(value)
}

/// Reads a file that a setting names, of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, is larger, or is no file: a pipe would be waited for.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
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
        Self { lookup: Box::new(|name| std::env::var_os(name)), names, asked: BTreeSet::new(), faults: Vec::new() }
    }

    /// Reads from `lookup` instead of the environment; for tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        let lookup = Box::new(move |name: &str| lookup(name).map(OsString::from));
        Self { lookup, names: Vec::new(), asked: BTreeSet::new(), faults: Vec::new() }
    }

    /// Reads from these variables instead of the environment; for tests.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let names = pairs.iter().map(|(name, _)| name.clone()).collect();
        let lookup = move |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Self { names, ..Self::from_lookup(lookup) }
    }

    /// The variable's text without surrounding white space; `None` where it is unset or blank.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        match (self.lookup)(name)?.into_string() {
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

    /// The variable's value; `None` where it is unset, blank, or a fault that is now remembered.
    /// `expected` completes the sentence "give …".
    pub fn parse<T>(&mut self, name: &str, expected: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let shown = if text.contains(['@', '?']) { "the value".to_owned() } else { format!("{text:?}") };
                self.fault(name, format!("{shown} is not valid ({error}); give {expected}"));
                None
            }
        }
    }

    /// Remembers a fault: what it is about (a variable, a folder, a port), and what is wrong and how to mend it.
    pub fn fault(&mut self, subject: impl Into<String>, problem: impl Into<String>) {
        let fault = Fault { subject: subject.into(), problem: problem.into() };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// What was found so far: what each fault is about, and what is wrong and how to mend it.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.faults.iter().map(|fault| (fault.subject.as_str(), fault.problem.as_str()))
    }

    /// The variables that are set and have been asked for, and those that are set, begin with one of `prefixes`, and were
    /// never asked for: most likely misspelt.
    pub fn set(&self, prefixes: &[&str]) -> (Vec<&str>, Vec<&str>) {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for name in &self.names {
            if self.asked.contains(name) {
                known.push(name.as_str());
            } else if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                unknown.push(name.as_str());
            }
        }
        known.sort_unstable();
        unknown.sort_unstable();
        (known, unknown)
    }

    /// `value`, unless a fault was found on the way to it.
    pub fn finish<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(Faults(self.faults)) }
    }
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        match local {
            Some(port) => Ok(Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            None => text.parse().map(Self),
        }
    }
}

/// What a `main` that returns an error prints: the same lines.
impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", fault.subject, fault.problem)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_in_the_order_found() {
        let mut settings = Settings::from_pairs(&[("A", "x"), ("B", "7"), ("C", "y")]);
        assert_eq!(settings.parse::<u16>("A", "a number"), None);
        assert_eq!(settings.parse::<u16>("B", "a number"), Some(7));
        assert_eq!(settings.parse::<u16>("C", "a number"), None);
        let text = settings.finish(()).unwrap_err().to_string();
        assert_eq!(text.lines().map(|line| &line[..2]).collect::<Vec<_>>(), ["A:", "C:"]);
    }

    #[test]
    fn what_may_hold_a_password_is_not_quoted_back() {
        let mut settings = Settings::from_pairs(&[("A", "http://me:canary@host")]);
        assert_eq!(settings.parse::<u16>("A", "a number"), None);
        let text = settings.finish(()).unwrap_err().to_string();
        assert!(text.starts_with("A: the value is not valid") && !text.contains("canary"), "{text}");
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let text = read_file(file, 1_000_000).unwrap();
        let length = u64::try_from(text.len()).unwrap();
        assert_eq!(read_file(file, length).unwrap(), text);
        assert_eq!(read_file(file, length - 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn localhost_is_an_address_to_listen_on() {
        assert_eq!("localhost:80".parse::<Listen>().unwrap(), "127.0.0.1:80".parse().unwrap());
        for text in ["localhost", "localhost:x", "elsewhere:80", "80"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_blank_variable_is_unset() {
        let mut settings = Settings::from_pairs(&[("A", "  ")]);
        assert_eq!(settings.text("A"), None);
        assert_eq!(settings.finish(1), Ok(1));
    }

    #[test]
    fn a_fault_that_two_services_share_is_reported_once() {
        let mut settings = Settings::from_pairs(&[("A", "x")]);
        settings.parse::<u16>("A", "a number");
        settings.parse::<u16>("A", "a number");
        assert_eq!(settings.finish(()).unwrap_err().to_string().lines().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_unicode_is_a_fault() {
        use std::os::unix::ffi::OsStringExt;
        let mut settings =
            Settings { lookup: Box::new(|_| Some(OsString::from_vec(vec![0xff]))), ..Settings::from_pairs(&[]) };
        assert_eq!(settings.text("A"), None);
        assert_eq!(settings.finish(()).unwrap_err().to_string(), "A: is not valid UTF-8; give it as UTF-8 text");
    }
}
