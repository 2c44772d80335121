//! The response of every mode: three activities as JSON.

use actix_web::HttpResponse;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

#[derive(Serialize)]
struct Activity {
    uuid: &'static str,
    handle: &'static str,
    message: &'static str,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    likes_count: u32,
    replies_count: u32,
    reposts_count: u32,
}

fn activities() -> [Activity; 3] {
    let now = Utc::now();
    let rows = [
        ("68f126b0-1ceb-4a33-88be-d90fa7109eee", "Andrew Brown", "Cloud is fun!"),
        ("66e12864-8c26-4c3a-9658-95a10f8fea67", "Worf", "I am out of prune juice"),
        ("248959df-3079-4947-b847-9e0892d1bab4", "Garek", "My dear doctor, I am just simple tailor"),
    ];
    rows.map(|(uuid, handle, message)| Activity {
        uuid,
        handle,
        message,
        created_at: now - TimeDelta::days(2),
        expires_at: now + TimeDelta::days(5),
        likes_count: 5,
        replies_count: 1,
        reposts_count: 0,
    })
}

/// The response.
pub(crate) fn respond() -> HttpResponse {
    HttpResponse::Ok().json(activities())
}

pub(crate) async fn home() -> HttpResponse {
    respond()
}
