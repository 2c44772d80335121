"""The service that W3C's trace-context suite asks for, behind the proxy: it is told in JSON whom to call, and calls them with the trace
headers that it got, as it got them, so that nothing but the proxy is judged. Prints its port. Ends with its standard input."""

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TRACE = {"traceparent", "tracestate"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        calls = json.loads(self.rfile.read(int(self.headers["content-length"])))
        trace = [(name, value) for name, value in self.headers.items() if name.lower() in TRACE]
        for call in calls:
            url, body = urlsplit(call["url"]), json.dumps(call["arguments"]).encode()
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
            connection.putrequest("POST", url.path)
            for name, value in [*trace, ("content-type", "application/json"), ("content-length", str(len(body)))]:
                connection.putheader(name, value)
            connection.endheaders(body)
            connection.getresponse().read()
            connection.close()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
