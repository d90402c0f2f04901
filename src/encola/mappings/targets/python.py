"""Functions in Python, in processes of this machine that are started, watched, and ended when they take too long.

A process runs one invocation at a time, and serves many, as an instance of Lambda does (``consumers.processes``). What
a function prints goes to the server's log.
"""

import logging
import os
from collections.abc import Mapping
from typing import Any

from encola.consumers.processes import (
    AnswerTooLongError,
    CrashedError,
    EndsEarlyError,
    NotLoadedError,
    Pool,
    Program,
    Tell,
)
from encola.mappings.functions import DeclaredFunction
from encola.mappings.targets.target import RESPONSE_BYTES_MAX, Answer, Failed, Invocation, Refused, Returned, shortened

CHILD = "encola.mappings.targets.child"

_log = logging.getLogger("encola.function")


class PythonTarget:
    """The processes of one function. How many run at once is the business of its gate."""

    def __init__(self, function: DeclaredFunction) -> None:
        self._function = function
        target = function.target.removeprefix("python:")
        self._pool = Pool(
            Program(
                module=CHILD,
                arguments=(target, function.name, function.directory),
                environment=_environment(function),
                tell=_logged(function.name),
            )
        )

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return self._pool.pids

    async def invoke(self, invocation: Invocation) -> Answer:
        """A function that cannot be loaded is Refused; exceptions, the end of the process and timeouts are Failed."""
        timeout = self._function.timeout
        header = {"invocation": invocation.id, "arn": invocation.function_arn, "timeout": timeout}
        try:
            reply = await self._pool.call(header, invocation.payload, timeout=timeout, limit=RESPONSE_BYTES_MAX)
        except NotLoadedError as error:
            problem = _problem(error.told) if error.told is not None else str(error)
            return Refused(shortened(f"cannot load {self._function.target}: {problem}"))
        except EndsEarlyError:
            return Refused("the processes of the function end as soon as they are started")
        except TimeoutError:
            return Failed(f"timed out after {timeout} seconds; the process was ended")
        except CrashedError as error:
            return Failed(f"the process ended while the function ran ({error})")
        except AnswerTooLongError:
            return Failed(f"the response is longer than {RESPONSE_BYTES_MAX} bytes")
        if "error" in reply.header:
            return Failed(_problem(reply.header["error"]))
        return Returned(reply.payload)

    async def close(self) -> None:
        """Ends all processes: idle ones by closing their channel, others at once."""
        await self._pool.close()


def _logged(name: str) -> Tell:
    """Each line that the function prints becomes a line of the server's log."""

    def tell(pid: int, line: str) -> None:
        _log.info("%s", line, extra={"fields": {"function": name, "process": pid}})

    return tell


def _problem(error: Mapping[str, Any]) -> str:
    return shortened(f"{error.get('errorType', 'Error')}: {error.get('errorMessage', '')}")


def _environment(function: DeclaredFunction) -> dict[str, str]:
    """The server's own environment without its settings, which may hold secrets, and with what is declared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
    if "ENCOLA_ENDPOINT" in os.environ:
        kept["ENCOLA_ENDPOINT"] = os.environ["ENCOLA_ENDPOINT"]
    return {**kept, "PYTHONUNBUFFERED": "1", **function.environment}
