"""All pages of a shop: an example of each, by its path in the table of routes."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .shop import Shop

Site = Callable[[Shop], str]
"""The address of an example, once there is one."""


def _first(shop: Shop, path: str, *names: Any) -> Any:
    """Something of a page's twin, as soon as it is there."""
    return shop.until(lambda: _within(shop.twin(path), names))


def _within(twin: Any, names: tuple[Any, ...]) -> Any:
    for name in names:
        if not twin:
            return None
        twin = twin[name]
    return twin


def _letter(shop: Shop, more: str = "") -> str:
    return f"/ui/queues/mails-dead/messages/{_first(shop, '/ui/queues/mails-dead/messages', 'rows', 0, 'id')}{more}"


def _plan(shop: Shop) -> str:
    mark = _first(shop, "/ui/queues/mails-dead/messages", "rows", 0, "mark")
    return f"/ui/queues/mails-dead/dead-letters/plan?act=redrive&chosen={mark}"


def _job(shop: Shop, state: str, path: str = "/ui/jobs/{}") -> str:
    return path.format(_first(shop, f"/ui/jobs?state={state}", "rows", 0, "key"))


def _worker(shop: Shop, more: str = "") -> str:
    return f"/ui/workers/{quote(_first(shop, '/ui/workers', 'rows', 0, 'id'), safe='')}{more}"


def _mapping(shop: Shop, more: str = "") -> str:
    return f"/ui/mappings/{shop.mapping()}{more}"


SITES: Mapping[str, Site] = {
    "": lambda shop: "/",
    "queues-new": lambda shop: "/ui/queues-new",
    "queues-new?fifo": lambda shop: "/ui/queues-new?fifo=1",
    "queues/{queue}": lambda shop: "/ui/queues/orders",
    "queues/{queue}/confirm/{act}": lambda shop: "/ui/queues/orders/confirm/purge",
    "queues/{queue}/configuration": lambda shop: "/ui/queues/orders/configuration",
    "queues/{queue}/send": lambda shop: "/ui/queues/orders/send",
    "queues/{queue}/messages": lambda shop: "/ui/queues/orders-dead/messages",
    "queues/{queue}/messages/{message}": lambda shop: _letter(shop, "?show=auto"),
    "queues/{queue}/messages/{message}/edit": lambda shop: _letter(shop, "/edit"),
    "queues/{queue}/dead-letters": lambda shop: "/ui/queues/mails-dead/dead-letters",
    "queues/{queue}/dead-letters/messages": lambda shop: "/ui/queues/mails-dead/dead-letters/messages",
    "queues/{queue}/dead-letters/plan": _plan,
    "queues/{queue}/dead-letters/plan?delete": lambda shop: (
        "/ui/queues/mails-dead/dead-letters/plan?act=delete&scope=all"
    ),
    "jobs": lambda shop: "/ui/jobs",
    "jobs/{key...}": lambda shop: _job(shop, "dead"),
    "jobs/{key...}?running": lambda shop: _job(shop, "running"),
    "job": lambda shop: _job(shop, "completed", "/ui/job?key={}&show=result"),
    "job-forget": lambda shop: _job(shop, "dead", "/ui/job-forget?key={}"),
    "jobs-retry": lambda shop: "/ui/jobs-retry",
    "workers": lambda shop: "/ui/workers",
    "workers/{worker}": _worker,
    "workers/{worker}/stop": lambda shop: _worker(shop, "/stop"),
    "workers-stop": lambda shop: "/ui/workers-stop?app=shop",
    "mappings": lambda shop: "/ui/mappings",
    "mappings/{uuid}": _mapping,
    "mappings/{uuid}?declared": lambda shop: f"/ui/mappings/{_first(shop, '/ui/mappings', 'rows', 0, 'uuid')}",
    "mappings/{uuid}/delete": lambda shop: _mapping(shop, "/delete"),
    "server": lambda shop: "/ui/server",
    "audit": lambda shop: "/ui/audit",
    "no such page": lambda shop: "/ui/nothing",
}

ONLY_PARTS = {"queues/{queue}/messages/{message}/body", "queues/{queue}/messages/{message}/download"}
"""What is no page: a part of one, a file."""
