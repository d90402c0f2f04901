"""Every size, count and wait of the HTTP listener."""

import math

import msgspec

KIB = 1024
MIB = 1024 * KIB


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client may ask of the listener; past each limit it gets a 4xx or its connection is closed.

    ``body_bytes_max`` leaves room for a batch of 1 MiB in its longest form, where a byte takes six (``\\u0001``).
    Waits are checked once a second (``sweep_seconds``), so they are exact to about that.
    """

    target_bytes_max: int = 64 * KIB
    headers_max: int = 100
    header_bytes_max: int = 32 * KIB  # names and values of a request together
    body_bytes_max: int = 8 * MIB
    pipelined_max: int = 100  # whole requests of one connection that wait for their turn
    pipelined_bytes_max: int = MIB  # ... and the bytes of their bodies
    connections_max: int = 10_000

    header_seconds_max: float = 10.0  # from a request's first byte to the end of its headers
    body_seconds_max: float = 30.0  # for the body, unless it comes at the rate below
    body_bytes_per_second_min: int = 16 * KIB
    idle_seconds_max: float = 620.0  # between requests: longer than clients and load balancers keep theirs
    write_seconds_max: float = 60.0  # a client that does not read its answers
    write_bytes_max: int = 256 * KIB  # unsent answers of a connection beyond which it has to read first
    half_closed_seconds_max: float = 0.25  # a client that closed its sending side still gets an answer so soon
    linger_seconds_max: float = 2.0  # reading on after a refusal, so that the client sees it
    sweep_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be more than 0, and not infinite")
