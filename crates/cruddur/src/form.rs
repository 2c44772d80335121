//! The form of a command's output.

use std::fmt;
use std::io::{self, Write};

use clap::Args;

#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes a line, with control characters escaped except the line's end, so that the author of the text cannot control the terminal.
pub(crate) fn line(out: &mut impl Write, text: fmt::Arguments<'_>) -> io::Result<()> {
    let escaped = text.to_string().chars().fold(String::new(), |mut line, c| {
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    });
    writeln!(out, "{escaped}")
}
