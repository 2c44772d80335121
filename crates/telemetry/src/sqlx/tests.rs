use tracing::Instrument;

use super::*;
use crate::testing::attribute;
use crate::testing::runtime::spans_of;

#[path = "../../examples/sqlx.rs"]
#[expect(dead_code, reason = "`main` installs telemetry for its process")]
mod example;

#[test]
fn the_examples_statements_are_spans_below_its_job() {
    let spans = spans_of(async {
        assert_eq!(example::count().instrument(tracing::info_span!("job")).await.unwrap(), 1);
    });
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["CREATE TABLE orders", "INSERT orders", "INSERT orders", "SELECT orders", "job"]);
    let [statements @ .., job] = spans.as_slice() else { unreachable!() };
    for span in statements {
        assert_eq!((&span.parent_span_id, &span.trace_id, span.kind), (&job.span_id, &job.trace_id, 3));
    }
    let of = |index: usize, key| attribute(&spans[index].attributes, key);
    assert_eq!(of(1, "db.system.name").as_deref(), Some("sqlite"));
    assert_eq!(of(1, "db.query.text").as_deref(), Some("INSERT INTO orders (id) VALUES ($1)"));
    assert_eq!(of(1, "db.query.summary").as_deref(), Some("INSERT orders"));
    assert_eq!([1, 2, 3].map(|index| of(index, "error.type")), [None, Some("1555".to_owned()), None]);
    assert_eq!(of(2, "db.response.status_code").as_deref(), Some("1555"));
    assert_eq!(
        (&*spans[2].status.as_ref().unwrap().message, spans[2].events.len()),
        ("", 0),
        "no message of the database"
    );
}

#[test]
fn a_failure_without_a_code_has_a_name() {
    let io = Error::Io(std::io::ErrorKind::BrokenPipe.into());
    let names = [&Error::PoolTimedOut, &io, &Error::RowNotFound].map(failure);
    assert_eq!(names, ["pool_timed_out", "io", "_OTHER"].map(Failure::Kind));
}
