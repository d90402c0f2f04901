"""Cookies: those that a browser sent, and the header that sets one. Pure. Source: RFC 6265."""

from urllib.parse import quote, unquote

COOKIES_MAX = 50


def read(header: str) -> dict[str, str]:
    """The cookies of a Cookie header by name; of a name that comes twice, the first."""
    found: dict[str, str] = {}
    for pair in header.split(";")[:COOKIES_MAX]:
        name, equals, value = pair.strip().partition("=")
        if equals:
            found.setdefault(name, unquote(value.strip('"')))
    return found


def setting(name: str, value: str, *, path: str, secure: bool, seconds: int | None = None) -> tuple[str, str]:
    """The header that sets a cookie for pages below ``path``, hidden from scripts; ``seconds`` 0 removes it.

    ``Lax``: a link in a chat leads to the page that it names, while no form of another site can act.
    """
    parts = [f"{name}={quote(value, safe='')}", f"Path={path or '/'}", "HttpOnly", "SameSite=Lax"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if secure:
        parts.append("Secure")
    return "Set-Cookie", "; ".join(parts)
