"""Every size, count and wait of the HTTP listener."""

import msgspec


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may ask of the listener; past each limit it gets a 4xx or its connection is closed.

    ``body_bytes_max`` leaves room for a batch of 1 MiB in its longest form: every byte as ``\\u0000`` or ``%00``.
    """

    target_bytes_max: int = 8 * 1024 * 1024
    headers_max: int = 100
    header_bytes_max: int = 64 * 1024
    body_bytes_max: int = 8 * 1024 * 1024
    connections_max: int = 10_000
    pipelined_max: int = 64
    request_seconds_max: float = 30.0  # from a request's first byte to its last
    idle_seconds_max: float = 620.0  # between requests; longer than common load balancers keep theirs
    write_seconds_max: float = 60.0  # a client that does not read its answers
    write_bytes_max: int = 16 * 1024 * 1024
