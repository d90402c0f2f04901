"""Functions: what the operator declares, how a name or an ARN finds one, and how many batches one takes at once.

The API may only name what is declared, or URLs below a prefix that the operator allows: else whoever may create a
mapping could make the server call any address that it reaches. Python code runs by declaration only.
"""

import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from encola.mappings.gate import Gate
from encola.mappings.model import MappingError, invalid, not_found

TIMEOUT_SECONDS_MAX = 900
NAME_LENGTH_MAX = 64
CONCURRENCY_MAX = 10_000
EMULATOR_PATH = "/2015-03-31/functions/function/invocations"
"""Where Lambda's runtime interface emulator listens. It runs one invocation at a time."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_PYTHON = re.compile(r"python:[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_REFERENCE = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:(?P<owner>\d{12}):function:|(?P<partial>\d{12}):function:|function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?\Z"
)

Kind = Literal["http", "aws", "python"]


class DeclaredFunction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function and where it runs: ``http(s)://...``, ``aws:name-or-ARN`` or ``python:module:function``.

    Raises ValueError when a field cannot be right. Its repr hides the values of headers and environment.
    """

    name: str
    target: str
    account: str = "000000000000"
    timeout: int = 30
    concurrency: int | None = None
    headers: dict[str, str] = {}
    region: str | None = None
    endpoint: str | None = None
    directory: str = "."
    environment: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"name may only have letters, digits, '_' and '-', 1 to {NAME_LENGTH_MAX} of them")
        if len(self.account) != 12 or not (self.account.isascii() and self.account.isdigit()):
            raise ValueError("account must have 12 digits")
        if not 1 <= self.timeout <= TIMEOUT_SECONDS_MAX:
            raise ValueError(f"timeout must be between 1 and {TIMEOUT_SECONDS_MAX} seconds")
        if self.concurrency is not None and not 1 <= self.concurrency <= CONCURRENCY_MAX:
            raise ValueError(f"concurrency must be between 1 and {CONCURRENCY_MAX}")
        kind = kind_of(self.target)
        for field, of in (("headers", "http"), ("region", "aws"), ("endpoint", "aws"), ("environment", "python")):
            if getattr(self, field) and kind != of:
                raise ValueError(f"{field} is for {of} targets only")
        for header, value in self.headers.items():
            if not (_HEADER.match(header) and value.isascii() and value.isprintable()):
                raise ValueError("headers must be names of HTTP headers, with printable values")
        if self.endpoint is not None and not is_url(self.endpoint):
            raise ValueError("endpoint must be a URL, as http://127.0.0.1:4566")

    def __repr__(self) -> str:
        return f"DeclaredFunction(name={self.name!r}, target={self.target!r}, account={self.account!r})"


def kind_of(target: str) -> Kind:
    """Which kind of target a text names. Raises ValueError when it is none."""
    if target.startswith(("http://", "https://")):
        if not is_url(target):
            raise ValueError("target is not a URL that can be called")
        return "http"
    if target.startswith("aws:") and len(target) > len("aws:"):
        return "aws"
    if _PYTHON.match(target):
        return "python"
    raise ValueError("target must be http(s)://..., aws:name-or-arn or python:module:function")


def is_url(text: str) -> bool:
    """Is it an absolute HTTP URL without a user in it?"""
    try:
        parts = urlsplit(text)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and "@" not in parts.netloc
            and parts.port != 0
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False


def is_below(url: str, prefix: str) -> bool:
    """Is a URL the same as a prefix, or below its path? Compared by parts, so that no other host slips through."""
    if not (is_url(url) and is_url(prefix)):
        return False
    one, other = urlsplit(url), urlsplit(prefix)
    if (one.scheme, one.hostname, one.port) != (other.scheme, other.hostname, other.port):
        return False
    segments = unquote(one.path).replace("\\", "/").split("/")
    if ".." in segments or "." in segments:
        return False
    base = other.path.rstrip("/")
    return one.path == base or one.path.startswith(f"{base}/")


class Reference(msgspec.Struct, frozen=True):
    """A function as a request names it: a name within an account, or a URL."""

    account: str
    name: str

    @property
    def is_url(self) -> bool:
        return "://" in self.name


class Functions:
    """All declared functions, and the URLs that may be named besides."""

    def __init__(self, declared: Sequence[DeclaredFunction], url_prefixes: Sequence[str] = ()) -> None:
        self._declared = {(one.account, one.name): one for one in declared}
        self._prefixes = tuple(url_prefixes)
        self._gates: dict[tuple[str, str], Gate] = {}

    def find(self, reference: Reference) -> DeclaredFunction | None:
        """The function, or None when it is not declared (any more)."""
        if not reference.is_url:
            return self._declared.get((reference.account, reference.name))
        if not any(is_below(reference.name, prefix) for prefix in self._prefixes):
            return None
        return DeclaredFunction(name="url", target=reference.name, account=reference.account)

    def gate(self, reference: Reference, function: DeclaredFunction) -> Gate:
        """The one gate of a function."""
        key = (reference.account, reference.name)
        if key not in self._gates:
            self._gates[key] = Gate(concurrency_of(function))
        return self._gates[key]

    def resolve(self, text: str, account: str, region: str) -> tuple[Reference, DeclaredFunction]:
        """The function that a request of ``account`` names. Raises MappingError."""
        reference = reference_of(text, account)
        function = self.find(reference)
        if function is not None:
            return reference, function
        if reference.is_url:
            raise invalid("The function URL is not below a prefix that this server allows (push.url_prefixes).")
        raise not_found(f"Function not found: {arn_of_function(region, reference)}")


def reference_of(text: str, account: str) -> Reference:
    """Reads a name, a partial ARN, an ARN or a URL. Raises MappingError."""
    if "://" in text:
        if not is_url(text):
            raise invalid("The function URL cannot be called.")
        return Reference(account, text)
    found = _REFERENCE.match(text)
    if found is None:
        raise MappingError(
            "ValidationException",
            f"1 validation error detected: Value '{text[:200]}' at 'functionName' failed to satisfy constraint: "
            "Member must be the name or the ARN of a function",
        )
    owner = found["owner"] or found["partial"] or account
    if found["qualifier"] not in (None, "$LATEST") or owner != account:
        raise not_found(f"Function not found: {text[:200]}")
    return Reference(account, found["name"])


def arn_of_function(region: str, reference: Reference) -> str:
    """A function's ARN; of a URL, the URL."""
    if reference.is_url:
        return reference.name
    return f"arn:aws:lambda:{region}:{reference.account}:function:{reference.name}"


def concurrency_of(function: DeclaredFunction) -> int | None:
    """Batches of a function that may run at once: as declared, or one where the target takes no more by itself."""
    if function.concurrency is not None:
        return function.concurrency
    kind = kind_of(function.target)
    if kind == "python" or (kind == "http" and urlsplit(function.target).path == EMULATOR_PATH):
        return 1
    return None
