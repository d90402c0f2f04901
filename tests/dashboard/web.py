"""A browser without a screen: it keeps cookies, follows redirects, and fills in forms as a page has them."""

import html
import http.client
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

TOKEN = re.compile(r'name="csrf" value="([^"]*)"')
REDIRECTS_MAX = 5


@dataclass
class Answer:
    """What a server said; ``url`` is where the redirects led."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a person reads: without tags."""
        return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", self.text, flags=re.S)))

    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """``headers`` go with every request, as those that a proxy adds."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = headers or {}
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: dict[str, str] | None = None, *, follow: bool = True) -> Answer:
        return self._ask("GET", path, None, headers or {}, follow)

    def twin(self, path: str) -> Any:
        """A page's JSON."""
        answer = self.get(path, {"Accept": "application/json"})
        assert answer.status == 200, answer.text
        return answer.json()

    def post(
        self,
        path: str,
        fields: dict[str, Any] | None = None,
        *,
        page: str | None = None,
        headers: dict[str, str] | None = None,
        follow: bool = True,
    ) -> Answer:
        """Sends a form with the token that ``page`` (the overview, if none is given) has for it."""
        found = TOKEN.search(self.get(page or "/ui/queues-new").text)
        return self.post_raw(
            path, {"csrf": found[1] if found else "", **(fields or {})}, headers=headers, follow=follow
        )

    def post_raw(
        self, path: str, fields: dict[str, Any], *, headers: dict[str, str] | None = None, follow: bool = True
    ) -> Answer:
        """Sends a form as it is."""
        form = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self._ask("POST", path, urlencode(fields, doseq=True).encode(), form, follow)

    def sign_in(self, key: str, secret: str, **fields: str) -> Answer:
        return self.post_raw("/ui/sign-in", {"access_key": key, "secret_key": secret, **fields})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str], follow: bool) -> Answer:
        for _ in range(REDIRECTS_MAX):
            answer = self._once(method, path, body, headers)
            if answer.status != 303 or not follow:
                return answer
            method, body, path = "GET", None, answer.headers["location"]
            headers = {name: value for name, value in headers.items() if name == "Accept"}
        raise AssertionError(f"too many redirects, the last to {path}")

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = {**self._headers, **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        for value in response.headers.get_all("Set-Cookie") or ():
            name, _, rest = value.partition("=")
            cookie, _, attributes = rest.partition(";")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = cookie
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, content, path)
