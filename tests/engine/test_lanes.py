"""Order within a group and among groups."""

from hypothesis import given
from hypothesis import strategies as st

from encola.engine.fairness import NOISY_LEASED_MIN, noisy_tenants
from encola.engine.lanes import merge, ordered_pick, ordered_ready_at
from encola.engine.message import MessageId, MessageState

NOW = 1_000


def ready(number: int, at: int = NOW) -> MessageState:
    return MessageState(MessageId(number), at, 0, 0, at, 0, 0)


def leased(number: int, until: int = NOW + 500) -> MessageState:
    return MessageState(MessageId(number), until, 1, 1, 0, NOW - 1, NOW - 1)


def ids(messages: list[MessageState]) -> list[int]:
    return [message.id for message in messages]


def test_an_ordered_lane_gives_its_unbroken_run_of_ready_messages() -> None:
    assert ids(ordered_pick([ready(1), ready(2), ready(3)], NOW, 2)) == [1, 2]
    assert ids(ordered_pick([ready(1), ready(2, NOW + 9), ready(3)], NOW, 10)) == [1]


def test_one_leased_message_locks_its_lane() -> None:
    # Deleting the first two of a batch of three does not unlock the group.
    head = [leased(3), ready(4), ready(5)]
    assert ordered_pick(head, NOW, 10) == []
    assert ordered_ready_at(head[1], head[0].ready_at) == NOW + 500
    # Neither does giving the first back while the third is still out.
    assert ordered_pick([ready(1), leased(3), ready(4)], NOW, 10) == []


def test_a_delayed_message_does_not_lock_the_ones_before_it() -> None:
    head = [ready(1), ready(2, NOW + 900)]
    assert ids(ordered_pick(head, NOW, 10)) == [1]
    assert ordered_ready_at(head[1], 0) == NOW + 900


def test_an_empty_lane_has_no_time() -> None:
    assert ordered_ready_at(None, 0) is None


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 12))
def test_a_lane_never_gives_anything_while_it_is_locked(leases: list[bool], limit: int) -> None:
    head = [leased(i) if out else ready(i) for i, out in enumerate(leases)]
    picked = ordered_pick(head, NOW, limit)
    assert ids(picked) == ([] if any(leases) else list(range(min(limit, len(head)))))


def test_oldest_first_among_quiet_tenants_and_noisy_ones_last() -> None:
    lanes = {"": [ready(5, 50)], "a": [ready(1, 10), ready(2, 20)], "b": [ready(3, 30)], "n": [ready(0, 1)]}
    assert ids(merge(lanes, 10)) == [0, 1, 2, 3, 5]
    assert ids(merge(lanes, 10, noisy=("n",))) == [1, 2, 3, 5, 0]
    assert ids(merge(lanes, 5, noisy=("n", "a"))) == [3, 5, 0, 1, 2]
    assert ids(merge(lanes, 1, noisy=("n",))) == [1]


def test_a_tenant_is_noisy_by_share_and_by_number() -> None:
    few = NOISY_LEASED_MIN - 1
    assert noisy_tenants({"a": few}, few) == ()
    assert noisy_tenants({"a": 40, "": 10}, 50) == ("a",)
    assert noisy_tenants({"a": 40, "b": 400, "c": 31}, 400) == ("b",)
    assert noisy_tenants({"a": 90, "b": 50, "c": 2}, 142) == ("b", "a")
    assert noisy_tenants({"": 500}, 500) == ()
