"""The heavy operation of the back office, as a task: one function, pulled by workers or pushed like Lambda.

Workers are started with ``encola work examples.back_office.tasks:app``; ``handler`` is what an event source mapping
calls.
"""

import os
from pathlib import Path
from typing import Any

import encola
from examples.back_office import flights
from examples.back_office.diary import Diary
from examples.back_office.ledger import Ledger, insert

LEASE_SECONDS = 4  # so that the work of a dead worker is soon taken over

app = encola.App("back-office", lease=LEASE_SECONDS)
ledger = Ledger(Path(os.environ.get("OFFICE_LEDGER", "office.db")))
understands_words = os.environ.get("OFFICE_VERSION", "1") >= "2"

if "OFFICE_DIARY" in os.environ:  # what the example tells of, and a real office would not need
    app.middleware.append(Diary(Path(os.environ["OFFICE_DIARY"])))


@app.task(queue="reports", key="{request}", timeout=60, retries=3)
def report(request: str, route: str, way: str) -> dict[str, Any]:
    """Makes a report and puts it into the ledger: once, whatever happens to workers and server meanwhile."""
    if understands_words:
        route = route.replace(" to ", "-")
    try:
        made = flights.make_report(flights.load_delays(), route)
    except flights.UnknownRouteError as error:
        raise encola.Permanent(str(error)) from error
    with ledger.transaction() as db, app.once(db, request):
        insert(db, request, way, made)
    return made


handler = app.lambda_handler()
