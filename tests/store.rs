//! The store's story, from an empty database to a reopened one, told on each engine.

use backend::domain::{Activity, Limit, Message, Page, Term, Ttl};
use backend::store::AUTHOR;
use backend::{Database, Store};
use chrono::{DateTime, TimeDelta, Utc};
use settings::Settings;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};
use uuid::Uuid;

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, cannot_run, eventually, postgres};

#[tokio::test]
async fn the_story_on_sqlite() {
    let folder = Folder::new();
    story(&database(format!("sqlite:{}/deep/cruddur.db", folder.path().display()))).await;
}

/// Each finds the tables made, and made once.
#[tokio::test]
async fn several_starters_on_an_empty_sqlite_do_not_meet() {
    let folder = Folder::new();
    let database = database(format!("sqlite:{}/cruddur.db", folder.path().display()));
    let open = || Store::open(&database);
    let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
    let now = backend::store::now();
    let first = home(&a.unwrap(), now).await;
    for other in [b, c, d] {
        assert_eq!(home(&other.unwrap(), now).await, first);
    }
}

#[tokio::test]
async fn the_story_on_postgresql() {
    if let Some(url) = postgres::database().await {
        story(&database(url)).await;
    }
}

/// On the very image that docker-compose.yml names.
#[tokio::test]
async fn the_story_on_postgresql_in_a_container_of_its_own() {
    let container = GenericImage::new("postgres", "17-trixie")
        .with_exposed_port(5432.tcp())
        .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
        .with_env_var("POSTGRES_PASSWORD", "a test's own")
        .start()
        .await;
    let container = match container {
        Ok(container) => container,
        Err(error) => return cannot_run("docker", &format!("Docker does not start postgres:17-trixie: {error}")),
    };
    let port = container.get_host_port_ipv4(5432).await.unwrap();
    story(&database(format!("postgres://postgres:a%20test's%20own@127.0.0.1:{port}/postgres"))).await;
}

#[test]
fn a_running_backend_deletes_what_has_expired() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let created = backend::store::now() - TimeDelta::hours(2);
    let (store, crud) = runtime.block_on(async {
        let store = Store::open(&database(url.clone())).await.unwrap();
        let crud = create(&store, "Within the hour", Ttl::OneHour, created).await;
        (store, crud)
    });
    let shown = || runtime.block_on(store.show(crud.uuid, created)).unwrap();
    assert!(shown().is_some());
    let _backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    eventually("the end of an expired crud", || shown().is_none().then_some(()));
}

fn database(url: String) -> Database {
    let mut settings = Settings::from_lookup(move |name| (name == "DATABASE_URL").then(|| url.clone()));
    let database = Database::read(&mut settings);
    settings.finish(database).unwrap()
}

async fn story(database: &Database) {
    let store = Store::open(database).await.unwrap();
    let now = backend::store::now();
    a_new_database_is_seeded_once(&store, now).await;
    a_crud_is_found_wherever_it_belongs(&store, now).await;
    a_reply_lives_and_dies_with_its_crud(&store, now).await;
    pages_follow_one_another_without_gap(&store, now).await;
    words_are_found_in_any_case_and_no_sign_is_a_wildcard(&store, now).await;
    what_has_expired_is_deleted_batch_by_batch(&store, now).await;

    let before = home(&store, now).await;
    store.close().await;
    let store = Store::open(database).await.unwrap();
    assert_eq!(home(&store, now).await, before, "what was kept is there after a restart, and nothing is seeded again");
    let (one, other) = tokio::join!(Store::open(database), Store::open(database));
    assert_eq!(home(&one.unwrap(), now).await, home(&other.unwrap(), now).await, "two may start at the same time");
    store.close().await;
}

async fn a_new_database_is_seeded_once(store: &Store, now: DateTime<Utc>) {
    let threads = store.home(now, all()).await.unwrap();
    assert!(threads.len() >= 3 && threads.iter().any(|thread| !thread.replies.is_empty()), "{threads:#?}");
    assert!(threads.is_sorted_by(|newer, older| newer.activity.created_at > older.activity.created_at));
    for handle in ["andrewbrown", "altbrown", "bayko", "londo"] {
        assert_eq!(store.user(handle).await.unwrap().unwrap().handle, handle);
    }
    for nobody in ["nobody", "", "andrew\0brown"] {
        assert_eq!(store.user(nobody).await.unwrap(), None);
    }
}

async fn a_crud_is_found_wherever_it_belongs(store: &Store, now: DateTime<Utc>) {
    let author = store.user(AUTHOR).await.unwrap().unwrap();
    let before = store.profile(AUTHOR, now, all()).await.unwrap().unwrap().cruds_count;
    let crud = create(store, "A crud of ünïcode 💣\nand two lines", Ttl::OneDay, now).await;
    assert_eq!((crud.expires_at, &crud.handle), (now + TimeDelta::days(1), &author.handle));
    assert_eq!(home(store, now).await.first(), Some(&crud));
    assert_eq!(store.show(crud.uuid, now).await.unwrap().unwrap().activity, crud);
    assert_eq!(search(store, "ÜNÏCODE", now).await, std::slice::from_ref(&crud));
    let profile = store.profile(AUTHOR, now, all()).await.unwrap().unwrap();
    assert_eq!((profile.user, profile.cruds_count), (author, before + 1));
    assert_eq!(profile.activities.first(), Some(&crud));
    assert!(store.profile("nobody", now, all()).await.unwrap().is_none());

    let last_moment = crud.expires_at - TimeDelta::microseconds(1);
    assert!(store.show(crud.uuid, last_moment).await.unwrap().is_some());
    let gone = crud.expires_at;
    assert!(store.show(crud.uuid, gone).await.unwrap().is_none());
    assert!(!home(store, gone).await.contains(&crud));
    assert!(search(store, "ünïcode", gone).await.is_empty());
    let profile = store.profile(AUTHOR, gone, all()).await.unwrap().unwrap();
    assert!(!profile.activities.contains(&crud));
    assert_eq!(usize::try_from(profile.cruds_count).unwrap(), profile.activities.len());
}

