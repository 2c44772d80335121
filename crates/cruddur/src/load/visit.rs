//! What people do: each visit opens a page and follows up on what it shows. Most requests are reads; only signed-in visitors
//! write.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::memory::{Crud, next};
use super::pace::Ended;
use super::route::{Request, Route};
use super::visitor::Visitor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    Home,
    Profile,
    Status,
    Search,
    Trending,
    Notifications,
    Post,
    Reply,
    Like,
    Message,
}

/// How many of a hundred visits are of each kind, if accounts are available.
const VISITS: [(Visit, u32); 10] = [
    (Visit::Home, 30),
    (Visit::Profile, 14),
    (Visit::Status, 14),
    (Visit::Search, 10),
    (Visit::Trending, 8),
    (Visit::Notifications, 8),
    (Visit::Post, 5),
    (Visit::Reply, 4),
    (Visit::Like, 4),
    (Visit::Message, 3),
];

const MESSAGES: [&str; 6] = [
    "What was slow today? The trace says it was the database. #tracing",
    "With a waterfall, you no longer read logs. #observability",
    "One request, one trace, from the page to the statement. #tracing #rust",
    "The tail is where the users are. #latency",
    "It is always the cache, unless it is DNS.",
    "Load is what is left when the demo is over. #load",
];

/// Makes one visit after another, until the run has ended.
pub(super) async fn stay(mut visitor: Visitor) {
    while one(&mut visitor).await != Err(Ended) {}
}

/// Makes one visit, signed in or without an account.
///
/// # Errors
/// The run ended before the visit did.
async fn one(visitor: &mut Visitor) -> Result<(), Ended> {
    let accounts = visitor.run.accounts.len();
    // One visitor in five has no account.
    let signed_in = accounts > 0 && visitor.random.random_ratio(4, 5);
    visitor.account = signed_in.then(|| visitor.random.random_range(0..accounts));
    match choose(&mut visitor.random, visitor.account) {
        Visit::Home => home(visitor).await,
        Visit::Profile => profile(visitor).await,
        Visit::Status => status(visitor).await.map(drop),
        Visit::Search => search(visitor).await,
        Visit::Trending => trending(visitor).await,
        Visit::Notifications => notifications(visitor).await,
        Visit::Post => post(visitor).await,
        Visit::Reply => reply(visitor).await,
        Visit::Like => like(visitor).await,
        Visit::Message => message(visitor).await,
    }
}

fn choose(random: &mut StdRng, account: Option<usize>) -> Visit {
    let open = |visit| account.is_some() || is_public(visit);
    let visits: Vec<(Visit, u32)> = VISITS.into_iter().filter(|(visit, _)| open(*visit)).collect();
    let chosen = visits.choose_weighted(random, |(_, weight)| *weight);
    chosen.map_or(Visit::Home, |(visit, _)| *visit)
}

fn is_public(visit: Visit) -> bool {
    matches!(visit, Visit::Home | Visit::Profile | Visit::Status | Visit::Search | Visit::Trending)
}

/// The first page, perhaps the second, perhaps one of its cruds.
async fn home(visitor: &mut Visitor) -> Result<(), Ended> {
    let mut page = Request::of(Route::Home);
    let mut shown = Vec::new();
    for _ in 0..2 {
        let Some(response) = visitor.send(&page).await? else { break };
        shown = visitor.memory.see(&response.json);
        match next(&response.headers) {
            Some(path) if visitor.random.random_ratio(1, 2) => page = Request::at(Route::Home, path),
            _ => break,
        }
    }
    open_one(visitor, &shown).await
}

/// A user's page, perhaps one of the cruds there.
async fn profile(visitor: &mut Visitor) -> Result<(), Ended> {
    let Some(crud) = known(visitor).await? else { return Ok(()) };
    let Some(response) = visitor.send(&Request::about(Route::Profile, &crud.handle, &crud.uuid)).await? else {
        return Ok(());
    };
    let shown = visitor.memory.see(&response.json);
    open_one(visitor, &shown).await
}

/// A crud with its replies. Returns the crud if it still exists.
async fn status(visitor: &mut Visitor) -> Result<Option<Crud>, Ended> {
    let Some(crud) = known(visitor).await? else { return Ok(None) };
    let response = visitor.send(&Request::about(Route::Status, &crud.handle, &crud.uuid)).await?;
    Ok(response.map(|_| crud))
}

/// A search for a word that the visitor has read, perhaps one of the cruds found.
async fn search(visitor: &mut Visitor) -> Result<(), Ended> {
    let words: Vec<String> = visitor.memory.words.iter().cloned().collect();
    let term = words.choose(&mut visitor.random).map_or("cloud", String::as_str);
    let Some(response) = visitor.send(&Request::search(term)).await? else { return Ok(()) };
    let shown = visitor.memory.see(&response.json);
    open_one(visitor, &shown).await
}

