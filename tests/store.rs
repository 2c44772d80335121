//! The store's story, from an empty database to a reopened one, run on each engine.

use backend::domain::{Activity, FIRST_USER, Limit, Message, Page, Reaction, Term, Thread, Ttl, User};
use backend::store::{Deletion, Outcome, Rendered};
use backend::{Database, Faults, Store};
use chrono::{DateTime, TimeDelta, Utc};
use settings::Settings;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};
use uuid::Uuid;

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, cannot_run, eventually, postgres};

#[tokio::test]
async fn the_store_works_on_sqlite() {
    let folder = Folder::new();
    story(&database(format!("sqlite:{}/deep/cruddur.db", folder.path().display()))).await;
}

/// Each starter finds the tables created, and created only once.
#[tokio::test]
async fn simultaneous_starts_on_an_empty_sqlite_do_not_collide() {
    let folder = Folder::new();
    let database = database(format!("sqlite:{}/cruddur.db", folder.path().display()));
    let open = || open(&database);
    let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
    let now = backend::store::now();
    let first = home(&a, now).await;
    for other in [b, c, d] {
        assert_eq!(home(&other, now).await, first);
    }
}

#[tokio::test]
async fn the_store_works_on_postgresql() {
    if let Some(url) = postgres::database().await {
        story(&database(url)).await;
    }
}

/// On the exact image that docker-compose.yml names.
#[tokio::test]
async fn the_store_works_on_postgresql_in_a_container() {
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
fn a_running_backend_deletes_expired_rows() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A day past its lifetime, in case the clock is wrong.
    let created = backend::store::now() - TimeDelta::hours(26);
    let (store, crud) = runtime.block_on(async {
        let store = open(&database(url.clone())).await;
        let crud = create(&store, "Within the hour", Ttl::OneHour, created).await;
        (store, crud)
    });
    let shown = || runtime.block_on(store.show(crud.uuid, created, all())).unwrap();
    assert!(shown().is_some());
    let _backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    eventually("the end of an expired crud", || shown().is_none().then_some(()));
}

fn database(url: String) -> Database {
    let mut settings = Settings::from_lookup(move |name| (name == "DATABASE_URL").then(|| url.clone()));
    let database = Database::read(&mut settings);
    settings.finish(database).unwrap()
}

async fn open(database: &Database) -> Store {
    Store::open(database, Faults::NONE, |_| {}).await.unwrap()
}

async fn story(database: &Database) {
    let store = open(database).await;
    let now = backend::store::now();
    a_new_database_is_seeded_once(&store, now).await;
    a_crud_is_found_wherever_it_belongs(&store, now).await;
    a_reply_lives_and_dies_with_its_crud(&store, now).await;
    pages_follow_one_another_without_gap(&store, now).await;
    words_are_found_in_any_case_and_all_must_be_there(&store, now).await;
    counts_are_right_when_everyone_acts_at_once(&store, now).await;
    what_has_expired_is_deleted_batch_by_batch(&store, now).await;

    let before = home(&store, now).await;
    store.close().await;
    let store = open(database).await;
    assert_eq!(home(&store, now).await, before, "the data survives a restart, and nothing is seeded again");
    let (one, other) = tokio::join!(open(database), open(database));
    assert_eq!(home(&one, now).await, home(&other, now).await, "two can start at the same time");
    store.close().await;
}

async fn a_new_database_is_seeded_once(store: &Store, now: DateTime<Utc>) {
    let threads = store.home(now, all()).await.unwrap();
    assert!(threads.len() >= 3 && threads.iter().any(|thread| !thread.replies.is_empty()), "{threads:#?}");
    assert!(threads.is_sorted_by(|newer, older| newer.activity.created_at > older.activity.created_at));
    for handle in ["andrewbrown", "altbrown", "bayko", "londo"] {
        assert_eq!(store.user(handle).await.unwrap().unwrap().handle, handle);
    }
    for unknown in ["nobody", "", "andrew\0brown"] {
        assert_eq!(store.user(unknown).await.unwrap(), None);
    }
}

