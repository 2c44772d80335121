//! The doctor's checks of who may use the API: whose accounts, and pages of which origins.

use backend::{Accounts, Origin};

use super::report::{Report, Status};

impl Report {
    /// Lists the origins whose pages may call the API, and others under which a browser on this machine may open those pages.
    pub(super) fn cors(&mut self, origins: &[Origin]) {
        if origins.is_empty() {
            let detail = "only the page's own origin may call the API; FRONTEND_URL and BACKEND_URL add others";
            return self.add("cors", Status::Ok, detail);
        }
        let list = |origins: &[Origin]| origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" and ");
        let mut detail = format!("{} may call the API", list(origins));
        let mut others: Vec<_> = origins.iter().flat_map(Origin::other_names).collect();
        others.retain(|other| !origins.contains(other));
        if !others.is_empty() {
            let others = list(&others);
            detail.push_str(&format!("; pages at {others} may not: browsers compare origins character by character"));
        }
        self.add("cors", Status::Ok, detail);
    }

    pub(super) fn accounts(&mut self, accounts: &Accounts) {
        match accounts {
            Accounts::Own => self.add("accounts", Status::Ok, "Cruddur's own (AUTH_MODE)"),
            Accounts::Issued(issuer) => {
                let keys = backend::cognito::reach(issuer).map_err(|error| error.to_string());
                self.found("accounts", keys, |keys| {
                    format!("{} has {keys} {}", issuer.name(), if *keys == 1 { "key" } else { "keys" })
                });
            }
        }
    }
}
