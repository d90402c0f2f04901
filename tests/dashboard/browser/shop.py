"""A shop under load: a real server with producers, consumers, workers and a pushed function, all of them at work.

orders            plain SQS messages; every ninth is broken, is received three times, and ends on orders-dead
bookings.fifo     an ordered queue, two customers
reports, mails, invoices    jobs of real worker processes; some fail, and end on mails-dead and invoices-dead
uploads           messages that the server pushes to a function
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ...process import ENCOLA, KEY_OPTIONS, ServerProcess, clean_environment, client
from . import shop_tasks

ROOT = Path(__file__).resolve().parents[3]
TASKS = "tests.dashboard.browser.shop_tasks"
ACCOUNT = "000000000000"
ROUND_SECONDS = 0.1
STOP_SECONDS_MAX = 30.0
PATIENCE_SECONDS = 30.0

Found = TypeVar("Found")
Step = Callable[[int], None]
Role = Callable[[], Step]

CONFIGURATION = f"""
[development]
relaxed = true

[[functions]]
name = "thumbnails"
target = "python:{TASKS}:thumbnails"
timeout = 10
directory = "{{root}}"

[[queues]]
name = "uploads"

[[mappings]]
queue = "uploads"
function = "thumbnails"
batch_size = 5
report_batch_item_failures = true
{{more}}
"""

CUSTOMERS = ("blue", "green", "red", "yellow")


class Shop:
    """See the module. ``sqs`` is a client for tests that look at what the pages did, or do something behind them."""

    CONFIGURED = ""
    """More of the server's configuration."""

    def __init__(self, directory: Path, workers: int = 1) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "encola.toml"
        file.write_text(CONFIGURATION.format(root=ROOT, more=self.CONFIGURED))
        self.server = ServerProcess(directory, "--config", str(file))
        self._log = directory / "workers.log"
        self._names = count(1)
        self._workers = workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self.failures: list[str] = []
        self._mapping = ""
        self.sqs: Any = None

    # What tests use -----------------------------------------------------------------------------------

    def queue(self, name: str = "", **attributes: str) -> str:
        """The name of a queue of the test's own, or of one with this name."""
        name = name or f"test-{next(self._names)}" + (".fifo" if "FifoQueue" in attributes else "")
        self.sqs.create_queue(QueueName=name, Attributes=attributes)
        return name

    def url(self, name: str) -> str:
        return f"{self.server.url}/{ACCOUNT}/{name}"

    def arn(self, name: str) -> str:
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def with_dead_letters(self, receives: int = 1) -> tuple[str, str]:
        """A queue and its dead-letter queue."""
        dead = self.queue()
        rule = json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": receives})
        return self.queue(RedrivePolicy=rule), dead

    def send(self, name: str, *bodies: str, **more: Any) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url(name), MessageBody=body, **more)

    def receive(self, name: str, **more: Any) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.url(name), MaxNumberOfMessages=10, **more)
        return list(found.get("Messages", ()))

    def attributes(self, name: str) -> dict[str, str]:
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=["All"])
        return dict(found["Attributes"])

    def twin(self, path: str) -> Any:
        """The JSON of a page."""
        request = urllib.request.Request(self.server.url + path, headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def until(self, found: Callable[[], Found]) -> Found:
        """Waits until something is found."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (one := found()):
            assert time.monotonic() < end, f"it did not happen; the workers said:\n{self._log.read_text()[-3000:]}"
            time.sleep(0.05)
        return one

    def mapping(self) -> str:
        """The UUID of a mapping that is not declared: it can be changed. It is made when first asked for."""
        if not self._mapping:
            made = self.functions.create_event_source_mapping(
                EventSourceArn=self.arn(self.queue("albums")), FunctionName="thumbnails", Enabled=True
            )
            self._mapping = str(made["UUID"])
            self.until(lambda: self.twin(f"/ui/mappings/{self._mapping}")["mapping"]["state"] == "Enabled")
        return self._mapping

    @property
    def functions(self) -> Any:
        """A client for the mappings."""
        return boto3.client("lambda", endpoint_url=self.server.url, region_name="us-east-1", **KEY_OPTIONS)

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One more worker process. It ends with the shop."""
        command = [ENCOLA, "work", f"{TASKS}:app", "--endpoint", self.server.url, "--grace", "1", *arguments]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=log, stderr=log)
        self._processes.append(process)
        return process

    # The load -----------------------------------------------------------------------------------------

    def start(self) -> "Shop":
        """Returns when everything is at work, and has its queues; not much has happened yet."""
        self.server.start()
        self.sqs = client(self.server.url, retries=3)
        self.queue("orders-dead")
        rule = json.dumps({"deadLetterTargetArn": self.arn("orders-dead"), "maxReceiveCount": 3})
        self.queue("orders", RedrivePolicy=rule, VisibilityTimeout="30")
        self.queue("bookings.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        for _ in range(self._workers):
            self.worker("--concurrency", "4")
        for role in self.roles():
            thread = threading.Thread(target=self._again_and_again, args=(role(),), name=role.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()
        self.until(self._is_open)
        return self

    def _is_open(self) -> bool:
        queues = {one["standing"]["name"] for one in self.twin("/")["rows"]}
        return {"reports-dead", "mails-dead", "invoices-dead"} <= queues

    def roles(self) -> Sequence[Role]:
        """Who is at work besides workers and function: each makes a step, which a thread takes again and again."""
        return (self._produce, self._ask, self._consume, self._serve_bookings)

    def stop(self) -> None:
        """Ends all of them: threads, workers, server."""
        self._closing.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS_MAX)
            process.kill()
            process.wait()
        self.server.stop()

    def __enter__(self) -> "Shop":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.server.kill()

    def _again_and_again(self, step: Step) -> None:
        for number in count():
            if self._closing.wait(ROUND_SECONDS):
                return
            try:
                step(number)
            except (BotoCoreError, ClientError) as error:
                self.failures.append(str(error))

    def _produce(self) -> Step:
        sqs = client(self.server.url, retries=3)

        def step(number: int) -> None:
            customer = CUSTOMERS[number % len(CUSTOMERS)]
            order = {"order": 1000 + number, "customer": customer, "total": 19.9 + number % 50}
            body = "{broken" if number % 9 == 4 else json.dumps(order)
            said = {"customer": {"DataType": "String", "StringValue": customer}}
            sqs.send_message(QueueUrl=self.url("orders"), MessageBody=body, MessageAttributes=said)
            seat = json.dumps({"seat": number})
            sqs.send_message(QueueUrl=self.url("bookings.fifo"), MessageBody=seat, MessageGroupId=CUSTOMERS[number % 2])
            picture = f"picture-{number}.jpg" if number % 20 != 7 else f"broken-{number}.jpg"
            sqs.send_message(QueueUrl=self.url("uploads"), MessageBody=json.dumps({"key": picture}))

        return step

    def _ask(self) -> Step:
        app = shop_tasks.shop(self.server.url)

        def step(number: int) -> None:
            address = f"customer{number}@nowhere.example" if number % 11 == 3 else f"customer{number}@shop.example"
            app.tasks["mail"].send(number, address)
            app.tasks["invoice"].send(number, -1.0 if number % 13 == 5 else 20.0)
            if number % 40 == 0:
                app.tasks["report"].send(f"{2020 + number // 480}-{number // 40 % 12 + 1:02}", 20)

        return step

    def _consume(self) -> Step:
        sqs = client(self.server.url, retries=3)

        def step(number: int) -> None:
            for message in _received(sqs, self.url("orders")):
                handle = message["ReceiptHandle"]
                if message["Body"].startswith("{broken"):
                    sqs.change_message_visibility(
                        QueueUrl=self.url("orders"), ReceiptHandle=handle, VisibilityTimeout=0
                    )
                else:
                    sqs.delete_message(QueueUrl=self.url("orders"), ReceiptHandle=handle)

        return step

    def _serve_bookings(self) -> Step:
        sqs = client(self.server.url, retries=3)

        def step(number: int) -> None:
            for message in _received(sqs, self.url("bookings.fifo")):
                sqs.delete_message(QueueUrl=self.url("bookings.fifo"), ReceiptHandle=message["ReceiptHandle"])

        return step


def _received(sqs: Any, url: str) -> Sequence[dict[str, Any]]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return list(found.get("Messages", ()))


if __name__ == "__main__":  # to look around by hand: python -m tests.dashboard.browser.shop DIRECTORY
    with Shop(Path(sys.argv[1])) as one:
        sys.stdout.write(f"{one.server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
