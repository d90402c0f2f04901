"""Where the service is: the endpoint's URL, taken apart once. Pure.

``aws`` stands for AWS itself, whose endpoints follow from the region (AWS General Reference, "Amazon SQS endpoints and
quotas"; the suffixes are those of its partitions).
"""

import ipaddress
import re
from urllib.parse import quote, urlsplit

import msgspec

from encola.consumers.errors import ConfigurationError

AWS = "aws"
REGION = "us-east-1"
"""For a signature where no region is known and any will do."""

_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "eusc-": "amazonaws.eu",
}
_SUFFIX = "amazonaws.com"
_REGION_NAME = re.compile(r"[a-z]{2,8}(-[a-z]+)+-\d{1,2}")
_PORTS = {"http": 80, "https": 443}
_SAFE_IN_URLS = "/%~:@!$&'()*+,;="
_SAFE_IN_SIGNATURES = "/~"


class Address(msgspec.Struct, frozen=True):
    """``host`` is what the Host header says. ``path`` is that of the URL as it is signed: encoded once more."""

    url: str
    host: str
    path: str
    secure: bool
    local: bool


def address_of(url: str) -> Address:
    """Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or port == 0 or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(f"the endpoint {url!r} is no http:// or https:// URL of a service")
    name = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[parts.scheme]:
        name = f"{name}:{port}"
    path = quote(_normal(parts.path), safe=_SAFE_IN_URLS)
    signed_path = quote(path, safe=_SAFE_IN_SIGNATURES)
    return Address(f"{parts.scheme}://{name}{path}", name, signed_path, parts.scheme == "https", is_loopback(host))


def aws_url(region: str) -> str:
    """The endpoint of AWS in a region. Raises ConfigurationError: a region becomes part of a host's name."""
    if not _REGION_NAME.fullmatch(region):
        raise ConfigurationError(f"{region!r} is no region of AWS")
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), _SUFFIX)
    return f"https://sqs.{region}.{suffix}"


def is_loopback(host: str) -> bool:
    """True for ``localhost``, names under it, 127.0.0.0/8 and ::1; nothing is looked up."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _normal(path: str) -> str:
    """Without empty parts and dots, as a signature wants it (RFC 3986 section 5.2.4)."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts) + ("/" if parts and path.endswith("/") else "")
