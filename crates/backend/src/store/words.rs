//! Every statement about the words by which cruds are found. A plain table of words serves both engines with one text, whereas each engine has its own kind of
//! full-text index.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use uuid::Uuid;

use super::activities::{ActivityRow, activities, activity};
use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::progress::Progress;
use super::statement::{BEGIN, Statement, statement};
use super::tx::Tx;
use crate::domain::{Activity, Page, Term, Trend, Word, words};

/// Words that one statement inserts.
const AT_ONCE: usize = 8;
/// How many of the newest uses of hashtags the trends are counted from.
const USES: i64 = 10_000;
const TRENDS: i64 = 10;

/// Five placeholders a row. Rows that are not needed repeat the first.
const INDEX: Statement = statement(
    "INSERT",
    "words",
    "INSERT INTO words (word, created_at, activity_uuid, expires_at, hashtag) VALUES \
     ($1, $2, $3, $4, $5), ($6, $2, $3, $4, $7), ($8, $2, $3, $4, $9), ($10, $2, $3, $4, $11), ($12, $2, $3, $4, $13), \
     ($14, $2, $3, $4, $15), ($16, $2, $3, $4, $17), ($18, $2, $3, $4, $19) ON CONFLICT DO NOTHING",
);

/// Finds cruds with the word `$5` and each of the further words.
macro_rules! search {
    ($($further:literal)*) => {
        statement(
            "SELECT",
            "words",
            activities!(
                "words w CROSS JOIN activities a",
                concat!(
                    " AND a.uuid = w.activity_uuid AND w.word = $5 AND w.expires_at > $1 AND (w.created_at, w.activity_uuid) < ($2, $3)",
                    $(
                        " AND EXISTS (SELECT 1 FROM words o WHERE o.word = ",
                        $further,
                        " AND o.created_at = w.created_at AND o.activity_uuid = w.activity_uuid)",
                    )*
                    " ORDER BY w.created_at DESC, w.activity_uuid DESC LIMIT $4 + 0"
                )
            ),
        )
    };
}

/// One statement for each number of words.
const SEARCH: [Statement; Term::MAX_WORDS] = [
    search!(),
    search!("$6"),
    search!("$6" "$7"),
    search!("$6" "$7" "$8"),
    search!("$6" "$7" "$8" "$9"),
    search!("$6" "$7" "$8" "$9" "$10"),
    search!("$6" "$7" "$8" "$9" "$10" "$11"),
    search!("$6" "$7" "$8" "$9" "$10" "$11" "$12"),
];
const TRENDING: Statement = statement(
    "SELECT",
    "words",
    "SELECT word, count(*) FROM (SELECT word FROM words WHERE hashtag AND expires_at > $1 ORDER BY created_at DESC LIMIT $2 + 0) AS uses \
     GROUP BY word ORDER BY count(*) DESC, word LIMIT $3 + 0",
);
const ANY_WORD: Statement = statement("SELECT", "words", "SELECT count(*) FROM (SELECT 1 FROM words LIMIT 1) AS one");
const INDEXED: Statement = statement("SELECT", "progress", "SELECT reached_uuid FROM progress WHERE name = 'words'");
const NEXT: Statement = statement(
    "SELECT",
    "activities",
    "SELECT uuid, message, created_at, expires_at FROM activities WHERE uuid > $1 ORDER BY uuid LIMIT $2 + 0",
);
const INSERT: &str = "INSERT INTO words (word, created_at, activity_uuid, expires_at, hashtag) ";
const REACHED: Statement = statement(
    "INSERT",
    "progress",
    "INSERT INTO progress (name, reached_uuid) VALUES ('words', $1) \
     ON CONFLICT (name) DO UPDATE SET reached_uuid = excluded.reached_uuid",
);
/// Older cruds that are indexed in one transaction, and their rows that one statement inserts.
const BATCH: i64 = 1_000;
const ROWS: usize = 1_000;

impl Tx<'_> {
    /// Makes a crud findable by the words of its message.
    pub(super) async fn index(&mut self, crud: &Activity) -> Result<(), Error> {
        for words in words(&crud.message).chunks(AT_ONCE) {
            on!(self, INDEX, |connection| async {
                let mut rows = words.iter().chain(words.first().into_iter().cycle());
                let mut query = sqlx::query(INDEX.text);
                for number in 0..AT_ONCE {
                    let Some(word) = rows.next() else { break };
                    query = query.bind(word.as_str());
                    if number == 0 {
                        query = query.bind(crud.created_at).bind(crud.uuid).bind(crud.expires_at);
                    }
                    query = query.bind(word.is_hashtag());
                }
                query.execute(connection).await.map(drop)
            })?;
        }
        Ok(())
    }
}

