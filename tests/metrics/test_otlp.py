"""Metrics sent to a collector: a small one that reads what comes, and one that is not there."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from encola.metrics.families import HISTOGRAMS, QUEUE

from ..process import ServerProcess, client

SECONDS_MAX = 30.0


class Collector:
    """Keeps the newest value of each metric, by name and queue."""

    def __init__(self) -> None:
        collector = self
        self.values: dict[tuple[str, str], float] = {}
        self.headers: dict[str, str] = {}
        self.resource: dict[str, str] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                import gzip

                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(ExportMetricsServiceRequest.FromString(body))
                collector.headers = dict(self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/metrics"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: ExportMetricsServiceRequest) -> None:
        for of_resource in request.resource_metrics:
            self.resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            for metric in (one for scope in of_resource.scope_metrics for one in scope.metrics):
                for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                    labels = {one.key: one.value.string_value for one in point.attributes}
                    value = point.as_int if point.HasField("as_int") else point.as_double
                    self.values[metric.name, labels.get("queue", "")] = value

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def test_a_collector_is_sent_what_is_measured(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {
        "ENCOLA_METRICS__OTLP_ENDPOINT": collector.url,
        "ENCOLA_METRICS__OTLP_HEADERS": '{"x-tenant": "blue"}',
        "ENCOLA_METRICS__OTLP_SECONDS": "1",
    }
    with ServerProcess(tmp_path_factory.mktemp("sent"), environment=environment) as server:
        sqs = client(server.url)
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(4)])
        end = time.monotonic() + SECONDS_MAX
        while collector.values.get(("encola_queue_messages_visible", "work")) != 4:
            assert time.monotonic() < end, collector.values
            time.sleep(0.05)
        assert collector.values["encola_queue_messages_sent_total", "work"] == 4
        assert collector.headers["x-tenant"] == "blue"
        assert collector.resource["service.name"] == "encola"
        of_work = {name for name, queue in collector.values if queue == "work"}
        assert {family.name for family in QUEUE} - of_work <= {"encola_queue_drain_seconds"}  # never: no number
        for histogram in HISTOGRAMS:
            assert collector.values[f"{histogram.name}_count", ""] > 0
        assert server.stop() == 0
        assert "blue" not in server.logged()


def test_a_collector_that_is_down_is_tried_again_and_delays_nobody(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    collector.close()
    environment = {"ENCOLA_METRICS__OTLP_ENDPOINT": collector.url, "ENCOLA_METRICS__OTLP_SECONDS": "1"}
    with ServerProcess(tmp_path_factory.mktemp("down"), environment=environment) as server:
        sqs = client(server.url)
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        for _ in range(20):
            sqs.send_message(QueueUrl=url, MessageBody="x")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 20
