"""Metrics sent to a collector: a small one that reads what comes, and one that is not there."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import Address, Settings
from encola.metrics.families import HISTOGRAMS, QUEUE, Facts
from encola.metrics.lines import Snapshot
from encola.metrics.otlp import OtlpExport
from encola.metrics.sampler import Sampler
from encola.stores.history_memory import NoHistory
from encola.stores.memory import MemoryStore

from ..process import ACCOUNT, NotStartedError, ServerProcess, client

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
                for point in metric.histogram.data_points:
                    self.values[f"{metric.name}_count", ""] = point.count
                    self.values[f"{metric.name}_sum", ""] = point.sum
                    assert sum(point.bucket_counts) == point.count
                    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
                if metric.HasField("histogram"):
                    continue
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
        end = time.monotonic() + SECONDS_MAX
        while "metrics cannot be sent" not in server.logged():
            assert time.monotonic() < end
            time.sleep(0.05)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 20
        assert server.logged().count("metrics cannot be sent to 127.0.0.1") == 1  # once, not at each attempt


async def test_no_queue_is_lost_among_many(collector: Collector) -> None:
    """Instruments of OpenTelemetry's SDK put all but 2,000 into one."""
    broker = Broker(MemoryStore(), Clock())
    await broker.open()
    for number in range(2500):
        await broker.create(Address(ACCOUNT, f"q{number}"), ordered=False, settings=Settings(), tags={})
    sampler = Sampler(broker, MemoryStore(), NoHistory())
    sampler.latest.update({queue.id: Snapshot(busy=1) for queue in broker.queues()})
    export = OtlpExport(broker, sampler, Facts, collector.url, {}, 30)
    assert await asyncio.to_thread(export._send, export.moment())
    told = {queue for name, queue in collector.values if name == "encola_queue_consumers_busy"}
    assert told == {f"q{number}" for number in range(2500)}
    await export.stop()
    await broker.close()


async def test_endless_numbers_are_left_out(collector: Collector) -> None:
    broker = Broker(MemoryStore(), Clock())
    await broker.open()
    queue = await broker.create(Address(ACCOUNT, "work"), ordered=False, settings=Settings(), tags={})
    sampler = Sampler(broker, MemoryStore(), NoHistory())
    sampler.latest[queue.id] = Snapshot(drain_seconds=None)
    export = OtlpExport(broker, sampler, Facts, collector.url, {}, 30)
    assert await asyncio.to_thread(export._send, export.moment())
    assert ("encola_queue_drain_seconds", "work") not in collector.values
    assert collector.values["encola_queue_paused", "work"] == 0
    await export.stop()
    await broker.close()


def test_without_the_extra_the_server_says_what_to_install(tmp_path_factory: pytest.TempPathFactory) -> None:
    hidden = "import sys; sys.modules['opentelemetry.exporter'] = None; from encola.cli.main import main; main()"
    environment = {"ENCOLA_METRICS__OTLP_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}
    server = ServerProcess(
        tmp_path_factory.mktemp("plain"), environment=environment, program=(sys.executable, "-c", hidden)
    )
    with pytest.raises(NotStartedError, match="pip install"):
        server.start()
