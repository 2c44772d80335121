//! The doctor's checks of destinations. Each gets a request without spans, so that the doctor leaves nothing there.

use telemetry::probe;

use super::report::{Report, Status};

impl Report {
    pub(super) fn destinations(&mut self, telemetry: &telemetry::Config) {
        for check in telemetry.check() {
            self.add(check.name, check.status.into(), check.detail);
        }
    }
}

impl From<probe::Status> for Status {
    fn from(status: probe::Status) -> Self {
        match status {
            probe::Status::Ok => Self::Ok,
            probe::Status::Off => Self::Off,
            probe::Status::Note => Self::Note,
            probe::Status::Wrong => Self::Wrong,
        }
    }
}
