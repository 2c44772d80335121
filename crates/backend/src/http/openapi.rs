//! The OpenAPI 3.1 document: the descriptions of the endpoints, completed by what all of them share.

use utoipa::OpenApi;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AllOf, AnyOf, Components, Object, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::problem;
use super::routes::endpoints;
use super::state::Credentials;

#[derive(OpenApi)]
#[openapi(
    info(title = "Cruddur", description = "Posts that expire. An invalid input gets a list of codes (422), any other error \
        a problem document (RFC 9457) with the id of the request's trace. Texts are kept in NFC, without control characters except newlines, \
        without white space around them and with at most 6 marks on one letter. After that, their characters are counted as a person counts them (grapheme \
        clusters). A text that shows nothing is blank."),
    tags(
        (name = "cruds", description = "Posts that expire, and replies to them"),
        (name = "reactions", description = "Likes, reposts and notifications"),
        (name = "messages", description = "Conversations of two"),
        (name = "users", description = "Users and their profiles"),
        (name = "accounts", description = "Signing up, in and out"),
        (name = "operation", description = "The health of the service, and the outcome of its spans"),
    ),
    components(schemas(problem::ProblemDocument)),
)]
struct Document;

/// The scheme of a session's cookie.
const SESSION: &str = "session";

/// The document as JSON. If an issuer has the accounts, parts that apply only to our own accounts are omitted.
pub(super) fn document(credentials: &Credentials) -> String {
    let mut document = Document::openapi();
    for endpoint in endpoints(credentials) {
        document.merge((endpoint.describe)());
    }
    let components = document.components.get_or_insert_default();
    components
        .add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
    if !credentials.are_issued() {
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("cruddur_session")));
        components.add_security_scheme(SESSION, cookie);
    }
    any_of(components, "NewMessage", [&["user_receiver_handle"], &["handle"], &["message_group_uuid"]]);
    any_of(components, "SignIn", [&["token"][..], &["login", "password"]]);
    for path in document.paths.paths.values_mut() {
        separate_ids(path);
        operations(path).for_each(complete);
        if credentials.are_issued() {
            operations(path).for_each(without_session);
        }
    }
    document.to_json().unwrap_or_default()
}

/// Removes the session from the credentials that an operation accepts.
fn without_session(operation: &mut Operation) {
    let by_session = SecurityRequirement::new::<_, _, &str>(SESSION, []);
    operation.security.iter_mut().for_each(|ways| ways.retain(|way| *way != by_session));
}

/// The operations with the methods that our routes accept.
fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post, &mut path.put, &mut path.delete].into_iter().flatten()
}

/// Gives each operation a separate id, because one handler may serve two operations.
fn separate_ids(path: &mut PathItem) {
    if let (Some(post), Some(_)) = (&mut path.post, &path.put) {
        post.operation_id.iter_mut().for_each(|id| id.push_str("_by_post"));
    }
}

/// Adds what an operation's own attributes do not specify.
fn complete(operation: &mut Operation) {
    let mut parameters = operation.parameters.iter().flatten();
    let is_list = parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == "cursor"));
    // If one of the alternatives requires no credentials, neither does the operation.
    let needs_credentials =
        operation.security.as_ref().is_some_and(|ways| !ways.contains(&SecurityRequirement::default()));
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(list)) = responses.get_mut("200").filter(|_| is_list) {
        let link = header("The next page, if there is one: `<path?query>; rel=\"next\"`");
        list.headers.insert("link".to_owned(), link);
    }
    let retry = header("Seconds to wait before the next attempt, with 429 and 503");
    responses.insert("default".to_owned(), wrong("Any other error", "retry-after", retry));
    if needs_credentials {
        let how = header("`Bearer realm=\"cruddur\"`");
        responses.insert("401".to_owned(), wrong("The caller is not signed in", "www-authenticate", how));
    }
}

fn wrong(description: &str, name: &str, header: RefOr<Header>) -> RefOr<Response> {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content("application/problem+json", problem);
    let mut response = response.build();
    response.headers.insert(name.to_owned(), header);
    response.into()
}

fn header(description: &str) -> RefOr<Header> {
    let mut header = Header::default();
    header.description = Some(description.to_owned());
    header.into()
}

/// Requires a body to have the fields of at least one of these sets, not null.
fn any_of<const N: usize>(components: &mut Components, name: &str, sets: [&[&str]; N]) {
    let Some(body) = components.schemas.remove(name) else { return };
    let sets = sets.into_iter().fold(AnyOf::builder(), |sets, fields| {
        sets.item(fields.iter().fold(Object::builder(), |set, field| {
            set.property(*field, Object::with_type(Type::String)).required(*field)
        }))
    });
    components.schemas.insert(name.to_owned(), AllOf::builder().item(body).item(sets).into());
}
