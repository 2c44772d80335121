//! Preparation before the first visit: checks that the address may be loaded and that Cruddur is healthy, and gets accounts.

use std::io::{Write, stderr};
use std::net::SocketAddr;

use super::account::{Account, sign_up};
use super::connection::{Connection, Failure, Message, Response};
use super::error::Error;
use super::options::Load;
use super::origin::Origin;
use super::visitor::Run;

/// A run that can start.
pub(super) struct Prepared {
    pub(super) run: Run,
    /// The faults that the server reports as switched on.
    pub(super) faults: Option<String>,
}

/// Prepares the requested load.
///
/// # Errors
/// The address is another machine's, no server responds there, it is not Cruddur, or no accounts are available.
pub(super) async fn prepare(options: &Load) -> Result<Prepared, Error> {
    let origin = &options.url;
    let addresses = origin.addresses().await?;
    if !options.allow_remote {
        origin.is_here(&addresses)?;
    }
    let (address, response) = greet(origin, &addresses).await?;
    let faults = health(origin, &response)?;
    let accounts = accounts(origin, address, options.users).await?;
    Ok(Prepared { run: Run::new(address, origin.authority(), accounts), faults })
}

/// The first address that responds. The whole run then uses it, and the name is not resolved again.
async fn greet(origin: &Origin, addresses: &[SocketAddr]) -> Result<(SocketAddr, Response), Error> {
    for address in addresses {
        let mut connection = Connection::new(*address, origin.authority());
        match connection.send(&Message::get("/api/health-check")).await {
            Ok(response) => return Ok((*address, response)),
            Err(Failure::Connect) => {}
            Err(failure) => return Err(Error::Unhealthy(origin.clone(), format!("no response ({failure})"))),
        }
    }
    Err(Error::Unreachable(origin.clone()))
}

/// The faults that are switched on, if the server is Cruddur.
fn health(origin: &Origin, response: &Response) -> Result<Option<String>, Error> {
    match response.json() {
        Some(health) if response.status.is_success() && health["success"] == true => {
            Ok(health["faults"].as_str().filter(|faults| !faults.is_empty()).map(str::to_owned))
        }
        _ => {
            let what = format!("{} {}", response.status.as_u16(), response.excerpt());
            Err(Error::Unhealthy(origin.clone(), what.trim_end().to_owned()))
        }
    }
}

async fn accounts(origin: &Origin, address: SocketAddr, users: u32) -> Result<Vec<Account>, Error> {
    let count = usize::try_from(users).unwrap_or(usize::MAX);
    let mut connection = Connection::new(address, origin.authority());
    let accounts = sign_up(&mut connection, count).await?;
    if accounts.len() < count {
        let notice = format!("signed up {} of {count} accounts: the server accepts no more for now", accounts.len());
        // Standard error may be closed.
        drop(writeln!(stderr(), "{notice}"));
    }
    Ok(accounts)
}
