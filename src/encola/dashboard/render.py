"""Templates to text. Everything that a template shows is escaped, unless the template is ours."""

from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from encola import __version__
from encola.dashboard import figures
from encola.dashboard.page import Page, Visit


class Renderer:
    """Templates are compiled once."""

    def __init__(self, static_version: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("encola.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            name: getattr(figures, name)
            for name in ("count", "rate", "duration", "size", "moment", "iso", "percent", "sparkline")
        }
        self._environment.filters["json"] = _json
        self._environment.globals |= {"version": __version__, "static_version": static_version}

    def whole(self, page: Page, visit: Visit, note: str = "", problem: str = "") -> str:
        """The whole page; ``note`` and ``problem`` are said above it."""
        return self._text(page, visit, note, problem, only_live=False)

    def live(self, page: Page, visit: Visit) -> str:
        """The part that changes while it is looked at."""
        return self._text(page, visit, "", "", only_live=True)

    def _text(self, page: Page, visit: Visit, note: str, problem: str, *, only_live: bool) -> str:
        return self._environment.get_template(page.template).render(
            page=page,
            twin=page.twin,
            visit=visit,
            links=visit.links,
            visitor=visit.visitor,
            now=visit.house.broker.clock.now(),
            note=note,
            problem=problem,
            only_live=only_live,
            **page.more,
        )


def _json(value: Any) -> Markup:
    """JSON within a script element: nothing in it can end the element."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704 - escaped
