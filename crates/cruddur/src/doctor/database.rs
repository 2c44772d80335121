//! Checks the database as the backend does before it migrates. Makes nothing.

use backend::Database;

use super::{Report, Status};

impl Report {
    pub(super) async fn database(&mut self, database: &Database) {
        // `database` is then the default, which no service would use.
        if let Some(variable) = ["DATABASE_URL", "CONNECTION_URL"].into_iter().find(|name| self.is_wrong(name)) {
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
