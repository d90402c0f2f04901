"""A server of your own for tests of code that uses SQS: fresh, empty, and there in a few milliseconds.

    with EncolaServer() as server:
        sqs = boto3.client("sqs", **server.client_options)

It runs in a thread of the test's process, on the memory store unless a data directory is given, and listens on a free
port of the loopback interface. It is the same server as ``encola serve``, signatures and all.
"""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import uvloop

from encola.protocols.aws.credentials import Credential
from encola.protocols.sqs.declared import DeclaredQueue
from encola.server.compose import Server
from encola.server.config import Config, DevelopmentConfig, ServerConfig, StoreConfig

ACCESS_KEY = "AKIDENCOLATESTING000"
SECRET_KEY = "encola-testing-secret"  # noqa: S105 - of a server that only the test can reach
ACCOUNT = "000000000000"
REGION = "us-east-1"
STOP_SECONDS_MAX = 10.0


class EncolaServer:
    """A running server, as a context manager or between ``start`` and ``stop``.

    ``queues`` are made before it is ready (a name that ends in ``.fifo`` makes a FIFO queue). ``strict`` keeps the
    sixty-second rules of DeleteQueue and PurgeQueue, which are in the way of most tests. Signatures are verified, with
    the keys in ``environment`` and ``client_options``; ``credentials`` adds more keys.
    """

    def __init__(
        self,
        queues: Iterable[str] = (),
        *,
        data: Path | None = None,
        strict: bool = False,
        credentials: Iterable[Credential] = (),
    ) -> None:
        own = Credential(access_key=ACCESS_KEY, secret_key=SECRET_KEY, account=ACCOUNT)
        self._config = Config(
            server=ServerConfig(port=0, grace_seconds=1.0),
            store=StoreConfig(kind="sqlite", data=data) if data else StoreConfig(kind="memory"),
            development=DevelopmentConfig(relaxed=not strict),
            credentials=(own, *credentials),
            queues=tuple(DeclaredQueue(name=name) for name in queues),
        )
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._url = ""

    def start(self) -> "EncolaServer":
        """Returns when the server is ready. Raises what kept it from that."""
        self._started.clear()
        self._error = None
        self._thread = threading.Thread(target=uvloop.run, args=(self._serve(),), name="encola", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """Parked receives end, running requests finish. Nothing happens if it does not run."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_SECONDS_MAX)
        self._thread = None

    def __enter__(self) -> "EncolaServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The endpoint, as ``http://127.0.0.1:40213``."""
        return self._url

    def queue_url(self, name: str) -> str:
        """What GetQueueUrl answers for a queue of the test's account."""
        return f"{self._url}/{ACCOUNT}/{name}"

    @property
    def client_options(self) -> dict[str, Any]:
        """Arguments for ``boto3.client("sqs", ...)`` and its relatives."""
        return {
            "endpoint_url": self._url,
            "region_name": REGION,
            "aws_access_key_id": ACCESS_KEY,
            "aws_secret_access_key": SECRET_KEY,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead AWS SDKs to this server (version 1 of the AWS CLI needs --endpoint-url)."""
        return {
            "AWS_ENDPOINT_URL_SQS": self._url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = Server(self._config)
        try:
            await server.start()
            self._url = server.url
        except BaseException as error:
            self._error = error
            return
        finally:
            self._started.set()
        await self._stop.wait()
        await server.stop()
