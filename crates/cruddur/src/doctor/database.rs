//! Checks the database as the backend does before it migrates. Creates nothing.

use backend::Database;

use super::report::{Report, Status};

/// Variables that each name the database, or a part of its address.
const VARIABLES: [&str; 6] = ["DATABASE_URL", "CONNECTION_URL", "PGHOST", "PGHOSTADDR", "PGPORT", "PGSSLMODE"];

impl Report {
    pub(super) async fn database(&mut self, database: &Database) {
        // `database` then holds a default instead, which no service would use.
        if let Some(variable) = VARIABLES.into_iter().find(|name| self.is_wrong(name)) {
            return self.add("database", Status::Off, format!("not checked: {variable} is wrong"));
        }
        match backend::store::reach(database).await {
            Ok(inspection) => {
                self.add("database", Status::Ok, format!("{database}, {}", inspection.found));
                if let Some(note) = inspection.note {
                    self.add("database", Status::Note, note);
                }
            }
            Err(error) => self.add("database", Status::Wrong, error.to_string()),
        }
    }
}