impl Store {
    /// Cruds and replies that have every word of the term, newest first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn search(&self, term: &Term, now: DateTime<Utc>, page: Page) -> Result<Vec<Activity>, Error> {
        let Some(statement) = term.words().len().checked_sub(1).and_then(|further| SEARCH.get(further)) else {
            return Ok(Vec::new());
        };
        let rows = on!(self.reads(), *statement, |reader| {
            let query = sqlx::query_as::<_, ActivityRow>(statement.text)
                .bind(now)
                .bind(page.before.created_at)
                .bind(page.before.uuid)
                .bind(i64::from(page.limit.get()));
            term.words().iter().map(Word::as_str).fold(query, |query, word| query.bind(word)).fetch_all(reader)
        })?;
        Ok(rows.into_iter().map(activity).collect())
    }

    /// The most frequent hashtags of the newest living cruds.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn trending(&self, now: DateTime<Utc>) -> Result<Vec<Trend>, Error> {
        let rows = on!(self.reads(), TRENDING, |reader| sqlx::query_as::<_, (String, i64)>(TRENDING.text)
            .bind(now)
            .bind(USES)
            .bind(TRENDS)
            .fetch_all(reader))?;
        let trend = |(word, count): (String, i64)| Trend { hashtag: word.trim_start_matches('#').to_owned(), count };
        Ok(rows.into_iter().map(trend).collect())
    }
}

/// Indexes the cruds that a version without this table has kept. Each batch is a transaction that also records its progress, so that an interrupted start
/// resumes from there.
pub(super) async fn index_all(store: &Store, progress: &mut Progress) -> Result<(), Error> {
    let Some(mut last) = indexed_up_to(store).await? else { return Ok(()) };
    let mut all = 0;
    loop {
        let batch = index_batch(store.clone(), last).with_subscriber(NoSubscriber::new());
        match progress
            .during(format_args!("indexing the words of older cruds, {all} so far"), store.write(batch))
            .await?
        {
            Some((indexed, uuid)) => (last, all) = (uuid, all + indexed),
            None => return Ok(()),
        }
    }
}

/// The last indexed crud; `None` if all cruds have been indexed.
async fn indexed_up_to(store: &Store) -> Result<Option<Uuid>, Error> {
    type Reached = (Option<Uuid>,);
    let reached =
        on!(store.reads(), INDEXED, |reader| sqlx::query_as::<_, Reached>(INDEXED.text).fetch_optional(reader))?;
    match reached {
        Some((reached,)) => Ok(reached),
        // A version that did not record it indexed all or nothing.
        None => {
            let any =
                on!(store.reads(), ANY_WORD, |reader| sqlx::query_as::<_, (i64,)>(ANY_WORD.text).fetch_one(reader))?;
            Ok((any == (0,)).then_some(Uuid::nil()))
        }
    }
}

/// Indexes the next cruds. Returns how many, and the last of them; `None` if there are no more.
async fn index_batch(store: Store, after: Uuid) -> Result<Option<(usize, Uuid)>, Error> {
    type Crud = (Uuid, String, DateTime<Utc>, DateTime<Utc>);
    let mut tx = store.begin(&BEGIN).await?;
    let cruds = on!(tx, NEXT, |connection| {
        sqlx::query_as::<_, Crud>(NEXT.text).bind(after).bind(BATCH).fetch_all(connection)
    })?;
    let rows: Vec<_> = cruds
        .iter()
        .flat_map(|(uuid, message, created_at, expires_at)| {
            words(message).into_iter().map(move |word| (word, created_at, uuid, expires_at))
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        on!(tx, INDEX, |connection| async {
            let mut insert = QueryBuilder::new(INSERT);
            insert.push_values(rows, |mut row, (word, created_at, uuid, expires_at)| {
                row.push_bind(word.as_str()).push_bind(created_at).push_bind(uuid).push_bind(expires_at);
                row.push_bind(word.is_hashtag());
            });
            insert.push(" ON CONFLICT DO NOTHING").build().execute(connection).await.map(drop)
        })?;
    }
    let last = cruds.last().map(|(uuid, ..)| *uuid);
    on!(tx, REACHED, last)?;
    tx.commit().await?;
    Ok(last.map(|last| (cruds.len(), last)))
}
