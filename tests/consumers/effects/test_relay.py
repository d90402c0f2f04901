"""The relay: what was committed reaches its queue, in order, whoever dies; what one queue refuses holds up no other."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers import relay
from encola.consumers.dbapi import execute
from encola.consumers.errors import ConfigurationError
from encola.consumers.options import SendOptions
from encola.consumers.outbox import LEADER, TABLE
from encola.consumers.relay import Relay
from encola.consumers.sqs.transport import SqsTransport
from encola.consumers.transport import NoQueueError, Outgoing, TransportError
from encola.testing import EncolaServer

from ..bench import Queues, until, working
from .conftest import Place

SECONDS_MAX = 30.0


class Recorder:
    """Stands for a queue service: keeps what is sent, and refuses what it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, float]] = []
        self.missing: set[str] = set()
        self.bad: set[str] = set()
        self.down = False
        self.calls = 0
        self._ids = itertools.count()

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
        self.calls += 1
        if self.down:
            raise TransportError("nobody answers")
        if queue in self.missing:
            raise NoQueueError("QueueDoesNotExist", "there is no such queue")
        answers: list[str | TransportError] = []
        for message in messages:
            if message.body in self.bad:
                answers.append(TransportError("not this one"))
                continue
            self.sent.append((queue, message.body, message.delay))
            answers.append(f"m{next(self._ids)}")
        return answers

    @property
    def bodies(self) -> list[str]:
        return [body for _, body, _ in self.sent]


def put(place: Place, queue: str, *bodies: str, due_at: int = 0) -> None:
    """Rows as producers make them."""
    with place.connected() as connection:
        for body in bodies:
            text = json.dumps({"body": body})
            execute(
                connection,
                f"INSERT INTO {TABLE} (queue, message, due_at) VALUES ({{}}, {{}}, {{}})",
                (queue, text, due_at),
            )
        connection.commit()


def waiting(place: Place) -> int:
    return len(place.all(f"SELECT id FROM {TABLE}"))


@contextlib.asynccontextmanager
async def relaying(place: Place, transport: Any) -> AsyncIterator[Relay]:
    one = Relay(place.connect, transport)
    run = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        one.stop()
        await asyncio.wait_for(run, SECONDS_MAX)


# From the database to the queue ------------------------------------------------------------------------


async def test_an_order_is_confirmed_when_it_was_committed(
    app: encola.App, queue: str, place: Place, queues: Queues
) -> None:
    @app.task(queue=queue, key="{number}")
    def confirm(number: int) -> str:
        return f"order {number}"

    with place.connected() as connection:
        app.outbox(connection).send(confirm, 6)
        connection.rollback()
        job = app.outbox(connection).send(confirm, 7)
        connection.commit()
    async with working(app):
        relay = asyncio.create_task(app.relay(place.connect))
        assert await job.aresult(SECONDS_MAX) == "order 7"
        relay.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await relay
    assert waiting(place) == 0
    assert queues.held(queue) == 0
    assert await app.job("confirm/6").astatus() == "queued"  # nobody has heard of it


async def test_each_queue_gets_its_messages_in_the_order_of_the_rows(place: Place) -> None:
    recorder = Recorder()
    for n in range(150):
        put(place, f"q{n % 2}", str(n))
    async with relaying(place, recorder):
        await until(lambda: waiting(place) == 0, "an empty outbox")
    for number in range(2):
        bodies = [int(body) for queue, body, _ in recorder.sent if queue == f"q{number}"]
        assert bodies == list(range(number, 150, 2))


@pytest.mark.parametrize("seconds", [30, 13 * 86_400])
async def test_what_is_left_of_a_delay_goes_with_the_message(sqlite: Place, seconds: int) -> None:
    recorder = Recorder()
    put(sqlite, "q", "later", due_at=int((relay.time.time() + seconds) * 1000))
    put(sqlite, "q", "overdue", due_at=1)
    put(sqlite, "q", "now")
    async with relaying(sqlite, recorder):
        await until(lambda: waiting(sqlite) == 0, "an empty outbox")
    delays = {body: delay for _, body, delay in recorder.sent}
    assert seconds - 20 < delays["later"] <= seconds
    assert delays["overdue"] == delays["now"] == 0


async def test_a_long_delay_is_kept_by_the_server(
    app: encola.App, queue: str, sqlite: Place, house: EncolaServer, queues: Queues
) -> None:
    @app.task(queue=queue)
    def later() -> None: ...

    queues.sqs.create_queue(QueueName=queue)
    with sqlite.connected() as connection:
        app.outbox(connection).send_with(SendOptions(delay=10 * 86_400), later)
        connection.commit()
    transport = SqsTransport(house.url)
    await transport.open()
    async with relaying(sqlite, transport):
        await until(lambda: waiting(sqlite) == 0, "an empty outbox")
    await transport.close()
    assert queues.counts(queue) == (0, 0, 1)


# Deaths ------------------------------------------------------------------------------------------------


