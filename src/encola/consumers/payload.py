"""The typed arguments of a task: from its signature, checked by the producer and again by the consumer.

Arguments travel as a JSON object by parameter name. What ``msgspec`` can validate may be a parameter's type (built-in
types, dataclasses, TypedDicts, Structs, enums, dates, UUIDs, decimals, unions, collections); pydantic models too.
"""

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from encola.consumers.errors import BadPayloadError, ConfigurationError
from encola.consumers.resources import Use

HASH_LENGTH = 32  # hexadecimal digits of SHA-256 that tell two payloads apart
EXPLAINED_MAX = 500  # characters of a validation error

_PLAIN_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_canonical = msgspec.json.Encoder(order="deterministic")


def to_json(value: Any) -> bytes:
    """JSON of arguments and results.

    Raises TypeError, ValueError (also for NaN and infinities: JSON has none), whatever a foreign type raises.
    """
    data = _encoder.encode(value)
    if b"null" in data:  # what msgspec makes of them
        _refuse_what_is_not_finite(msgspec.to_builtins(value, enc_hook=_encode_foreign))
    return data


def _refuse_what_is_not_finite(value: Any) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be made JSON")
    elif isinstance(value, dict):
        for one in value.values():
            _refuse_what_is_not_finite(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            _refuse_what_is_not_finite(one)


def _encode_foreign(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"a {type(value).__name__} cannot be made JSON")


def _decode_foreign(kind: type, value: Any) -> Any:
    validate = getattr(kind, "model_validate", None)  # pydantic
    if validate is None:
        raise TypeError(f"{kind.__name__} is no type that can be read from JSON")
    return validate(value)


_encoder = msgspec.json.Encoder(enc_hook=_encode_foreign)


class Payload:
    """The arguments of one function. ``uses`` are its resources by parameter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises ConfigurationError for a signature that cannot travel."""
        self._name = function.__qualname__
        signature = inspect.signature(function)
        hints = _hints(function)
        self.uses: dict[str, Callable[[], Any]] = {}
        fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
        kept = []
        for name, parameter in signature.parameters.items():
            if parameter.kind not in _PLAIN_KINDS:
                raise ConfigurationError(
                    f"{self._name}: a task cannot take *args, **kwargs or positional-only parameters"
                )
            if name.startswith("__"):
                raise ConfigurationError(f"{self._name}: the parameter {name} begins with two underscores")
            hint = hints.get(name, Any)
            if (use := _use_of(hint)) is not None:
                self.uses[name] = use.provider
                continue
            kept.append(parameter)
            fields.append((name, hint) if parameter.default is parameter.empty else (name, hint, parameter.default))
        self._signature = signature.replace(parameters=kept)
        self.names = tuple(parameter.name for parameter in kept)
        try:
            # Their own module: msgspec would look for names in ours. Positions do not matter, all travel by name.
            struct = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
            self._decoder = msgspec.json.Decoder(struct, dec_hook=_decode_foreign)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{self._name}: {error}") from None

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments as JSON, as the consumer will check them. Raises BadPayloadError."""
        try:
            given = self._signature.bind(*args, **kwargs).arguments
            data = to_json(given)
        except Exception as error:  # msgspec's own errors, and whatever a foreign type's method raises
            raise BadPayloadError(f"{self._name}: {error}") from None
        self.decode(data)
        return data

    def encode_partial(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, str | None]:
        """As ``encode`` without a check of what is missing; also the name of the first parameter that is missing."""
        try:
            given = self._signature.bind_partial(*args, **kwargs).arguments
            data = to_json(given)
        except Exception as error:
            raise BadPayloadError(f"{self._name}: {error}") from None
        return data, next((name for name in self.names if name not in given), None)

    def decode(self, data: bytes | msgspec.Raw) -> dict[str, Any]:
        """Arguments by name, with the defaults of those that did not come. Raises BadPayloadError."""
        try:
            struct = self._decoder.decode(data)
        except Exception as error:  # msgspec's own errors, and whatever a foreign type's validation raises
            raise BadPayloadError(f"{self._name}: {str(error)[:EXPLAINED_MAX]}") from None
        return {name: getattr(struct, name) for name in self.names}


def payload_hash(data: bytes | msgspec.Raw) -> str:
    """Tells whether two payloads are the same JSON value, whatever their spaces and the order of their members."""
    canonical = _canonical.encode(msgspec.json.decode(data))
    return hashlib.sha256(canonical).hexdigest()[:HASH_LENGTH]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"{function.__qualname__}: {error} (types of a task must be known at module level)"
        ) from None


def _use_of(hint: Any) -> Use | None:
    if get_origin(hint) is Annotated:
        return next((one for one in get_args(hint)[1:] if isinstance(one, Use)), None)
    return None


def decode_as(hint: Any, data: bytes | msgspec.Raw) -> Any:
    """JSON as a value of a type. Raises msgspec.ValidationError."""
    return msgspec.json.decode(data, type=hint, dec_hook=_decode_foreign)
