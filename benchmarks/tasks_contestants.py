"""Which frameworks take part in the task benchmarks, and with which settings: each is measured with its best one.

All acknowledge a message after its task (Huey cannot), keep no results, and have one worker process on an event loop
or with threads of its choice (and what a framework starts beside it). Workers log warnings only.
"""

from typing import NamedTuple

PEERS = "benchmarks.task_peers"


class Setting(NamedTuple):
    """A worker's command line (a program of this Python's environment and its arguments) and a way to send."""

    name: str
    worker: tuple[str, ...]
    sender: str
    environment: tuple[tuple[str, str], ...] = ()


class Contestant(NamedTuple):
    """``tasks`` that do nothing take it about three seconds. ``one``: the sender of a single task."""

    name: str
    package: str
    module: str
    server: str
    tasks: int
    settings: tuple[Setting, ...]
    one: str = "in turn"


def _encola(concurrency: int, sender: str) -> Setting:
    command = ("encola", "work", f"{PEERS}.on_encola:app", "--concurrency", str(concurrency))
    return Setting(f"--concurrency {concurrency}, {sender}", command, sender)


def _celery(pool: str, prefetch: int, sender: str) -> Setting:
    options = ("--pool", *pool.split(), "--prefetch-multiplier", str(prefetch), "--loglevel", "WARNING")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    command = ("celery", "--app", f"{PEERS}.on_celery", "worker", *options, *quiet)
    return Setting(f"--pool {pool}, prefetch {prefetch}, sent {sender}", command, sender)


def _dramatiq(threads: int, prefetch: int, sender: str) -> Setting:
    command = ("dramatiq", f"{PEERS}.on_dramatiq", "--processes", "1", "--threads", str(threads))
    environment = (("dramatiq_queue_prefetch", str(prefetch)),)
    return Setting(f"{threads} threads, prefetch {prefetch}, sent {sender}", command, sender, environment)


def _rq(worker: str) -> Setting:
    command = ("rq", "worker", "--quiet", "--worker-class", f"rq.worker.{worker}", "--url", "{server}", "{queue}")
    return Setting(f"{worker}, enqueue_many", command, "enqueue_many")


def _taskiq(concurrency: int, prefetch: int, queue_type: str = "", sender: str = "gather") -> Setting:
    command = ("taskiq", "worker", f"{PEERS}.on_taskiq:broker", "--workers", "1", "--log-level", "WARNING")
    more = ("--max-async-tasks", str(concurrency))
    environment = (("BENCH_PREFETCH", str(prefetch)), ("BENCH_QUEUE_TYPE", queue_type or "classic"))
    name = f"{concurrency} tasks at a time, prefetch {prefetch}" + (f", {queue_type} queue" if queue_type else "")
    return Setting(name, (*command, *more), sender, environment)


def _huey(workers: int) -> Setting:
    command = ("huey_consumer", f"{PEERS}.on_huey.huey", "--quiet", "--workers", str(workers), "--delay", "0.01")
    return Setting(f"{workers} threads", command, "in turn")


# At concurrency 100, for tasks that wait.

WAITING = (
    Contestant("encola without records", "encola", "on_encola", "encola", 30_000, (_encola(100, "pauses"),)),
    Contestant("encola with records", "encola", "on_encola", "encola", 20_000, (_encola(100, "pauses, tracked"),)),
    Contestant(
        "Taskiq on RabbitMQ",
        "taskiq",
        "on_taskiq",
        "RabbitMQ",
        20_000,
        (_taskiq(100, 200, "classic", "pauses"), _taskiq(100, 100, "classic", "pauses")),
    ),
    Contestant("Taskiq on Redis", "taskiq", "on_taskiq", "Redis", 15_000, (_taskiq(100, 100, sender="pauses"),)),
)

# Tasks that do nothing.

UNTRACKED = Contestant(
    "encola without records",
    "encola",
    "on_encola",
    "encola",
    12_000,
    (_encola(100, "send_many"), _encola(400, "send_many"), _encola(32, "send_many, in threads")),
)
TRACKED = Contestant(
    "encola with records",
    "encola",
    "on_encola",
    "encola",
    8_000,
    (_encola(100, "send_many, tracked"), _encola(400, "send_many, tracked")),
    "in turn, tracked",
)
CELERY = (
    _celery("solo", 200, "threads"),
    _celery("threads --concurrency 4", 50, "threads"),
    _celery("prefork --concurrency 1", 200, "in turn"),
)
OTHERS = (
    Contestant("Celery on RabbitMQ", "celery", "on_celery", "RabbitMQ", 4_000, CELERY),
    Contestant("Celery on Redis", "celery", "on_celery", "Redis", 1_000, CELERY),
    Contestant(
        "Dramatiq on RabbitMQ",
        "dramatiq",
        "on_dramatiq",
        "RabbitMQ",
        6_000,
        (_dramatiq(8, 200, "threads"), _dramatiq(1, 200, "threads"), _dramatiq(8, 16, "in turn")),
    ),
    Contestant("RQ on Redis", "rq", "on_rq", "Redis", 400, (_rq("SimpleWorker"), _rq("Worker"))),
    Contestant(
        "Taskiq on RabbitMQ",
        "taskiq",
        "on_taskiq",
        "RabbitMQ",
        10_000,
        (_taskiq(100, 200, "classic"), _taskiq(1000, 2000, "classic"), _taskiq(100, 200, "quorum")),
        "gather",
    ),
    Contestant(
        "Taskiq on Redis",
        "taskiq",
        "on_taskiq",
        "Redis",
        6_000,
        (_taskiq(100, 100), _taskiq(1000, 1000)),
        "gather",
    ),
    Contestant("Huey on SQLite", "huey", "on_huey", "SQLite", 4_000, (_huey(1), _huey(4))),
)
