//! The OpenAPI 3.1 document, made of the handlers themselves.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi, openapi};

use super::{accounts, activities, messages, problem, reactions, users};

#[derive(OpenApi)]
#[openapi(
    info(title = "Cruddur", description = "Posts that expire. What is wrong with an input is told in a list of codes (422), all else \
        in a problem of RFC 9457 with the id of the request's trace."),
    paths(
        super::health_check,
        activities::home, activities::search, activities::profile, activities::show, activities::status,
        activities::create, activities::reply, activities::delete,
        reactions::like, reactions::unlike, reactions::repost, reactions::unrepost, reactions::notifications,
        messages::groups, messages::messages, messages::messages_with, messages::say,
        users::short, users::suggested, users::trending, users::update,
        accounts::sign_up, accounts::sign_in, accounts::sign_out, accounts::me,
    ),
    components(schemas(problem::Body)),
    modifiers(&Shared)
)]
struct Document;

/// What all routes share: how one is known, and what is answered when something is wrong.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("cruddur_session"))),
        );
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let problem = ResponseBuilder::new()
            .description("Whatever else is wrong")
            .content("application/problem+json", problem)
            .build();
        for path in document.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), problem.clone().into());
            }
        }
    }
}

/// As JSON.
pub(super) fn document() -> String {
    Document::openapi().to_json().unwrap_or_default()
}
