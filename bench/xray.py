"""The traces of `bench xray`, made with aws-xray-sdk-python. Prints the number of spans, and the time they took."""

import sys
import time

from aws_xray_sdk.core import xray_recorder

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
URL = "http://127.0.0.1:%d/api/activities/home"

traces = int(sys.argv[1])
# The daemon's address is in AWS_XRAY_DAEMON_ADDRESS, which the SDK reads.
xray_recorder.configure(service="bench", sampling=False)
start, cpu = time.monotonic(), time.process_time()
for _ in range(traces):
    with xray_recorder.in_segment("bench") as segment:
        segment.put_http_meta("method", "GET")
        segment.put_http_meta("url", URL % 3000)
        segment.put_http_meta("client_ip", "127.0.0.1")
        segment.put_http_meta("user_agent", AGENT)
        segment.put_metadata("http.route", "/api/activities/home")
        segment.put_metadata("network.peer.address", "127.0.0.1")
        segment.put_metadata("network.protocol.version", "1.1")
        with xray_recorder.in_subsegment("127.0.0.1:4567", namespace="remote") as subsegment:
            subsegment.put_http_meta("method", "GET")
            subsegment.put_http_meta("url", URL % 4567)
            subsegment.put_http_meta("status", 200)
        segment.put_http_meta("status", 200)
seconds = time.monotonic() - start
print(f"made={2 * traces} dropped=0 seconds={seconds} cpu={time.process_time() - cpu}")