/// The right column, and one of its hashtags.
async fn trending(visitor: &mut Visitor) -> Result<(), Ended> {
    let response = visitor.send(&Request::of(Route::Trending)).await?;
    visitor.send(&Request::of(Route::Suggested)).await?;
    let Some(response) = response else { return Ok(()) };
    let hashtags = visitor.memory.see_trending(&response.json);
    if let Some(hashtag) = hashtags.choose(&mut visitor.random)
        && let Some(response) = visitor.send(&Request::search(hashtag)).await?
    {
        visitor.memory.see(&response.json);
    }
    Ok(())
}

/// The notifications, and one crud that they concern.
async fn notifications(visitor: &mut Visitor) -> Result<(), Ended> {
    let Some(response) = visitor.send(&Request::of(Route::Notifications)).await? else { return Ok(()) };
    let shown = visitor.memory.see(&response.json);
    if let Some(crud) = shown.choose(&mut visitor.random) {
        visitor.send(&Request::about(Route::Show, &crud.handle, &crud.uuid)).await?;
    }
    Ok(())
}

/// Home, a new crud, and home again to see it there.
async fn post(visitor: &mut Visitor) -> Result<(), Ended> {
    let home = Request::of(Route::Home);
    visitor.send(&home).await?;
    let text = text(visitor);
    if visitor.send(&Request::post(&text)).await?.is_some()
        && let Some(response) = visitor.send(&home).await?
    {
        visitor.memory.see(&response.json);
    }
    Ok(())
}

/// A crud is read, then replied to.
async fn reply(visitor: &mut Visitor) -> Result<(), Ended> {
    let Some(crud) = status(visitor).await? else { return Ok(()) };
    let reply = Request::about(Route::Reply, &crud.handle, &crud.uuid).with(json!({"message": text(visitor)}));
    visitor.send(&reply).await.map(drop)
}

/// A crud is liked or reposted.
async fn like(visitor: &mut Visitor) -> Result<(), Ended> {
    let Some(crud) = known(visitor).await? else { return Ok(()) };
    let route = if visitor.random.random_ratio(3, 4) { Route::Like } else { Route::Repost };
    visitor.send(&Request::about(route, &crud.handle, &crud.uuid)).await.map(drop)
}

/// The conversations, and a message to another account of this load, never to other accounts.
async fn message(visitor: &mut Visitor) -> Result<(), Ended> {
    visitor.send(&Request::of(Route::Groups)).await?;
    let accounts = visitor.run.accounts.iter().enumerate();
    let others: Vec<String> = accounts
        .filter(|(account, _)| Some(*account) != visitor.account)
        .map(|(_, account)| account.handle.clone())
        .collect();
    let Some(handle) = others.choose(&mut visitor.random) else { return Ok(()) };
    let body = json!({"message": text(visitor), "user_receiver_handle": handle});
    if visitor.send(&Request::of(Route::Message).with(body)).await?.is_some() {
        visitor.send(&Request::about(Route::Conversation, handle, "")).await?;
    }
    Ok(())
}

/// A crud that the visitor knows; a visitor that knows none looks at home first.
async fn known(visitor: &mut Visitor) -> Result<Option<Crud>, Ended> {
    if visitor.memory.cruds.is_empty()
        && let Some(response) = visitor.send(&Request::of(Route::Home)).await?
    {
        visitor.memory.see(&response.json);
    }
    let Visitor { memory, random, .. } = visitor;
    Ok(memory.cruds.make_contiguous().choose(random).cloned())
}

/// Opens one of the cruds shown, in two of five cases.
async fn open_one(visitor: &mut Visitor, shown: &[Crud]) -> Result<(), Ended> {
    if let Some(crud) = shown.choose(&mut visitor.random)
        && visitor.random.random_ratio(2, 5)
    {
        visitor.send(&Request::about(Route::Status, &crud.handle, &crud.uuid)).await?;
    }
    Ok(())
}

fn text(visitor: &mut Visitor) -> String {
    let text = MESSAGES.choose(&mut visitor.random).copied().unwrap_or_default();
    format!("{text} ({})", visitor.random.random_range(1..1_000_000))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn visits(seed: u64, account: Option<usize>) -> Vec<Visit> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..1000).map(|_| choose(&mut random, account)).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_visits() {
        assert_eq!(visits(7, Some(0)), visits(7, Some(0)));
        assert_ne!(visits(7, Some(0)), visits(8, Some(0)));
    }

    #[test]
    fn every_visit_is_made_and_most_only_read() {
        let (signed_in, anonymous) = (visits(1, Some(0)), visits(1, None));
        assert!(VISITS.iter().all(|(visit, _)| signed_in.contains(visit)));
        assert!(anonymous.iter().all(|visit| is_public(*visit)));
        let writes = |visit: &&Visit| matches!(visit, Visit::Post | Visit::Reply | Visit::Like | Visit::Message);
        assert!((50..300).contains(&signed_in.iter().filter(writes).count()));
    }

    #[test]
    fn messages_and_replies_are_short_enough_to_post() {
        assert!(MESSAGES.iter().all(|message| message.chars().count() < 250));
    }
}
