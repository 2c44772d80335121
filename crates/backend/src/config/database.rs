//! The database that the environment names. Opens, makes and checks nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use settings::Settings;
use sqlx::postgres::PgConnectOptions;

use super::postgres_url::{self, Defaults, Fault};

/// The database of users and cruds.
#[derive(Clone)]
pub enum Database {
    /// A file, created if it does not exist.
    Sqlite(Embedded),
    /// A server.
    Postgres(Box<Postgres>),
}

/// The file of an embedded database.
#[derive(Clone)]
pub struct Embedded {
    pub(crate) path: PathBuf,
    /// The data folder, if the file is in it; otherwise the folder holds only the traces of `cruddur up`.
    pub(crate) data: Option<PathBuf>,
}

/// A PostgreSQL server, and how many connections to it this process may have.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) options: PgConnectOptions,
    pub(crate) connections: Connections,
}

/// The maximum number of one backend's connections to a server. A third of them write, the others read. Of four or more, one is reserved for inspecting what
/// the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(u32);

/// The data folder.
pub fn data_folder(settings: &mut Settings) -> PathBuf {
    settings.text_or("CRUDDUR_DATA", "./.cruddur").into()
}

impl Database {
    /// Reads only the database's variables. An invalid URL is not quoted, because it holds a password.
    pub fn read(settings: &mut Settings) -> Self {
        let data = data_folder(settings);
        let connections =
            settings.parse_or("CRUDDUR_DATABASE_CONNECTIONS", Connections::default(), "a number from 2 to 1000");
        for variable in ["DATABASE_URL", "CONNECTION_URL"] {
            let Some(url) = settings.text(variable) else { continue };
            match Self::parse(&url, connections, settings) {
                Ok(database) => return database,
                Err(Fault(problem)) => settings.fault(variable, problem),
            }
        }
        Self::Sqlite(Embedded { path: data.join("cruddur.db"), data: Some(data) })
    }

    fn parse(url: &str, connections: Connections, settings: &mut Settings) -> Result<Self, Fault> {
        const NOT_A_PATH: Fault =
            Fault("is not a SQLite path; give sqlite: and the path of a file, without options and without a colon");
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // Not `:memory:`, because each connection would have its own, and no options, because they would be part of the name.
            let plain = !path.is_empty() && !path.ends_with('/') && !path.contains(['?', ':']);
            let file = Embedded { path: PathBuf::from(path), data: None };
            return plain.then_some(Self::Sqlite(file)).ok_or(NOT_A_PATH);
        }
        // A pooler would refuse sqlx's parameter for the digits of floats. There are no floats here.
        let options = postgres_url::parse(url, &Defaults::read(settings))?.extra_float_digits(None);
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("cruddur-backend"),
        };
        Ok(Self::Postgres(Box::new(Postgres { options, connections })))
    }
}

impl Embedded {
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The path of a file that SQLite keeps next to the database, by the end of its name.
    pub(crate) fn sibling(&self, end: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(end);
        name.into()
    }
}

impl Connections {
    pub(crate) fn all(self) -> u32 {
        self.0
    }

    pub(crate) fn readers(self) -> u32 {
        self.0 - self.writers() - u32::from(self.0 > 3)
    }

    pub(crate) fn writers(self) -> u32 {
        (self.0 / 3).max(1)
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self(12)
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A number of connections that is too small or too large, or not a number.
#[derive(Debug, thiserror::Error)]
#[error("out of range")]
pub(crate) struct OutOfRange;

impl FromStr for Connections {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        text.parse().ok().filter(|number| (2..=1_000).contains(number)).map(Self).ok_or(OutOfRange)
    }
}

impl Postgres {
    /// The host, or the folder of its socket.
    pub(crate) fn host(&self) -> String {
        match self.options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => self.options.get_host().to_owned(),
        }
    }

    /// The database's name, which is the user's unless given.
    pub(crate) fn database(&self) -> &str {
        self.options.get_database().unwrap_or(self.options.get_username())
    }
}

/// Hides the password that the options hold.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "SQLite {}", file.path.display()),
            Self::Postgres(server) => {
                let (host, port) = (server.host(), server.options.get_port());
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                write!(f, "PostgreSQL {host}:{port}/{}", server.database())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Database, String> {
        let mut settings = Settings::from_pairs(pairs);
        let database = Database::read(&mut settings);
        settings.finish(database).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://me:canary@db:5433/cruddur", "PostgreSQL db:5433/cruddur"),
            ("postgres://me:canary@[::1]", "PostgreSQL [::1]:5432/me"),
            ("postgres://me:canary@/cruddur?host=/run/pg", "PostgreSQL /run/pg:5432/cruddur"),
            ("sqlite://cruddur.db", "SQLite cruddur.db"),
        ] {
            let database = read(&[("CONNECTION_URL", url)]).unwrap();
            assert_eq!(format!("{database:?}"), shown);
        }
    }

    #[test]
    fn a_url_that_would_be_misread_is_a_fault() {
        for url in ["sqlite::memory:", "sqlite:x.db?mode=ro", "sqlite:", "sqlite:///", "sqlite:folder/", "x.db"] {
            assert!(read(&[("DATABASE_URL", url)]).is_err(), "{url}");
        }
    }

    #[test]
    fn the_number_of_connections_is_bounded() {
        let of = |text| {
            let url = ("DATABASE_URL", "postgres://me@db");
            read(&[url, ("CRUDDUR_DATABASE_CONNECTIONS", text)]).map(|database| match database {
                Database::Postgres(server) => (server.connections.writers(), server.connections.readers()),
                Database::Sqlite(_) => (0, 0),
            })
        };
        for (text, writers, readers) in
            [("", 4, 7), ("2", 1, 1), ("3", 1, 2), ("4", 1, 2), ("12", 4, 7), ("1000", 333, 666)]
        {
            assert_eq!(of(text), Ok((writers, readers)), "{text}");
        }
        for text in ["0", "1", "1001", "-1", "many"] {
            assert!(of(text).unwrap_err().ends_with("give a number from 2 to 1000"), "{text}");
        }
    }

    proptest! {
        /// The canary is inside a password, among all the characters that could end it early.
        #[test]
        fn no_piece_of_a_password_is_shown(
            before in "[/?#@:%&=,\\[\\]a0 ]{0,6}", after in "[/?#@:%&=,\\[\\]a0 ]{0,6}",
            url in prop::sample::select(vec![
                ("postgres://me:", "@db/cruddur"),
                ("postgresql://me:", "@[::1]:5432/cruddur?sslmode=require"),
                ("postgres://me:", "@/cruddur?host=/run/pg"),
                ("postgres://:", "@db"),
                ("postgres://db/cruddur?user=me&password=", ""),
                ("mysql://me:", "@db/cruddur"),
                ("", ""),
            ]),
        ) {
            let url = format!("{}{before}canary{after}{}", url.0, url.1);
            let shown = match read(&[("DATABASE_URL", &url)]) {
                Ok(database) => format!("{database} {database:?}"),
                Err(faults) => faults,
            };
            prop_assert!(!shown.contains("canary"), "{} of {}", shown, url);
        }
    }
}
