"""``GET /metrics``: who may scrape, and what he sees.

With credentials, a scraper signs in by HTTP Basic with an access key and its secret, of a credential that may
``GetMetricData``; it sees the queues of its account, and of these the ones that the credential names. A credential that
is limited to some queues does not see the server's own metrics. ``public`` lets everybody see everything.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from encola.metrics.prometheus import OPEN, TEXT, Prometheus, Scope
from encola.protocols.aws.basic import BasicKeys
from encola.protocols.aws.credentials import DEFAULT_REGION, Credential, identity_of
from encola.protocols.http.message import Request, Response

PATH = "/metrics"
ACTION = "GetMetricData"
PATTERNS_MAX = 20
PATTERN_LENGTH_MAX = 100

_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)
UNKNOWN = Response(
    401,
    b"Sign in by HTTP Basic with an access key and its secret key.\n",
    (*_PLAIN, ("WWW-Authenticate", 'Basic realm="encola metrics", charset="UTF-8"')),
)
REFUSED = Response(403, b"This access key may not GetMetricData.\n", _PLAIN)
TOO_MANY_PATTERNS = Response(400, b"At most 20 patterns of at most 100 characters.\n", _PLAIN)


class PrometheusEndpoint:
    """See the module."""

    def __init__(self, prometheus: Prometheus, credentials: Sequence[Credential], *, public: bool = False) -> None:
        self._prometheus = prometheus
        self._open = public or not credentials
        self._keys = BasicKeys(credentials)

    async def handle(self, request: Request) -> Response:
        """Answers one scrape. ``?queue=PATTERN``, which may come several times, asks for some queues only."""
        wanted = tuple(value for name, value in _query(request.target) if name == "queue")
        if len(wanted) > PATTERNS_MAX or any(len(pattern) > PATTERN_LENGTH_MAX for pattern in wanted):
            return TOO_MANY_PATTERNS
        wanted = wanted or ("*",)
        if self._open:
            scope = Scope(wanted=wanted)
        else:
            credential = self._keys.of_header(request.headers.get("authorization", ""))
            if credential is None:
                return UNKNOWN
            identity = identity_of(credential, DEFAULT_REGION)
            if not identity.may(ACTION):
                return REFUSED
            scope = Scope(identity.account, identity.queues, wanted, identity.allows(ACTION, ""))
        open_metrics = "application/openmetrics-text" in request.headers.get("accept", "")
        body = await self._prometheus.render(scope, open_metrics=open_metrics)
        kind = OPEN if open_metrics else TEXT
        return Response(200, body, (("Content-Type", kind), ("Cache-Control", "no-store")))


def _query(target: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(target.partition("?")[2], keep_blank_values=True, max_num_fields=PATTERNS_MAX * 2)
    except ValueError:
        return [("queue", "")] * (PATTERNS_MAX + 1)
