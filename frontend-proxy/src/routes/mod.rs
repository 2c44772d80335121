//! Where requests go: rules from a TOML file or Cruddur's own, and the table of active routes that is made from them.

mod active;
mod file;
mod path;
mod reader;
mod rule;
mod source;
mod table;
mod template;

pub(crate) use active::ActiveRoutes;
pub(crate) use path::is_straight;
pub(crate) use reader::Variables;
pub(crate) use rule::{Host, Rule};
pub(crate) use source::Source;
pub(crate) use table::{Route, Routes};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::rule_of;
