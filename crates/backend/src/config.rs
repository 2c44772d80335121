//! This service's settings from the environment. Connects to nothing and writes nothing; for PostgreSQL, sqlx reads the password file if there is one.
//! `docs/src/configuration.md` describes each variable; a test in `cruddur` compares that page with the code.

mod accounts;
mod database;
mod environment;
mod postgres_url;
mod shape;

use std::net::SocketAddr;

use settings::Settings;
use settings::allowed_hosts::AllowedHosts;
use telemetry::propagation::Trust;

use crate::domain::FIRST_USER;
use crate::faults::Faults;
pub use accounts::{Accounts, Issuer};
pub use database::{Database, data_folder};
pub(crate) use database::{Embedded, Postgres};
pub use settings::origin::Origin;
pub(crate) use shape::Shape;

use environment::is_production;

/// The backend's settings.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The database of users and cruds.
    pub database: Database,
    /// Origins whose pages may call the API, in addition to the one that serves it.
    pub origins: Vec<Origin>,
    /// The hosts that the listener serves.
    pub hosts: AllowedHosts,
    /// The proxies whose headers about their clients are trusted.
    pub trust: Trust,
    /// The frontend that the API is for.
    pub shape: Shape,
    /// The faults to inject.
    pub faults: Faults,
    /// Which accounts are accepted.
    pub accounts: Accounts,
    /// The user whom a one-time token signs in; `None` if an issuer has the accounts.
    pub one_time_sign_in: Option<String>,
}

impl Config {
    /// Reads `settings`, which remembers the faults.
    pub fn read(settings: &mut Settings) -> Self {
        let listen = settings.listen("CRUDDUR_BACKEND_LISTEN", 4567);
        let origins = Origin::read_all(settings);
        let hosts = AllowedHosts::read(settings, listen);
        let trust = settings.parse("CRUDDUR_BACKEND_TRUST", "never, always, or networks such as 10.0.0.0/8,::1");
        let accounts = Accounts::read(settings);
        let one_time_sign_in = settings.text("CRUDDUR_ONE_TIME_SIGN_IN").filter(|_| accounts == Accounts::Own);
        Self {
            listen,
            database: Database::read(settings),
            origins,
            hosts,
            trust: trust.unwrap_or_default(),
            shape: Shape::read(settings),
            faults: faults(settings),
            accounts,
            one_time_sign_in,
        }
    }

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

/// The faults to inject. In production, injecting any is a configuration error.
pub fn faults(settings: &mut Settings) -> Faults {
    const EXPECTED: &str = "a comma-separated list of slow-query:200ms, n-plus-one and error:5%";
    let faults = settings.parse("CRUDDUR_FAULTS", EXPECTED).unwrap_or(Faults::NONE);
    if is_production(settings) && faults != Faults::NONE {
        settings.fault("CRUDDUR_FAULTS", "makes requests fail, and CRUDDUR_ENV is production; unset one of them");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let mut settings = Settings::from_pairs(pairs);
        let config = Config::read(&mut settings);
        settings.finish(config).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_default_is_sqlite_in_the_data_folder() {
        let config = read(&[("CRUDDUR_DATA", "/data")]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:4567".parse().unwrap());
        assert_eq!(config.database.to_string(), "SQLite /data/cruddur.db");
    }

    #[test]
    fn every_fault_is_named_and_no_password_is_quoted() {
        let faults = read(&[
            ("CRUDDUR_BACKEND_LISTEN", "4567"),
            ("DATABASE_URL", "mysql://me:canary@db/cruddur"),
            ("FRONTEND_URL", "*"),
            ("BACKEND_URL", "https://cruddur.example/api"),
        ])
        .unwrap_err();
        let named: Vec<_> = faults.lines().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(named, ["CRUDDUR_BACKEND_LISTEN", "FRONTEND_URL", "BACKEND_URL", "DATABASE_URL"]);
        assert!(!faults.contains("canary"), "{faults}");
    }

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
