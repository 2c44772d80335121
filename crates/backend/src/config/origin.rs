//! Origins, as browsers send them.

use std::str::FromStr;

/// `scheme://host[:port]`, as a browser sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As it stands in an `Origin` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same page of this machine by its other names, which to a browser are other origins.
    pub fn other_names(&self) -> Vec<Self> {
        const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
        let (scheme, authority) = self.0.split_once("://").unwrap_or_default();
        let own = NAMES.iter().find_map(|name| {
            let port = authority.strip_prefix(name)?;
            (port.is_empty() || port.starts_with(':')).then_some((*name, port))
        });
        let Some((own, port)) = own else { return Vec::new() };
        NAMES.iter().filter(|name| **name != own).map(|name| Self(format!("{scheme}://{name}{port}"))).collect()
    }
}

/// Why a text is not an origin.
#[derive(Debug, thiserror::Error)]
#[error("it is not scheme://host[:port]")]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let text = text.trim_end_matches('/');
        let (scheme, host) = text.split_once("://").ok_or(NotAnOrigin)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if matches!(scheme, "http" | "https") && !host.is_empty() && host.chars().all(plain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotAnOrigin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_machine_has_other_names() {
        let others = |origin: &str| -> Vec<String> {
            origin.parse::<Origin>().unwrap().other_names().into_iter().map(|origin| origin.0).collect()
        };
        assert_eq!(others("http://localhost:3000"), ["http://127.0.0.1:3000", "http://[::1]:3000"]);
        assert_eq!(others("https://127.0.0.1"), ["https://localhost", "https://[::1]"]);
        assert_eq!(others("http://localhost.example:3000"), [""; 0]);
        assert_eq!(others("https://cruddur.example"), [""; 0]);
    }

    #[test]
    fn an_origin_is_taken_as_a_browser_sends_it() {
        assert_eq!("https://Cruddur.example/".parse::<Origin>().unwrap().as_str(), "https://cruddur.example");
    }
}
