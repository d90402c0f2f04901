"""Errors of Lambda's API: statuses, who is at fault, and how each spells its message.

Sources: the service model of botocore; Lambda API reference, "Common error types".
"""

import msgspec


class ErrorShape(msgspec.Struct, frozen=True):
    """An error's HTTP status and the name of its message's field."""

    status: int
    message: str = "message"


SHAPES: dict[str, ErrorShape] = {
    # In the service model:
    "InvalidParameterValueException": ErrorShape(400),
    "ResourceConflictException": ErrorShape(409),
    "ResourceInUseException": ErrorShape(400, "Message"),
    "ResourceNotFoundException": ErrorShape(404, "Message"),
    "ServiceException": ErrorShape(500, "Message"),
    # Not in the model, but what AWS answers:
    "AccessDeniedException": ErrorShape(403, "Message"),
    "IncompleteSignatureException": ErrorShape(403),
    "InvalidSignatureException": ErrorShape(403),
    "MissingAuthenticationTokenException": ErrorShape(403),
    "SerializationException": ErrorShape(400),
    "UnknownOperationException": ErrorShape(404),
    "UnrecognizedClientException": ErrorShape(403),
    "ValidationException": ErrorShape(400),
}

OF_AUTHENTICATION = {
    "IncompleteSignature": "IncompleteSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}
"""The codes of ``AuthError`` in the words of Lambda's protocol."""


def body_of(code: str, message: str) -> bytes:
    """The body of an error's answer."""
    shape = SHAPES[code]
    return msgspec.json.encode({"Type": "Service" if shape.status >= 500 else "User", shape.message: message})
