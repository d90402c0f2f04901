"""Fixtures of the stories about chains and groups."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from encola.consumers.attempt import Attempt
from encola.consumers.runner import Runner
from encola.testing import Inline

from .shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def run(shop: Shop) -> Iterator[Inline]:
    with Inline(shop.app) as inline:
        yield inline


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a dead worker had comes back within a minute; and whoever is dead does not try again."""

    async def once(runner: Runner, attempt: Attempt, ask: Callable[[], Awaitable[Any]]) -> Any:
        return await ask()

    monkeypatch.setattr(Runner, "_insist", once)
    monkeypatch.setattr("encola.testing.inline.LEASE", 60.0)
