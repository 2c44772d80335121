//! Whether this is production.

use settings::Settings;

pub(super) fn is_production(settings: &mut Settings) -> bool {
    const CHOICES: [(&str, Environment); 2] =
        [("development", Environment::Development), ("production", Environment::Production)];
    settings.choose_or("CRUDDUR_ENV", &CHOICES, Environment::Development) == Environment::Production
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Environment {
    Development,
    Production,
}
