"""The main job, from beginning to end: what a queue does for a back office, with everything that can go wrong.

1. Users ask for reports, and each waits until theirs is made.
2. They ask again, through the queue. Two pull workers make the reports. One is killed at work; then the server is
killed,
   and started anew. A few users ask for what the workers do not understand: that goes to the dead-letter queue.
3. The workers go home. A newer version of the same function is pushed the messages, as AWS Lambda would be; one of its
   processes is killed at work. The dead letters are redriven to it: it understands them.

Ends with a table and exit status 0; or 1, if a promise was broken: every request that was answered has its report,
once.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.back_office.flights import busy_routes, load_delays
from examples.back_office.ledger import Ledger
from examples.back_office.staff import Staff, wait_for
from examples.back_office.users import Wish, ask, quantile

REQUESTS = 60
POISONED = 6
WORKERS = 2
QUEUE = "reports"
DEAD_LETTERS = "reports-dead"
WAYS = ("users wait", "pull workers", "pushed functions")
REDRIVEN = "redriven"

console = Console()


class Story:
    """The steps, each with its progress, and what they found out."""

    def __init__(self, staff: Staff, progress: Progress) -> None:
        self.staff = staff
        self.progress = progress
        self.ledger = Ledger(staff.directory / "office.db").create()
        routes = busy_routes(load_delays())
        self.wishes: dict[str, list[Wish]] = {
            way: [(f"{way.split()[0]}-{n}", routes[n % len(routes)], way) for n in range(REQUESTS)] for way in WAYS
        }
        self.wishes[REDRIVEN] = [(f"poisoned-{n}", routes[n].replace("-", " to "), REDRIVEN) for n in range(POISONED)]
        self.server = staff.start_server()
        retries = Config(retries={"mode": "standard", "total_max_attempts": 6})  # a server that restarts is no reason
        self.sqs = boto3.client("sqs", config=retries)
        self.functions = boto3.client("lambda", config=retries)
        self.office = staff.start_office()

    def users_wait(self) -> list[float]:
        task = self.progress.add_task("1. users ask, and wait for their reports", total=REQUESTS)
        return ask(self.office, "/sync", self.wishes[WAYS[0]], lambda: self.progress.advance(task))

    def pull(self) -> list[float]:
        """Asked through the queue, made by workers."""
        task = self.progress.add_task("2. through the queue, to pull workers", total=REQUESTS)
        workers = self.staff.start_workers(WORKERS, version=1)  # they make the queues, too
        wait_for(lambda: self._exists(QUEUE), "the workers' queue")
        mixed = self._mixed(self.wishes[WAYS[1]], self.wishes[REDRIVEN])
        waited = ask(self.office, "/queue", mixed, lambda: None)
        self._made(task, WAYS[1], REQUESTS // 3)
        killed = self.staff.kill_at_work()
        self.say(f"a worker was killed while it worked on {killed}")
        workers += self.staff.start_workers(1, version=1)
        self._made(task, WAYS[1], REQUESTS * 2 // 3)
        self.server.kill()
        self.server.wait()
        self.say("the server was killed; it starts anew on its data")
        self.server = self.staff.start_server()
        self._made(task, WAYS[1], REQUESTS)
        wait_for(lambda: self.held(QUEUE) == 0, "an empty queue")
        self.staff.stop(workers)
        return waited

    def push(self) -> list[float]:
        """Asked through the same queue, made by functions that the server calls."""
        task = self.progress.add_task("3. through the queue, to pushed functions", total=REQUESTS)
        arn = self._arn(QUEUE)
        self.functions.create_event_source_mapping(
            FunctionName="make-report",
            EventSourceArn=arn,
            BatchSize=1,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        waited = ask(self.office, "/queue", self.wishes[WAYS[2]], lambda: None)
        self._made(task, WAYS[2], REQUESTS // 2)
        self.say(f"a function's process was killed while it worked on {self.staff.kill_at_work()}")
        self._made(task, WAYS[2], REQUESTS)
        return waited

    def redrive(self) -> int:
        """The dead letters go to who understands them; answers how many."""
        task = self.progress.add_task("4. what nobody understood is redriven", total=POISONED)
        arn = self._arn(DEAD_LETTERS)
        self.sqs.start_message_move_task(SourceArn=arn)
        wait_for(lambda: self._move(arn)["Status"] == "COMPLETED", "the redrive")
        self._made(task, REDRIVEN, POISONED)
        wait_for(lambda: self.held(QUEUE) == 0, "an empty queue")
        moved: int = self._move(arn)["ApproximateNumberOfMessagesMoved"]
        return moved

    # Helpers ------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self.progress.console.print(f"   {text}")

    def held(self, queue: str) -> int:
        """Messages on a queue: ready, in flight, delayed."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return sum(map(int, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))

    def _exists(self, queue: str) -> bool:
        return bool(self.sqs.list_queues(QueueNamePrefix=queue).get("QueueUrls"))

    def _arn(self, queue: str) -> str:
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        arn: str = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return arn

    def _move(self, arn: str) -> dict[str, Any]:
        newest: dict[str, Any] = self.sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
        return newest

    def _mixed(self, wishes: list[Wish], others: list[Wish]) -> list[Wish]:
        mixed = list(wishes)
        step = len(wishes) // len(others)
        for number, other in enumerate(others):
            mixed.insert(number * (step + 1), other)
        return mixed

    def _made(self, task: Any, way: str, count: int) -> None:
        def enough() -> bool:
            made = len(set(self.ledger.rows(way)))
            self.progress.update(task, completed=made)
            return made >= count

        wait_for(enough, f"{count} reports")


