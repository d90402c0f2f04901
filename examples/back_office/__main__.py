"""The main job, from beginning to end: what a queue does for a back office, with everything that can go wrong.

1. Users ask for reports, and each waits until theirs is made.
2. They ask again, through the queue. A few ask for something that the consumers do not understand.
3. Two consumers make the reports. One is killed at work; then the server is killed, and started anew.
4. What nobody understood is in the dead-letter queue. Consumers that understand it are put to work: redrive.

Ends with a table and exit status 0; or 1, if a promise was broken: every request that was answered has its report, made
once.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.back_office.desk import DEAD_LETTERS, QUEUE, Shelf, sqs_client
from examples.back_office.flights import busy_routes, load_delays
from examples.back_office.staff import Staff, wait_for
from examples.back_office.users import Wish, ask, quantile

REQUESTS = 60
POISONED = 6
CONSUMERS = 2
RECEIVES_MAX = 2
VISIBILITY_SECONDS = 4

console = Console()


def make_queues(sqs: Any) -> tuple[str, str]:
    """The queue of wishes and its dead-letter queue; answers their URLs."""
    dead = sqs.create_queue(QueueName=DEAD_LETTERS)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES_MAX}),
    }
    return sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"], dead


def held(sqs: Any, queue: str) -> int:
    """Messages on a queue: ready, in flight, delayed."""
    names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))


class Story:
    """The steps, each with its progress, and what they found out."""

    def __init__(self, staff: Staff, progress: Progress) -> None:
        self.staff = staff
        self.progress = progress
        self.sync_shelf = staff.directory / "sync"
        self.shelf = staff.directory / "queued"
        routes = busy_routes(load_delays())
        asked = [routes[number % len(routes)] for number in range(REQUESTS)]
        self.sync_wishes: list[Wish] = [(f"sync-{number}", route) for number, route in enumerate(asked)]
        self.wishes: list[Wish] = [(f"queued-{number}", route) for number, route in enumerate(asked)]
        self.poisoned: list[Wish] = [
            (f"poisoned-{number}", route.replace("-", " to ")) for number, route in enumerate(asked[:POISONED])
        ]
        self.server = staff.start_server()
        self.sqs = sqs_client()
        self.queue, self.dead = make_queues(self.sqs)
        self.office = staff.start_office(self.sync_shelf)

    def ask_and_wait(self) -> list[float]:
        task = self.progress.add_task("1. users ask, and wait for their reports", total=REQUESTS)
        return ask(self.office, "/sync", self.sync_wishes, lambda: self.progress.advance(task))

    def ask_the_queue(self) -> list[float]:
        task = self.progress.add_task("2. users ask through the queue", total=REQUESTS + POISONED)
        step = max(1, REQUESTS // POISONED)
        mixed = list(self.wishes)
        for number, wish in enumerate(self.poisoned):
            mixed.insert(number * (step + 1), wish)
        return ask(self.office, "/queue", mixed, lambda: self.progress.advance(task))

    def consume(self) -> str:
        """Answers the id of the request whose consumer was killed."""
        task = self.progress.add_task("3. consumers make the reports", total=REQUESTS)
        self.consumers = self.staff.start_consumers(CONSUMERS, self.shelf, version=1)
        self._made(task, REQUESTS // 3)
        killed = self.staff.kill_at_work(self.consumers)
        self.progress.console.print(f"   a consumer was killed while it worked on {killed}")
        self.consumers += self.staff.start_consumers(1, self.shelf, version=1)
        self._made(task, REQUESTS * 2 // 3)
        self.server.kill()
        self.server.wait()
        self.progress.console.print("   the server was killed; it starts anew on its data")
        self.server = self.staff.start_server()
        self._made(task, REQUESTS)
        wait_for(lambda: held(self.sqs, self.queue) == 0, "an empty queue")
        return killed

    def redrive(self) -> int:
        """Better consumers take over; answers how many messages went back to them."""
        task = self.progress.add_task("4. what nobody understood is redriven", total=POISONED)
        self.staff.stop(self.consumers)
        self.consumers = self.staff.start_consumers(CONSUMERS, self.shelf, version=2)
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sqs.start_message_move_task(SourceArn=arn)
        wait_for(lambda: self._move(arn)["Status"] == "COMPLETED", "the redrive")
        wait_for(lambda: held(self.sqs, self.queue) == 0, "an empty queue")
        self.progress.update(task, completed=POISONED - len(self.missing()))
        moved: int = self._move(arn)["ApproximateNumberOfMessagesMoved"]
        return moved

    def missing(self) -> set[str]:
        """Requests that were answered and have no report."""
        return {wish for wish, _ in self.wishes + self.poisoned} - Shelf(self.shelf).ids()

    def _move(self, arn: str) -> dict[str, Any]:
        newest: dict[str, Any] = self.sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
        return newest

    def _made(self, task: Any, count: int) -> None:
        def enough() -> bool:
            made = len(Shelf(self.shelf).ids())
            self.progress.update(task, completed=made)
            return made >= count

        wait_for(enough, f"{count} reports")


def broken_promises(facts: dict[str, Any]) -> list[str]:
    """What must hold at the end, and does not."""
    checks = {
        "a request that was answered has no report": facts["lost"] == 0,
        "a report was made from the queue more than once": facts["put twice"] == 0,
        "not exactly the poisoned requests were dead-lettered": facts["dead-lettered"] == POISONED,
        "not all dead letters were redriven": facts["redriven"] == POISONED,
        "the killed consumer's request was not retried": facts["killed retried"],
        "the queue's answers came no sooner": quantile(facts["queued"], 0.5) < quantile(facts["sync"], 0.5),
    }
    return [promise for promise, held_true in checks.items() if not held_true]


def result_table(facts: dict[str, Any]) -> Table:
    table = Table(title="The back office", title_justify="left")
    for column in ("", "users wait", "through the queue"):
        table.add_column(column, justify="left" if not column else "right")

    def milliseconds(which: str, share: float) -> str:
        return f"{quantile(facts[which], share) * 1000:,.0f} ms"

    table.add_row("requests", str(len(facts["sync"])), str(len(facts["queued"])))
    table.add_row("answered in, p50", milliseconds("sync", 0.5), milliseconds("queued", 0.5))
    table.add_row("answered in, p99", milliseconds("sync", 0.99), milliseconds("queued", 0.99))
    table.add_row("reports made", str(facts["sync made"]), str(facts["queued made"]))
    for name in ("retried", "dead-lettered", "redriven", "lost"):
        table.add_row(name, "-", str(facts[name]))
    return table


def main() -> int:
    began = time.monotonic()
    columns = (TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="encola-demo-") as directory,
        Staff(Path(directory)) as staff,
        Progress(*columns, console=console) as progress,
    ):
        facts = tell(Story(staff, progress))
    console.print(result_table(facts))
    broken = broken_promises(facts)
    for promise in broken:
        console.print(f"[bold red]broken:[/] {promise}")
    if not broken:
        console.print(f"Nothing was lost, in {time.monotonic() - began:.0f} s.")
    return 1 if broken else 0


def tell(story: Story) -> dict[str, Any]:
    """Runs the steps, and counts."""
    sync = story.ask_and_wait()
    queued = story.ask_the_queue()
    killed = story.consume()
    dead_lettered = held(story.sqs, story.dead)
    redriven = story.redrive()
    done = story.staff.diary("made", "known")
    return {
        "sync": sync,
        "queued": queued,
        "sync made": len(Shelf(story.sync_shelf).ids()),
        "queued made": len(Shelf(story.shelf).ids()),
        "retried": sum(line["received"] > 1 for line in story.staff.diary("began")),
        "killed retried": any(line["id"] == killed and line["received"] > 1 for line in done),
        "put twice": sum(line["event"] == "made" for line in done) - len({line["id"] for line in done}),
        "dead-lettered": dead_lettered,
        "redriven": redriven,
        "lost": len(story.missing()) + held(story.sqs, story.dead) + held(story.sqs, story.queue),
    }


if __name__ == "__main__":
    sys.exit(main())
