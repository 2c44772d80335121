//! The parameters of the routes that search.

use actix_web::web::Query as UrlQuery;

use super::problem::SearchError;
use crate::search::syntax::{self, Query};

/// The most traces of a list, and the number if none is requested.
const MOST: usize = 1_000;
const USUAL: usize = 200;
/// The longest text of a query, in bytes: several times its limit in characters.
const LONGEST: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Parameters {
    pub(super) q: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl Parameters {
    /// Reads the part of a URL after the question mark.
    ///
    /// # Errors
    /// A parameter is unknown, too long, or there twice.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, SearchError> {
        let read = UrlQuery::<Vec<(String, String)>>::from_query(text);
        let pairs = read
            .map_err(|_| {
                SearchError::Parameter("the parameters are not valid; encode them as q=dur%3E200ms".to_owned())
            })?
            .into_inner();
        let mut parameters = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "q" => &mut parameters.q,
                "limit" => &mut parameters.limit,
                "cursor" => &mut parameters.cursor,
                _ => &mut None,
            };
            if !known.contains(&&*name) {
                let detail = format!("there is no such parameter here; the parameters are {}", known.join(" and "));
                return Err(SearchError::Parameter(detail));
            }
            if place.is_some() {
                return Err(SearchError::Parameter(format!("{name} is there twice; remove one")));
            }
            if value.len() > LONGEST {
                return Err(SearchError::Parameter(format!("{name} is too long; shorten it")));
            }
            *place = Some(value);
        }
        Ok(parameters)
    }

    /// The query; without `q`, the one that accepts every trace.
    pub(super) fn query(&self) -> Result<Query, SearchError> {
        syntax::parse(self.q.as_deref().unwrap_or_default()).map_err(SearchError::Query)
    }

    pub(super) fn limit(&self) -> Result<usize, SearchError> {
        let Some(text) = &self.limit else { return Ok(USUAL) };
        let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        limit.ok_or_else(|| SearchError::Parameter(format!("limit is a whole number from 1 to {MOST}")))
    }

    /// An index of a character of `q`; without one, its end.
    pub(super) fn cursor(&self) -> Result<usize, SearchError> {
        let Some(text) = &self.cursor else { return Ok(usize::MAX) };
        text.parse().map_err(|_| SearchError::Parameter("cursor is the index of a character of q, from 0".to_owned()))
    }
}
