//! Cruddur's API: posts (cruds) that expire.
//!
//! [`Config`] says where to listen and which database to use, [`Store`] keeps users and cruds on SQLite or PostgreSQL with one
//! SQL text for both, and [`Server`] answers over HTTP. Inside, `domain` knows the rules and neither SQL nor HTTP, `store`
//! holds all SQL, `cognito` knows whose token is good where accounts are an issuer's, `http` has the handlers and the JSON
//! shapes. Installs no telemetry: it makes spans with `tracing`.

pub mod cognito;
mod config;
pub mod domain;
mod http;
pub mod store;

pub use config::{Accounts, Config, Database, Issuer, Origin, faults};
pub use http::{Error as ServerError, Server};
pub use store::{Faults, Store};
