"""A full disk under a running server: clear refusals, nothing acknowledged is lost, and service when there is room.

The disk is full for the server alone: the kernel lets it write no file beyond a size (RLIMIT_FSIZE), a limit that can
be moved while it runs.
"""

import asyncio
import resource
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from encola.stores.sqlite.check import check

from ..process import ServerProcess
from .server_wire import RefusedError, Wire

pytestmark = pytest.mark.crash

MIB = 1024 * 1024
UNLIMITED = resource.RLIM_INFINITY


def limit_files(server: ServerProcess, size: int) -> None:
    """No file of the server may grow beyond ``size`` from now on."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))


def largest_file(server: ServerProcess) -> int:
    return max(file.stat().st_size for file in server.data.iterdir())


def health(server: ServerProcess, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def wait_for_health(server: ServerProcess, status: int) -> None:
    end = time.monotonic() + 10
    while health(server, "/health/ready") != status:
        assert time.monotonic() < end
        time.sleep(0.05)


async def fill(wire: Wire, sent: list[str], size: int) -> RefusedError:
    """Sends messages of that size until one is refused; ``sent`` gets the bodies of the others."""
    while True:
        body = f"{len(sent)}-".ljust(size, "x")
        try:
            await wire.call("SendMessage", QueueUrl="work", MessageBody=body)
        except RefusedError as refused:
            return refused
        sent.append(body)


async def bodies(wire: Wire) -> list[str]:
    return [message["Body"] for message in await wire.peek("work")]


async def refusal(wire: Wire, operation: str, **parameters: Any) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        await wire.call(operation, **parameters)
    return caught.value.status, caught.value.code


UNAVAILABLE = (503, "ServiceUnavailable")


async def story_of_a_full_disk(server: ServerProcess) -> None:
    wire = await Wire.open(server.port)
    # Given a queue with messages, one of them in flight
    await wire.call("CreateQueue", QueueName="work")
    sent: list[str] = []
    for n in range(20):
        sent.append(f"before {n}")
        await wire.call("SendMessage", QueueUrl="work", MessageBody=sent[-1])
    (held,) = (await wire.call("ReceiveMessage", QueueUrl="work", VisibilityTimeout=600))["Messages"]
    # When the disk fills up under the load of many connections
    limit_files(server, largest_file(server) + 300_000)
    wires = [await Wire.open(server.port) for _ in range(8)]
    lists: list[list[str]] = [[] for _ in wires]
    refusals = await asyncio.gather(*(fill(wires[n], lists[n], 1000 + n) for n in range(len(wires))))
    sent += [body for list_ in lists for body in list_]
    # Then it is told; and with no room for a single byte, every call that must write is refused
    assert {(one.status, one.code) for one in refusals} == {UNAVAILABLE}
    limit_files(server, 0)
    at = {"QueueUrl": "work"}
    assert await refusal(wire, "ReceiveMessage", **at) == UNAVAILABLE
    assert await refusal(wire, "ReceiveMessage", **at, WaitTimeSeconds=1) == UNAVAILABLE
    assert await refusal(wire, "DeleteMessage", **at, ReceiptHandle=held["ReceiptHandle"]) == UNAVAILABLE
    assert await refusal(wire, "CreateQueue", QueueName="more") == UNAVAILABLE
    assert await refusal(wire, "SetQueueAttributes", **at, Attributes={"DelaySeconds": "1"}) == UNAVAILABLE
    assert await refusal(wire, "PurgeQueue", **at) == UNAVAILABLE
    # ... what only reads goes on, and shows what was acknowledged and nothing else
    assert len(await bodies(wire)) == len(sent)
    attributes = await wire.call("GetQueueAttributes", **at, AttributeNames=["All"])
    assert attributes["Attributes"]["DelaySeconds"] == "0"
    assert (await wire.call("ListQueues"))["QueueUrls"][0].endswith("/work")
    # ... and the server says that it is alive but not ready
    wait_for_health(server, 503)
    assert health(server, "/health/live") == 200
    # When there is room again, then service goes on by itself
    assert server.logged().count("takes no more") == 1
    limit_files(server, UNLIMITED)
    await wire.call("SendMessage", QueueUrl="work", MessageBody="after")
    sent.append("after")
    await wire.call("DeleteMessage", **at, ReceiptHandle=held["ReceiptHandle"])
    sent.remove(held["Body"])
    wait_for_health(server, 200)
    assert sorted(await bodies(wire)) == sorted(sent)
    # ... and a crash changes nothing of it
    server.restart()
    wire = await Wire.open(server.port)
    assert sorted(await bodies(wire)) == sorted(sent)


async def story_of_a_crash_on_a_full_disk(server: ServerProcess) -> None:
    wire = await Wire.open(server.port)
    await wire.call("CreateQueue", QueueName="work")
    # Given so much that the log has been copied into the database, which is as large as a file may be
    sent: list[str] = []
    limit_files(server, 40 * MIB)
    refused = await fill(wire, sent, MIB - 1)
    assert (refused.status, refused.code) == UNAVAILABLE
    assert len(sent) >= 36
    end = time.monotonic() + 10
    while "checkpoint put off" not in server.logged():  # a thread tells it, after the answers
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    # When the server dies and starts anew with a little more room
    server.restart()
    limit_files(server, 80 * MIB)
    # Then all is there, and more can be sent until it is full again
    wire = await Wire.open(server.port)
    assert await bodies(wire) == sent
    refused = await fill(wire, sent, MIB - 1)
    assert (refused.status, refused.code) == UNAVAILABLE
    assert len(sent) >= 70
    limit_files(server, UNLIMITED)
    await wire.call("SendMessage", QueueUrl="work", MessageBody="after")
    assert await bodies(wire) == [*sent, "after"]


def test_a_full_disk_is_told_loses_nothing_and_passes(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        asyncio.run(story_of_a_full_disk(server))
        assert server.stop() == 0
        assert "Traceback" not in server.logged()
    assert check(server.data) == []


@pytest.mark.slow
def test_a_crash_on_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        asyncio.run(story_of_a_crash_on_a_full_disk(server))
        assert server.stop() == 0
        assert "Traceback" not in server.logged()
    assert check(server.data) == []


def test_a_server_on_a_full_disk_stops_as_any_other(tmp_path: Path) -> None:
    async def story() -> None:
        wire = await Wire.open(server.port)
        await wire.call("CreateQueue", QueueName="work")
        await wire.call("SendMessage", QueueUrl="work", MessageBody="kept")
        limit_files(server, 0)
        assert await refusal(wire, "SendMessage", QueueUrl="work", MessageBody="refused") == UNAVAILABLE
        assert server.stop() == 0
        server.start()
        assert await bodies(await Wire.open(server.port)) == ["kept"]

    with ServerProcess(tmp_path) as server:
        asyncio.run(story())
        assert "Traceback" not in server.logged()


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.launch()
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (2048, 2048))  # the kernel applies it from the next write on
    try:
        assert server.wait() == 1
        assert "cannot start" in server.logged()
        assert "Traceback" not in server.logged()
    finally:
        server.kill()
    with server:  # with room, it starts
        assert health(server, "/health/ready") == 200
