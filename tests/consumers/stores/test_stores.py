"""What every store of records does, whatever is below it. Rules have their own tests; here it is loading and saving."""

import asyncio
import uuid

import msgspec
import pytest

from encola.consumers.jobstore import COMMANDS_MAX, JobQuery, JobStore
from encola.engine import records
from encola.engine.record_rules import WrongRecordError

from .conftest import Make

MINUTE = 60_000


def new_key() -> str:
    return f"shop/report/{uuid.uuid4().hex}"


def claim(key: str, owner: str = "w1", *, lease: int = MINUTE, task: str = "report", queue: str = "q") -> records.Claim:
    return records.Claim(key, owner, task, queue, "hash", lease, MINUTE, sent_at=0)


async def one(store: JobStore, command: records.Command) -> records.Reply:
    return (await store.apply([command]))[0]


async def test_a_job_is_claimed_renewed_completed_and_replayed(store: JobStore) -> None:
    key = new_key()
    run = await one(store, claim(key))
    assert run == records.Run(fence=1, attempt=1)
    assert isinstance(await one(store, claim(key, "w2")), records.Busy)
    assert await one(store, records.Renew(key, "w1", 1, MINUTE, 0.5, "half")) == records.Held()
    (job,) = await store.get([key])
    assert job is not None
    assert (job.progress, job.note, job.state) == (0.5, "half", "running")
    done = records.Complete(key, "w1", 1, MINUTE, msgspec.Raw(b'{"pages":3}'))
    assert await one(store, done) == records.Held()
    replay = await one(store, claim(key, "w2"))
    assert isinstance(replay, records.Replay)
    assert msgspec.json.decode(replay.result) == {"pages": 3}


async def test_who_lost_the_job_changes_nothing(store: JobStore) -> None:
    key = new_key()
    await one(store, claim(key, lease=1))
    await asyncio.sleep(0.01 if "Dynamo" not in type(store).__name__ else 2.1)
    assert await one(store, claim(key, "w2")) == records.Run(fence=2, attempt=2)
    assert await one(store, records.Complete(key, "w1", 1, MINUTE)) == records.Lost()
    (job,) = await store.get([key])
    assert job is not None
    assert (job.owner, job.state) == ("w2", "running")


async def test_errors_of_attempts_are_kept(store: JobStore) -> None:
    key = new_key()
    for attempt in (1, 2):
        await one(store, claim(key))
        error = records.Failure(attempt, 0, "ValueError", f"number {attempt}, ü")
        await one(store, records.Fail(key, "w1", attempt, MINUTE, error, final=attempt == 2))
    (job,) = await store.get([key])
    assert job is not None
    assert job.state == "dead"
    assert [error.message for error in job.errors] == ["number 1, ü", "number 2, ü"]


async def test_commands_of_one_call_see_each_other_in_order(store: JobStore) -> None:
    key, other = new_key(), new_key()
    replies = await store.apply(
        [claim(key), claim(other), claim(key, "w2"), records.Complete(key, "w1", 1, MINUTE), claim(key, "w2")]
    )
    kinds = [type(reply) for reply in replies]
    assert kinds == [records.Run, records.Run, records.Busy, records.Held, records.Replay]


async def test_of_many_claimers_one_runs(make: Make) -> None:
    key = new_key()
    stores = [make() for _ in range(4)]
    for one_store in stores:
        await one_store.open()
    claims = [one(stores[n % 4], claim(key, f"w{n}")) for n in range(16)]
    replies = await asyncio.gather(*claims)
    for one_store in stores:
        await one_store.close()
    assert sum(isinstance(reply, records.Run) for reply in replies) == 1
    assert sum(isinstance(reply, records.Busy) for reply in replies) == 15


async def test_slots_never_exceed_their_limit(make: Make) -> None:
    key = new_key()
    stores = [make() for _ in range(3)]
    for one_store in stores:
        await one_store.open()
    entered = await asyncio.gather(*(one(stores[n % 3], records.Enter(key, f"o{n}", 2, MINUTE)) for n in range(12)))
    granted = [f"o{n}" for n, reply in enumerate(entered) if isinstance(reply, records.Entered) and reply.granted]
    assert len(granted) == 2
    await one(stores[0], records.Leave(key, granted[0]))
    again = await one(stores[1], records.Enter(key, "late", 2, MINUTE))
    for one_store in stores:
        await one_store.close()
    assert isinstance(again, records.Entered)
    assert again.granted


