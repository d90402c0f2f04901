"""The addresses of pages: a path below ``/ui`` to the route that shows it or acts."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from encola.dashboard.page import Act, View

NAME_LENGTH_MAX = 2048


class Route:
    """``path`` has names in braces: ``queues/{queue}/purge``; the last may be ``{name...}``, which takes all that is
    left. ``beats``: an open page is looked at anew every so many beats; 0, never."""

    def __init__(self, path: str, view: View | None = None, act: Act | None = None, beats: int = 0) -> None:
        self.path = path
        self.view = view
        self.act = act
        self.beats = beats
        self._segments = path.split("/") if path else []

    def match(self, segments: Sequence[str]) -> Mapping[str, str] | None:
        """The names that stand in these segments of a path, or None if it is not of this route."""
        own = self._segments
        names: dict[str, str] = {}
        for index, segment in enumerate(own):
            if segment.endswith("...}"):
                rest = "/".join(segments[index:])
                return {**names, segment[1:-4]: rest} if rest else None
            if index >= len(segments):
                return None
            if segment.startswith("{"):
                names[segment[1:-1]] = segments[index]
            elif segment != segments[index]:
                return None
        return names if len(own) == len(segments) else None


class Routes:
    """Looks a path up; the first route that fits is taken."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def find(self, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """``path`` is below ``/ui/``, still percent-encoded."""
        if len(path) > NAME_LENGTH_MAX:
            return None
        segments = [unquote(segment) for segment in path.split("/")] if path else []
        if any(_CONTROL.search(segment) for segment in segments):
            return None
        for route in self._routes:
            names = route.match(segments)
            if names is not None:
                return route, names
        return None


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
