//! The owner of a database, who changes it directly, not through the backend.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use super::cruddur::Cruddur;
use super::postgres;

/// Runs statements on a database as its owner.
pub(crate) struct Owner {
    pub(crate) runtime: Runtime,
    pub(crate) url: String,
}

impl Owner {
    /// The owner of the database at `url`.
    pub(crate) fn of(url: &str) -> Self {
        Self { runtime: Runtime::new().unwrap(), url: url.to_owned() }
    }

    /// The owner of a new database; `None` if there is no server.
    pub(crate) fn of_new() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let url = runtime.block_on(postgres::database())?;
        Some(Self { runtime, url })
    }

    pub(crate) fn run(&self, statements: &str) {
        self.runtime.block_on(async {
            let mut db = PgConnection::connect(&self.url).await.unwrap();
            db.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
            db.close().await.unwrap();
        });
    }

    pub(crate) fn name(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    /// A new role that may sign in, with a password if the server requires one, and the database's URL for it.
    pub(crate) fn role(&self) -> (String, String) {
        let role = format!("role_of_{}", self.name());
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'canary'"));
        let url = self.url_of(&format!("{role}:canary"));
        (role, url)
    }

    fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@{}", self.url.rsplit_once('@').unwrap().1)
    }

    /// Migrates the tables to the present version.
    pub(crate) fn migrate(&self) {
        drop(Cruddur::service("backend", &[("DATABASE_URL", &self.url)]));
    }
}