def tell(story: Story) -> dict[str, Any]:
    """Runs the steps, and counts."""
    waited = {WAYS[0]: story.users_wait(), WAYS[1]: story.pull()}
    dead_lettered = story.held(DEAD_LETTERS)
    waited[WAYS[2]] = story.push()
    redriven = story.redrive()
    made = {way: story.ledger.rows(way) for way in (*WAYS, REDRIVEN)}
    asked = {wish[0] for wishes in story.wishes.values() for wish in wishes}
    reports = [request for rows in made.values() for request in rows]
    return {
        "waited": waited,
        "made": made,
        "began again": sum(line["attempt"] > 1 for line in story.staff.diary("began")),
        "dead-lettered": dead_lettered,
        "redriven": redriven,
        "lost": len(asked - set(reports)) + story.held(QUEUE) + story.held(DEAD_LETTERS),
        "doubled": len(reports) - len(set(reports)),
    }


def broken_promises(facts: dict[str, Any]) -> list[str]:
    """What must hold at the end, and does not."""
    median = {way: quantile(seconds, 0.5) for way, seconds in facts["waited"].items()}
    checks = {
        "a request that was answered has no report": facts["lost"] == 0,
        "a report was put into the ledger twice": facts["doubled"] == 0,
        "not exactly the poisoned requests were dead-lettered": facts["dead-lettered"] == POISONED,
        "not all dead letters were redriven": facts["redriven"] == POISONED,
        "no work was begun again, though processes were killed at work": facts["began again"] >= 1,
        "the queue's answers came no sooner": max(median[WAYS[1]], median[WAYS[2]]) < median[WAYS[0]],
    }
    return [promise for promise, held_true in checks.items() if not held_true]


def result_table(facts: dict[str, Any]) -> Table:
    table = Table(title="The back office", title_justify="left")
    for column in ("", *WAYS):
        table.add_column(column, justify="right" if column else "left")

    def milliseconds(share: float) -> list[str]:
        return [f"{quantile(facts['waited'][way], share) * 1000:,.0f} ms" for way in WAYS]

    table.add_row("answered in, p50", *milliseconds(0.5))
    table.add_row("answered in, p99", *milliseconds(0.99))
    table.add_row("reports asked for", *(str(REQUESTS) for _ in WAYS))
    table.add_row("reports made", *(str(len(facts["made"][way])) for way in WAYS))
    for name, way in (("dead-lettered", 1), ("redriven", 2)):
        table.add_row(name, *(str(facts[name]) if index == way else "-" for index in range(len(WAYS))))
    table.add_row("lost, doubled", "-", *(f"{facts['lost']}, {facts['doubled']}" for _ in WAYS[1:]))
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
        console.print(f"Nothing was lost and nothing done twice, in {time.monotonic() - began:.0f} s.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
