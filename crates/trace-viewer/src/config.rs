//! The viewer's settings from the environment. Opens nothing.
//! `docs/src/configuration.md` describes each variable; a test in `cruddur` compares that page with the code.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use settings::Settings;
use settings::allowed_hosts::AllowedHosts;

use crate::sampling::RulesSource;

/// The viewer's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address that receives OTLP/HTTP and serves the page.
    pub listen: SocketAddr,
    /// The address that receives X-Ray datagrams and serves sampling rules.
    pub xray: SocketAddr,
    /// The hosts to which the page and OTLP are served.
    pub(crate) hosts: AllowedHosts,
    /// The hosts to which sampling rules are served.
    pub(crate) xray_hosts: AllowedHosts,
    /// The memory for traces.
    pub memory: Memory,
    /// The folder in which traces are kept too.
    pub data: Option<PathBuf>,
    /// The most bytes of that folder's files.
    pub disk: Memory,
    /// The source of the sampling rules.
    pub rules: RulesSource,
}

/// The memory or disk for traces: a whole number directly followed by `MiB` or `GiB`, at least `16MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(usize);

/// Why a text is not a [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMemory {
    /// It has another form.
    #[error("it is not a whole number followed by MiB or GiB")]
    Form,
    /// Less memory would not hold a trace of usual size together with earlier ones.
    #[error("it is less than 16MiB")]
    TooLittle,
    /// This machine cannot address as much.
    #[error("it is more than this machine can address")]
    TooMuch,
}

/// `CRUDDUR_VIEWER_DATA` without a folder, which `cruddur up` would otherwise choose.
const OFF: &str = "off";
const MIB: usize = 1024 * 1024;

impl Config {
    /// Reads `settings`, which remembers the faults.
    pub fn read(settings: &mut Settings) -> Self {
        let listen = settings.listen("CRUDDUR_VIEWER_LISTEN", 4318);
        let xray = settings.listen("CRUDDUR_XRAY_LISTEN", 2000);
        let expected = "a size such as 256MiB or 1GiB, at least 16MiB";
        let memory = settings.parse_or("CRUDDUR_VIEWER_MEMORY", Memory::default(), expected);
        let data = settings.text("CRUDDUR_VIEWER_DATA").filter(|folder| folder != OFF).map(PathBuf::from);
        let disk = settings.parse_or("CRUDDUR_VIEWER_DISK", Memory(1024 * MIB), expected);
        let is_configured = settings.text("CRUDDUR_XRAY_RULES").is_some();
        let path = settings.text_or("CRUDDUR_XRAY_RULES", "./xray-rules.json").into();
        Self {
            rules: RulesSource { path, is_configured },
            hosts: AllowedHosts::read(settings, listen),
            xray_hosts: AllowedHosts::read(settings, xray),
            listen,
            xray,
            memory,
            data,
            disk,
        }
    }
}

impl Memory {
    pub(crate) fn bytes(self) -> usize {
        self.0
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self(256 * MIB)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / MIB {
            mib if mib.is_multiple_of(1024) => write!(f, "{}GiB", mib / 1024),
            mib => write!(f, "{mib}MiB"),
        }
    }
}

impl FromStr for Memory {
    type Err = InvalidMemory;

    fn from_str(text: &str) -> Result<Self, InvalidMemory> {
        let units = [("MiB", MIB), ("GiB", 1024 * MIB)];
        let found = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
        let (number, unit) = found.ok_or(InvalidMemory::Form)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidMemory::Form);
        }
        let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(*unit));
        match bytes.ok_or(InvalidMemory::TooMuch)? {
            bytes if bytes < 16 * MIB => Err(InvalidMemory::TooLittle),
            bytes => Ok(Self(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_and_a_unit_within_bounds() {
        for (text, mib) in [("16MiB", 16), ("256MiB", 256), ("2GiB", 2_048)] {
            assert_eq!(text.parse::<Memory>(), Ok(Memory(mib * MIB)));
        }
        for text in ["", "MiB", "64", "64MB", "64 MiB", "+64MiB", "-1GiB", "1.5GiB"] {
            assert_eq!(text.parse::<Memory>(), Err(InvalidMemory::Form), "{text}");
        }
        assert_eq!("15MiB".parse::<Memory>(), Err(InvalidMemory::TooLittle));
        assert_eq!("99999999999999999GiB".parse::<Memory>(), Err(InvalidMemory::TooMuch));
        assert_eq!("99999999999999999999999GiB".parse::<Memory>(), Err(InvalidMemory::TooMuch));
    }
}