async fn a_crud_is_found_wherever_it_belongs(store: &Store, now: DateTime<Utc>) {
    let author = store.user(FIRST_USER).await.unwrap().unwrap();
    let before = store.profile(FIRST_USER, now, all()).await.unwrap().unwrap().0.cruds_count;
    let crud = create(store, "A crud of ünïcode 💣\nand two lines", Ttl::OneDay, now).await;
    assert_eq!((crud.expires_at, &crud.handle), (now + TimeDelta::days(1), &author.handle));
    assert_eq!(home(store, now).await.first(), Some(&crud));
    assert_eq!(store.show(crud.uuid, now, all()).await.unwrap().unwrap().activity, crud);
    assert_eq!(search(store, "ÜNÏCODE", now).await, std::slice::from_ref(&crud));
    let (profile, activities) = store.profile(FIRST_USER, now, all()).await.unwrap().unwrap();
    assert_eq!((profile.user, profile.cruds_count), (author, before + 1));
    assert_eq!(activities.first(), Some(&crud));
    assert!(store.profile("nobody", now, all()).await.unwrap().is_none());

    let last_moment = crud.expires_at - TimeDelta::microseconds(1);
    assert!(store.show(crud.uuid, last_moment, all()).await.unwrap().is_some());
    let gone = crud.expires_at;
    assert!(store.show(crud.uuid, gone, all()).await.unwrap().is_none());
    assert!(!home(store, gone).await.contains(&crud));
    assert!(search(store, "ünïcode", gone).await.is_empty());
    let (profile, activities) = store.profile(FIRST_USER, gone, all()).await.unwrap().unwrap();
    assert!(!activities.contains(&crud));
    assert_eq!(usize::try_from(profile.cruds_count).unwrap(), activities.len());
}

async fn a_reply_lives_and_dies_with_its_crud(store: &Store, now: DateTime<Utc>) {
    let author = store.user(FIRST_USER).await.unwrap().unwrap();
    let crud = create(store, "Who answers?", Ttl::OneHour, now).await;
    let reply = reply(store, &author, crud.uuid, "I do.", now).await.unwrap();
    assert_eq!((reply.expires_at, reply.reply_to), (crud.expires_at, Some(crud.uuid)));
    let thread = store.show(crud.uuid, now, all()).await.unwrap().unwrap();
    assert_eq!((thread.activity.replies_count, thread.replies.as_slice()), (1, std::slice::from_ref(&reply)));
    let threads = store.home(now, all()).await.unwrap();
    let shown = threads.iter().find(|thread| thread.activity.uuid == crud.uuid).unwrap();
    assert_eq!(shown.replies, std::slice::from_ref(&reply));
    assert!(threads.iter().all(|thread| thread.activity.uuid != reply.uuid), "a reply is not listed as a crud");

    assert!(store.show(reply.uuid, crud.expires_at, all()).await.unwrap().is_none());
    assert!(self::reply(store, &author, crud.uuid, "Too late.", crud.expires_at).await.is_none());
    assert!(self::reply(store, &author, Uuid::now_v7(), "To nothing.", now).await.is_none());
}

async fn pages_follow_one_another_without_gap(store: &Store, now: DateTime<Utc>) {
    // All at the same moment, so that only their ids distinguish them.
    for number in 0..5 {
        create(store, &format!("page {number}"), Ttl::OneHour, now).await;
    }
    let whole: Vec<Uuid> = home(store, now).await.iter().map(|crud| crud.uuid).collect();
    let mut page = Some(Page::first("2".parse::<Limit>().unwrap()));
    let mut paged = Vec::new();
    while let Some(stretch) = page {
        let threads = store.home(now, stretch).await.unwrap();
        assert!(threads.len() <= 2);
        page = stretch.after(&threads);
        paged.extend(threads.iter().map(|thread| thread.activity.uuid));
    }
    assert_eq!(paged, whole);
}

async fn words_are_found_in_any_case_and_all_must_be_there(store: &Store, now: DateTime<Utc>) {
    let crud = create(store, "100% of SPANS_arrive! #Ünïque", Ttl::OneHour, now).await;
    for term in ["100 of", "SPANS_ARRIVE", "#ünïque", "ünïque 100"] {
        assert_eq!(search(store, term, now).await, std::slice::from_ref(&crud), "{term}");
    }
    assert_eq!(search(store, "\0spans\u{1}_arrive", now).await, [crud], "control characters are no part of a term");
    for term in ["spans", "#spans_arrive", "100 nowhere", "%", "s_ans", &"a".repeat(1_000)] {
        assert!(search(store, term, now).await.is_empty(), "{term}");
    }
    let words = "one two three four five six seven eight nine";
    let crud = create(store, words, Ttl::OneHour, now).await;
    assert_eq!(search(store, words, now).await, [crud], "of more than eight words the longest are searched");
    let trends = store.trending(now).await.unwrap();
    assert!(trends.iter().any(|trend| (trend.hashtag.as_str(), trend.count) == ("ünïque", 1)), "{trends:?}");
    let later = store.trending(now + TimeDelta::hours(1)).await.unwrap();
    assert!(later.iter().all(|trend| trend.hashtag != "ünïque"), "{later:?}");
}

