"""What an answer of the service means: its errors as ours. Pure.

A service of the JSON protocol names an error in ``__type``; a proxy on the way, or another kind of service, answers
something else, and then the status is all that there is.
"""

from typing import TypeVar

import msgspec

from encola.consumers.transport import NoQueueError, RefusedError, TransportError

Shape = TypeVar("Shape")

STATUS_OK = 200
_STATUS_THROTTLED = 429
_STATUS_OURS_MAX = 499
_TEXT_MAX = 300

NO_QUEUE = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"})
THROTTLED = frozenset(
    {
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "KmsThrottled",
    }
)
_FAILED = frozenset({"InternalFailure", "InternalError", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})
REPEATED = THROTTLED | _FAILED
"""Worth another try at once: nothing was done, and soon it may be."""

_LATER = frozenset({"OverLimit", "QueueDeletedRecently", "PurgeQueueInProgress"})
"""Worth another try, though not at once."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
UNKNOWN_CALLER = EXPIRED | {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
}
"""Refused whatever was asked: the caller is not who he says, or says nothing."""

_SKEWED = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SKEWED_TEXTS = ("Signature expired", "Signature not yet current")


class ServiceFault(msgspec.Struct, frozen=True):
    """An answer that is an error. ``status`` is that of HTTP."""

    status: int
    code: str
    message: str

    @property
    def is_passing(self) -> bool:
        """Nothing was done, and it may be at the next try."""
        return self.status > _STATUS_OURS_MAX or self.status == _STATUS_THROTTLED or self.code in REPEATED

    @property
    def is_skew(self) -> bool:
        """Our clock is not the service's."""
        return self.code in _SKEWED or (self.code in UNKNOWN_CALLER and self.message.startswith(_SKEWED_TEXTS))

    def error(self) -> TransportError:
        if self.is_passing or self.code in _LATER:
            return TransportError(f"{self.message} ({self.code})")
        return refusal(self.code, self.message)


def refusal(code: str, message: str) -> RefusedError:
    return (NoQueueError if code in NO_QUEUE else RefusedError)(code, message)


def fault_of(status: int, body: bytes) -> ServiceFault:
    """Reads an answer whose status is not 200."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return ServiceFault(status, f"HTTP {status}", "the endpoint answered no error of the SQS protocol")
    code = str(told.get("__type") or told.get("code") or f"HTTP {status}").rpartition("#")[2]
    message = str(told.get("message") or told.get("Message") or "no reason was given")
    return ServiceFault(status, code[:_TEXT_MAX], message[:_TEXT_MAX])


def shape_of(decoder: "msgspec.json.Decoder[Shape]", body: bytes) -> Shape:
    """The answer to a request that was done. Raises TransportError: whoever answered does not speak our language."""
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TransportError(f"the endpoint answered nothing of the SQS protocol: {error}") from None


def entry_error(code: str, message: str | None, sender_fault: bool | None) -> TransportError:
    """One entry of a batch failed."""
    text = message or "no reason was given"
    if sender_fault is False or code in REPEATED or code in _LATER:
        return TransportError(f"{text} ({code})")
    return refusal(code, text)


def decoder_of(kind: type[Shape]) -> "msgspec.json.Decoder[Shape]":
    return msgspec.json.Decoder(kind)
