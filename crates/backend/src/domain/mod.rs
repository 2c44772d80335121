//! What a crud is and which ones are allowed. Parses at the edge into types that can be trusted inside. Knows neither SQL nor
//! HTTP, and reads no clock.

mod account;
mod invalid;
mod items;
mod message;
mod page;
mod text;
mod words;

pub use account::{Attempt, Bio, DisplayName, Email, Handle, Login, Password, Token};
pub use invalid::Invalid;
pub use items::{Account, Activity, Conversation, DirectMessage, Notification, Profile, Reaction, Thread, Trend, User};
pub use message::{Message, Ttl};
pub use page::{Cursor, Limit, Listed, NotAPage, Page};
pub use text::printable;
pub use words::{Term, Word, words};

/// The handle of the first user of a new database.
pub const FIRST_USER: &str = "andrewbrown";
