//! The active table, and its replacement at a reload.

use std::sync::{Arc, PoisonError, RwLock};

use super::rule::Rule;
use super::source::Source;
use super::table::Routes;

/// The active table, replaced as a whole: a request keeps the table with which it started.
pub(crate) struct ActiveRoutes {
    table: RwLock<Arc<Routes>>,
    source: Source,
}

impl ActiveRoutes {
    pub(crate) fn new(rules: Vec<Rule>, source: Source) -> Self {
        Self { table: RwLock::new(Arc::new(Routes::new(rules))), source }
    }

    pub(crate) fn current(&self) -> Arc<Routes> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the routes come from a file.
    pub(crate) fn has_file(&self) -> bool {
        self.source.file.is_some()
    }

    /// Rereads the routes file, and logs the result. Blocks on the file.
    pub(crate) fn reload(&self) {
        match self.source.read_again() {
            Ok(rules) => {
                let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
                let (next, changes) = table.next(rules);
                let count = next.len();
                let are = if count == 1 { "route is" } else { "routes are" };
                tracing::info!("{count} {are} active: {changes}");
                *table = Arc::new(next);
            }
            Err(faults) => {
                let faults = faults.to_string().replace('\n', "; ");
                tracing::error!("keeping the old routes: {faults}");
            }
        }
    }
}
