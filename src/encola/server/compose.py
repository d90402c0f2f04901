"""Puts a server together: store, broker, mappings, endpoints, health, HTTP listener; starts and stops them in order."""

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from encola import __version__
from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.dashboard.app import Dashboard
from encola.dashboard.house import House
from encola.dashboard.visitors import Visitors
from encola.engine.history import History
from encola.engine.store import Store, StoreFailedError
from encola.mappings.event import Words
from encola.mappings.functions import Functions
from encola.mappings.manager import Mappings
from encola.mappings.model import MappingError
from encola.metrics.prometheus import Prometheus
from encola.metrics.sampler import Sampler
from encola.protocols.aws.identity import Authenticator
from encola.protocols.cloudwatch.endpoint import SERVICE as MONITORING
from encola.protocols.cloudwatch.endpoint import CloudWatchEndpoint
from encola.protocols.http.listener import HttpListener, server_ssl_context
from encola.protocols.jobs.endpoint import JobsEndpoint
from encola.protocols.lambda_api.endpoint import LambdaEndpoint
from encola.protocols.prometheus.endpoint import PrometheusEndpoint
from encola.protocols.sqs.checksums import md5_of_attributes
from encola.protocols.sqs.declared import DeclarationError, declare
from encola.protocols.sqs.desk import SqsOptions
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.protocols.sqs.receipts import handle_of
from encola.protocols.workers.endpoint import WorkersEndpoint
from encola.server.config import Config, ConfigError
from encola.server.facts import FactsOfServer
from encola.server.front import Front
from encola.server.health import Health
from encola.server.logs import access_hook
from encola.server.loopback import is_loopback
from encola.stores.history_memory import MemoryHistory, NoHistory
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.history import SqliteHistory

if TYPE_CHECKING:
    from encola.metrics.otlp import OtlpExport

LAST_ANSWERS_SECONDS = 1.0  # for requests that still run when the functions have used up the grace period

WIDE_OPEN = """refusing to listen on {host} without credentials: whoever reaches it could read and delete everything.
Either declare credentials in the configuration file:

    [[credentials]]
    access_key = "..."
    secret_key = "..."

(or as JSON in ENCOLA_CREDENTIALS), or listen on this machine only: --host 127.0.0.1"""


