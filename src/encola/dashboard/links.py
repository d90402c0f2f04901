"""The addresses of pages, below the base path at which a proxy shows the server. Pure."""

from urllib.parse import quote, urlencode

UI = "/ui"
"""All pages but the first one, which is the root itself, begin with this: no queue's URL does."""

JOB_IN_PATH_MAX = 1_500


def without_base(target: str, base: str) -> str:
    """A request's target without the path at which a proxy shows the server, where it came with it."""
    return target.removeprefix(base) or "/"


class Links:
    """``base`` comes first in every address; ``account`` is named in those of pages if it is not ``home``."""

    def __init__(self, base: str, account: str, home: str) -> None:
        self.base = base
        self.account = account
        self.account_named = "" if account == home else account

    def overview(self, **query: object) -> str:
        """The first page."""
        return self._with(f"{self.base}/", query)

    def to(self, *segments: object, **query: object) -> str:
        """A page by the segments of its path: ``to("queues", "orders", "messages", after=17)``."""
        path = "/".join(quote(str(segment), safe="") for segment in segments)
        return self._with(f"{self.base}{UI}/{path}", query)

    def queue(self, name: str, *more: object, **query: object) -> str:
        return self.to("queues", name, *more, **query)

    def job(self, key: str) -> str:
        """A job by its key; one that no path can hold goes into the query."""
        fits = len(quote(key, safe="")) <= JOB_IN_PATH_MAX and key.isprintable()
        return self.to("jobs", key) if fits else self.to("job", key=key)

    def static(self, name: str, version: str) -> str:
        """A file that may be kept for ever under its version."""
        return f"{self.base}{UI}/static/{version}/{name}"

    def _with(self, path: str, query: dict[str, object]) -> str:
        asked = {
            name: value
            for name, value in {"account": self.account_named, **query}.items()
            if value not in (None, "", False)
        }
        return f"{path}?{urlencode(asked, doseq=True)}" if asked else path

    def is_ours(self, target: str) -> bool:
        """Is it an address of a page of ours, on this very server? Who follows it goes nowhere else."""
        if not (target.isascii() and target.isprintable()):
            return False
        path = target.partition("?")[0]
        return path == f"{self.base}/" or (path.startswith(f"{self.base}{UI}/") and "\\" not in target)
