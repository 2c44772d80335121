//! Which frontend the API is for, and what week 2 mode permits.

use settings::Settings;

use super::{Config, Origin, accounts, is_production};
use crate::domain::FIRST_USER;

/// The frontend that the API is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any frontend that signs in. A profile is the user and a page of their cruds.
    Whole,
    /// The original of week 2. A profile is the plain list of cruds, and requests from its pages without credentials act as the first user.
    Week2,
}

impl Config {
    /// A notice of what week 2 mode permits; `None` in any other mode.
    pub fn week2_notice(&self) -> Option<String> {
        let origins: Vec<_> = self.origins.iter().map(Origin::as_str).collect();
        (self.shape == Shape::Week2).then(|| match origins.as_slice() {
            [] => {
                format!("no page may act as @{FIRST_USER}; set FRONTEND_URL to the address of the original's frontend")
            }
            _ => format!("pages of {} act as @{FIRST_USER} without signing in", origins.join(" and ")),
        })
    }
}

impl Shape {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let shape = settings.choose("CRUDDUR_API", &[("week2", Self::Week2)]).unwrap_or(Self::Whole);
        if shape == Self::Week2 {
            const OPEN: &str = "week2 lets pages act as the first user without signing in, and";
            if is_production(settings) {
                settings.fault("CRUDDUR_API", format!("{OPEN} CRUDDUR_ENV is production; unset one of them"));
            }
            if accounts::are_issued(settings) {
                settings.fault("CRUDDUR_API", format!("{OPEN} AUTH_MODE is cognito; unset one of them"));
            }
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[test]
    fn week_2_mode_is_refused_where_accounts_matter() {
        let week2 = ("CRUDDUR_API", "week2");
        let config = read(&[week2, ("FRONTEND_URL", "http://localhost:3000")]).unwrap();
        assert!(config.week2_notice().unwrap().contains("http://localhost:3000"));
        assert!(read(&[week2]).unwrap().week2_notice().unwrap().contains("FRONTEND_URL"));
        assert_eq!(read(&[]).unwrap().week2_notice(), None);
        for other in [("CRUDDUR_ENV", "production"), ("AUTH_MODE", "cognito")] {
            let faults = read(&[week2, other]).unwrap_err();
            let own = faults.lines().find(|line| line.starts_with("CRUDDUR_API: ")).unwrap();
            assert!(own.contains(other.0) && own.contains(other.1), "{own}");
        }
    }
}
