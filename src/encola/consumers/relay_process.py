"""A relay as a process: what ``encola outbox`` runs. Exit statuses are those of ``process``."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from encola.consumers.app import App
from encola.consumers.ending import end_in_time
from encola.consumers.errors import ConfigurationError
from encola.consumers.outbox import create_tables
from encola.consumers.process import EXIT_CONFIGURATION, START_SECONDS_MAX, load_app, load_named
from encola.consumers.relay import Relay
from encola.consumers.transport import TransportError

PAUSE_SECONDS = 0.2

_log = logging.getLogger("encola.relay")


def run(app: str, connect: str, *, tables: bool = False, endpoint: str | None = None) -> int:
    """Relays until SIGTERM or SIGINT; a second signal ends it at once. Answers the exit status.

    ``app`` and ``connect`` are written as ``module:name``. ``tables``: make those that are missing.
    ``endpoint`` stands in place of what the application says.
    """
    try:
        function = load_named(connect, "connect")
        if not callable(function):
            raise ConfigurationError(f"{connect} is no function that opens a connection")
        asyncio.run(_Process(load_app(app, endpoint), function).run(tables=tables))
    except ConfigurationError as error:
        _log.critical("%s", error)
        return EXIT_CONFIGURATION
    return 0


class _Process:
    def __init__(self, app: App, connect: Callable[[], Any]) -> None:
        self._app = app
        self._connect = connect
        self._stopping = asyncio.Event()
        self._relay: Relay | None = None

    async def run(self, *, tables: bool) -> None:
        """Raises ConfigurationError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        if tables:
            await self._in_time("the database", lambda: asyncio.to_thread(self._create_tables))
        transport = self._app.connect().transport
        await self._in_time("the queue service", transport.open)
        try:
            if not self._stopping.is_set():
                self._relay = Relay(self._connect, transport)
                _log.info("relaying the outbox of %s", self._app.name)
                await self._relay.run()
                _log.info("the relay has ended; it had sent %d messages", self._relay.sent)
        finally:
            await transport.close()
        end_in_time(0)  # whatever a driver's thread does

    def _create_tables(self) -> None:
        with contextlib.closing(self._connect()) as connection:
            create_tables(connection)
            connection.commit()

    async def _in_time(self, what: str, begin: Callable[[], Any]) -> None:
        """What is not there yet is waited for: a relay may be started before its database and its server."""
        pause = PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                await begin()
                return
            except ConfigurationError:
                raise
            except Exception as error:  # drivers have each their own
                told = str(error) if isinstance(error, TransportError) else f"{type(error).__name__}: {error}"
                _log.warning("%s is not there yet, trying again: %s", what, told)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(START_SECONDS_MAX, pause * 2)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            _log.warning("told twice to end: what was sent and not removed is sent again, as the same jobs")
            os._exit(1)
        self._stopping.set()
        if self._relay is not None:
            self._relay.stop()
