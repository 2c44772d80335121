//! X-Ray's sampling rules over HTTP, as the daemon serves them on TCP: `POST /GetSamplingRules` and `POST /SamplingTargets`. The rules come from one file,
//! which is read again for every request. A rule's reservoir is divided among the processes that have reported on it within the last half minute, which is also
//! how long a quota is valid. The shares add up to the reservoir, except in the ten seconds until each process has learnt of a new one. Without a file, AWS's
//! own default rule applies. Checks no signature, keeps nothing on disk, and forgets the processes when it stops.

mod http;
mod quotas;

pub(crate) use self::http::{refuse_host, routes};
pub use self::quotas::RulesSource;
pub(crate) use self::quotas::Sampling;