async fn a_reply_lives_and_dies_with_its_crud(store: &Store, now: DateTime<Utc>) {
    let author = store.user(AUTHOR).await.unwrap().unwrap();
    let crud = create(store, "Who answers?", Ttl::OneHour, now).await;
    let message = Message::parse("I do.", Message::MAX_REPLY).unwrap();
    let reply = store.reply(&author, crud.uuid, message.clone(), now).await.unwrap().unwrap();
    assert_eq!((reply.expires_at, reply.reply_to), (crud.expires_at, Some(crud.uuid)));
    let thread = store.show(crud.uuid, now).await.unwrap().unwrap();
    assert_eq!((thread.activity.replies_count, thread.replies.as_slice()), (1, std::slice::from_ref(&reply)));
    let threads = store.home(now, all()).await.unwrap();
    let shown = threads.iter().find(|thread| thread.activity.uuid == crud.uuid).unwrap();
    assert_eq!(shown.replies, std::slice::from_ref(&reply));
    assert!(threads.iter().all(|thread| thread.activity.uuid != reply.uuid), "a reply is no crud of its own");

    assert!(store.show(reply.uuid, crud.expires_at).await.unwrap().is_none());
    assert!(store.reply(&author, crud.uuid, message.clone(), crud.expires_at).await.unwrap().is_none());
    assert!(store.reply(&author, Uuid::now_v7(), message, now).await.unwrap().is_none());
}

async fn pages_follow_one_another_without_gap(store: &Store, now: DateTime<Utc>) {
    // All of one moment, so that only their ids keep them apart.
    for number in 0..5 {
        create(store, &format!("page {number}"), Ttl::OneHour, now).await;
    }
    let whole: Vec<Uuid> = home(store, now).await.iter().map(|crud| crud.uuid).collect();
    let mut page = Some(Page::first("2".parse::<Limit>().unwrap()));
    let mut paged = Vec::new();
    while let Some(stretch) = page {
        let threads = store.home(now, stretch).await.unwrap();
        assert!(threads.len() <= 2);
        page = stretch.after(threads.len(), threads.last().map(|thread| &thread.activity));
        paged.extend(threads.iter().map(|thread| thread.activity.uuid));
    }
    assert_eq!(paged, whole);
}

async fn words_are_found_in_any_case_and_no_sign_is_a_wildcard(store: &Store, now: DateTime<Utc>) {
    let crud = create(store, "100% of SPANS_arrive!", Ttl::OneHour, now).await;
    for term in ["100%", "spans_arrive", "E!"] {
        assert_eq!(search(store, term, now).await, std::slice::from_ref(&crud), "{term}");
    }
    assert_eq!(search(store, "\0spans\u{1}_arrive", now).await, [crud], "control characters are no part of a term");
    for term in ["1%0", "s_ans", "nowhere to be found", &"a".repeat(Term::MAX)] {
        assert!(search(store, term, now).await.is_empty(), "{term}");
    }
}

async fn what_has_expired_is_deleted_batch_by_batch(store: &Store, now: DateTime<Utc>) {
    let author = store.user(AUTHOR).await.unwrap().unwrap();
    let stays = create(store, "Until tomorrow", Ttl::OneDay, now).await;
    let goes = create(store, "Within the hour", Ttl::OneHour, now).await;
    for number in 0..3 {
        let message = Message::parse(&format!("answer {number}"), Message::MAX_REPLY).unwrap();
        store.reply(&author, goes.uuid, message, now).await.unwrap().unwrap();
    }
    let last_moment = goes.expires_at - TimeDelta::microseconds(1);
    while store.sweep(last_moment, 100).await.unwrap() > 0 {}
    assert_eq!(store.show(goes.uuid, now).await.unwrap().unwrap().replies.len(), 3, "it has not expired");

    let mut batches = Vec::new();
    while let deleted @ 1.. = store.sweep(goes.expires_at, 2).await.unwrap() {
        batches.push(deleted);
    }
    let all: u64 = batches.iter().sum();
    assert!(all >= 4 && batches.iter().rev().skip(1).all(|batch| *batch == 2), "{batches:?}");
    assert!(store.show(goes.uuid, now).await.unwrap().is_none(), "it is gone, whatever time it is");
    assert!(store.show(stays.uuid, now).await.unwrap().is_some());
}

fn all() -> Page {
    Page::first("100".parse().unwrap())
}

async fn create(store: &Store, text: &str, ttl: Ttl, now: DateTime<Utc>) -> Activity {
    let author = store.user(AUTHOR).await.unwrap().unwrap();
    store.create(&author, Message::parse(text, Message::MAX_CRUD).unwrap(), ttl, now).await.unwrap()
}

async fn home(store: &Store, now: DateTime<Utc>) -> Vec<Activity> {
    store.home(now, all()).await.unwrap().into_iter().map(|thread| thread.activity).collect()
}

async fn search(store: &Store, term: &str, now: DateTime<Utc>) -> Vec<Activity> {
    store.search(&Term::parse(term).unwrap(), now, all()).await.unwrap()
}