/// Each of many simultaneous writers is counted once.
async fn counts_are_right_when_everyone_acts_at_once(store: &Store, now: DateTime<Utc>) {
    let crud = create(store, "Who likes this?", Ttl::OneHour, now).await;
    let mut users = Vec::new();
    for handle in ["andrewbrown", "altbrown", "bayko", "londo"] {
        users.push(store.user(handle).await.unwrap().unwrap());
    }
    let mut tasks = tokio::task::JoinSet::new();
    for user in users.iter().cycle().take(24) {
        let (store, user, uuid) = (store.clone(), user.clone(), crud.uuid);
        tasks.spawn(async move {
            for reaction in [Reaction::Like, Reaction::Repost] {
                store.react(&user, uuid, reaction, now).await.unwrap().unwrap();
                store.retract(&user, uuid, reaction, now).await.unwrap().unwrap();
                store.react(&user, uuid, reaction, now).await.unwrap().unwrap();
            }
            let reply = reply(&store, &user, uuid, "I do.", now).await.unwrap();
            let other = self::reply(&store, &user, uuid, "No more.", now).await.unwrap();
            assert_eq!(store.delete(&user, other.uuid, now).await.unwrap(), Deletion::Done);
            reply.uuid
        });
    }
    let replies = tasks.join_all().await;
    let Thread { activity, replies: shown } = store.show(crud.uuid, now, all()).await.unwrap().unwrap();
    assert_eq!((activity.likes_count, activity.reposts_count, activity.replies_count), (4, 4, 24));
    assert!(shown.len() == 24 && shown.iter().all(|reply| replies.contains(&reply.uuid)));
    let of_home = store.home(now, all()).await.unwrap();
    let of_home = of_home.into_iter().find(|thread| thread.activity.uuid == crud.uuid).unwrap();
    let newest = |reply: &Activity| replies.contains(&reply.uuid);
    assert!(of_home.replies.len() == 20 && of_home.replies.iter().all(newest), "without the deleted");
    let notifications = store.notifications(users.first().unwrap(), now, all()).await.unwrap();
    let about = |kind: &str| notifications.iter().filter(|one| one.kind == kind && one.created_at == now).count();
    assert_eq!((about("like"), about("repost"), about("reply")), (3, 3, 18), "without their own acts");

    assert_eq!(store.delete(&users[1], crud.uuid, now).await.unwrap(), Deletion::Forbidden);
    assert_eq!(store.delete(&users[0], crud.uuid, now).await.unwrap(), Deletion::Done);
    assert_eq!(store.delete(&users[0], crud.uuid, now).await.unwrap(), Deletion::NotFound);
    assert!(store.show(replies[0], now, all()).await.unwrap().is_none(), "its replies go with it");
}

async fn what_has_expired_is_deleted_batch_by_batch(store: &Store, now: DateTime<Utc>) {
    let author = store.user(FIRST_USER).await.unwrap().unwrap();
    let stays = create(store, "Until tomorrow", Ttl::OneDay, now).await;
    let goes = create(store, "Within the hour", Ttl::OneHour, now).await;
    for number in 0..3 {
        reply(store, &author, goes.uuid, &format!("answer {number}"), now).await.unwrap();
    }
    let last_moment = goes.expires_at - TimeDelta::microseconds(1);
    while store.sweep(last_moment, 100).await.unwrap() > 0 {}
    assert_eq!(store.show(goes.uuid, now, all()).await.unwrap().unwrap().replies.len(), 3, "it has not expired");

    let mut batches = Vec::new();
    while let deleted @ 1.. = store.sweep(goes.expires_at, 2).await.unwrap() {
        batches.push(deleted);
    }
    let swept: u64 = batches.iter().sum();
    assert!(swept >= 4 && batches.iter().rev().skip(1).all(|batch| *batch == 2), "{batches:?}");
    assert!(store.show(goes.uuid, now, all()).await.unwrap().is_none(), "it is gone at any time");
    assert!(store.show(stays.uuid, now, all()).await.unwrap().is_some());
}

fn all() -> Page {
    Page::first("100".parse().unwrap())
}

async fn create(store: &Store, text: &str, ttl: Ttl, now: DateTime<Utc>) -> Activity {
    let author = store.user(FIRST_USER).await.unwrap().unwrap();
    let message = Message::parse(text, Message::MAX_CRUD).unwrap();
    match store.create(&author, message, ttl, now, None, no_response).await.unwrap() {
        Outcome::Done(crud, _) => crud,
        other => panic!("{other:?}"),
    }
}

async fn reply(store: &Store, user: &User, parent: Uuid, text: &str, now: DateTime<Utc>) -> Option<Activity> {
    let message = Message::parse(text, Message::MAX_REPLY).unwrap();
    match store.reply(user, parent, message, now, None, no_response).await.unwrap()? {
        Outcome::Done(reply, _) => Some(reply),
        other => panic!("{other:?}"),
    }
}

/// Stores no response, since no request here has a key.
fn no_response(_: &Activity) -> Rendered {
    Rendered { location: String::new(), body: String::new() }
}

async fn home(store: &Store, now: DateTime<Utc>) -> Vec<Activity> {
    store.home(now, all()).await.unwrap().into_iter().map(|thread| thread.activity).collect()
}

async fn search(store: &Store, term: &str, now: DateTime<Utc>) -> Vec<Activity> {
    store.search(&Term::parse(term).unwrap(), now, all()).await.unwrap()
}
