//! The routes of the API.

use std::future::ready;

use actix_web::guard::{Any, Get, Head};
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use super::problem::Problem;
use super::{accounts, activities, messages, openapi, operation, reactions, users};

const MAX_BODY: usize = 64 * 1024;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.app_data(web::JsonConfig::default().limit(MAX_BODY).error_handler(|error, _| Problem::from(&error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::from(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("no such route").into()))
        .service(read("/api/health-check", web::route().to(operation::health_check)))
        .service(read("/health/ready", web::route().to(operation::ready)))
        .service(read("/health/telemetry", web::route().to(operation::ledger)))
        .service(read("/metrics", web::route().to(operation::metrics)))
        .service(read("/api/openapi.json", web::route().to(operation::document)))
        .service(read("/rollbar/test", web::route().to(operation::test_error)))
        .configure(activity_routes)
        .configure(people_routes)
        .default_service(web::to(|| async { Problem::not_found("no such route") }));
}

fn activity_routes(app: &mut ServiceConfig) {
    app.service(read("/api/activities/home", web::route().to(activities::home)))
        .service(read("/api/activities/notifications", web::route().to(reactions::notifications)))
        .service(read("/api/activities/search", web::route().to(activities::search)))
        .service(read("/api/activities/@", web::route().to(activities::profile_of_nobody)))
        .service(read("/api/activities/@{handle}", web::route().to(activities::profile)))
        .service(read("/api/activities/@{handle}/status/{uuid}", web::route().to(activities::status)))
        .service(at("/api/activities", [(Method::POST, web::to(activities::create))]))
        .service(at("/api/activities/{uuid}/reply", [(Method::POST, web::to(activities::reply))]))
        .service(at("/api/activities//reply", [(Method::POST, web::to(activities::reply_to_nothing))]))
        .service(at(
            "/api/activities/{uuid}/like",
            [(Method::POST, web::to(reactions::like)), (Method::DELETE, web::to(reactions::unlike))],
        ))
        .service(at(
            "/api/activities/{uuid}/repost",
            [(Method::POST, web::to(reactions::repost)), (Method::DELETE, web::to(reactions::unrepost))],
        ))
        .service(at(
            "/api/activities/{uuid}",
            [(Method::GET, web::to(activities::show)), (Method::DELETE, web::to(activities::delete))],
        ))
        .service(read("/api/trending", web::route().to(users::trending)));
}

fn people_routes(app: &mut ServiceConfig) {
    app.service(read("/api/message_groups", web::route().to(messages::groups)))
        .service(at("/api/messages", [(Method::POST, web::to(messages::say))]))
        .service(read("/api/messages/@{handle}", web::route().to(messages::messages_with)))
        .service(read("/api/messages/{message_group_uuid}", web::route().to(messages::messages)))
        .service(read("/api/users/@{handle}/short", web::route().to(users::short)))
        .service(read("/api/users/suggested", web::route().to(users::suggested)))
        .service(at(
            "/api/profile/update",
            [(Method::POST, web::to(users::update)), (Method::PUT, web::to(users::update))],
        ))
        .service(read("/api/auth/me", web::route().to(accounts::me)));
}

pub(super) fn account_routes(app: &mut ServiceConfig) {
    app.service(at("/api/auth/signup", [(Method::POST, web::to(accounts::sign_up))]))
        .service(at("/api/auth/signin", [(Method::POST, web::to(accounts::sign_in))]))
        .service(at("/api/auth/signout", [(Method::POST, web::to(accounts::sign_out))]));
}

pub(super) fn no_account_routes(app: &mut ServiceConfig) {
    for path in openapi::OWN_ACCOUNTS {
        app.service(web::resource(path).to(accounts::not_here));
    }
}

/// A resource with these methods, and with HEAD if it has GET. Any other method gets a response that lists them.
fn at<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let allowed = routes.iter().map(|(method, _)| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let refuse = web::to(move || ready(Problem::MethodNotAllowed(allowed.clone())));
    routes.into_iter().fold(web::resource(path).default_service(refuse), |resource, (method, route)| {
        resource.route(if method == Method::GET { route.guard(Any(Get()).or(Head())) } else { route.method(method) })
    })
}

/// A resource that clients read by GET, and so by HEAD.
fn read(path: &str, route: Route) -> Resource {
    at(path, [(Method::GET, route)])
}
