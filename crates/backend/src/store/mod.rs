//! Users and cruds, on SQLite or PostgreSQL. One SQL text serves both: `on!` runs one sqlx expression on whichever engine is open, inside a CLIENT span.
//! Everything else is an async method, of [`Store`] or within a transaction. A write runs to its end even if its caller stops waiting, so that every
//! acknowledged write is kept. Expired rows are treated as absent. Validates nothing: `domain` already has.

mod accounts;
mod acquire;
mod activities;
mod attempts;
mod cause;
mod clock;
mod connect;
mod database;
mod engine;
mod error;
mod files;
mod folder;
mod idempotency;
mod ids;
mod inspect;
mod messages;
mod migrations;
mod open;
mod passing;
mod passwords;
mod posts;
mod pragmas;
mod progress;
mod reactions;
mod readers;
mod released;
mod renewal;
mod seed;
mod sessions;
mod single;
mod start;
mod statement;
mod sweep;
mod time;
mod tx;
mod users;
mod words;
mod writers;

pub use accounts::{Registration, Taken};
pub use attempts::Bound;
pub use cause::Unusable;
pub use clock::NotReady;
pub use database::Store;
pub use error::Error;
pub use folder::{NotWritable, prepare};
pub use idempotency::{IdempotencyKey, KeyedRequest, NotAKey, Outcome, Rendered};
pub use inspect::Inspection;
pub use messages::{Access, conversation};
pub use open::reach;
pub use passwords::Place;
pub use posts::Deletion;
pub use seed::FIRST_USERS;
pub use sessions::Session;
pub use time::now;
