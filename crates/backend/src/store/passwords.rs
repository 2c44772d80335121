//! Hashes passwords with argon2id: off the runtime's threads and two at a time. Each hasher keeps its 19 MiB for the next password. If many threads allocated
//! and freed blocks of that size, the allocator would keep a block for each thread. A request first takes a place in a bounded line. One address gets at most
//! half of the line, so that a crowd at one address leaves space for all others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::{
    self,
    phc::{Output, ParamsString, PasswordHash, Salt},
};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use super::Error;
use crate::domain::Password;

/// Passwords that are hashed at the same time.
const HASHERS: usize = 2;
/// Requests that wait for a hasher or use one: about a second's work.
const PLACES: usize = 64;
const PLACES_PER_ADDRESS: usize = PLACES / 2;
/// Replaces the hash of an unknown login, so that the response takes equally long. No password matches it.
const NO_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static LINE: Line = Line::new();
static FREE_HASHERS: Semaphore = Semaphore::const_new(HASHERS);
/// The memory of hashers that are idle.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// A place in the line for a hasher. Dropping it leaves the line.
#[derive(Debug)]
pub struct Place {
    line: &'static Line,
    address: String,
}

/// The addresses of the requests in the line, each with its number of places.
#[derive(Debug)]
struct Line(Mutex<BTreeMap<String, usize>>);

impl Place {
    /// A place for a request from `address`; `None` if the line is full, or this address's half of it.
    pub fn take(address: &str) -> Option<Self> {
        LINE.take(address)
    }
}

impl Line {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn take(&'static self, address: &str) -> Option<Place> {
        let mut places = locked(&self.0);
        let own = places.get(address).copied().unwrap_or_default();
        if own >= PLACES_PER_ADDRESS || places.values().sum::<usize>() >= PLACES {
            return None;
        }
        places.insert(address.to_owned(), own + 1);
        Some(Place { line: self, address: address.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = locked(&self.line.0);
        match places.get_mut(&self.address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(places.remove(&self.address)),
        }
    }
}

/// Hashes a new password, at the end of the line.
pub(super) async fn hash(place: Option<Place>, password: Password) -> Result<String, Error> {
    on_a_hasher(place, move |memory| {
        let (argon2, salt) = (Argon2::default(), Salt::generate());
        let hash = PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(salt),
            hash: Some(output(&argon2, &password, &salt, memory)?),
        };
        Ok(hash.to_string())
    })
    .await
}

/// Compares a password with the hash that is kept for a login. Takes equally long if there is none.
pub(super) async fn verify(place: Place, kept: Option<String>, password: Password) -> Result<bool, Error> {
    on_a_hasher(Some(place), move |memory| {
        let hash = PasswordHash::new(kept.as_deref().unwrap_or(NO_HASH))?;
        let argon2 = Argon2::new(
            Algorithm::try_from(hash.algorithm.as_str())?,
            hash.version.map(Version::try_from).transpose()?.unwrap_or_default(),
            Params::try_from(&hash)?,
        );
        let salt = hash.salt.ok_or(password_hash::Error::EncodingInvalid)?;
        // Outputs are compared in constant time.
        let is_right = hash.hash == Some(output(&argon2, &password, &salt, memory)?);
        Ok(is_right && kept.is_some())
    })
    .await
}

fn output(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &Salt,
    memory: &mut [Block],
) -> password_hash::Result<Output> {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut output, memory)?;
    Ok(Output::new(&output)?)
}

/// Runs `work` on the next free hasher. If the client disconnects, the work goes on and keeps its place, its permit and its memory until it ends. Otherwise a
/// client that keeps disconnecting could hold any number of them.
async fn on_a_hasher<T: Send + 'static>(
    place: Option<Place>,
    work: impl FnOnce(&mut [Block]) -> password_hash::Result<T> + Send + 'static,
) -> Result<T, Error> {
    // Fails only if the semaphore is closed, which it never is.
    let permit = FREE_HASHERS.acquire().await.ok();
    let hashing = tokio::task::spawn_blocking(move || {
        let _held = (place, permit);
        let kept = locked(&MEMORY).pop();
        let mut memory = kept.unwrap_or_else(|| vec![Block::new(); Params::DEFAULT.block_count()]);
        let done = work(&mut memory);
        locked(&MEMORY).push(memory);
        done
    });
    hashing.await?.map_err(|error| Error::Password(error.to_string()))
}

/// No holder of these locks panics half way through a change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    fn password(text: &str) -> Password {
        Password::given(text).unwrap()
    }

    fn is_right(kept: Option<&str>, given: &str) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let place = Place::take("192.0.2.1").unwrap();
        runtime.block_on(verify(place, kept.map(str::to_owned), password(given))).unwrap()
    }

    #[test]
    fn one_address_gets_half_of_the_line() {
        static LINE: Line = Line::new();
        let mut crowd: Vec<_> = (0..PLACES_PER_ADDRESS).map(|_| LINE.take("192.0.2.1").unwrap()).collect();
        assert!(LINE.take("192.0.2.1").is_none());
        let others: Vec<_> =
            (0..PLACES - PLACES_PER_ADDRESS).map(|n| LINE.take(&format!("192.0.2.{}", 2 + n))).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(LINE.take("192.0.2.99").is_none(), "the line is full");
        drop(crowd.pop());
        assert!(LINE.take("192.0.2.99").is_some());
        drop((crowd, others));
        assert!(LINE.0.lock().unwrap().is_empty());
    }

    #[test]
    fn hashes_are_those_of_argon2_whatever_the_memory_held_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for text in ["correct horse battery", "another password"] {
            let kept = runtime.block_on(hash(None, password(text))).unwrap();
            assert!(Argon2::default().verify_password(text.as_bytes(), kept.as_str()).is_ok(), "{kept}");
            assert!(is_right(Some(&kept), text));
            assert!(!is_right(Some(&kept), "a wrong one"));
        }
        let theirs = Argon2::default().hash_password(b"correct horse battery").unwrap().to_string();
        assert!(is_right(Some(&theirs), "correct horse battery"));
        assert!(!is_right(None, "correct horse battery"));
    }
}
