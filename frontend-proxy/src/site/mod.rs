//! What the proxy itself serves to browsers: Cruddur's page, and the relay of the page's spans.

pub(crate) mod gzip;
pub(crate) mod limit;
pub(crate) mod page;
pub(crate) mod relay;
pub(crate) mod token;
