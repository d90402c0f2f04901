"""One worker process: signals, limits of jobs and memory, a status page. What ``encola work`` runs, once or several
times.

Exit statuses tell a supervisor what to do: 0 ended on request, ``EXIT_RENEW`` wants to be started anew (its limit of
jobs or memory was reached), ``EXIT_DISMISSED`` was stopped by an operator and is not to be started anew, anything
else is a failure.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from encola.consumers.app import App
from encola.consumers.ending import end_after, end_in_time
from encola.consumers.errors import ConfigurationError, EncolaError
from encola.consumers.jobstore import JobStoreError
from encola.consumers.transport import RefusedError, TransportError
from encola.consumers.worker import CONCURRENCY_DEFAULT, GRACE_SECONDS, Worker

EXIT_CONFIGURATION = 2
EXIT_UNREACHABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""
EXIT_RENEW = 75
"""EX_TEMPFAIL: start me again."""
EXIT_DISMISSED = 79
"""Told to a supervisor only, which ends with 0 when all its workers have ended so."""

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
LOOK_SECONDS = 1.0
END_MARGIN_SECONDS = 20.0
"""After the grace period: a worker that has not ended by then is ended by force."""

START_SECONDS_MAX = 10.0
"""Between two tries to reach the service at the start."""

_log = logging.getLogger("encola.worker")


class WorkOptions(msgspec.Struct, kw_only=True, frozen=True):
    """What ``encola work`` was told. ``max_memory`` is in MiB; ``status_port`` 0 takes a free one; ``endpoint`` stands
    in place of what the application says.

    A process with a ``supervisor`` (its pid) is told to end by that alone: Ctrl-C in a terminal goes to both of them,
    and must not count twice.
    """

    app: str
    endpoint: str | None = None
    queues: tuple[str, ...] = ()
    concurrency: int = CONCURRENCY_DEFAULT
    grace: float = GRACE_SECONDS
    max_jobs: int | None = None
    max_memory: int | None = None
    status_port: int | None = None
    verbose: bool = False
    supervisor: int | None = None


def command_of(options: WorkOptions) -> list[str]:
    """How a worker process is started, with the interpreter that runs here."""
    return [sys.executable, "-m", "encola.consumers.process", msgspec.json.encode(options).decode()]


def begin_logging(*, verbose: bool) -> None:
    """To the standard error stream; of the application, too: its tasks log here."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logging.getLogger("encola").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def load_app(path: str, endpoint: str | None = None) -> App:
    """The application that ``module:name`` names; ``endpoint`` is its queue service, whatever it says.

    Raises ConfigurationError.
    """
    found = load_named(path, "app")
    if not isinstance(found, App):
        module_name, _, name = path.partition(":")
        raise ConfigurationError(f"{module_name} has no encola.App called {name or 'app'}")
    if endpoint:
        found.reach(endpoint)
    return found


