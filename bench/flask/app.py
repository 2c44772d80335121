"""The home page of the bootcamp's week-2 backend, for `bench/backend`: Flask, mock data, OpenTelemetry and X-Ray as the lessons set them up.

OTEL_EXPORTER_OTLP_ENDPOINT and AWS_XRAY_DAEMON_ADDRESS name the destinations of its spans and segments. Both sample every request."""

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.core.sampling.local.sampler import LocalSampler
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask
from flask_cors import CORS
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("home.activities")

# The lessons keep the default sampler, which requests rules from the daemon. Here the daemon is a sink and has no rules.
xray_recorder.configure(
    service="backend-flask",
    dynamic_naming=os.environ.get("AWS_XRAY_URL", "*127.0.0.1*"),
    sampler=LocalSampler(),
    sampling_rules=str(Path(__file__).with_name("sampling.json")),
)

app = Flask(__name__)
XRayMiddleware(app, xray_recorder)
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()
CORS(
    app,
    resources={r"/api/*": {"origins": [os.environ.get(name, "http://localhost:3000") for name in ("FRONTEND_URL", "BACKEND_URL")]}},
    expose_headers="location,link",
    allow_headers="content-type,if-modified-since",
    methods="OPTIONS,GET,HEAD,POST",
)


def crud(now, uuid, handle, message, age, life, **counts):
    return {
        "uuid": uuid,
        "handle": handle,
        "message": message,
        "created_at": (now - age).isoformat(),
        "expires_at": (now + life).isoformat(),
        "likes_count": 0,
        "replies_count": 0,
        "reposts_count": 0,
        **counts,
    }


def activities(now):
    first, second, third, reply = (
        "68f126b0-1ceb-4a33-88be-d90fa7109eee",
        "66e12864-8c26-4c3a-9658-95a10f8fea67",
        "248959df-3079-4947-b847-9e0892d1bab4",
        "26e12864-1c26-5c3a-9658-97a10f8fea67",
    )
    week, soon = timedelta(days=7), timedelta(hours=12)
    replies = [crud(now, reply, "Worf", "This post has no honor!", timedelta(days=2), week) | {"reply_to_activity_uuid": first}]
    return [
        crud(now, first, "Andrew Brown", "Cloud is fun!", timedelta(days=2), week, likes_count=5, replies_count=1) | {"replies": replies},
        crud(now, second, "Worf", "I am out of prune juice", week, timedelta(days=9)) | {"replies": []},
        crud(now, third, "Garek", "My dear doctor, I am just simple tailor", timedelta(hours=1), soon) | {"replies": []},
    ]


@app.get("/api/activities/home")
def home():
    with xray_recorder.in_subsegment("mock-data") as subsegment, tracer.start_as_current_span("home-activities-mock-data") as span:
        now = datetime.now(timezone.utc).astimezone()
        span.set_attribute("app.now", now.isoformat())
        results = activities(now)
        span.set_attribute("app.result_length", len(results))
        subsegment.put_metadata("result_length", len(results))
    return results
