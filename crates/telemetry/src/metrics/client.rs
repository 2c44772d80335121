//! The HTTP client of `opentelemetry-otlp`'s exporter, which sends nothing itself: it puts each body into the queue of every
//! destination and answers 200. So the workers of this crate send it, with each destination's own headers, retries and counts.
//! The headers of the request are dropped: that exporter adds `OTEL_EXPORTER_OTLP_HEADERS` to them, whichever destination the
//! key in it is for.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, exemplar};
use prost::Message;

use super::measure::Histograms;
use super::series::{BoundSeries, Sample, SeriesTable};
use crate::pipeline::{Queue, Record};

/// Puts the body of each request into queues.
pub(super) struct QueueClient {
    pub(super) queues: Vec<Arc<Queue>>,
}

impl fmt::Debug for QueueClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueClient")
    }
}

/// Series by name and attributes.
type Sampled<'t> = HashMap<(&'static str, String), &'t BoundSeries>;

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>;

impl HttpClient for QueueClient {
    fn send_bytes<'s, 'f>(&'s self, request: Request<Bytes>) -> Sent<'f>
    where
        's: 'f,
        Self: 'f,
    {
        let record = self.record(&request.into_body());
        self.queues.iter().for_each(|queue| queue.push(record.clone()));
        Box::pin(async { Ok(Response::new(Bytes::new())) })
    }
}

impl QueueClient {
    /// The message with its exemplars. It counts as many points as it has.
    fn record(&self, body: &Bytes) -> Record {
        let Ok(mut message) = ExportMetricsServiceRequest::decode(body.clone()) else {
            // What the exporter has just encoded can be decoded.
            return Record::from(&**body);
        };
        let sampled = index(Histograms::get().into_iter().flat_map(Histograms::all));
        let (mut points, has_exemplars) = (0, !sampled.is_empty());
        let scopes = message.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &mut scope.metrics) {
            points += count(metric);
            if has_exemplars {
                attach(metric, &sampled);
            }
        }
        let record = if has_exemplars { Record::from(message.encode_to_vec()) } else { Record::from(&**body) };
        record.counting(points)
    }
}

/// The number of a metric's points.
fn count(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}

/// The series that have exemplars, by name and attributes.
pub(super) fn index<'t>(tables: impl IntoIterator<Item = &'t SeriesTable>) -> Sampled<'t> {
    let of_table = |table: &'t SeriesTable| table.sampled().map(|series| (table.name, series));
    let named = tables.into_iter().flat_map(of_table);
    named
        .map(|(name, series)| {
            let attributes: Vec<KeyValue> = series.attributes.iter().map(Into::into).collect();
            ((name, identity(&attributes)), series)
        })
        .collect()
}

/// Gives the points of `metric` the samples of their series. A series that has no point yet keeps its samples.
pub(super) fn attach(metric: &mut Metric, sampled: &Sampled<'_>) {
    let name = metric.name.as_str();
    let of = |attributes: &[KeyValue], end| {
        let series = sampled.get(&(name, identity(attributes)));
        series.into_iter().flat_map(|series| series.take_until(end)).map(exemplar).collect()
    };
    match &mut metric.data {
        Some(Data::Histogram(histogram)) => {
            for point in &mut histogram.data_points {
                point.exemplars = of(&point.attributes, point.time_unix_nano);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &mut histogram.data_points {
                point.exemplars = of(&point.attributes, point.time_unix_nano);
            }
        }
        _ => {}
    }
}

fn exemplar(sample: Sample) -> Exemplar {
    Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: sample.time,
        span_id: sample.span.to_bytes().to_vec(),
        trace_id: sample.trace.to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(sample.value)),
    }
}

/// The attributes in one form, whatever their order.
fn identity(attributes: &[KeyValue]) -> String {
    let mut texts: Vec<String> =
        attributes.iter().map(|attribute| format!("{}={:?}", attribute.key, attribute.value)).collect();
    texts.sort_unstable();
    texts.join("\n")
}
