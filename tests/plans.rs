//! How each engine finds the requested rows: no statement of a route scans a whole table. The statements come from the spans
//! of real requests, so that none is missed.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, eventually, http, postgres};

/// Indexes in whose order a whole list is read; a `LIMIT` takes the start of it.
const IN_ORDER: [&str; 2] = ["users_by_age", "hashtags"];

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_scans_a_table_on_sqlite() {
    let data = Folder::new();
    let statements = tokio::task::block_in_place(|| statements(&Cruddur::up(&data, &[])));
    let file = data.path().join("cruddur.db");
    for statement in &statements {
        let plan = explain_sqlite(&file, statement).await;
        let context = || format!("{statement}\n{plan:#?}");
        // Live rows are most of all rows, so an index of them is no better than none.
        assert!(!plan.iter().any(|step| step.contains("activities_by_expiry")), "{}", context());
        // A page is read in the order of an index, not sorted from all rows; the feed merges a few pages.
        let may_sort = statement.starts_with("WITH feed") || statement.contains("GROUP BY");
        assert!(may_sort || !plan.iter().any(|step| step.contains("TEMP B-TREE")), "{}", context());
        for step in plan.iter().filter_map(|step| step.strip_prefix("SCAN ")) {
            let of_subquery = !step.contains("USING") && !is_table(step);
            let in_order = IN_ORDER.iter().any(|index| step.contains(&format!("INDEX {index}")));
            assert!(of_subquery || in_order || step == "CONSTANT ROW", "{step}\n{}", context());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_scans_a_table_on_postgresql() {
    let Some(url) = postgres::database().await else { return };
    let data = Folder::new();
    let statements = tokio::task::block_in_place(|| statements(&Cruddur::up(&data, &[("DATABASE_URL", &url)])));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // PostgreSQL prefers to scan a small table. With scans disabled, it still scans if no index serves.
    connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.unwrap();
    for statement in &statements {
        let plan = explain_postgres(&mut connection, statement).await;
        assert!(!plan.contains("Seq Scan") && !plan.contains("activities_by_expiry"), "{statement}\n{plan}");
        let steps: Vec<&str> = plan.lines().collect();
        for (place, step) in
            steps.iter().enumerate().filter(|(_, step)| step.contains("Index") && step.contains("Scan using"))
        {
            let bounded = steps.get(place + 1).is_some_and(|next| next.contains("Index Cond"));
            let in_order = IN_ORDER.iter().any(|index| step.contains(index));
            assert!(bounded || in_order, "{step}\n{statement}\n{plan}");
        }
    }
}

/// The routes' database statements, each once.
fn statements(cruddur: &Cruddur) -> BTreeSet<String> {
    let (me, other) = (cruddur.person(), cruddur.person());
    let crud = me.crud("a #plan of many words");
    let crud = format!("/api/activities/{}", crud["uuid"].as_str().unwrap());
    let key = [("idempotency-key", "plans")];
    for _ in 0..2 {
        assert_eq!(me.post_with(&format!("{crud}/reply"), &key, &json!({"message": "yes"})).status, 200);
    }
    let sent = me.post("/api/messages", &json!({"message": "hello", "handle": other.handle})).json();
    let group = format!("/api/messages/{}", sent["message_group_uuid"].as_str().unwrap());
    for path in ["like", "repost"] {
        other.post(&format!("{crud}/{path}"), &json!({}));
        other.request("DELETE", &format!("{crud}/{path}"));
    }
    me.post("/api/profile/update", &json!({"display_name": "Me"}));
    cruddur.post("/api/auth/signin", &json!({"login": me.handle, "password": "a wrong one"}));
    let profile = format!("/api/activities/@{}", me.handle);
    let with = format!("/api/messages/@{}", other.handle);
    let status = crud.replace("/activities/", &format!("/activities/@{}/status/", me.handle));
    for path in [
        "/api/activities/home",
        "/api/activities/search?term=plan",
        "/api/activities/search?term=1+2+3+4+5+6+7+8",
        "/api/activities/notifications",
        "/api/message_groups",
        "/api/trending",
        "/api/users/suggested",
        "/api/auth/me",
        &profile,
        &with,
        &group,
        &status,
        &crud,
    ] {
        assert_eq!(me.get(path).status, 200, "{path}");
    }
    cruddur.get("/api/users/suggested");
    assert_eq!(other.get("/api/messages/01a2037a-94ce-7187-931e-c272fb321aa0").status, 404);
    me.request("DELETE", &crud);
    me.post("/api/auth/signout", &json!({}));

    let ledger = format!("{}/health/telemetry", cruddur.backend);
    eventually("every span at the viewer", || {
        let otlp = http::get(&ledger).json()["destinations"][0].clone();
        (otlp["created"] == otlp["delivered"]).then_some(())
    });
    let url = format!("{}/api/traces", cruddur.viewer);
    let traces = http::get(&url).json();
    let ids: Vec<_> =
        traces.as_array().unwrap().iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect();
    let spans = ids.iter().flat_map(|id| http::get(&format!("{url}/{id}")).json()["spans"].as_array().unwrap().clone());
    let text = |span: Value| span["attributes"]["db.query.text"].as_str().map(str::to_owned);
    let statements: BTreeSet<String> = spans.filter_map(text).filter(|text| is_of_a_route(text)).collect();
    assert!(statements.len() > 40, "{statements:#?}");
    statements
}

/// Excludes the backend's query at its start: whether there is any row at all, whichever comes first.
fn is_of_a_route(text: &str) -> bool {
    !text.starts_with("BEGIN") && !matches!(text, "COMMIT" | "ROLLBACK") && !text.contains("LIMIT 1) AS one")
}

async fn explain_sqlite(file: &Path, statement: &str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    // Every text is one of the backend's own constants.
    let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
    let rows = explained.fetch_all(&mut connection).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

async fn explain_postgres(connection: &mut PgConnection, statement: &str) -> String {
    let values = (1..40).take_while(|number| statement.contains(&format!("${number}"))).count();
    let nulls = vec!["NULL"; values].join(", ");
    let nulls = if values == 0 { String::new() } else { format!("({nulls})") };
    connection
        .execute(AssertSqlSafe(format!("PREPARE plan AS {statement}")))
        .await
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
    let explained =
        sqlx::query(AssertSqlSafe(format!("EXPLAIN EXECUTE plan{nulls}"))).fetch_all(&mut *connection).await;
    connection.execute("DEALLOCATE plan").await.unwrap();
    let rows = explained.unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// Whether a step names a table by its alias in the statements, and not a subquery.
fn is_table(step: &str) -> bool {
    let name = step.split(' ').next().unwrap_or_default();
    name.chars().count() == 1
        || [
            "activities",
            "users",
            "words",
            "reactions",
            "messages",
            "message_groups",
            "message_group_members",
            "sessions",
            "sign_in_links",
            "attempts",
            "idempotency_keys",
        ]
        .contains(&name)
}