def load_named(path: str, default: str) -> Any:
    """What ``module:name`` names, or None; ``default`` is the name that need not be said. Raises ConfigurationError."""
    module_name, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if not module_name or module_name.startswith("."):
        raise ConfigurationError(f"{path!r} names no module: write it as module:{default}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a mistake within the module: its traceback is what helps
        raise ConfigurationError(f"there is no module {module_name} (looked from {os.getcwd()})") from None
    return getattr(module, name or default, None)


def run(options: WorkOptions) -> int:
    """Works until SIGTERM or SIGINT; a second signal ends it at once. Answers the exit status."""
    import uvloop

    try:
        app = load_app(options.app, options.endpoint)
    except ConfigurationError as error:
        _log.critical("%s", error)
        return EXIT_CONFIGURATION
    try:
        worker = Worker(
            app,
            queues=options.queues or None,
            concurrency=options.concurrency,
            grace=options.grace,
            max_jobs=options.max_jobs,
            path=options.app,
        )
    except (ConfigurationError, ValueError) as error:
        _log.critical("%s", error)
        return EXIT_CONFIGURATION
    try:
        return uvloop.run(_Process(worker, options).run())
    except ConfigurationError as error:
        _log.critical("%s", error)
        return EXIT_CONFIGURATION
    except (TransportError, JobStoreError, EncolaError) as error:
        _log.critical("the worker cannot begin: %s", error)
        return EXIT_UNREACHABLE


class _Process:
    def __init__(self, worker: Worker, options: WorkOptions) -> None:
        self._worker = worker
        self._options = options
        self._renew = False
        self._signals = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_signal)
        loop.add_signal_handler(signal.SIGINT, self._on_signal if self._options.supervisor is None else _ignore)
        helpers = [loop.create_task(self._watch_end())]
        if self._options.max_memory:
            helpers.append(loop.create_task(self._watch_memory()))
        if self._options.supervisor is not None:
            helpers.append(loop.create_task(self._watch_supervisor()))
        status = await self._open_status()
        try:
            await self._begin()
        finally:
            for helper in helpers:
                helper.cancel()
            if status is not None:
                await status.close()
        renew = self._renew or (self._options.max_jobs is not None and self._worker.jobs_done >= self._options.max_jobs)
        status = EXIT_RENEW if renew and not self._signals else 0
        if self._worker.dismissed and self._options.supervisor is not None:
            status = EXIT_DISMISSED
        end_in_time(status)  # the loop, too, waits for threads that tasks gave it
        return status

    async def _begin(self) -> None:
        """A service that is not there yet is waited for: workers and server may be started in any order."""
        pause = 0.2
        while not self._worker.stopping.is_set():
            try:
                await self._worker.run()
                return
            except RefusedError as error:  # wrong keys, no right: it does not help to ask again
                raise ConfigurationError(f"the service refuses this worker: {error}") from None
            except TransportError as error:
                if self._worker.liveness.polls:
                    raise
                _log.warning("the queue service is not there yet, trying again: %s", error)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._worker.stopping.wait(), pause)
            pause = min(START_SECONDS_MAX, pause * 2)

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1:
            _log.warning("told twice to end: messages that are being worked on come again when their leases end")
            os._exit(1)
        self._worker.stop()

    async def _watch_end(self) -> None:
        """Also one that renews itself ends, of which its supervisor does not know that it is about to."""
        await self._worker.stopping.wait()
        end_after(self._options.grace + END_MARGIN_SECONDS)

    async def _watch_memory(self) -> None:
        limit = self._options.max_memory or 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            used = resident_mib()
            if used > limit:
                _log.warning("the worker has %d MiB resident, more than %d: it ends and is started anew", used, limit)
                self._renew = True
                self._worker.stop()
                return

    async def _watch_supervisor(self) -> None:
        """Who would be left behind by a supervisor that was killed ends in order: nobody could tell it to any more."""
        while os.getppid() == self._options.supervisor:
            await asyncio.sleep(LOOK_SECONDS)
        _log.warning("the supervisor is gone: the worker ends, too")
        self._worker.stop()

    async def _open_status(self) -> Any:
        if self._options.status_port is None:
            return None
        from encola.consumers.status import StatusPage

        page = StatusPage(self._worker)
        try:
            await page.open(self._options.status_port)
        except OSError as error:
            raise ConfigurationError(f"the port {self._options.status_port} cannot be had: {error}") from None
        return page


def _ignore() -> None:
    """As the handler of a signal: not inherited by programs that a task starts, as SIG_IGN would be."""


def resident_mib() -> int:
    """Resident memory of this process now (its peak, where the system does not tell)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() // 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 2**20 if sys.platform == "darwin" else peak // 1024


if __name__ == "__main__":
    _options = msgspec.json.decode(sys.argv[1], type=WorkOptions)
    begin_logging(verbose=_options.verbose)
    _status = 1
    try:
        _status = run(_options)
    finally:
        end_in_time(_status)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the loop's handler is gone: who is told again ends at once
    sys.exit(_status)