async def test_each_member_of_a_group_counts_once(make: Make) -> None:
    key = new_key()
    stores = [make() for _ in range(3)]
    for one_store in stores:
        await one_store.open()
    members = [f"{n % 10}" for n in range(20)]
    arrivals = await asyncio.gather(
        *(one(stores[n % 3], records.Arrive(key, member, 10, MINUTE)) for n, member in enumerate(members))
    )
    look = await one(stores[0], records.Arrive(key, "", 10, MINUTE))
    for one_store in stores:
        await one_store.close()
    assert isinstance(look, records.Arrived)
    assert look.count == 10
    assert sorted(look.members) == sorted(set(members))
    assert max(reply.count for reply in arrivals if isinstance(reply, records.Arrived)) == 10


async def test_starts_are_booked_one_behind_the_other(store: JobStore) -> None:
    key = new_key()
    replies = await store.apply([records.Reserve(key, 5, 100_000) for _ in range(3)])
    starts = [reply.start_at_us for reply in replies if isinstance(reply, records.Reserved)]
    assert len(starts) == 3
    assert starts[1] - starts[0] >= 500_000
    assert starts[2] - starts[1] == 500_000


async def test_what_is_past_its_time_is_gone(store: JobStore) -> None:
    key = new_key()
    await store.apply([claim(key, lease=1), records.Complete(key, "w1", 1, 1)])
    await asyncio.sleep(0.05)
    assert await store.get([key]) == [None]
    assert await one(store, claim(key, "w2")) == records.Run(fence=1, attempt=1)


async def test_a_record_of_another_kind_is_refused(store: JobStore) -> None:
    key = new_key()
    await one(store, records.Enter(key, "o", 1, MINUTE))
    with pytest.raises(WrongRecordError):
        await one(store, claim(key))


async def test_more_commands_than_a_call_takes(store: JobStore) -> None:
    if type(store).__name__ == "ServerJobStore":
        replies = await store.apply([claim(new_key()) for _ in range(COMMANDS_MAX + 1)])  # in two requests
        assert len(replies) == COMMANDS_MAX + 1
        return
    with pytest.raises(ValueError, match="100"):
        await store.apply([claim(new_key()) for _ in range(COMMANDS_MAX + 1)])


async def test_a_large_result_comes_back_whole(store: JobStore) -> None:
    key = new_key()
    text = "ü" * 100_000
    await store.apply([claim(key), records.Complete(key, "w1", 1, MINUTE, msgspec.Raw(msgspec.json.encode(text)))])
    (job,) = await store.get([key])
    assert job is not None
    assert msgspec.json.decode(job.result) == text


async def test_jobs_are_found_by_what_is_asked_the_newest_change_first(store: JobStore) -> None:
    prefix = f"shop-{uuid.uuid4().hex[:6]}/"
    for n in range(6):
        await one(store, claim(f"{prefix}{n}", task=f"task{n % 2}", queue=f"q{n % 3}"))
        await asyncio.sleep(0.002)
    await one(store, records.Complete(f"{prefix}0", "w1", 1, MINUTE))
    await one(store, records.Enter(f"{prefix}slots", "o", 1, MINUTE))  # no job

    async def found(**query: object) -> list[str]:
        jobs = await store.find(JobQuery(prefix=prefix, **query))  # type: ignore[arg-type]
        return [job.key.removeprefix(prefix) for job in jobs]

    assert await found() == ["0", "5", "4", "3", "2", "1"]
    assert await found(limit=2) == ["0", "5"]
    assert await found(task="task1") == ["5", "3", "1"]
    assert await found(queue="q2") == ["5", "2"]
    assert await found(states=("completed",)) == ["0"]
    first = await store.find(JobQuery(prefix=prefix, limit=3))
    assert await found(before=(first[-1].updated_at, first[-1].key)) == ["3", "2", "1"]


async def test_another_process_sees_what_was_stored(make: Make) -> None:
    key = new_key()
    first, second = make(), make()
    await first.open()
    await one(first, claim(key))
    await first.close()
    await second.open()
    (job,) = await second.get([key])
    await second.close()
    assert job is not None
    assert job.owner == "w1"
