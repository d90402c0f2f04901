"""A server as a process: runs until a signal, or until its disk can't be trusted any more."""

import asyncio
import gc
import logging
import os
import resource
import signal
from pathlib import Path

import uvloop

from encola import __version__
from encola.engine.store import StoreError, StoreFailedError
from encola.protocols.sqs.declared import DeclarationError
from encola.server.compose import Server
from encola.server.config import Config, ConfigError
from encola.server.logs import start_logging

EXIT_STOPPED = 0
EXIT_NOT_STARTED = 1
EXIT_CONFIGURATION = 2
EXIT_STORE_FAILED = 74  # EX_IOERR of sysexits.h

FAILED_GRACE_SECONDS = 1.0  # for the answers that say so
COLLECT_AFTER_OBJECTS = 50_000
OWN_FILES = 100  # open files that are no connections

_log = logging.getLogger("encola.server")


def run(config: Config) -> int:
    """Serves until SIGTERM or SIGINT; answers the exit status. A second signal ends the wait for running requests."""
    start_logging(config.log)
    _allow_files(config.limits.connections_max + OWN_FILES)
    return uvloop.run(_run(config))


def _allow_files(wanted: int) -> None:
    """Raises the number of open files as far as we may: each connection is one, and the usual default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning("only %d open files are allowed, fewer than limits.connections_max may need", allowed)


async def _run(config: Config) -> int:
    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_failure(error: StoreFailedError) -> None:
        _log.critical("the store has failed, nothing is acknowledged any more: %s", error)
        if not stop.done():
            stop.set_result(EXIT_STORE_FAILED)

    try:
        server = Server(config, on_failure)
        await server.start()
    except (ConfigError, DeclarationError) as error:
        _log.error("%s", error)
        return EXIT_CONFIGURATION
    except (StoreError, OSError) as error:
        _log.error("cannot start: %s", error)
        return EXIT_NOT_STARTED
    _on_signals(stop)
    _calm_collector()
    try:
        _tell(config, server)
    except OSError as error:
        _log.error("cannot write server.ready_file: %s", error)
        await server.stop()
        return EXIT_NOT_STARTED
    status = await stop
    if status == EXIT_STORE_FAILED:
        await asyncio.sleep(FAILED_GRACE_SECONDS)
        return status  # closing the store would write to what has failed
    _log.info("stopping")
    await server.stop()
    _log.info("stopped")
    return status


def _on_signals(stop: "asyncio.Future[int]") -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.done():
            _log.warning("second signal: leaving at once")
            os._exit(128 + number)  # all that was acknowledged is durable already
        stop.set_result(EXIT_STOPPED)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _calm_collector() -> None:
    """What is alive now stays: no collection needs to look at it. What comes makes few cycles: look seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 100)


def _tell(config: Config, server: Server) -> None:
    fields = {
        "url": server.url,
        "store": config.store.kind,
        "data": str(config.store.data) if config.store.kind == "sqlite" else "",
        "credentials": len(config.credentials),
        "version": __version__,
        "pid": os.getpid(),
    }
    _log.info("ready on %s", server.url, extra={"fields": fields})
    for name, active in (
        ("relaxed", config.development.relaxed),
        ("auto_create_queues", config.development.auto_create_queues),
    ):
        if active:
            _log.warning("development.%s is on: not for production", name)
    if config.server.ready_file is not None:
        _write_whole(config.server.ready_file, f"{server.url}\n")


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file sees nothing, or all of it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.rename(path)
