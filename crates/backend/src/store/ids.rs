//! Ids of rows: UUIDs of version 7, which sort by the time of their creation.

use std::sync::Mutex;

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// The id of a row created `now`, greater than each earlier one of this process.
///
/// `Uuid::now_v7` panics while a clock is set to before 1970. Here such a row gets the time of the last id.
pub(super) fn id(now: DateTime<Utc>) -> Uuid {
    static LAST: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&LAST, seconds, now.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_whatever_the_clock_does() {
        let times = [1_800_000_000, 1_800_000_000, -1, i64::from(i32::MIN), 0, 1_700_000_000, 1_900_000_000];
        let ids: Vec<_> = times.iter().map(|second| id(DateTime::from_timestamp(*second, 0).unwrap())).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
