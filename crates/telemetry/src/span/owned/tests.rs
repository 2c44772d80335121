use super::*;
use crate::limits::Limits;
use crate::propagation::{Trust, extract};
use crate::span::sampler::Sampler;
use crate::testing::recorded;

#[path = "../../../examples/queue.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod example;

fn message(traceparent: &str) -> Incoming {
    let mut headers = ::http::HeaderMap::new();
    headers.insert("traceparent", traceparent.parse().unwrap());
    extract(&headers, &Trust::ALWAYS, None)
}

#[test]
fn a_message_continues_its_trace_on_another_thread() {
    let recorded = recorded(Sampler::default(), Limits::default(), false, || {
        let incoming = message("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let span = tracing::info_span!("unrelated").in_scope(|| OwnedSpan::continuing("process mail", &incoming));
        std::thread::spawn(move || drop(span)).join().unwrap();
        drop(OwnedSpan::continuing("own", &message("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")));
        drop(OwnedSpan::continuing("new", &Incoming::default()));
    });
    let [_, mail, new] = recorded.spans.as_slice() else { panic!("{:?}", recorded.spans) };
    assert_eq!((&*mail.name, mail.kind), ("process mail", 5));
    assert_eq!(mail.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(mail.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert!(new.parent_span_id.is_empty() && new.trace_id != mail.trace_id);
}

#[test]
fn the_examples_messages_continue_their_traces_or_are_linked_to_a_batch() {
    let recorded = recorded(Sampler::default(), Limits::default(), false, || example::check().unwrap());
    let [one, two, three, process, batch] = recorded.spans.as_slice() else { panic!("{:?}", recorded.spans) };
    assert_eq!([one, two, three, process, batch].map(|span| span.kind), [4, 4, 4, 5, 5]);
    assert_eq!((&process.trace_id, &process.parent_span_id), (&one.trace_id, &one.span_id));
    let links: Vec<_> = batch.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
    assert_eq!(links, [two, three].map(|span| (&span.trace_id, &span.span_id)));
    assert!(batch.parent_span_id.is_empty());
    assert_eq!(Incoming::default().span_context(), None);
}
