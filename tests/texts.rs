//! Texts by users: which are blank, what a name may not contain, how characters are counted, and that no text leaves its place on the page.

use fantoccini::Locator;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::person::PASSWORD;
use crate::support::{Folder, engines, http};

/// Right-to-left override.
const RLO: &str = "\u{202e}";
const FAMILY: &str = "👨\u{200d}👩\u{200d}👧";

#[test]
fn invisible_text_is_blank_everywhere() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let reply = format!("/api/activities/{}/reply", me.crud("to reply to")["uuid"].as_str().unwrap());
        let wrong = |path: &str, body: Value| {
            let answer = me.post(path, &body);
            assert_eq!(answer.status, 422, "{path} {body}");
            answer.json()
        };
        for text in
            ["\u{200b}", "\u{3164}", "\u{2800} \u{2800}", "\u{ad}", "\u{fe0f}", "\u{e0041}", RLO, "\u{301}\u{302}"]
        {
            let blank = json!(["message_blank"]);
            assert_eq!(wrong("/api/activities", json!({"message": text, "ttl": "1-hour"})), blank, "{text:?}");
            assert_eq!(wrong(&reply, json!({"message": text})), blank, "{text:?}");
            assert_eq!(wrong("/api/messages", json!({"message": text, "handle": "bayko"})), blank, "{text:?}");
            let name = wrong("/api/profile/update", json!({"display_name": text, "bio": text}));
            assert_eq!(name, json!(["display_name_blank"]), "{text:?}");
            let account = json!({"handle": "blank", "display_name": text, "email": "blank@cruddur.example", "password": PASSWORD});
            let answer = http::post(&format!("{}/api/auth/signup", cruddur.backend), &account);
            assert_eq!((answer.status, answer.json()), (422, json!(["display_name_blank"])), "{text:?}");
        }
    });
}

#[test]
fn names_have_no_direction_controls_and_no_text_stacks_marks() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let stacked = format!("e{}", "\u{316}\u{301}".repeat(50));
        let name = format!("{RLO}Andrew\u{2066} \u{200f}Brown{stacked}");
        let profile = me.post("/api/profile/update", &json!({"display_name": name, "bio": stacked})).json();
        assert!(profile["display_name"].as_str().unwrap().starts_with("Andrew Brown"), "{profile}");
        let crud = me.crud(&stacked);
        let sent = me.post("/api/messages", &json!({"message": stacked, "handle": "bayko"})).json();
        for text in [&profile["display_name"], &profile["bio"], &crud["message"], &sent["message"]] {
            let marks = text.as_str().unwrap().chars().filter(|c| ('\u{300}'..='\u{36f}').contains(c)).count();
            assert!((1..=6).contains(&marks), "{marks} marks in {text}");
        }
    });
}

#[test]
fn characters_are_counted_as_grapheme_clusters() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let post = |message: String| me.post("/api/activities", &json!({"message": message, "ttl": "1-hour"})).status;
        assert_eq!((post(FAMILY.repeat(280)), post(FAMILY.repeat(281))), (200, 422));
        // Unicode counts it as one cluster.
        assert_eq!(post("🔥\u{200d}".repeat(3_000)), 422);
    });
}

/// Names that a database may hold from before they were restricted.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_leaves_its_place_on_the_page() {
    let data = Folder::new();
    let cruddur = tokio::task::block_in_place(|| Cruddur::up(&data, &[]));
    tokio::task::block_in_place(|| cruddur.person().crud(&format!("{RLO}turned round")));
    let mut database = SqliteConnectOptions::new().filename(data.path().join("cruddur.db")).connect().await.unwrap();
    let rename = sqlx::query("UPDATE users SET display_name = $1").bind(format!("{RLO}nworB"));
    rename.execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let Some(browser) = Browser::start().await else { return };
    let page = &browser.client;
    page.goto(&cruddur.page).await.unwrap();
    page.wait().for_element(Locator::Css(".feed > .crud")).await.unwrap();
    let order = "return [...document.querySelectorAll('.crud > .crud-card .byline')].map((line) => \
                 ['.name', '.handle', '.age'].map((part) => line.querySelector(part).getBoundingClientRect().left))";
    let lines = page.execute(order, vec![]).await.unwrap();
    let lines = lines.as_array().unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        let lefts: Vec<f64> = line.as_array().unwrap().iter().map(|left| left.as_f64().unwrap()).collect();
        assert!(lefts.is_sorted(), "the name, the handle and the age follow one another: {lefts:?}");
    }
    // The page counts characters as the API does.
    let count = format!(
        "return import('/page.js').then(({{ lengthOf }}) => [lengthOf('{}'), lengthOf('{}')])",
        FAMILY.repeat(3),
        "🔥\u{200d}".repeat(16)
    );
    assert_eq!(page.execute(&count, vec![]).await.unwrap(), json!([3, 2]));
    browser.stop().await;
}
