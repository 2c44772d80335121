//! The routes of the API: one table, which the router and the OpenAPI document read. An operation's path, methods and description are declared at its handler.

use std::future::ready;

use actix_web::guard::{Any, Get, Head};
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;

use super::problem::Problem;
use super::state::Credentials;
use super::{accounts, activities, messages, operation, reactions, users};

const MAX_BODY: usize = 64 * 1024;

/// An operation: its part of the OpenAPI document, and its handler.
pub(super) struct Endpoint {
    pub(super) describe: fn() -> utoipa::openapi::OpenApi,
    handler: Handler,
}

type Handler = fn() -> Route;

/// Endpoints of these handlers.
macro_rules! endpoints {
    ($($module:ident::$handler:ident),+ $(,)?) => {
        &[$({
            #[derive(OpenApi)]
            #[openapi(paths($module::$handler))]
            struct Described;
            Endpoint { describe: Described::openapi, handler: || web::to($module::$handler) }
        }),+]
    };
}

/// In the order in which the router tries their paths.
const ENDPOINTS: &[Endpoint] = endpoints![
    activities::home,
    reactions::notifications,
    activities::search,
    activities::profile,
    activities::status,
    activities::create,
    activities::reply,
    reactions::like,
    reactions::unlike,
    reactions::repost,
    reactions::unrepost,
    activities::show,
    activities::delete,
    users::trending,
    messages::groups,
    messages::send,
    messages::messages_with,
    messages::messages,
    users::short,
    users::suggested,
    users::update,
    accounts::me,
    operation::health_check,
    operation::ready,
    operation::ledger,
    operation::metrics,
    operation::document,
    operation::test_error,
];

/// Present only if the accounts are our own.
const OWN_ACCOUNTS: &[Endpoint] = endpoints![accounts::sign_up, accounts::sign_in, accounts::sign_out];

/// For requests whose path parameter is empty: each responds with the parameter's code.
const EMPTY_PARAMETERS: [(&str, Method, Handler); 2] = [
    ("/api/activities/@", Method::GET, || web::to(activities::profile_without_handle)),
    ("/api/activities//reply", Method::POST, || web::to(activities::reply_to_nothing)),
];

/// The endpoints that are present with these accounts.
pub(super) fn endpoints(credentials: &Credentials) -> impl Iterator<Item = &'static Endpoint> {
    let own = if credentials.are_issued() { &[] } else { OWN_ACCOUNTS };
    ENDPOINTS.iter().chain(own)
}

/// What the router serves, in the order in which it tries the paths.
pub(super) struct Routes {
    paths: Vec<(String, Vec<(Method, Handler)>)>,
    /// The paths for our own accounts, which do not exist if an issuer has the accounts.
    elsewhere: Vec<String>,
}

impl Routes {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let empty = EMPTY_PARAMETERS.map(|(path, method, handler)| (path.to_owned(), vec![(method, handler)]));
        let mut paths = Vec::from(empty);
        for endpoint in endpoints(credentials) {
            for (path, item) in (endpoint.describe)().paths.paths {
                let methods = methods(&item).map(|method| (method, endpoint.handler));
                match paths.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, known)) => known.extend(methods),
                    None => paths.push((path, methods.collect())),
                }
            }
        }
        let own = OWN_ACCOUNTS.iter().filter(|_| credentials.are_issued());
        let elsewhere = own.flat_map(|endpoint| (endpoint.describe)().paths.paths.into_keys()).collect();
        Self { paths, elsewhere }
    }

    pub(super) fn configure(&self, app: &mut ServiceConfig) {
        app.app_data(web::JsonConfig::default().limit(MAX_BODY).error_handler(|error, _| Problem::from(&error).into()))
            .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::from(&error).into()))
            .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("no such route").into()));
        for (path, routes) in &self.paths {
            app.service(at(path, routes));
        }
        for path in &self.elsewhere {
            app.service(web::resource(path).to(accounts::not_here));
        }
        app.default_service(web::to(|| async { Problem::not_found("no such route") }));
    }
}

/// A resource with these methods, and with HEAD if it has GET. Any other method gets a response that lists them.
fn at(path: &str, routes: &[(Method, Handler)]) -> Resource {
    let allowed = routes.iter().map(|(method, _)| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let refuse = web::to(move || ready(Problem::MethodNotAllowed(allowed.clone())));
    routes.iter().fold(web::resource(path).default_service(refuse), |resource, (method, handler)| {
        let route = handler();
        resource.route(if method == Method::GET {
            route.guard(Any(Get()).or(Head()))
        } else {
            route.method(method.clone())
        })
    })
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let methods = [
        (Method::GET, item.get.is_some()),
        (Method::POST, item.post.is_some()),
        (Method::PUT, item.put.is_some()),
        (Method::DELETE, item.delete.is_some()),
    ];
    methods.into_iter().filter(|(_, is_described)| *is_described).map(|(method, _)| method)
}
