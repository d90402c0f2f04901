"""For tests of your own code: a server that is there in milliseconds, and tasks that run inline with virtual time.

with EncolaServer() as server: ...      # a real server in a thread, for code that uses SQS
with Inline(app) as run: ...            # no server at all: tasks run here, and hours pass when you say so
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encola.testing.inline import Inline
    from encola.testing.server import EncolaServer

__all__ = ["EncolaServer", "Inline"]


def __getattr__(name: str) -> Any:  # each only when asked for: one needs the server, the other the runtime
    if name == "EncolaServer":
        from encola.testing.server import EncolaServer

        return EncolaServer
    if name == "Inline":
        from encola.testing.inline import Inline

        return Inline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
