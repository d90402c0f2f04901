"""Heavy work inside a request, and asked for: what a user waits for. ``python -m examples.tour.asynchrony``"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import encola
from examples.tour.stage import Stage, saw, step, title, why

WORK_SECONDS = 0.3
MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")
UNLUCKY = "2026-03"

app = encola.App("tour-asynchrony")


def make_report(month: str, attempt: int) -> str:
    """The heavy operation. One of its attempts fails, as things do."""
    time.sleep(WORK_SECONDS)
    if month == UNLUCKY and attempt == 1:
        raise ConnectionError("the database was away for a moment")
    return f"the report of {month}"


@app.task(queue="reports", backoff=encola.Backoff(base=0.1))
def report(month: str) -> str:
    return make_report(month, encola.current_job().attempt)


def timed(call: Callable[..., Any], *arguments: object) -> tuple[Any, float]:
    """What a call answered, and the seconds that it took."""
    began = time.monotonic()
    try:
        answer = call(*arguments)
    except ConnectionError as error:
        answer = error
    return answer, time.monotonic() - began


def main() -> None:
    title("Asynchrony", "Who asks for heavy work need not wait for it, and need not be there when it is done.")
    with Stage() as stage:
        step(1, f"{len(MONTHS)} users ask for a report each. The work of {WORK_SECONDS} s is done inside the request.")
        inside = [timed(make_report, month, 1) for month in MONTHS]
        errors = [answer for answer, _ in inside if isinstance(answer, ConnectionError)]
        waited_inside = median(seconds for _, seconds in inside)
        saw(f"A user waited {waited_inside * 1000:.0f} ms (the median); {len(errors)} of them got an error page.")
        assert len(errors) == 1
        assert waited_inside >= WORK_SECONDS
        why("The request is the work: it takes as long, and it fails when the work fails.")

        step(2, "Now the request only puts a message on a queue (report.send) and answers. No worker runs yet.")
        stage.sqs.create_queue(QueueName="reports")
        began = time.monotonic()
        asked = [timed(report.send, month) for month in MONTHS]
        waited = median(seconds for _, seconds in asked)
        jobs = [job for job, _ in asked]
        saw(f"A user waited {waited * 1000:.1f} ms and got a job id. Reports made so far: 0.")
        assert {job.status() for job in jobs} == {"queued"}
        assert waited < waited_inside
        why("The message is on the server's disk when send() returns. Nobody has to be there to take it.")

        step(3, "A worker starts, in another process. The users' jobs are still there.")
        stage.start_worker("examples.tour.asynchrony:app")
        results = [job.result(timeout=60) for job in jobs]
        took = time.monotonic() - began
        attempts = [job.record().attempts for job in jobs]
        saw(f"All {len(results)} reports were made, {took:.1f} s after they were asked for. Attempts: {attempts}.")
        assert results == [f"the report of {month}" for month in MONTHS]
        assert attempts == [2 if month == UNLUCKY else 1 for month in MONTHS]
        assert took > WORK_SECONDS
        why(
            "The work did not become faster: what became fast is the answer. An error is tried again where no user "
            "sees it. The price: a user has a job id at first, and must learn of the result later."
        )
    app.close()


if __name__ == "__main__":
    main()
