//! The code's values for variables that are unset.

use secrecy::{ExposeSecret, SecretString};
use settings::Settings;

/// Values by their subjects, such as a destination. A subject that is configured again loses its earlier values.
#[derive(Debug, Clone, Default)]
pub(super) struct Provided(Vec<(&'static str, ProvidedValue)>);

/// A value for a variable.
#[derive(Debug, Clone)]
pub(super) struct ProvidedValue {
    variable: &'static str,
    value: SecretString,
    /// The value is not used if one of these is set: it belongs to another address then, or a more general variable applies.
    unless: Vec<&'static str>,
}

impl ProvidedValue {
    /// `value` for `variable`, unless one of the variables `unless` is set.
    pub(super) fn new(variable: &'static str, value: impl Into<SecretString>, unless: &[&'static str]) -> Self {
        Self { variable, value: value.into(), unless: unless.to_vec() }
    }
}

impl Provided {
    /// Gives `variable` a value.
    pub(super) fn set(&mut self, variable: &'static str, value: impl Into<SecretString>) {
        self.replace(variable, [ProvidedValue::new(variable, value, &[])]);
    }

    /// Gives `subject` these values instead of its earlier ones.
    pub(super) fn replace(&mut self, subject: &'static str, values: impl IntoIterator<Item = ProvidedValue>) {
        self.0.retain(|(earlier, _)| *earlier != subject);
        self.0.extend(values.into_iter().map(|value| (subject, value)));
    }

    /// Gives the values to `settings`.
    pub(super) fn provide(&self, settings: &mut Settings) {
        for (_, ProvidedValue { variable, value, unless }) in &self.0 {
            if !unless.iter().any(|name| settings.is_set(name)) {
                settings.provide(variable, value.expose_secret());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(_, value)| value.variable)
    }
}
