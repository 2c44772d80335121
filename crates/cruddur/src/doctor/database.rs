//! Checks the database as the backend does before it migrates. Makes nothing but an embedded database's folder.

use backend::Database;

use super::{Report, Status};

impl Report {
    pub(super) async fn database(&mut self, database: &Database) {
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
