"""The program of a process that runs one Python function, one invocation at a time, for ``targets/python.py``.

They talk as ``consumers.child`` says. A call is ``{"id", "invocation", "arn", "timeout"}`` and an event, an answer the
result in JSON; errors are ``{"errorType", "errorMessage", "stackTrace"}``.
"""

import importlib
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from encola.consumers.child import Channel

EXIT_NOT_LOADED = 3
EXIT_BY_FUNCTION = 4


class Context:
    """What a function may ask of its invocation: the names are those of Lambda's context object."""

    def __init__(self, header: dict[str, Any], function_name: str) -> None:
        self.aws_request_id = str(header["invocation"])
        self.invoked_function_arn = str(header["arn"])
        self.function_name = function_name
        self.function_version = "$LATEST"
        self._deadline = time.time() + float(header["timeout"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception as Lambda's Python runtime writes one; the trace begins with the function's own frames."""
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error)[:2000],
        "stackTrace": traceback.format_tb(trace)[-20:],
    }


def load(name: str, directory: str) -> Callable[[Any, Context], Any]:
    """The function ``module:attribute``. Raises whatever its module raises."""
    sys.path.insert(0, directory)
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{name} cannot be called")
    return found  # type: ignore[no-any-return]


def serve(channel: Channel, function: Callable[[Any, Context], Any], name: str) -> None:
    """Runs the function for each event that comes, till there will be none."""
    run = _Loop()
    while (call := channel.next()) is not None:
        header, payload = call
        channel.send({"id": header["id"], "started": True})  # from here on the function may have had effects
        try:
            result = function(json.loads(payload), Context(header, name))
            if inspect.isawaitable(result):
                result = run(result)
        except (SystemExit, KeyboardInterrupt) as error:
            exit_error = {**error_of(error), "errorType": "Runtime.ExitError"}
            channel.send({"id": header["id"], "error": exit_error, "ends": True})
            os._exit(EXIT_BY_FUNCTION)
        except BaseException as error:
            channel.send({"id": header["id"], "error": error_of(error)})
            continue
        try:
            answer = json.dumps(result).encode()
        except (TypeError, ValueError, RecursionError) as error:
            channel.send({"id": header["id"], "error": {**error_of(error), "errorType": "Runtime.MarshalError"}})
            continue
        channel.send({"id": header["id"]}, answer)


class _Loop:
    """One event loop for all calls, so that a function may keep connections; made when a coroutine first comes."""

    def __init__(self) -> None:
        self._run: Callable[[Any], Any] | None = None

    def __call__(self, result: Awaitable[Any]) -> Any:
        if self._run is None:
            import asyncio

            self._run = asyncio.Runner().run

        async def awaited() -> Any:
            return await result

        return self._run(awaited())


def main(arguments: list[str]) -> None:
    """``descriptor module:function name directory``."""
    descriptor, target, name, directory = arguments
    channel = Channel(int(descriptor))
    channel.start()
    try:
        function = load(target, directory)
    except BaseException as error:
        channel.send({"error": error_of(error)})
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(EXIT_NOT_LOADED)
    channel.send({"ready": True})
    serve(channel, function, name)


if __name__ == "__main__":
    main(sys.argv[1:])
