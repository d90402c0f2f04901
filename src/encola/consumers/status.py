"""A worker's own page for probes: is it alive, what does it run. Off unless a port is asked for; loopback only.

GET /live       200 while the last successful poll is recent, else 503: restart me
GET /status     JSON: name, seconds since the last poll, jobs done, what runs
GET /metrics    Prometheus: the worker's own values and what ``encola.prometheus.Counters`` counted (needs the extra)
"""

import os
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from encola.consumers.worker import Worker

HOST = "127.0.0.1"
SILENT_SECONDS_MAX = 90.0
"""A long poll ends after 20 seconds at the latest: who has not polled for this time does not work any more."""

RUNNING_MAX = 1000


class StatusPage:
    """See the module."""

    def __init__(self, worker: "Worker", silent: float = SILENT_SECONDS_MAX) -> None:
        self._worker = worker
        self._silent = silent
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def open(self, port: int) -> int:
        """Listens; answers the port. Raises OSError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        seconds = self._worker.liveness.seconds
        text = f"last successful poll {seconds:.1f} s ago\n"
        return web.Response(status=200 if seconds < self._silent else 503, text=text)

    async def _status(self, request: web.Request) -> web.Response:
        worker = self._worker
        told = {
            "worker": worker.name,
            "app": worker.app.name,
            "pid": os.getpid(),
            "queues": worker.queues,
            "seconds_since_last_poll": round(worker.liveness.seconds, 3),
            "jobs_done": worker.jobs_done,
            "running": msgspec.to_builtins(list(worker.running)[:RUNNING_MAX]),
        }
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        try:
            from prometheus_client import CONTENT_TYPE_LATEST

            from encola.consumers.counters import exposition
        except ImportError:
            return web.Response(status=501, text="install encola[prometheus]\n")
        return web.Response(body=exposition(self._worker), headers={"Content-Type": CONTENT_TYPE_LATEST})
