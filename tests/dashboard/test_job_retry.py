"""Many dead jobs are tried again while others act on them, too."""

import json

import msgspec

from encola.broker.broker import Broker, Draft
from encola.dashboard.job_retry import Plan, bring_back, plan_chosen
from encola.dashboard.letters import Letters
from encola.dashboard.works import Work
from encola.engine.queue import Address, DeadLetterRule, Settings
from encola.engine.records import Claim, Fail, Failure
from encola.stores.memory import MemoryStore

from ..broker.conftest import TestClock

ACCOUNT = "000000000000"
DAY = 86_400_000


async def test_what_somebody_else_tried_again_meanwhile_is_not_brought_back() -> None:
    """Two jobs were dead when the work began; one of them runs again when its message is reached."""
    clock = TestClock()
    broker = Broker(MemoryStore(), clock)
    await broker.open()
    dead = await broker.create(Address(ACCOUNT, "jobs-dead"), ordered=False, settings=Settings(), tags={})
    rule = DeadLetterRule(dead.address, 5)
    home = await broker.create(
        Address(ACCOUNT, "jobs"), ordered=False, settings=Settings(dead_letter=rule), tags={}
    )  # fmt: skip
    keys = ["office/report/1", "office/report/2"]
    for key in keys:
        job = key.partition("/")[2]
        claim = Claim(key, "me", "report", "jobs", "", 60_000, DAY)
        await broker.records.apply(ACCOUNT, [claim, Fail(key, "me", 1, DAY, Failure(1, 1, "E", "no"), final=True)])
        await broker.send(dead, [Draft(json.dumps({"task": "report", "job": job}).encode())])
    letters = Letters(broker)
    plan = Plan(letters, ACCOUNT, lambda home, queue: True)
    await plan_chosen(broker, ACCOUNT, plan, [*keys, *keys])
    assert plan.jobs == 2
    again = msgspec.structs.replace(claim, key=keys[0], sent_at=clock.now() + 1)
    await broker.records.apply(ACCOUNT, [again])

    work = Work("w", ACCOUNT, "Retry", "", "ann", clock.now())
    async for _ in bring_back(broker, letters, ACCOUNT, plan, work):
        pass
    assert (work.done, work.left_alone, work.detail) == (1, 1, "1 not dead any more")
    (left,) = await broker.browse(dead)
    assert json.loads(left.body)["job"] == "report/1"
    (sent,) = await broker.browse(home)
    assert json.loads(sent.body)["job"] == "report/2"
    await broker.close()
