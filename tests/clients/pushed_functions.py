"""The functions of the mappings' tests: they note each event in a file, and do what the messages say."""

import json
import os
import time
from pathlib import Path
from typing import Any

JOURNAL = Path(os.environ.get("JOURNAL", os.devnull))


def noting(event: Any, context: Any) -> Any:
    """Notes the event, then obeys: a body as ``{"do": "raise", "until": 2}`` is obeyed in its first two receives."""
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps(event) + "\n")
    failures = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
        except ValueError:
            continue
        if int(record["attributes"]["ApproximateReceiveCount"]) > order.get("until", 1):
            continue
        what = order.get("do")
        if what == "raise":
            raise ValueError("told to")
        if what == "crash":
            os._exit(9)
        if what == "sleep":
            time.sleep(order["seconds"])
        if what == "report":
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
