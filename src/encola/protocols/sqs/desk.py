"""What every operation needs: the broker, the options, who calls, and which queue is meant."""

import msgspec

from encola.broker.broker import Broker
from encola.engine.queue import Address, Queue
from encola.protocols.aws.identity import Identity
from encola.protocols.http.message import Request
from encola.protocols.sqs.access import Access
from encola.protocols.sqs.errors import SqsError, no_queue, no_resource
from encola.protocols.sqs.naming import address_of_arn, address_of_url, arn_of, url_of

ADDRESSES_MAX = 10_000  # that are remembered
URL_LENGTH_MAX = 500  # of those that are remembered


class SqsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url`` is the origin of queue URLs (None: what the caller used). The rest is for development."""

    public_url: str | None = None
    auto_create_queues: bool = False


class Call(msgspec.Struct):
    """One request: who asks, and the words in which URLs and ARNs are answered."""

    identity: Identity
    request: Request
    public_url: str | None

    @property
    def region(self) -> str:
        return self.identity.region

    def url(self, address: Address) -> str:
        base = self.public_url
        if base is None:
            host = self.request.headers.get("host", "localhost")
            base = f"https://{host}" if self.request.secure else f"http://{host}"
        return url_of(base, address)

    def arn(self, address: Address) -> str:
        return arn_of(self.identity.region, address)


class Desk:
    """Passed to every operation. It finds the queue of a URL or an ARN, and asks ``Access`` before it answers it."""

    def __init__(self, broker: Broker, options: SqsOptions) -> None:
        self.broker = broker
        self.options = options
        self.access = Access()
        self._addresses: dict[tuple[str, str], Address] = {}

    def call(self, identity: Identity, request: Request) -> Call:
        """What operations know of a request besides its parameters."""
        return Call(identity, request, self.options.public_url)

    def address(self, call: Call, url: str) -> Address:
        """Raises SqsError (InvalidAddress)."""
        if len(url) > URL_LENGTH_MAX:  # it names nothing that exists, and must not fill the table
            return address_of_url(url, call.identity.account)
        key = (url, call.identity.account)
        address = self._addresses.get(key)
        if address is None:
            address = address_of_url(url, call.identity.account)
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
            self._addresses[key] = address
        return address

    def queue(self, call: Call, url: str, action: str) -> Queue:
        """The queue that a URL names, if the caller may do ``action`` on it. Raises SqsError."""
        queue = self.broker.find(self._addresses.get((url, call.identity.account)) or self.address(call, url))
        if queue is None:
            raise no_queue()
        self.access.check(call.identity, call.request, queue, action)
        return queue

    def permits(self, call: Call, address: Address, action: str) -> bool:
        """Is the queue there, and may the caller do ``action`` on it?"""
        queue = self.broker.find(address)
        try:
            if queue is not None:
                self.access.check(call.identity, call.request, queue, action)
        except SqsError:
            return False
        return queue is not None

    def queue_of_arn(self, call: Call, arn: str, parameter: str, action: str) -> Queue:
        """The queue that an ARN names. Raises SqsError (ResourceNotFoundException)."""
        address = address_of_arn(arn)
        queue = self.broker.find(address) if address else None
        if queue is None:
            raise no_resource(parameter)
        self.access.check(call.identity, call.request, queue, action)
        return queue
