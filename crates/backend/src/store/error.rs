//! Why the store fails.

use super::cause::Unusable;
use super::folder::NotWritable;
use super::passing;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of the embedded database cannot be used.
    #[error(transparent)]
    Folder(#[from] NotWritable),
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] Unusable),
    /// The tables cannot be migrated to this version.
    #[error("cannot migrate the tables to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("a statement failed")]
    Statement(#[from] sqlx::Error),
    /// A write's task ended without a result.
    #[error("a write was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
    /// A password could not be hashed, or a kept hash could not be read.
    #[error("a password could not be hashed or compared: {0}")]
    Password(String),
}

impl Error {
    /// What failed, without the database's own message.
    pub fn in_short(&self) -> &'static str {
        match self {
            Self::Folder(_) | Self::Open(..) => "the database cannot be opened",
            Self::Migrate(_) => "the database cannot be migrated to this version",
            Self::Statement(sqlx::Error::PoolTimedOut) => "no connection to the database came free in time",
            Self::Statement(sqlx::Error::Io(_)) => "the connection to the database broke",
            Self::Statement(_) => "a statement failed",
            Self::Interrupted(_) => "a write was interrupted",
            Self::Password(_) => "a password could not be hashed or compared",
        }
    }

    /// Whether the database was reachable and a statement failed there.
    pub(super) fn is_of_a_statement(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(_)))
    }

    /// Trying again later may help: no connection was free, the database was locked, its disk is full, or the server is away.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Statement(error) if passing::passes(error))
    }
}
