"""Errors of CloudWatch's API: the codes of the Query protocol, the shapes of the others, statuses.

Sources: the service model of botocore; Amazon CloudWatch API reference, "Common errors".
"""

import msgspec


class ErrorShape(msgspec.Struct, frozen=True):
    """The name of an error in the JSON and CBOR protocols, and its HTTP status."""

    shape: str
    status: int = 400


SHAPES: dict[str, ErrorShape] = {
    # In the service model:
    "InvalidNextToken": ErrorShape("InvalidNextToken"),
    "InvalidParameterCombination": ErrorShape("InvalidParameterCombinationException"),
    "InvalidParameterValue": ErrorShape("InvalidParameterValueException"),
    "MissingParameter": ErrorShape("MissingRequiredParameterException"),
    "InternalServiceError": ErrorShape("InternalServiceFault", 500),
    # Not in the model, but what AWS answers:
    "AccessDenied": ErrorShape("AccessDeniedException", 403),
    "InvalidAction": ErrorShape("UnknownOperationException"),
    "MalformedInput": ErrorShape("SerializationException"),
    "ServiceUnavailable": ErrorShape("ServiceUnavailableException", 503),
    "ValidationError": ErrorShape("ValidationException"),
}
"""By code."""

OF_AUTHENTICATION = {"SignatureDoesNotMatch": "InvalidSignatureException"}
"""Where the JSON and CBOR protocols have their own name for what the Query protocol calls otherwise."""


class CloudWatchError(Exception):
    """An answer that is an error. ``code`` is a key of ``SHAPES``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> CloudWatchError:
    return CloudWatchError("ValidationError", message)


def invalid_value(message: str) -> CloudWatchError:
    return CloudWatchError("InvalidParameterValue", message)


def invalid_combination(message: str) -> CloudWatchError:
    return CloudWatchError("InvalidParameterCombination", message)


def missing(parameter: str) -> CloudWatchError:
    return CloudWatchError("MissingParameter", f"The parameter {parameter} is required.")