class Server:
    """A whole server in the running event loop. ``on_failure`` is told when its store has failed for good."""

    def __init__(self, config: Config, on_failure: Callable[[StoreFailedError], None] = lambda error: None) -> None:
        """Raises ConfigError for what must not be started."""
        if not config.credentials and not is_loopback(config.server.host):
            raise ConfigError(WIDE_OPEN.format(host=config.server.host))
        self.config = config
        self._store = _store(config, on_failure, self._on_full)
        self._broker = Broker(self._store, Clock(), relaxed=config.development.relaxed)
        authenticator = Authenticator(config.credentials)
        self._sqs = SqsEndpoint(
            self._broker,
            authenticator,
            SqsOptions(
                public_url=config.server.public_url.rstrip("/") if config.server.public_url else None,
                auto_create_queues=config.development.auto_create_queues,
            ),
        )
        self.mappings = Mappings(
            self._broker,
            Functions(config.functions, config.push.url_prefixes),
            Words(handle_of, md5_of_attributes),
        )
        lambda_api = LambdaEndpoint(self.mappings, Authenticator(config.credentials, service="lambda"))
        self._health = Health(self._store, self._facts)
        self.sampler = Sampler(
            self._broker,
            self._store,
            _history(config),
            connections=lambda: self._listener.connections,
            consumers=self._broker.workers.by_queue,
        )
        self._server_facts = FactsOfServer(config, self._health, self.sampler)
        self._otlp = self._export(config)
        self._dashboard = self._pages(config)
        front = Front(
            self._sqs.handle,
            self._health.answer,
            trusting=not config.credentials,
            public_host=(urlsplit(config.server.public_url).hostname or "") if config.server.public_url else "",
            lambda_api=lambda_api.handle,
            jobs=JobsEndpoint(self._broker.records, authenticator).handle,
            workers=WorkersEndpoint(self._broker.workers, authenticator).handle,
            cloudwatch=CloudWatchEndpoint(
                self._broker, self.sampler, Authenticator(config.credentials, service=MONITORING)
            ).handle,
            pages=self._dashboard.handle if self._dashboard else None,
            base_path=config.dashboard.base_path,
            metrics=PrometheusEndpoint(
                Prometheus(self._broker, self.sampler, self._server_facts),
                config.credentials,
                public=config.metrics.public,
            ).handle,
        )
        self._listener = HttpListener(front.handle, config.limits, access=access_hook(config.log))

    async def start(self) -> None:
        """Listens when all is ready. Raises StoreError, DeclarationError, ConfigError (TLS), OSError (address)."""
        tls = _tls(self.config)
        await self._store.open()
        try:
            await self._broker.open()
            try:
                await declare(self._sqs.desk, self.config.queues)
                await self._open_mappings()
                await self.sampler.open()
                if self._otlp is not None:
                    self._otlp.start()
                if self._dashboard is not None:
                    await self._dashboard.open()
                await self._listener.start(self.config.server.host, self.config.server.port, tls)
            except BaseException:
                await self.mappings.stop(0)
                await self.sampler.close()
                await self._broker.close()
                raise
        except BaseException:
            await self._store.close()
            raise

    @property
    def url(self) -> str:
        """Where it listens. Raises RuntimeError before ``start``."""
        host, port = self._listener.address
        scheme = "https" if self.config.server.tls_cert else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def stop(self) -> None:
        """Gracefully: parked polls answer empty, running requests finish, then the store is closed."""
        self._health.stopping = True
        await self.mappings.stop_receiving()
        self._broker.stop_waiting()
        if self._dashboard is not None:
            await self._dashboard.stop()
        grace = self.config.server.grace_seconds
        until = time.monotonic() + grace
        await self.mappings.stop(grace)  # first: a function that runs may have something to send to this server
        await self._listener.stop(max(until - time.monotonic(), min(grace, LAST_ANSWERS_SECONDS)))
        if self._otlp is not None:
            await self._otlp.stop()
        await self.sampler.close()
        await self._broker.close()
        await self._store.close()

    def _export(self, config: Config) -> "OtlpExport | None":
        endpoint = config.metrics.otlp_endpoint
        if endpoint is None:
            return None
        try:
            from encola.metrics.otlp import OtlpExport
        except ImportError:
            raise ConfigError("metrics.otlp_endpoint needs more packages: pip install 'encola[otlp]'") from None
        return OtlpExport(
            self._broker,
            self.sampler,
            self._server_facts,
            endpoint,
            config.metrics.otlp_headers,
            config.metrics.otlp_seconds,
        )

    def _pages(self, config: Config) -> Dashboard | None:
        if not config.dashboard.enabled:
            return None
        visitors = Visitors(config.dashboard, config.credentials)
        house = House(
            config.dashboard, self._broker, self._sqs.desk, self.sampler, self.mappings, visitors, self._facts
        )
        return Dashboard(house, config.server.public_url)

    async def _open_mappings(self) -> None:
        try:
            await self.mappings.open(self.config.mappings)
        except MappingError as error:
            raise DeclarationError(f"mappings: {error.message}") from None

    def _on_full(self, full: bool) -> None:
        self._health.full = full

    def _facts(self) -> dict[str, str | int]:
        return {
            "version": __version__,
            "store": self.config.store.kind,
            "connections": self._listener.connections,
            "waiting_receives": self._broker.waiting,
        }


def _store(config: Config, on_failure: Callable[[StoreFailedError], None], on_full: Callable[[bool], None]) -> Store:
    if config.store.kind == "memory":
        return MemoryStore()
    return SqliteStore(config.store.data, on_failure=on_failure, on_full=on_full)


def _history(config: Config) -> History:
    if not config.metrics.history:
        return NoHistory()
    return MemoryHistory() if config.store.kind == "memory" else SqliteHistory(config.store.data)


def _tls(config: Config) -> ssl.SSLContext | None:
    cert, key = config.server.tls_cert, config.server.tls_key
    if cert is None or key is None:
        return None
    try:
        return server_ssl_context(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"server.tls_cert, server.tls_key: {error}") from None
