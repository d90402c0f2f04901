"""Functions for the processes of the tests: each does one thing that functions do."""

import asyncio
import os
import sys
import time
from typing import Any

calls = 0


def echo(event: Any, context: Any) -> Any:
    """Answers what it got, and what it knows of its invocation."""
    return {
        "event": event,
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "left": context.get_remaining_time_in_millis(),
    }


def count(event: Any, context: Any) -> Any:
    """Answers the process and how often it has been called."""
    global calls
    calls += 1
    print("call", calls)
    return [os.getpid(), calls]


async def later(event: Any, context: Any) -> Any:
    await asyncio.sleep(0)
    return id(asyncio.get_running_loop())


def do(event: Any, context: Any) -> Any:
    """Does what the event says."""
    what = event["do"]
    if what == "raise":
        raise ValueError("no such month")
    if what == "exit":
        sys.exit(7)
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "terminate":
        os.kill(os.getpid(), 15)
    if what == "leave":
        os._exit(9)
    if what == "sleep":
        time.sleep(60)
    if what == "object":
        return object()
    if what == "large":
        return "x" * 7_000_000
    if what == "fork" and not os.fork():
        return "child"
    if what == "environment":
        return dict(os.environ)
    if what == "standard input":
        return sys.stdin.read()
    if what == "long line":
        print("x" * 20_000)
    return os.getpid()


number = 5
