"""The web application of the back office, with both ways to answer a user.

    POST /sync   {"request": ..., "route": ...}              makes the report while the user waits
    POST /queue  {"request": ..., "route": ..., "way": ...}  asks for it, and answers at once

It makes reports in two processes, as many as the example has workers: both ways have the same hands.
"""

import json
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from examples.back_office import flights
from examples.back_office.ledger import insert
from examples.back_office.tasks import ledger, report

PROCESSES = 2


def _report(route: str) -> dict[str, Any]:
    return flights.make_report(flights.load_delays(), route)


class Office(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # all users may come at once


def handler_of(actions: dict[str, Callable[[dict[str, str]], int]]) -> type[BaseHTTPRequestHandler]:
    """A handler that answers POSTs by path; an action takes the wish and answers the status."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(actions[self.path](json.loads(body)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Not a line for each request."""

    return Handler


def main(port_file: Path) -> None:
    with ProcessPoolExecutor(PROCESSES, initializer=flights.load_delays) as pool:
        list(pool.map(_report, ["LGA-MDW"] * PROCESSES))  # loads the data before the first user comes

        def sync(wish: dict[str, str]) -> int:
            made = pool.submit(_report, wish["route"]).result()
            with ledger.transaction() as db:
                insert(db, wish["request"], wish["way"], made)
            return 200

        def enqueue(wish: dict[str, str]) -> int:
            report.send(**wish)
            return 202

        server = Office(("127.0.0.1", 0), handler_of({"/sync": sync, "/queue": enqueue}))
        port_file.write_text(str(server.server_port))
        server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # through the end of the pool's block: its processes end, too
    main(Path(sys.argv[1]))
