//! The form of a command's output.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::Args;
use settings::Settings;

#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Colours, if the reader's terminal shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Ansi,
}

impl Paint {
    /// Colours only on a terminal whose user has not disabled them: <https://no-color.org>
    pub(crate) fn on(to: &impl IsTerminal) -> Self {
        match to.is_terminal() && Settings::from_env().text("NO_COLOR").is_none() {
            true => Self::Ansi,
            false => Self::Plain,
        }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.within("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.within("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.within("33", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.within("2", text)
    }

    fn within(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// A count and what is counted: `1 request`, `2 requests`.
pub(crate) fn counted(count: impl fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    let ending = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{ending}")
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
