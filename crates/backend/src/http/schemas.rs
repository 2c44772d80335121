//! Schemas that more than one operation uses.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, Object, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::Invalid;

/// The codes of an invalid input: all that apply.
pub(super) struct Codes;

const CODES: [Invalid; 19] = [
    Invalid::TtlBlank,
    Invalid::MessageBlank,
    Invalid::MessageExceedMaxChars,
    Invalid::ActivityUuidBlank,
    Invalid::SearchTermBlank,
    Invalid::BlankUserHandle,
    Invalid::UserReceiverHandleBlank,
    Invalid::MessageGroupUuidBlank,
    Invalid::HandleBlank,
    Invalid::HandleInvalid,
    Invalid::DisplayNameBlank,
    Invalid::DisplayNameExceedMaxChars,
    Invalid::BioExceedMaxChars,
    Invalid::EmailBlank,
    Invalid::EmailInvalid,
    Invalid::LoginBlank,
    Invalid::PasswordBlank,
    Invalid::PasswordTooShort,
    Invalid::PasswordExceedMaxChars,
];

const TTLS: [&str; 7] = ["30-days", "7-days", "3-days", "1-day", "12-hours", "3-hours", "1-hour"];

/// How long a crud may live.
pub(super) fn ttl() -> Object {
    Object::builder()
        .schema_type(Type::String)
        .description(Some("The lifetime of the crud"))
        .enum_values(Some(TTLS))
        .build()
}

impl PartialSchema for Codes {
    fn schema() -> RefOr<Schema> {
        let code = Object::builder().schema_type(Type::String).enum_values(Some(CODES.map(|code| code.to_string())));
        Array::builder().description(Some("Every code that applies to the input")).items(code).min_items(Some(1)).into()
    }
}

impl ToSchema for Codes {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::Ttl;

    #[test]
    fn every_lifetime_and_code_of_the_domain_is_in_the_document() {
        let ttls: BTreeSet<_> = TTLS.iter().map(|ttl| ttl.parse::<Ttl>().unwrap().hours()).collect();
        assert_eq!(ttls.len(), Ttl::ALL.len());
        for (index, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as usize, index, "{code}");
        }
    }
}
