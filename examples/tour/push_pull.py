"""The same function, fetched for by a worker and called by the server. ``python -m examples.tour.push_pull``"""

import os
import time
from typing import Any

import encola
from examples.tour.stage import ROOT, Stage, saw, step, title, wait_for, why

PHOTOS = 20
BATCH = 5
CONFIG = f"""
[[functions]]
name = "make-thumbnail"
target = "python:examples.tour.push_pull:handler"
directory = "{ROOT}"
timeout = 30
"""

app = encola.App("tour-push-pull")
calls: list[int] = []


@app.task(queue="photos", retries=0)
def thumbnail(photo: str) -> list[int]:
    """Answers which process ran it, and in which call of that process's handler (0: in none)."""
    time.sleep(0.01)
    return [os.getpid(), len(calls)]


lambda_handler = app.lambda_handler()


def handler(event: Any, context: Any) -> Any:
    """The application as AWS Lambda would call it, with a batch of messages."""
    calls.append(len(event["Records"]))
    return lambda_handler(event, context)


def ask(first: int) -> tuple[set[int], int]:
    """Asks for thumbnails: which processes made them, and in how many calls of the handler."""
    jobs = thumbnail.send_many((f"photo {number}",) for number in range(first, first + PHOTOS))
    results = [job.result(timeout=60) for job in jobs]
    return {process for process, _ in results}, len({(process, call) for process, call in results if call})


def main() -> None:
    title("Push against pull", "Who makes the first move: the consumer, which asks, or the server, which calls.")
    with Stage(CONFIG) as stage:
        queue = stage.sqs.create_queue(QueueName="photos")["QueueUrl"]

        step(1, f"Pull: a worker (encola work) asks the queue for messages. {PHOTOS} thumbnails are wanted.")
        worker = stage.start_worker("examples.tour.push_pull:app")
        processes, pulled_calls = ask(0)
        saw(f"All were made by {len(processes)} process, the worker. Calls of the handler: {pulled_calls}.")
        assert processes == {worker.pid}
        assert pulled_calls == 0
        why("A worker fetches as much as it has room for. It needs no address, and the server does not know it.")

        step(2, "The worker stops. A message waits; nothing runs.")
        worker.terminate()
        worker.wait()
        waiting = thumbnail.send("a photo that waits")
        saw(f"The queue: {stage.told(queue)}. The job is {waiting.status()}.")
        assert stage.counts(queue)["ready"] == 1

        step(3, "Push: an event source mapping makes the server call the same function, with batches.")
        mapping = stage.functions.create_event_source_mapping(
            FunctionName="make-thumbnail",
            EventSourceArn=stage.arn(queue),
            BatchSize=BATCH,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        pusher, _ = waiting.result(timeout=60)
        saw("The message that waited was done, in a process that the server has started for it.")
        assert pusher not in (worker.pid, os.getpid())

        step(4, f"{PHOTOS} more are wanted. A call may bring up to {BATCH} of them.")
        _, pushed_calls = ask(PHOTOS)
        saw(f"All were made, in {pushed_calls} calls of the handler.")
        assert pushed_calls >= PHOTOS // BATCH
        why("The server receives, calls with a batch, and deletes what went well. It adds processes when needed.")

        step(5, "The mapping is deleted.")
        stage.functions.delete_event_source_mapping(UUID=mapping["UUID"])
        wait_for(lambda: not stage.functions.list_event_source_mappings()["EventSourceMappings"], "the deletion")
        saw(f"The queue: {stage.told(queue)}. The queue itself has not noticed who worked on it.")
        assert sum(stage.counts(queue).values()) == 0
        why("Choose by who should own the process: you (pull) or the platform (push). The function stays the same.")
    app.close()


if __name__ == "__main__":
    main()
