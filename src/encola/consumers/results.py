"""A task's answer as it is kept: JSON, up to a size."""

import inspect
from typing import Any

import msgspec

from encola.consumers.payload import to_json
from encola.consumers.verdicts import BadResultError, text_of
from encola.engine.records import RESULT_BYTES_MAX

NULL = msgspec.Raw(b"null")


def encode_result(result: Any) -> msgspec.Raw:
    """Raises BadResultError."""
    if result is None:
        return NULL
    try:
        encoded = to_json(result)
    except Exception as error:  # msgspec's own errors, and whatever a foreign type's method raises
        if inspect.iscoroutine(result):
            result.close()
        raise BadResultError(f"the result cannot be made JSON: {text_of(error)}") from None
    if len(encoded) > RESULT_BYTES_MAX:
        raise BadResultError(f"the result has {len(encoded)} bytes; at most {RESULT_BYTES_MAX} are kept")
    return msgspec.Raw(encoded)
