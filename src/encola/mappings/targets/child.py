"""The program of a process that runs one Python function, one invocation at a time, for ``targets/python.py``.

They talk over a socket, not over the standard streams, which belong to the function. A frame is four bytes of length
and that many bytes; a message is a header in JSON and, with events and results, a payload in a second frame:

    child   {"ready": true}  or  {"error": {...}} if the function cannot be loaded
    parent  {"id", "arn", "deadline"} + event
    child   {"started": id}
    child   {"id"} + result  or  {"id", "error": {"errorType", "errorMessage", "stackTrace"}}

When the parent is gone, the process ends at once, whatever the function does.
"""

import importlib
import inspect
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

EXIT_PARENT_GONE = 0
EXIT_NOT_LOADED = 3
EXIT_BY_FUNCTION = 4
FRAME_BYTES_MAX = 64 * 1024 * 1024

Frames = tuple[dict[str, Any], bytes]


class Context:
    """What a function may ask of its invocation: the names are those of Lambda's context object."""

    def __init__(self, header: dict[str, Any], function_name: str) -> None:
        self.aws_request_id = str(header["id"])
        self.invoked_function_arn = str(header["arn"])
        self.function_name = function_name
        self.function_version = "$LATEST"
        self._deadline = float(header["deadline"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


class Channel:
    """The socket to the parent. A thread reads it, so that its end is seen while the function runs."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._arrived: queue.SimpleQueue[Frames] = queue.SimpleQueue()
        self._owner = os.getpid()

    def start(self) -> None:
        threading.Thread(target=self._read_forever, name="encola-parent", daemon=True).start()

    def next(self) -> Frames:
        return self._arrived.get()

    def send(self, header: dict[str, Any], payload: bytes | None = None) -> None:
        """Sends a message. A process that the function forked, and that came back from it, ends here."""
        if os.getpid() != self._owner:
            os._exit(0)
        parts = [_frame(json.dumps(header).encode())]
        if payload is not None:
            parts.append(_frame(payload))
        self._socket.sendall(b"".join(parts))

    def _read_forever(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                while True:
                    header = json.loads(_read_frame(stream))
                    self._arrived.put((header, _read_frame(stream)))
        finally:
            os._exit(EXIT_PARENT_GONE)


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _read_frame(stream: Any) -> bytes:
    size = int.from_bytes(_read_exactly(stream, 4), "big")
    return _read_exactly(stream, size)


def _read_exactly(stream: Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return bytes(data)


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
    """Runs the function for each event that comes. Returns never: the end of the channel ends the process."""
    run = _Loop()
    while True:
        header, payload = channel.next()
        channel.send({"started": header["id"]})  # from here on the function may have had effects
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
    # Who stops a whole service signals all its processes; when this one ends is the server's decision. A handler, since
    # to ignore the signal would be inherited by whatever the function starts.
    signal.signal(signal.SIGTERM, lambda *_: None)
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
