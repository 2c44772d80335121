//! The form of a command's output.

use clap::Args;

#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}
