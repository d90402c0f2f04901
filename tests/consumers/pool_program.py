"""A program for children of ``processes``: it does what the header of a call says. Its argument is how it starts."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from encola.consumers.child import Channel


def sleeper() -> int:
    """Another process, which would live for long."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def fork(*, leaves: bool) -> int:
    """As ``sleeper``, but with all that this process has open; if it leaves, it is in no group with it.

    As a library of C would do it, of which Python hears nothing.
    """
    pid: int = ctypes.PyDLL(None).fork()
    if not pid:
        if leaves:
            os.setsid()
        time.sleep(600)
        os._exit(0)
    return pid


def tell_later(channel: Channel, header: dict[str, Any]) -> None:
    def go_on() -> None:
        while True:
            channel.send({"id": header["id"], "progress": [0.9, "of an earlier call"]})
            time.sleep(0.001)

    threading.Thread(target=go_on, daemon=True).start()


def do(channel: Channel, header: dict[str, Any], payload: bytes) -> bytes:
    match header["do"]:
        case "echo":
            return payload
        case "pid":
            return str(os.getpid()).encode()
        case "sleeper":
            return str(sleeper()).encode()
        case "large":
            return b"x" * int(payload)
        case "hang":
            channel.send({"id": header["id"], "progress": [0.5, str(sleeper())]})
            threading.Event().wait()
        case "crash":
            channel.send({"id": header["id"], "progress": [0.5, str(fork(leaves=header["leaves"]))]})
            ctypes.string_at(0)
        case "noise":
            channel._socket.sendall(b"\xff" * 100)
            threading.Event().wait()
        case "no json":
            channel._socket.sendall(b"\0\0\0\4oops")
            threading.Event().wait()
        case "tell later":
            tell_later(channel, header)
        case "terminate a fork":
            pid = os.fork()
            if not pid:
                time.sleep(600)
            os.kill(pid, signal.SIGTERM)
            return str(os.waitpid(pid, 0)[1]).encode()
        case "look for the channel":
            descriptor = channel._socket.fileno()
            pid = os.fork()
            if not pid:
                os._exit(descriptor in map(int, os.listdir("/proc/self/fd")))
            return str(os.waitpid(pid, 0)[1]).encode()
        case "no unicode":
            channel.send({"id": header["id"], "progress": [0.5, "half a pair: \ud800"]})
    return b""


def main(descriptor: str, how: str) -> None:
    if how == "hang":
        time.sleep(600)
    channel = Channel(int(descriptor))
    channel.start()
    if how == "refuse":
        channel.send({"error": {"why": "it is Sunday"}})
        os._exit(3)
    channel.send({"ready": True})
    if how == "end":
        os._exit(5)
    while (call := channel.next()) is not None:
        header, payload = call
        if header["do"] == "nothing":
            threading.Event().wait()
        if header["do"] == "refuse":
            channel.send({"id": header["id"], "error": {"why": "not today"}})
            continue
        channel.send({"id": header["id"], "started": True})
        channel.send({"id": header["id"]}, do(channel, header, payload))


if __name__ == "__main__":
    main(*sys.argv[1:])
