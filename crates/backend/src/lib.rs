//! Cruddur's API: posts (cruds) that expire.
//!
//! [`Config`] holds the listen address and the database, [`Store`] keeps users and cruds on SQLite or PostgreSQL with one SQL text for both, and [`Server`]
//! serves HTTP. Internally, `domain` holds the rules and knows neither SQL nor HTTP, `store` holds all SQL, `cognito` validates tokens if an external issuer
//! has the accounts, and `http` has the handlers and the JSON shapes. Installs no telemetry: it makes spans with `tracing`.

pub mod cognito;
mod config;
pub mod domain;
mod faults;
mod http;
pub mod store;

pub use config::{Accounts, Config, Database, Issuer, Origin, data_folder, faults};
pub use faults::Faults;
pub use http::{Server, ServerError};
pub use store::Store;
