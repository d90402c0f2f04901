"""Random histories of one job: whatever workers do, late, twice or out of turn, one of them has it, and results stay.

``ENCOLA_HISTORIES=5000`` runs more of them, and other ones each time.
"""

import os
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from encola.engine.record_rules import decide
from encola.engine.records import (
    ERRORS_MAX,
    Busy,
    Cancel,
    Claim,
    Command,
    Complete,
    Fail,
    Failure,
    Forget,
    Held,
    Job,
    Lost,
    Mismatch,
    Record,
    Release,
    Renew,
    Replay,
    Reply,
    Run,
    pack,
    unpack,
)

HISTORIES = os.environ.get("ENCOLA_HISTORIES")
KEY = "k"

workers = st.sampled_from(["a", "b", "c"])
leases = st.sampled_from([0, 1, 10, 50])
windows = st.sampled_from([5, 40, 1000])
backs = st.sampled_from([0, 0, 0, 0, 1, 2])  # from the newest fence that was given out
whose = st.sampled_from(["owner", "owner", "a", "b", "c"])  # the job's owner, or somebody


class OneJob(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000
        self.record: Record | None = None
        self.lives = 0
        self.fence = 0  # the newest that was given out, in this life of the record
        self.fenced: dict[str, int] = {}  # the newest of each worker, in this life
        self.leases: dict[tuple[str, int], int] = {}  # until when each worker may believe that he has the job
        self.result: msgspec.Raw | None = None

    def do(self, command: Command) -> Reply:
        before = self.record
        if before is not None and before.expires_at <= self.now:
            self._new_life()
        self.record, reply = decide(before, command, self.now)
        if self.record is not None:
            assert unpack(pack(self.record)) == self.record
        if isinstance(reply, Lost | Busy | Mismatch | Replay):
            assert self.record is before
        if self.record is None:
            self._new_life()
        return reply

    def _new_life(self) -> None:
        self.fence = 0
        self.fenced.clear()
        self.leases.clear()
        self.result = None

    def _actor(self, who: str, back: int) -> tuple[str, int]:
        owner = self.record.owner if isinstance(self.record, Job) else ""
        return (owner or "a") if who == "owner" else who, max(0, self.fence - back)

    def _held(self, reply: Reply, worker: str, fence: int, until: int) -> None:
        """Only who has the newest fence is ever told that he holds the job; from then on he believes it."""
        if isinstance(reply, Held):
            assert fence == self.fence == self.fenced[worker]
            self.leases[worker, fence] = until

    # What happens ------------------------------------------------------------------------------------

    @rule(milliseconds=st.sampled_from([1, 9, 10, 11, 60]))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    @rule(worker=workers, lease=leases, window=windows, payload=st.sampled_from("hhhx"), age=st.integers(-20, 0))
    def claim(self, worker: str, lease: int, window: int, payload: str, age: int) -> None:
        reply = self.do(Claim(KEY, worker, "t", "q", payload, lease, window, self.now + age))
        if isinstance(reply, Run):
            assert self.result is None, "it was done before"
            again = self.fenced.get(worker) == reply.fence
            assert reply.fence == self.fence if again else reply.fence > self.fence
            assert reply.attempt >= 1
            self.fence = self.fenced[worker] = reply.fence
            self.leases[worker, reply.fence] = self.now + lease
        if isinstance(reply, Replay):
            assert reply.result == self.result
        if isinstance(reply, Busy):
            assert reply.lease_until > self.now

    @rule(who=whose, back=backs, lease=leases, progress=st.sampled_from([None, 0.5]))
    def renew(self, who: str, back: int, lease: int, progress: float | None) -> None:
        worker, fence = self._actor(who, back)
        self._held(self.do(Renew(KEY, worker, fence, lease, progress)), worker, fence, self.now + lease)

    @rule(who=whose, back=backs, window=windows, number=st.integers(0, 3))
    def complete(self, who: str, back: int, window: int, number: int) -> None:
        worker, fence = self._actor(who, back)
        reply = self.do(Complete(KEY, worker, fence, window, msgspec.Raw(b"%d" % number)))
        self._held(reply, worker, fence, 0)
        if isinstance(reply, Held) and self.result is None:
            self.result = msgspec.Raw(b"%d" % number)

    @rule(who=whose, back=backs, window=windows, final=st.booleans())
    def fail(self, who: str, back: int, window: int, final: bool) -> None:
        worker, fence = self._actor(who, back)
        error = Failure(1, self.now, "E", "m")
        self._held(self.do(Fail(KEY, worker, fence, window, error, final)), worker, fence, 0)

    @rule(who=whose, back=backs)
    def release(self, who: str, back: int) -> None:
        worker, fence = self._actor(who, back)
        self._held(self.do(Release(KEY, worker, fence)), worker, fence, 0)

    @rule(window=windows)
    def cancel(self, window: int) -> None:
        self.do(Cancel(KEY, "t", "q", window))

    @rule(forget=st.sampled_from([False, False, True]))
    def forget(self, forget: bool) -> None:
        if forget:
            leased = self.job and self.job.lease_until > self.now
            assert self.do(Forget(KEY)) == (Lost() if leased else Held())

    # What holds --------------------------------------------------------------------------------------

    @property
    def job(self) -> Any:
        return self.record if isinstance(self.record, Job) and self.record.expires_at > self.now else None

    @invariant()
    def at_most_one_worker_has_the_job(self) -> None:
        believing = [holder for holder, until in self.leases.items() if until > self.now]
        assert len(believing) <= 1, believing
        if self.job and believing:
            assert believing == [(self.job.owner, self.job.fence)]

    @invariant()
    def a_result_stays_while_it_is_kept(self) -> None:
        if self.job and self.result is not None:
            assert (self.job.state, self.job.result) == ("completed", self.result)

    @invariant()
    def a_record_is_kept_as_long_as_its_lease(self) -> None:
        if isinstance(self.record, Job):
            assert self.record.lease_until <= self.record.expires_at
        if self.job:
            assert (self.job.lease_until > 0) == (self.job.state == "running")
            assert len(self.job.errors) <= ERRORS_MAX
            assert self.job.attempts >= 0


OneJob.TestCase.settings = settings(
    max_examples=int(HISTORIES or 150), stateful_step_count=50, derandomize=not HISTORIES, deadline=None, database=None
)
TestOneJob = OneJob.TestCase
