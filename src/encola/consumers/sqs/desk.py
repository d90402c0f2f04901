"""Where workers report to: the server's own list of them, over the same connections as its queues."""

import msgspec

from encola.consumers.sqs.answers import decoder_of, shape_of
from encola.consumers.sqs.client import ServiceClient
from encola.engine.workers import Orders, Report

_encode = msgspec.json.Encoder().encode
_orders_decoder = decoder_of(Orders)


class ServerDesk:
    """See the module; it is a ``ReportDesk``. ``client`` is open, and stays open."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def report(self, report: Report) -> Orders:
        answer = await self._client.call("EncolaWorkers.Report", _encode(report))
        return shape_of(_orders_decoder, answer)
