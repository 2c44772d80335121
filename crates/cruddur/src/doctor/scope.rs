//! The services that the doctor checks: those of the command line, or of the container in which it runs.

use std::path::Path;

use clap::ValueEnum;

/// The services whose settings are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    All,
    Backend,
    #[value(name = "frontend-proxy")]
    Proxy,
    #[value(name = "trace-viewer")]
    Viewer,
}

impl Scope {
    /// Whether this service's settings are checked.
    pub(super) fn has(self, one: Self) -> bool {
        self == Self::All || self == one
    }

    /// The service that a container runs as its first process; all services outside a container.
    pub(super) fn of_container() -> Self {
        Self::of_first_process(&std::fs::read("/proc/1/cmdline").unwrap_or_default())
    }

    fn of_first_process(command: &[u8]) -> Self {
        let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let program = words.next().unwrap_or_default();
        let is_ours = Path::new(&*program).file_name().is_some_and(|name| name == "cruddur");
        let service = words.next().unwrap_or_default();
        if is_ours { Self::from_str(&service, false).unwrap_or(Self::All) } else { Self::All }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_first_process_selects_its_service() {
        for (command, scope) in [
            (b"cruddur\0frontend-proxy\0".as_slice(), Scope::Proxy),
            (b"/usr/local/bin/cruddur\0backend\0--until-stdin-closes\0", Scope::Backend),
            (b"cruddur\0trace-viewer\0", Scope::Viewer),
            (b"cruddur\0doctor\0", Scope::All),
            (b"cruddur\0", Scope::All),
            (b"/sbin/init\0backend\0", Scope::All),
            (b"", Scope::All),
        ] {
            assert_eq!(Scope::of_first_process(command), scope);
        }
    }
}
