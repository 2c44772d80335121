//! Series and exemplars, without the SDK's threads.

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Histogram, HistogramDataPoint, Metric};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::client::{attach, index};
use super::series::{Ending, SeriesKey, SeriesTable};
use crate::context::SpanIds;
use crate::metric_settings::ExemplarFilter;

fn table(filter: ExemplarFilter) -> SeriesTable {
    let histogram = SdkMeterProvider::builder().build().meter("test").f64_histogram("h").build();
    SeriesTable::new("h", histogram, &[1.0, 2.0], filter)
}

fn ids(flags: TraceFlags) -> SpanIds {
    let (trace, span) = (TraceId::from_bytes([1; 16]), SpanId::from_bytes([2; 8]));
    SpanIds::local(trace, span, flags)
}

const OK: Ending<'_> = Ending { status: 200, error: None, is_code: false };

#[test]
fn each_key_is_one_series_and_their_number_is_bounded() {
    let table = table(ExemplarFilter::TraceBased);
    let of = |text: &str, port| {
        let key = SeriesKey { texts: ["GET", text, "", ""], port };
        std::ptr::from_ref(table.series(&key, || vec![KeyValue::new("a", text.to_owned())]))
    };
    assert_eq!(of("a", 1), of("a", 1));
    assert!(of("a", 1) != of("a", 2) && of("a", 1) != of("b", 1));
    let texts: Vec<String> = (0..2_000).map(|index| index.to_string()).collect();
    let distinct: std::collections::BTreeSet<_> = texts.iter().map(|text| of(text, 0)).collect();
    assert!((256..=513).contains(&distinct.len()), "{}", distinct.len());
    assert!(texts.iter().all(|text| distinct.contains(&of(text, 0))), "a series does not move");
}

#[test]
fn a_sampled_measurement_is_the_exemplar_of_its_bucket() {
    let table = table(ExemplarFilter::TraceBased);
    let series = table.series(&SeriesKey { texts: ["GET", "", "", ""], port: 0 }, || vec![KeyValue::new("m", "GET")]);
    for (value, flags) in [(0.5, TraceFlags::SAMPLED), (0.7, TraceFlags::SAMPLED), (9.0, TraceFlags::NOT_SAMPLED)] {
        table.record(series, &OK, value, Some(ids(flags)));
    }
    table.record(series, &OK, 1.5, None);
    let sampled: Vec<_> = table.sampled().collect();
    let [series] = sampled.as_slice() else { panic!("{}", sampled.len()) };
    assert_eq!(series.attributes, [KeyValue::new("m", "GET"), KeyValue::new("http.response.status_code", 200)]);
    let values: Vec<f64> = series.take_until(u64::MAX).iter().map(|sample| sample.value).collect();
    assert_eq!(values, [0.7]);
    assert_eq!(table.sampled().count(), 0, "each is taken once");
}

/// A measurement may end between a collection and its export.
#[test]
fn an_exemplar_waits_for_the_point_that_counts_it() {
    let table = table(ExemplarFilter::TraceBased);
    let series = table.series(&SeriesKey { texts: ["GET", "", "", ""], port: 0 }, || vec![KeyValue::new("m", "GET")]);
    table.record(series, &OK, 0.5, Some(ids(TraceFlags::SAMPLED)));
    let exported = |attributes: &[KeyValue], time_unix_nano| {
        let attributes = attributes.iter().map(Into::into).collect();
        let points = vec![HistogramDataPoint { attributes, time_unix_nano, ..Default::default() }];
        let data = Some(Data::Histogram(Histogram { data_points: points, ..Default::default() }));
        let mut metric = Metric { name: "h".to_owned(), data, ..Default::default() };
        attach(&mut metric, &index([&table]));
        let Some(Data::Histogram(histogram)) = metric.data else { unreachable!() };
        histogram.data_points[0].exemplars.len()
    };
    let own = [KeyValue::new("http.response.status_code", 200), KeyValue::new("m", "GET")];
    assert_eq!(exported(&[KeyValue::new("m", "POST")], u64::MAX), 0, "another series");
    assert_eq!(exported(&own, 1), 0, "collected before it");
    assert_eq!(exported(&own, u64::MAX), 1);
    assert_eq!(exported(&own, u64::MAX), 0, "once");
}

#[test]
fn the_filter_decides_which_measurements_may_be_exemplars() {
    for (filter, flags, expected) in [
        (ExemplarFilter::AlwaysOn, TraceFlags::NOT_SAMPLED, 1),
        (ExemplarFilter::AlwaysOff, TraceFlags::SAMPLED, 0),
        (ExemplarFilter::TraceBased, TraceFlags::NOT_SAMPLED, 0),
    ] {
        let table = table(filter);
        let series = table.series(&SeriesKey { texts: [""; 4], port: 0 }, Vec::new);
        table.record(series, &OK, 1.0, Some(ids(flags)));
        assert_eq!(table.sampled().count(), expected, "{filter:?}");
    }
}
