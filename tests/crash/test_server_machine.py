"""A server on a machine that misbehaves: its wall clock is set back and forth, or its disk fails."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ..process import ServerProcess
from .server_wire import LostError, RefusedError, Wire

pytestmark = pytest.mark.crash

HOUR = 3600
SCRIPT = str(Path(__file__).with_name("server_machine.py"))
Story = Callable[["Machine"], Coroutine[Any, Any, None]]


class Machine:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.server = ServerProcess(directory, program=(sys.executable, SCRIPT, str(directory)))

    def set_wall(self, seconds: float) -> None:
        """The wall clock is so far ahead of the real time from now on."""
        (self._directory / "wall.new").write_text(str(seconds))
        (self._directory / "wall.new").rename(self._directory / "wall")

    def break_disk(self, broken: bool = True) -> None:
        if broken:
            (self._directory / "broken").touch()
        else:
            (self._directory / "broken").unlink()

    async def wire(self) -> Wire:
        return await Wire.open(self.server.port)


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    """Runs a story on a machine with a server."""

    def run(story: Story) -> None:
        machine = Machine(tmp_path)
        with machine.server:
            asyncio.run(story(machine))
        assert "Traceback" not in machine.server.logged()

    return run


async def send(wire: Wire, body: str, queue: str = "work", **more: Any) -> Any:
    return await wire.call("SendMessage", QueueUrl=queue, MessageBody=body, **more)


async def receive(wire: Wire, queue: str = "work", **more: Any) -> list[str]:
    answer = await wire.call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10, **more)
    return [message["Body"] for message in answer.get("Messages", [])]


@pytest.mark.parametrize("step", [-24 * HOUR, 24 * HOUR])
def test_a_wall_clock_that_is_set_moves_no_delay_no_lease_and_no_retention(
    tell: Callable[[Story], None], step: float
) -> None:
    async def story(machine: Machine) -> None:
        wire = await machine.wire()
        await wire.call("CreateQueue", QueueName="work", Attributes={"MessageRetentionPeriod": "60"})
        await send(wire, "leased")
        assert await receive(wire, VisibilityTimeout=2) == ["leased"]
        await send(wire, "delayed", DelaySeconds=2)
        await send(wire, "long", DelaySeconds=600)
        await send(wire, "ready")
        begun = time.monotonic()
        machine.set_wall(step)
        assert await receive(wire, VisibilityTimeout=600) == ["ready"]
        seen: list[str] = []
        while len(seen) < 2:
            seen += await receive(wire, VisibilityTimeout=600, WaitTimeSeconds=5)
            assert time.monotonic() - begun < 15
        assert time.monotonic() - begun > 1.5
        assert sorted(seen) == ["delayed", "leased"]
        await send(wire, "sent after the step")
        assert await receive(wire) == ["sent after the step"]
        assert len(await wire.peek("work")) == 5

    tell(story)


def test_after_a_restart_with_an_earlier_wall_clock_nothing_is_out_of_order_doubled_or_late(
    tell: Callable[[Story], None],
) -> None:
    async def story(machine: Machine) -> None:
        wire = await machine.wire()
        await wire.call("CreateQueue", QueueName="work.fifo", Attributes={"FifoQueue": "true"})
        await wire.call("CreateQueue", QueueName="work")
        fifo = {"queue": "work.fifo", "MessageGroupId": "g"}
        first = await send(wire, "1", MessageDeduplicationId="1", **fifo)
        await send(wire, "before")
        machine.server.kill()
        machine.set_wall(-HOUR)
        machine.server.start()
        wire = await machine.wire()
        # What was sent, by a clock that was an hour ahead, is not in the future now.
        assert await receive(wire) == ["before"]
        assert await send(wire, "1", MessageDeduplicationId="1", **fifo) == first
        second = await send(wire, "2", MessageDeduplicationId="2", **fifo)
        assert second["SequenceNumber"] > first["SequenceNumber"]
        assert await receive(wire, "work.fifo") == ["1", "2"]
        await send(wire, "after", DelaySeconds=1)
        assert await receive(wire, WaitTimeSeconds=5) == ["after"]

    tell(story)


def test_after_a_restart_with_a_later_wall_clock_that_time_has_passed(tell: Callable[[Story], None]) -> None:
    async def story(machine: Machine) -> None:
        wire = await machine.wire()
        await wire.call("CreateQueue", QueueName="work.fifo", Attributes={"FifoQueue": "true"})
        await wire.call("CreateQueue", QueueName="work")
        await wire.call("CreateQueue", QueueName="short", Attributes={"MessageRetentionPeriod": "60"})
        fifo = {"queue": "work.fifo", "MessageGroupId": "g", "MessageDeduplicationId": "1"}
        first = await send(wire, "1", **fifo)
        await send(wire, "leased")
        assert await receive(wire, VisibilityTimeout=600) == ["leased"]
        await send(wire, "delayed", DelaySeconds=600)
        await send(wire, "old", "short")
        machine.server.kill()
        machine.set_wall(HOUR)
        machine.server.start()
        wire = await machine.wire()
        assert sorted(await receive(wire)) == ["delayed", "leased"]
        assert await receive(wire, "short") == []
        again = await send(wire, "1", **fifo)  # the five minutes of deduplication are over
        assert again["MessageId"] != first["MessageId"]
        assert again["SequenceNumber"] > first["SequenceNumber"]
        assert await receive(wire, "work.fifo") == ["1", "1"]

    tell(story)


def test_after_a_failed_fsync_nothing_is_acknowledged_and_the_server_leaves(tell: Callable[[Story], None]) -> None:
    async def story(machine: Machine) -> None:
        wires = [await machine.wire() for _ in range(5)]
        await wires[0].call("CreateQueue", QueueName="work")
        await send(wires[0], "kept")
        machine.break_disk()
        # Whether what was asked at that moment is stored nobody can know; it is refused, and so is all that follows,
        # even when the disk seems to work again: the kernel may have dropped what it could not write.
        answers = await asyncio.gather(*(send(wire, "lost?") for wire in wires), return_exceptions=True)
        assert {(type(one), getattr(one, "status", 0)) for one in answers} == {(RefusedError, 503)}
        machine.break_disk(False)
        try:
            with pytest.raises(RefusedError):
                await send(wires[0], "no more")
        except LostError:
            pass  # it has left already
        assert machine.server.wait() == 74
        assert "nothing is acknowledged any more" in machine.server.logged()
        machine.server.start()
        wire = await machine.wire()
        bodies = [message["Body"] for message in await wire.peek("work")]
        assert bodies[0] == "kept"
        assert set(bodies) <= {"kept", "lost?"}
        await send(wire, "works again")

    tell(story)
