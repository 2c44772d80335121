//! Preparation before the first visit: checks that the address may be loaded and that Cruddur is healthy, and gets accounts.

use std::io::{Write, stderr};
use std::net::SocketAddr;

use super::account::{Account, sign_up};
use super::connection::{Answer, Connection, Failure, Message};
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
pub(super) async fn prepare(asked: &Load) -> Result<Prepared, Error> {
    let origin = &asked.url;
    let addresses = origin.addresses().await?;
    if !asked.allow_remote {
        origin.is_here(&addresses)?;
    }
    let (address, answer) = greet(origin, &addresses).await?;
    let faults = health(origin, &answer)?;
    let accounts = accounts(origin, address, asked.users).await?;
    Ok(Prepared { run: Run::new(address, origin.authority(), accounts), faults })
}

/// The first address that responds. The whole run then uses it, and the name is not resolved again.
async fn greet(origin: &Origin, addresses: &[SocketAddr]) -> Result<(SocketAddr, Answer), Error> {
    for address in addresses {
        let mut connection = Connection::new(*address, origin.authority());
        match connection.send(&Message::get("/api/health-check")).await {
            Ok(answer) => return Ok((*address, answer)),
            Err(Failure::Connect) => {}
            Err(failure) => return Err(Error::Stranger(origin.clone(), format!("no answer ({failure})"))),
        }
    }
    Err(Error::Nobody(origin.clone()))
}

/// The faults that are switched on, if the server is Cruddur.
fn health(origin: &Origin, answer: &Answer) -> Result<Option<String>, Error> {
    match answer.json() {
        Some(health) if answer.status.is_success() && health["success"] == true => {
            Ok(health["faults"].as_str().filter(|faults| !faults.is_empty()).map(str::to_owned))
        }
        _ => {
            let what = format!("{} {}", answer.status.as_u16(), answer.excerpt());
            Err(Error::Stranger(origin.clone(), what.trim_end().to_owned()))
        }
    }
}

async fn accounts(origin: &Origin, address: SocketAddr, asked: u32) -> Result<Vec<Account>, Error> {
    let count = usize::try_from(asked).unwrap_or(usize::MAX);
    let mut connection = Connection::new(address, origin.authority());
    let accounts = sign_up(&mut connection, count).await?;
    if accounts.len() < count {
        let told = format!("signed up {} accounts of {count}: the server takes no more for now", accounts.len());
        // Standard error may be closed.
        drop(writeln!(stderr(), "{told}"));
    }
    Ok(accounts)
}
