"""A consumer: receives a wish, makes the report, puts it on the shelf, deletes the message. In this order.

If it dies in between, the message comes back after its visibility timeout and another consumer does the work again; the
shelf sees to it that this has no second effect. A wish that cannot be fulfilled is not deleted either: it comes back
until the queue moves it to the dead-letter queue.

The first version knows routes as ``JFK-LAX`` only. Version 2 also understands ``JFK to LAX``.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from botocore.exceptions import BotoCoreError, ClientError

from examples.back_office import flights
from examples.back_office.desk import QUEUE, Shelf, sqs_client

RETRY_SECONDS = 1


class Consumer:
    def __init__(self, shelf: Shelf, diary: TextIO, version: int) -> None:
        self._shelf = shelf
        self._diary = diary
        self._version = version
        self._delays = flights.load_delays()
        self._sqs = sqs_client()
        self.stopping = False

    def run(self) -> None:
        """Until somebody sets ``stopping``."""
        queue = self._sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        self._note("ready", "", 0)
        while not self.stopping:
            try:
                for message in self._receive(queue):
                    self._work(queue, message)
            except (BotoCoreError, ClientError):  # the server is away: what was acknowledged will still be there
                time.sleep(0.2)

    def _receive(self, queue: str) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=queue, WaitTimeSeconds=1, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _work(self, queue: str, message: dict[str, Any]) -> None:
        wish = json.loads(message["Body"])
        received = int(message["Attributes"]["ApproximateReceiveCount"])
        receipt = message["ReceiptHandle"]
        self._note("began", wish["id"], received)
        try:
            report = flights.make_report(self._delays, self._route(wish["route"]))
        except flights.UnknownRouteError:
            self._note("failed", wish["id"], received)
            self._sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=RETRY_SECONDS)
            return
        new = self._shelf.put(wish["id"], report)
        self._sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)
        self._note("made" if new else "known", wish["id"], received)

    def _route(self, text: str) -> str:
        return text.replace(" to ", "-") if self._version >= 2 else text

    def _note(self, event: str, request_id: str, received: int) -> None:
        line = {"event": event, "id": request_id, "received": received, "pid": os.getpid()}
        self._diary.write(json.dumps(line) + "\n")
        self._diary.flush()


def main(shelf: Shelf, diary: TextIO, version: int) -> None:
    consumer = Consumer(shelf, diary, version)
    signal.signal(signal.SIGTERM, lambda *_: setattr(consumer, "stopping", True))
    consumer.run()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a") as diary:
        main(Shelf(Path(sys.argv[1])), diary, int(sys.argv[3]))
