"""Signed requests to the service: where it is, who asks, and tries that are repeated (see ``tries``).

Credentials that expired, or a clock that is wrong, cost one more try: with new ones, or by the service's clock.
"""

import asyncio
import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from encola.consumers.sqs.answers import EXPIRED, STATUS_OK, ServiceFault, fault_of
from encola.consumers.sqs.keys import Frozen, Keys, Place
from encola.consumers.sqs.signing import Signer
from encola.consumers.sqs.tries import BrokenError, Repeat, Tries
from encola.consumers.transport import TransportError

if TYPE_CHECKING:
    from encola.consumers.sqs.http import Http

SKEW_SECONDS_MIN = 60.0
"""A clock that differs by less is not what made a signature invalid."""

USER_AGENT = "encola"


class FaultError(TransportError):
    """The service answered an error: ``fault``. ``date`` is its clock, as it says it."""

    def __init__(self, fault: ServiceFault, date: str) -> None:
        super().__init__(f"{fault.message} ({fault.code})")
        self.fault = fault
        self.date = date


class ServiceClient:
    """See the module. Several may share one: each opens it, and it is closed with the last of them.

    ``endpoint`` is a URL or ``aws``. ``credentials`` are botocore's, for who has some already.
    """

    def __init__(
        self, endpoint: str, region: str | None = None, profile: str | None = None, credentials: Any = None
    ) -> None:
        self._endpoint = endpoint
        self._keys = Keys(endpoint, region, profile, credentials)
        self._users = 0
        self._opening = asyncio.Lock()
        self._place: Place | None = None
        self._http: Http | None = None
        self._signer: Signer | None = None
        self._signs_for: Frozen | None = None
        self._clock_ahead = 0.0  # the service's, in seconds

    async def open(self) -> None:
        """Finds credentials; nothing is sent. Raises TransportError, ConfigurationError."""
        async with self._opening:
            if self._http is None:
                self._place = await self._keys.find()
                # Here, since aiohttp takes 14 MB: who never talks to a service does not pay for it.
                from encola.consumers.sqs.http import Http

                self._http = Http(self._place.address, USER_AGENT, self._place.ca_bundle)
            self._users += 1

    async def close(self) -> None:
        async with self._opening:
            self._users = max(self._users - 1, 0)
            if self._users == 0 and self._http is not None:
                http, self._http = self._http, None
                await http.close()

    @property
    def is_aws(self) -> bool:
        """Of an open client: does it talk to AWS itself?"""
        return self._place is not None and self._place.aws

    async def call(self, target: str, body: bytes, *, wait: float = 0.0, repeat: Repeat = Repeat.ANYWAY) -> bytes:
        """The body of the answer. ``wait``: for how long the service may take its time. Raises TransportError."""
        try:
            return await self.ask(target, body, wait=wait, repeat=repeat)
        except FaultError as error:
            raise error.fault.error() from None

    async def ask(self, target: str, body: bytes, *, wait: float = 0.0, repeat: Repeat = Repeat.ANYWAY) -> bytes:
        """As ``call``, but raises FaultError, with all that the service said, for an answer that is an error."""
        tries = Tries(repeat, time.monotonic())
        mended = False
        while True:
            keys = await self._keys.current()
            try:
                return await self._try(keys, target, body, wait)
            except FaultError as error:
                if not mended and await self._mend(error, keys):
                    mended = True
                    continue
                failure: TransportError = error
                pause = tries.after_fault(error.fault, time.monotonic(), random.random())  # noqa: S311 - spreads tries
            except BrokenError as error:
                failure = TransportError(f"no answer from {self._endpoint}: {error}")
                pause = tries.after_break(error, time.monotonic(), random.random())  # noqa: S311 - spreads tries
            if pause is None:
                raise failure
            await asyncio.sleep(pause)

    async def _try(self, keys: Frozen, target: str, body: bytes, wait: float) -> bytes:
        """Raises FaultError, BrokenError."""
        http, place = self._http, self._place
        if http is None or place is None:
            raise TransportError("the connection to the service is not open")
        signer = self._signer
        if signer is None or self._signs_for is not keys:
            address = place.address
            signer = Signer(
                address.host, address.path, place.region, keys.access_key, keys.secret_key, keys.token
            )  # fmt: skip
            self._signer, self._signs_for = signer, keys
        headers = signer.headers(target, body, time.time() + self._clock_ahead)
        status, answer, date = await http.post(headers, body, wait)
        if status != STATUS_OK:
            raise FaultError(fault_of(status, answer), date)
        return answer

    async def _mend(self, error: FaultError, keys: Frozen) -> bool:
        """Removes what the service says is wrong with us; False if it can't be. Raises TransportError."""
        if error.fault.code in EXPIRED:
            return await self._keys.renew(keys)
        if not error.fault.is_skew:
            return False
        try:
            ahead = parsedate_to_datetime(error.date).timestamp() - time.time()
        except ValueError:
            return False
        wrong = abs(ahead - self._clock_ahead) >= SKEW_SECONDS_MIN
        if wrong:
            self._clock_ahead = ahead
        return wrong
