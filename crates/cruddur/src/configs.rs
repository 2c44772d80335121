//! The settings of all services, read together.

use settings::Settings;

pub(crate) struct Configs {
    pub(crate) backend: backend::Config,
    pub(crate) proxy: frontend_proxy::Config,
    pub(crate) viewer: trace_viewer::Config,
    pub(crate) telemetry: telemetry::Config,
}

impl Configs {
    /// Reads `settings`, which records the faults.
    pub(crate) fn read(settings: &mut Settings) -> Self {
        Self {
            backend: backend::Config::read(settings),
            proxy: frontend_proxy::Config::read(settings, frontend_proxy::CommandLine::default()),
            viewer: trace_viewer::Config::read(settings),
            telemetry: telemetry::Config::read(settings),
        }
    }
}
