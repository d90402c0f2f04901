"""Whatever is sent: an answer in JSON, never a fault of ours, and only whole records in the store."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.records import pack, unpack
from encola.protocols.aws.identity import Authenticator
from encola.protocols.jobs.endpoint import JobsEndpoint
from encola.protocols.jobs.wire import STATUSES
from encola.stores.memory import MemoryStore

from .conftest import Answer, Jobs

FUZZ = settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 3), st.floats(), st.text(max_size=5), st.just("k")
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
FAILURE: dict[str, Any] = {"attempt": 1, "at": 1, "type": "E", "message": "m"}
WHOLE: dict[str, Any] = {
    "key": "k", "owner": "me", "task": "t", "queue": "q", "payload_hash": "h", "lease": 1000, "window": 1000,
    "sent_at": 1, "worker": "w", "fence": 1, "progress": 0.5, "note": "n", "result": 1, "error": FAILURE,
    "final": True, "limit": 1, "count": 1, "interval_us": 1, "burst": 1, "patience": 1, "member": "a", "total": 1,
}  # fmt: skip
TYPES = st.sampled_from(
    ["claim", "renew", "complete", "fail", "release", "cancel", "forget", "enter", "leave", "reserve", "arrive"]
)


class Target:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.store = MemoryStore()
        broker = Broker(self.store, Clock())
        self._jobs = Jobs(JobsEndpoint(broker.records, Authenticator([])))

    def ask(self, operation: str, body: bytes) -> Answer:
        answer = self._loop.run_until_complete(self._jobs.ask(operation, body))
        assert answer.status in {200, *STATUSES.values()}
        assert answer.status < 500, answer.body
        for doc in self.store._records.values():
            assert pack(unpack(doc)) == doc
        return answer

    def close(self) -> None:
        self._loop.close()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@FUZZ
@given(st.sampled_from(["Apply", "Get", "Find"]), st.one_of(st.binary(max_size=50), ANYTHING.map(lambda v: _json(v))))
def test_anything(target: Target, operation: str, body: bytes) -> None:
    target.ask(operation, body)


@FUZZ
@given(st.lists(st.tuples(TYPES, st.dictionaries(st.sampled_from(list(WHOLE)), ANYTHING, max_size=2)), max_size=4))
def test_commands_with_wrong_members(target: Target, made: list[tuple[str, dict[str, Any]]]) -> None:
    commands = [{"type": kind, **WHOLE, "key": kind[0], **wrong} for kind, wrong in made]
    answer = target.ask("Apply", _json({"Commands": commands}))
    if answer.status == 200:
        assert len(answer.body["Replies"]) == len(commands)


@FUZZ
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prefix": st.text(max_size=3) | ANYTHING,
            "task": SCALARS,
            "queue": SCALARS,
            "states": st.lists(st.sampled_from(["running", "dead", "x"]), max_size=3),
            "before": st.tuples(st.integers(), st.text(max_size=3)) | ANYTHING,
            "limit": st.integers(-1, 1001),
        },
    )
)
def test_searches_with_wrong_members(target: Target, search: dict[str, Any]) -> None:
    target.ask("Find", _json(search))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