async def test_a_relay_that_dies_between_send_and_remove_makes_no_second_job(
    app: encola.App, queue: str, sqlite: Place, house: EncolaServer, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    @app.task(queue=queue)
    def confirm(number: int) -> None:
        ran.append(number)

    queues.sqs.create_queue(QueueName=queue)
    with sqlite.connected() as connection:
        job = app.outbox(connection).send(confirm, 7)
        connection.commit()
    transport = SqsTransport(house.url)
    await transport.open()
    dying = Relay(sqlite.connect, transport)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt  # no more than a kill -9 leaves it the time for anything

    monkeypatch.setattr(dying, "_remove", die)
    with pytest.raises(KeyboardInterrupt):
        await dying.step()
    assert (waiting(sqlite), queues.held(queue)) == (1, 1)

    with sqlite.connected() as connection:
        execute(connection, f"UPDATE {LEADER} SET until_at = 1")  # thirty seconds later
        connection.commit()
    async with relaying(sqlite, transport):
        await until(lambda: waiting(sqlite) == 0, "an empty outbox")
    await transport.close()
    assert queues.held(queue) == 2
    async with working(app, concurrency=1):
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert ran == [7]
    assert await job.astatus() == "completed"


async def test_one_relay_leads_and_another_takes_over_as_soon_as_it_stops(place: Place) -> None:
    first, second = Recorder(), Recorder()
    async with contextlib.AsyncExitStack() as stack:
        async with relaying(place, first):
            put(place, "q", "one")
            await until(lambda: first.bodies == ["one"], "the first relay")
            await stack.enter_async_context(relaying(place, second))
            put(place, "q", "two")
            await until(lambda: first.bodies == ["one", "two"], "the first relay")
            await until(lambda: waiting(place) == 0, "an empty outbox")
        put(place, "q", "three")
        await until(lambda: waiting(place) == 0, "an empty outbox")
    assert (first.bodies, second.bodies) == (["one", "two"], ["three"])


async def test_another_takes_over_when_the_lead_of_a_dead_relay_has_run_out(
    sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, second = Relay(sqlite.connect, Recorder()), Recorder()  # type: ignore[arg-type]
    now = relay.time.time()
    await dead.step()  # it leads, and is not heard of again
    put(sqlite, "q", "one")
    other = Relay(sqlite.connect, second)  # type: ignore[arg-type]
    assert await other.step() == 0
    monkeypatch.setattr(relay.time, "time", lambda: now + relay.LEASE_SECONDS - 1)
    assert await other.step() == 0
    monkeypatch.setattr(relay.time, "time", lambda: now + relay.LEASE_SECONDS + 1)
    assert await other.step() == 1
    assert second.bodies == ["one"]
    assert await dead.step() == 0  # it was not dead, but somebody else leads now


async def test_the_lead_is_renewed_in_time_and_looking_writes_nothing(
    sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Relay(sqlite.connect, Recorder())  # type: ignore[arg-type]
    start = now = relay.time.time()
    monkeypatch.setattr(relay.time, "time", lambda: now)
    leads = set()
    for now in (start + second for second in range(60)):
        await one.step()
        (until_at,) = sqlite.all(f"SELECT until_at FROM {LEADER}")
        assert until_at / 1000 - now >= 15
        leads.add(until_at)
    assert len(leads) <= 7


async def test_a_server_that_is_down_for_a_while_is_waited_for(
    sqlite: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PAUSE_SECONDS_MAX", 0.5)
    recorder = Recorder()
    recorder.down = True
    put(sqlite, "q", "one")
    async with relaying(sqlite, recorder):
        await until(lambda: recorder.calls >= 2, "two tries")
        assert waiting(sqlite) == 1
        recorder.down = False
        await until(lambda: waiting(sqlite) == 0, "an empty outbox")
    assert "1 messages for q stay in the outbox, trying again: nobody answers" in caplog.text


async def test_a_database_that_is_away_for_a_while_is_waited_for(
    sqlite: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, failures = Recorder(), iter(range(2))

    def connect() -> Any:
        if next(failures, None) is not None:
            raise ConnectionRefusedError("not yet")
        return sqlite.connect()

    put(sqlite, "q", "one")
    one = Relay(connect, recorder)  # type: ignore[arg-type]
    run = asyncio.create_task(one.run())
    await until(lambda: recorder.bodies == ["one"], "the message")
    one.stop()
    await asyncio.wait_for(run, SECONDS_MAX)
    assert "trying again: ConnectionRefusedError: not yet" in caplog.text


# Refusals ----------------------------------------------------------------------------------------------


async def test_a_queue_that_is_missing_holds_up_no_other(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Not even if all of the oldest messages are for it."""
    recorder = Recorder()
    recorder.missing.add("missing")
    put(sqlite, "missing", *(str(n) for n in range(2 * relay.BATCH_MAX)))
    put(sqlite, "there", "one", "two")
    async with relaying(sqlite, recorder):
        await until(lambda: recorder.bodies == ["one", "two"], "the messages of the other queue")
        assert waiting(sqlite) >= 2 * relay.BATCH_MAX
        recorder.missing.clear()
        await until(lambda: waiting(sqlite) == 0, "an empty outbox")
    assert [int(body) for queue, body, _ in recorder.sent if queue == "missing"] == list(range(2 * relay.BATCH_MAX))


async def test_a_queue_that_takes_nothing_is_not_asked_without_pause(sqlite: Place) -> None:
    recorder = Recorder()
    recorder.missing.add("missing")
    put(sqlite, "missing", *(str(n) for n in range(relay.BATCH_MAX)))
    one = Relay(sqlite.connect, recorder)  # type: ignore[arg-type]
    counts = [await one.step() for _ in range(5)]
    assert counts == [relay.BATCH_MAX, 0, 0, 0, 0]
    assert recorder.calls == 1


async def test_one_message_that_is_refused_stays_alone(sqlite: Place) -> None:
    recorder = Recorder()
    recorder.bad.add("bad")
    put(sqlite, "q", "one", "bad", "two")
    one = Relay(sqlite.connect, recorder)  # type: ignore[arg-type]
    await one.step()
    assert (recorder.bodies, waiting(sqlite)) == (["one", "two"], 1)


async def test_on_a_fifo_queue_what_is_behind_a_refused_message_waits_for_it(sqlite: Place) -> None:
    recorder = Recorder()
    recorder.bad.add("bad")
    put(sqlite, "q.fifo", "one", "bad", "two")
    one = Relay(sqlite.connect, recorder)  # type: ignore[arg-type]
    await one.step()
    assert sqlite.all(f"SELECT message FROM {TABLE} ORDER BY id") == ['{"body": "bad"}', '{"body": "two"}']


async def test_a_row_that_cannot_be_read_is_told_of_and_set_aside_and_the_others_go_on(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """One such row stopped the whole outbox, all queues, for ever."""
    recorder = Recorder()
    put(place, "q", "one")
    with place.connected() as connection:
        statement = f"INSERT INTO {TABLE} (queue, message, due_at) VALUES ({{}}, {{}}, {{}})"
        for queue, text, due_at in (("q", "{secret", 0), ("other", '{"body": 5}', 77), ("", '{"body": "secret"}', 0)):
            execute(connection, statement, (queue, text, due_at))
        connection.commit()
    put(place, "q", "two")
    put(place, "other", "three")
    async with relaying(place, recorder) as one:
        await until(lambda: waiting(place) == 3 and one.sent == 3, "the messages that can be read")
        put(place, "q", "four")
        await until(lambda: one.sent == 4, "a message that comes later")
    assert sorted(recorder.bodies) == ["four", "one", "three", "two"]
    assert place.all(f"SELECT due_at FROM {TABLE} ORDER BY id") == [-1, -78, -1]
    told = [record.getMessage() for record in caplog.records if "cannot be read, set aside" in record.getMessage()]
    assert [text.rpartition("id ")[2] for text in told] == ["2, 3, 4"]
    assert "secret" not in caplog.text


async def test_a_row_that_was_set_aside_goes_when_somebody_has_mended_it(sqlite: Place) -> None:
    recorder = Recorder()
    put(sqlite, "q", "one")
    with sqlite.connected() as connection:
        execute(connection, f"UPDATE {TABLE} SET message = 'broken'")
        connection.commit()
    one = Relay(sqlite.connect, recorder)  # type: ignore[arg-type]
    assert [await one.step() for _ in range(2)] == [1, 0]
    with sqlite.connected() as connection:
        execute(connection, f"UPDATE {TABLE} SET message = {{}}, due_at = -1 - due_at", ('{"body": "one"}',))
        connection.commit()
    await one.step()
    assert (recorder.bodies, waiting(sqlite)) == (["one"], 0)


async def test_a_message_at_which_the_transport_breaks_holds_up_no_other_queue(sqlite: Place) -> None:
    class Breaking(Recorder):
        async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
            if queue == "bad":
                raise LookupError("what nobody thought of")
            return await super().send(queue, messages)

    recorder = Breaking()
    put(sqlite, "bad", "one")
    put(sqlite, "q", "two")
    await Relay(sqlite.connect, recorder).step()  # type: ignore[arg-type]
    assert (recorder.bodies, waiting(sqlite)) == (["two"], 1)


async def test_what_cannot_be_a_connection_ends_the_relay(app: encola.App) -> None:
    with pytest.raises(ConfigurationError, match="not known here"):
        await asyncio.wait_for(Relay(lambda: object(), Recorder()).run(), SECONDS_MAX)  # type: ignore[arg-type]


async def test_a_server_that_is_not_there_is_told_of_at_once(
    make_app: Callable[..., encola.App], tmp_path: Path
) -> None:
    app = make_app(server="http://127.0.0.1:1")
    with pytest.raises(TransportError):
        await app.relay(lambda: None)
