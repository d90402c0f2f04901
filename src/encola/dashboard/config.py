"""What can be configured of the dashboard (section ``dashboard``)."""

import re
from fnmatch import fnmatchcase

import msgspec

from encola.protocols.aws.credentials import DEFAULT_ACCOUNT, is_account

HOUR_SECONDS = 3600

_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HEADER = re.compile(r"[A-Za-z0-9-]+")


class DashboardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``base_path`` is where a proxy shows the server (as ``/encola``); its requests may come with it, or without.

    A proxy that signs people in may name them in the header ``proxy_header``. It is believed of the ``proxy_peers``
    only, which must be given then. Such people see everything of ``proxy_account``; those whose names fit one of
    ``proxy_operators`` may act, too. ``read_only`` takes from everybody the right to act.
    """

    enabled: bool = True
    base_path: str = ""
    read_only: bool = False
    session_hours: float = 12.0
    proxy_header: str = ""
    proxy_peers: tuple[str, ...] = ()
    proxy_operators: tuple[str, ...] = ()
    proxy_account: str = DEFAULT_ACCOUNT

    def __post_init__(self) -> None:
        if not is_base_path(self.base_path):
            raise ValueError("base_path must be empty, or a path without a slash at its end, as /encola")
        if not 0 < self.session_hours <= 24 * 365:
            raise ValueError("session_hours must be more than 0, and at most a year")
        if self.proxy_header and not _HEADER.fullmatch(self.proxy_header):
            raise ValueError("proxy_header must be the name of a header, as X-Forwarded-User")
        if self.proxy_header and not self.proxy_peers:
            raise ValueError("proxy_header needs proxy_peers: the addresses of the proxies that may set it")
        if not is_account(self.proxy_account):
            raise ValueError("proxy_account must have 12 digits")

    def is_operator(self, user: str) -> bool:
        """May a person whom the proxy signed in act?"""
        return any(fnmatchcase(user, pattern) for pattern in self.proxy_operators)


def is_base_path(path: str) -> bool:
    """A path that can stand before all of ours: empty, or segments without anything that needs quoting."""
    return bool(_BASE_PATH.fullmatch(path)) and ".." not in path
