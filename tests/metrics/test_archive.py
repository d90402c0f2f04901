"""What was: series in every period, sparklines, and intervals that go on after a restart."""

import pytest

from encola.engine.history import HOURS, MINUTES, SECONDS
from encola.engine.message import QueueId
from encola.engine.metrics import Gauge
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND, Queue

from .conftest import START, Watch


async def sent(watch: Watch, queue: Queue, period: int, since: int = START) -> dict[int, tuple[int, int]]:
    """By the number of the period since ``since``: messages sent, and samples."""
    points = await watch.sampler.series(queue.id, since, watch.clock.at + period, period)
    return {(point.at - since) // period: (point.sent, point.samples) for point in points}


async def test_seconds_come_together_to_minutes_and_minutes_to_hours(watch: Watch) -> None:
    queue = await watch.queue()
    watch.clock.at = START + HOUR - 3 * MINUTE
    for minute in range(5):
        await watch.send(queue, minute + 1)
        await watch.pass_seconds(60)
    begin = START + HOUR - 3 * MINUTE
    assert await sent(watch, queue, MINUTE, begin) == {number: (number + 1, 60) for number in range(5)}
    assert await sent(watch, queue, HOUR) == {0: (1 + 2 + 3, 180), 1: (4 + 5, 120)}
    assert sum(count for count, _ in (await sent(watch, queue, SECOND, begin)).values()) == 15
    assert await sent(watch, queue, 30 * SECOND, begin) == {
        number: ((number // 2 + 1) * (1 - number % 2), 30) for number in range(10)
    }
    assert await sent(watch, queue, 2 * MINUTE, START + HOUR - 4 * MINUTE) == {0: (1, 60), 1: (5, 120), 2: (9, 120)}


async def test_levels_keep_their_average_and_extremes(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.pass_seconds(30)
    await watch.send(queue, 6)
    await watch.pass_seconds(30)
    await watch.broker.purge(queue)
    await watch.pass_seconds(60)
    first, second = await watch.sampler.series(queue.id, START, START + 2 * MINUTE, MINUTE)
    assert (first.visible, first.samples) == (Gauge(180, 0, 6), 60)
    assert (second.visible, second.samples) == (Gauge(0, 0, 0), 60)
    (both,) = await watch.sampler.series(queue.id, START, START + HOUR, HOUR)
    assert (both.visible, both.samples) == (Gauge(180, 0, 6), 120)


async def test_the_present_interval_is_there_as_far_as_it_has_come(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.pass_seconds(70)
    await watch.send(queue, 2)
    await watch.pass_seconds(5)
    assert await sent(watch, queue, MINUTE) == {0: (0, 60), 1: (2, 15)}
    assert await sent(watch, queue, HOUR) == {0: (2, 75)}
    assert await sent(watch, queue, 5 * MINUTE) == {0: (2, 75)}
    assert [point.samples for point in await watch.sampler.server_series(START, START + HOUR, MINUTE)] == [60, 15]


async def test_a_time_in_which_the_server_was_down_is_a_gap(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.send(queue)
    await watch.pass_seconds(3)
    await watch.restart(away=10 * MINUTE)
    await watch.pass_seconds(2)
    points = await sent(watch, queue, SECOND)
    assert list(points) == [0, 1, 2, 603, 604]
    assert list(await sent(watch, queue, MINUTE)) == [0, 10]


@pytest.mark.parametrize("in_order", [True, False])
async def test_the_minute_and_the_hour_go_on_after_a_restart(watch: Watch, in_order: bool) -> None:
    queue = await watch.queue()
    await watch.send(queue, 5)
    await watch.pass_seconds(60)
    await watch.send(queue, 7)
    await watch.pass_seconds(20)
    await watch.restart(in_order=in_order)
    assert await sent(watch, queue, MINUTE) == {0: (5, 60), 1: (7, 20)}
    assert await sent(watch, queue, HOUR) == {0: (12, 80)}
    await watch.send(queue, 1)
    await watch.pass_seconds(41)
    assert await sent(watch, queue, MINUTE) == {0: (5, 60), 1: (8, 60), 2: (0, 1)}
    assert await sent(watch, queue, HOUR) == {0: (13, 121)}


@pytest.mark.parametrize("away", [2 * MINUTE, 30 * MINUTE, 3 * HOUR])
@pytest.mark.parametrize("in_order", [True, False])
async def test_what_was_not_whole_at_the_end_is_kept_however_long_the_server_is_away(
    watch: Watch, in_order: bool, away: int
) -> None:
    queue = await watch.queue()
    await watch.send(queue, 5)
    await watch.pass_seconds(90)
    await watch.restart(away=away, in_order=in_order)
    await watch.send(queue, 1)
    await watch.pass_seconds(2)
    minutes, hours = await sent(watch, queue, MINUTE), await sent(watch, queue, HOUR)
    later = (90 * SECOND + away) // MINUTE
    assert minutes == {0: (5, 60), 1: (0, 30), later: (1, 2)}
    assert hours == ({0: (6, 92)} if away < HOUR else {0: (5, 90), 3: (1, 2)})


async def test_old_times_are_answered_with_coarser_points(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.send(queue)
    await watch.pass_seconds(1)
    watch.clock.at += SECONDS.kept
    await watch.pass_seconds(2)
    assert [p.at for p in await watch.sampler.series(queue.id, START, START + HOUR, SECOND)] == [
        START,
        START + SECONDS.kept,
    ]
    watch.clock.at += MINUTES.kept
    await watch.pass_seconds(2)
    points = await watch.sampler.series(queue.id, START, START + 2 * DAY, MINUTE)
    assert [(point.at, point.sent) for point in points] == [(START, 1), (START + DAY, 0)]
    assert await watch.sampler.series(queue.id, START - 2 * HOURS.kept, START, MINUTE) == []


async def test_sparklines_are_one_number_a_minute_for_many_queues(watch: Watch) -> None:
    queues = [await watch.queue(f"q{number}") for number in range(3)]
    await watch.send(queues[0], 4)
    await watch.pass_seconds(60)
    await watch.send(queues[1], 2)
    await watch.pass_seconds(90)
    lines = await watch.sampler.sparklines([queue.id for queue in queues], 4)
    assert lines == {queues[0].id: [0, 4, 4, 4], queues[1].id: [0, 0, 2, 2], queues[2].id: [0, 0, 0, 0]}
    assert await watch.sampler.sparklines([QueueId(5)], 2) == {QueueId(5): [0, 0]}


async def test_a_series_reads_what_was_sampled_this_moment(watch: Watch) -> None:
    """The last second is in the history, or on its way there."""
    queue = await watch.queue()
    for number in range(1, 10):
        await watch.send(queue)
        await watch.pass_seconds()
        assert len(await watch.sampler.series(queue.id, START, START + MINUTE, SECOND)) == number
