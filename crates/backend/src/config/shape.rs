//! Which frontend the API is for, and what week 2 mode permits.

use settings::Settings;

use super::accounts;
use super::environment::is_production;

/// The frontend that the API is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any frontend that signs in. A profile is the user and a page of their cruds.
    Whole,
    /// The original of week 2. A profile is the plain list of cruds, and requests from its pages without credentials act as the first user.
    Week2,
}

impl Shape {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let shape = settings.choose("CRUDDUR_API", &[("week2", Self::Week2)]).unwrap_or(Self::Whole);
        if shape == Self::Week2 {
            const OPEN: &str = "week2 lets pages act as the first user without signing in, and";
            if is_production(settings) {
                settings.fault("CRUDDUR_API", format!("{OPEN} CRUDDUR_ENV is production; unset one of them"));
            }
            if accounts::are_issued(settings) {
                settings.fault("CRUDDUR_API", format!("{OPEN} AUTH_MODE is cognito; unset one of them"));
            }
        }
        shape
    }
}
