"""A collector of OTLP over gRPC, by grpcio and opentelemetry-proto. Prints its port, and then each export as a line of JSON.

Arguments: the certificate, the key and the CA of clients (each may be empty), then the statuses of the first exports of each
signal, such as UNAVAILABLE, RETRY (RESOURCE_EXHAUSTED with RetryInfo of 0.1 s), PART (one record is rejected) or OK, which is also
what follows.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from grpc_status import rpc_status
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

printing = threading.Lock()
certificate, key, clients, *first = sys.argv[1:]
statuses = {kind: list(first) for kind in ("spans", "logs", "metrics")}


def pause():
    info = any_pb2.Any()
    info.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=100_000_000)))
    return rpc_status.to_status(status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="slow down", details=[info]))


def answer(kind, names, resource, context, response, partial):
    metadata = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
    status = statuses[kind].pop(0) if statuses[kind] else "OK"
    line = {"kind": kind, "names": names, "service": resource, "metadata": metadata, "status": status}
    with printing:
        print(json.dumps(line), flush=True)
    if status == "RETRY":
        context.abort_with_status(pause())
    if status == "PART":
        partial(response)
    elif status != "OK":
        context.abort(grpc.StatusCode[status], "by the test")
    return response


def service(resources):
    values = [a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"]
    return values[0] if values else None


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        names = [span.name for r in request.resource_spans for s in r.scope_spans for span in s.spans]

        def partial(response):
            response.partial_success.rejected_spans = 1
            response.partial_success.error_message = "one is too old"

        response = trace_service_pb2.ExportTraceServiceResponse()
        return answer("spans", names, service(request.resource_spans), context, response, partial)


class Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def Export(self, request, context):
        names = [record.body.string_value for r in request.resource_logs for s in r.scope_logs for record in s.log_records]

        def partial(response):
            response.partial_success.rejected_log_records = 1
            response.partial_success.error_message = "one is too old"

        response = logs_service_pb2.ExportLogsServiceResponse()
        return answer("logs", names, service(request.resource_logs), context, response, partial)


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        metrics = [metric for r in request.resource_metrics for s in r.scope_metrics for metric in s.metrics]
        # One name for each point.
        names = [metric.name for metric in metrics for _ in getattr(metric, metric.WhichOneof("data")).data_points]

        def partial(response):
            response.partial_success.rejected_data_points = 1
            response.partial_success.error_message = "one is too old"

        response = metrics_service_pb2.ExportMetricsServiceResponse()
        return answer("metrics", names, service(request.resource_metrics), context, response, partial)


def read(path):
    with open(path, "rb") as file:
        return file.read()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
if certificate:
    own = [(read(key), read(certificate))]
    roots = read(clients) if clients else None
    credentials = grpc.ssl_server_credentials(own, roots, require_client_auth=bool(clients))
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(json.dumps({"port": port}), flush=True)
sys.stdin.read()
server.stop(None)
