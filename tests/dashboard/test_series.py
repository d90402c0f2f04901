"""The series behind charts, on a clock that the test turns."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from encola.dashboard.series import RANGES, queue_series

from ..metrics.conftest import Watch

QUARTER, HOURS_3 = RANGES[:2]


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    watch = Watch(tmp_path, durable=False)
    await watch.open()
    yield watch
    await watch.close()


async def test_time_that_passes_while_a_chart_is_made_does_not_make_it_coarser(watch: Watch) -> None:
    """The seconds are kept for as long as the chart is: asked for a moment later there were minutes in their place."""
    queue = await watch.queue()
    for _ in range(16 * 60):
        await watch.send(queue, 3)
        await watch.pass_seconds(1)
    asked = watch.clock.now()
    watch.clock.at += 30
    series = await queue_series(watch.sampler, queue.id, QUARTER, asked, live=False)
    assert {later - before for before, later in zip(series.x, series.x[1:], strict=False)} == {1}
    assert len(series.x) >= 14 * 60
    assert set(series.values["arrivals"]) == {3.0}


async def test_the_rate_of_the_present_minute_is_that_of_its_seconds_so_far(watch: Watch) -> None:
    queue = await watch.queue()
    for _ in range(75):
        await watch.send(queue, 4)
        await watch.pass_seconds(1)
    series = await queue_series(watch.sampler, queue.id, HOURS_3, watch.clock.now(), live=False)
    assert series.step == 60
    assert series.values["arrivals"] == [4.0, 4.0]
