"""Encola beside other SQS servers, with the same generator and the same checks of every answer.

They keep messages in memory and verify no signature; encola fsyncs each before it answers, and verifies. Each peer
takes turns with an encola server on the same core; the figure is the median of the ratios of neighbours. After each
run the queue must hold what was sent less what was deleted.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from benchmarks.fetch import UnavailableError, jars, python_at_least, venv, version
from benchmarks.job import Job, Outcome
from benchmarks.results import Figure, Result, console, figure, skipped
from benchmarks.run import Settings, VoidRunError, generate
from benchmarks.servers import HOST, NotReadyError, Running, encola, free_port, listening, remove
from benchmarks.wire import WrongAnswerError

ELASTICMQ = ("org.elasticmq", "elasticmq-server_3", "1.7.1")
LOCALSTACK = ("localstack-core[runtime]", "cbor2<6", "cryptography<47", "pyopenssl<26", "service-identity")
"""The release itself with what it forgets to pin: it does not start with later releases of these."""

WORKLOADS = {"send": "single send", "mix": "send, receive, delete one by one"}
JVM_WARMUP_SECONDS = 15.0
TRIES_MAX = 3


class Started(NamedTuple):
    running: Running
    version: str


class Peer(NamedTuple):
    """``start`` installs it if need be. ``warmup`` (seconds) is for a compiler that learns while the program runs."""

    name: str
    bar: float
    start: Callable[[Settings], AbstractContextManager[Started]]
    warmup: float = 1.0
    reconnect: bool = False


@contextmanager
def _moto(settings: Settings) -> Iterator[Started]:
    programs, port = venv(settings.cache / "moto", ["moto[server]"]), free_port()
    command = [str(programs / "moto_server"), "-H", HOST, "-p", str(port)]
    with listening(command, port, settings.scratch / "moto.log") as running:
        yield Started(running, version(programs, "moto"))


@contextmanager
def _ministack(settings: Settings) -> Iterator[Started]:
    programs, port = venv(settings.cache / "ministack", ["ministack"]), free_port()
    environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "WARNING"}
    with listening([str(programs / "ministack")], port, settings.scratch / "ministack.log", environment) as running:
        yield Started(running, version(programs, "ministack"))


@contextmanager
def _localstack(settings: Settings) -> Iterator[Started]:
    programs, port = venv(settings.cache / "localstack", LOCALSTACK, python_at_least(13)), free_port()
    environment = {
        "GATEWAY_LISTEN": f"{HOST}:{port}",
        "LOCALSTACK_HOST": f"{HOST}:{port}",
        "SERVICES": "sqs",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "LS_LOG": "error",
    }
    command = [str(programs / "python"), "-m", "localstack.runtime.main"]
    with listening(command, port, settings.scratch / "localstack.log", environment) as running:
        yield Started(running, version(programs, "localstack-core"))


@contextmanager
def _elasticmq(settings: Settings) -> Iterator[Started]:
    path, port = jars(settings.cache / "elasticmq", *ELASTICMQ), free_port()
    options = (f"-Drest-sqs.bind-port={port}", f"-Drest-sqs.bind-hostname={HOST}", "-Drest-stats.enabled=false")
    command = ["java", "-cp", path, *options, "org.elasticmq.server.Main"]
    with listening(command, port, settings.scratch / "elasticmq.log") as running:
        yield Started(running, ELASTICMQ[2])


PEERS = (
    Peer("moto server", 30, _moto, reconnect=True),
    Peer("ministack", 30, _ministack),
    Peer("LocalStack", 30, _localstack),
    Peer("ElasticMQ in memory", 2, _elasticmq, JVM_WARMUP_SECONDS),
)


def run(settings: Settings) -> Result:
    figures: list[Figure] = []
    for peer in PEERS:
        try:
            figures += _compare(settings, peer)
        except (UnavailableError, NotReadyError, VoidRunError, WrongAnswerError, OSError) as error:
            console.print(f"  {peer.name}: {type(error).__name__}: {error}", style="yellow", markup=False)
            figures.append(skipped(f"fsync: encola over {peer.name}", "times", str(error)[:300]))
    return Result(benchmark="peers", title="Requests/s beside other servers, 128 connections, 1 kB", figures=figures)


def _compare(settings: Settings, peer: Peer) -> list[Figure]:
    console.print(f"  {peer.name} starts", style="dim")
    data = settings.scratch / "peers"
    pairs: dict[str, list[tuple[Outcome, Outcome]]] = {workload: [] for workload in WORKLOADS}
    try:
        with peer.start(settings) as (theirs, release), encola(data) as ours:
            for workload in WORKLOADS:
                _theirs(theirs, peer, workload, f"warmup-{workload}", peer.warmup)
            for number in range(3 if settings.quick else 5):
                for workload, of_workload in pairs.items():
                    name = f"{workload}-{number}"
                    mine = _measure(ours, workload, name, settings.seconds)
                    other = _theirs(theirs, peer, workload, name, settings.seconds)
                    of_workload.append((mine, other))
                    _tell(peer, workload, mine, other)
    finally:
        remove(data)
    return [_figure(peer, release, workload, of_workload) for workload, of_workload in pairs.items()]


def _theirs(server: Running, peer: Peer, workload: str, name: str, seconds: float) -> Outcome:
    """As ``_measure``; a peer that fails under load may try again, on a new queue."""
    for attempt in range(1, TRIES_MAX):
        try:
            return _measure(server, workload, f"{name}-{attempt}", seconds, peer.reconnect)
        except (VoidRunError, WrongAnswerError) as error:
            console.print(
                f"  {peer.name}, {workload}: tried again after {str(error)[-300:]}", style="dim", markup=False
            )
    return _measure(server, workload, f"{name}-{TRIES_MAX}", seconds, peer.reconnect)


def _measure(server: Running, workload: str, name: str, seconds: float, reconnect: bool = False) -> Outcome:
    """One run on a queue of its own; afterwards the queue is counted. Raises WrongAnswerError, VoidRunError."""
    url = server.queue(name)
    outcome = generate(
        Job(
            port=server.port,
            workload=workload,
            queue_url=url,
            seconds=seconds,
            server_pid=server.pid,
            reconnect=reconnect,
        )
    )
    control = server.control()
    try:
        stored = control.stored(url)
    finally:
        control.close()
    if stored != outcome.sent - outcome.deleted:
        raise WrongAnswerError(f"{outcome.sent} sent, {outcome.deleted} deleted, but {stored} are there")
    return outcome


def _figure(peer: Peer, release: str, workload: str, pairs: list[tuple[Outcome, Outcome]]) -> Figure:
    ratios = [ours.requests_a_second / theirs.requests_a_second for ours, theirs in pairs]
    costs = [ratio * pair[1].server_busy / pair[0].server_busy for ratio, pair in zip(ratios, pairs, strict=True)]
    rates = [statistics.median(pair[side].requests_a_second for pair in pairs) for side in (0, 1)]
    detail = f"{rates[0]:,.0f}/s beside {rates[1]:,.0f}/s of release {release}; cost {statistics.median(costs):.1f}"
    return figure(
        f"fsync: encola over {peer.name}: {WORKLOADS[workload]}", "times", ratios, bar=peer.bar, detail=detail
    )


def _tell(peer: Peer, workload: str, ours: Outcome, theirs: Outcome) -> None:
    console.print(
        f"  {peer.name}, {workload}: {theirs.requests_a_second:,.0f}/s, encola {ours.requests_a_second:,.0f}/s,"
        f" {ours.requests_a_second / theirs.requests_a_second:.1f} times",
        style="dim",
        highlight=False,
    )
