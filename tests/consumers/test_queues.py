"""What an application says of its queues, and what its workers make of it."""

import pytest

import encola
from encola.consumers.errors import ConfigurationError
from encola.consumers.queues import QueueOptions
from encola.consumers.transport import QueueWish


def test_a_queue_that_only_tasks_name_has_the_lease_of_its_application() -> None:
    app = encola.App("a", lease=45)
    assert app.queue_options("q") == QueueOptions(name="q", lease=45)
    app.queue("q", lease=90, retention=3600)
    assert app.queue_options("q") == QueueOptions(name="q", lease=90, retention=3600)


def test_lanes_are_asked_in_the_order_of_their_urgency() -> None:
    assert QueueOptions(name="q", lease=1).lanes == ("q",)
    assert QueueOptions(name="q", lease=1, priorities=True).lanes == ("q-high", "q", "q-low")
    assert QueueOptions(name="q.fifo", lease=1, priorities=True).lanes == ("q-high.fifo", "q.fifo", "q-low.fifo")


@pytest.mark.parametrize(
    ("options", "lane", "dead"),
    [
        (QueueOptions(name="q", lease=60), "q", "q-dead"),
        (QueueOptions(name="q", lease=60, priorities=True), "q-high", "q-dead"),
        (QueueOptions(name="q.fifo", lease=60), "q.fifo", "q-dead.fifo"),
        (QueueOptions(name="q", lease=60, dead_letters="morgue"), "q", "morgue"),
    ],
)
def test_a_missing_queue_is_made_with_one_dead_letter_queue_for_all_its_lanes(
    options: QueueOptions, lane: str, dead: str
) -> None:
    assert options.wish(lane) == QueueWish(name=lane, lease=60, retention=14 * 86_400, dead_letters=dead)


def test_a_wish_with_a_priority_needs_lanes() -> None:
    app = encola.App("a")

    @app.task(queue="q")
    def work() -> None: ...

    assert app.lane(work, "normal") == "q"
    with pytest.raises(ConfigurationError, match=r"the queue q has no priorities: app.queue\(..., priorities=True\)"):
        app.lane(work, "high")
    app.queue("q", priorities=True)
    assert app.lane(work, "high") == "q-high"
