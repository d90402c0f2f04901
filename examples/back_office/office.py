"""The web application of the back office, with both ways to answer a user.

    POST /sync   {"id": ..., "route": ...}    makes the report while the user waits
    POST /queue  {"id": ..., "route": ...}    notes the wish on a queue, and answers at once

It makes reports in two processes, as many as the example has consumers: both ways have the same hands.
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
from examples.back_office.desk import QUEUE, Shelf, sqs_client

PROCESSES = 2


def _report(route: str) -> dict[str, Any]:
    return flights.make_report(flights.load_delays(), route)


class Office(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # all users may come at once


def handler_of(actions: dict[str, Callable[[bytes], int]]) -> type[BaseHTTPRequestHandler]:
    """A handler that answers POSTs by path; an action takes the body and answers the status."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(actions[self.path](body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Not a line for each request."""

    return Handler


def main(port_file: Path, shelf: Shelf) -> None:
    sqs = sqs_client()
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    with ProcessPoolExecutor(PROCESSES, initializer=flights.load_delays) as pool:
        list(pool.map(_report, ["LGA-MDW"] * PROCESSES))  # loads the data before the first user comes

        def sync(body: bytes) -> int:
            wish = json.loads(body)
            shelf.put(wish["id"], pool.submit(_report, wish["route"]).result())
            return 200

        def enqueue(body: bytes) -> int:
            sqs.send_message(QueueUrl=queue, MessageBody=body.decode())
            return 202

        server = Office(("127.0.0.1", 0), handler_of({"/sync": sync, "/queue": enqueue}))
        port_file.write_text(str(server.server_port))
        server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # through the end of the pool's block: its processes end, too
    main(Path(sys.argv[1]), Shelf(Path(sys.argv[2])))
