"""A FIFO queue with 100,000 messages behind one locked group: how much does it slow the other groups?

Two servers take turns at ``ordered_mix`` (send, receive, delete in a thousand groups): one where nothing else waits,
and one where a consumer holds the first messages of a group that has 100,000 more.
"""

from benchmarks.job import Job
from benchmarks.results import Result
from benchmarks.run import Settings, generate
from benchmarks.servers import Running, encola, remove
from benchmarks.turns import Side, compare
from benchmarks.wire import WrongAnswerError

MESSAGES = 100_000
LOCK_SECONDS = 12 * 60 * 60
FILL_SECONDS_MAX = 600
RATE_BAR = 0.8


def run(settings: Settings) -> Result:
    locked, plain = settings.scratch / "locked", settings.scratch / "plain"
    try:
        with encola(locked) as locked_server, encola(plain) as plain_server:
            url = locked_server.queue("locked.fifo", FifoQueue="true")
            _lock(locked_server, url)
            one = compare(
                settings,
                "fsync: FIFO send, receive, delete beside a locked group, over without",
                "ordered_mix",
                burdened=Side(locked_server, url),
                free=Side(plain_server, plain_server.queue("plain.fifo", FifoQueue="true")),
                bar=RATE_BAR,
            )
    finally:
        remove(locked)
        remove(plain)
    return Result(benchmark="ordered", title=f"FIFO: {MESSAGES:,} messages behind one locked group", figures=[one])


def _lock(server: Running, url: str) -> None:
    generate(Job(port=server.port, workload="lock_fill", queue_url=url, seconds=FILL_SECONDS_MAX, messages=MESSAGES))
    control = server.control()
    try:
        answer = control.call("ReceiveMessage", QueueUrl=url, VisibilityTimeout=LOCK_SECONDS)
        if len(answer.get("Messages", ())) != 1 or control.stored(url) != MESSAGES:
            raise WrongAnswerError("the group is not locked, or not full")
    finally:
        control.close()
