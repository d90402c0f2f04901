"""Fixtures of the stories about chains and groups."""

from collections.abc import Iterator

import pytest

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
    """So that what a dead worker had comes back within a minute."""
    monkeypatch.setattr("encola.testing.inline.LEASE", 60.0)
