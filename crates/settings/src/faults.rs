//! What is wrong with a process's variables.

use std::fmt;

/// All faults in a process's variables, one per line.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub(crate) Vec<Fault>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) subject: String,
    pub(crate) problem: String,
    /// The value is the code's, not the variable's.
    pub(crate) is_in_code: bool,
}

/// Prints the same lines as `Display`, because a `main` that returns an error prints its `Debug` form.
impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let place = if fault.is_in_code { " (in code)" } else { "" };
            write!(f, "{}{place}: {}", fault.subject, fault.problem)?;
        }
        Ok(())
    }
}
