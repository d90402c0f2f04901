"""What cannot be a chain or a group is refused at once."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import encola
from encola.consumers.errors import ConfigurationError

from .shop import Shop


def test_what_cannot_be_a_chain_or_a_group_is_refused_when_it_is_made(shop: Shop) -> None:
    @shop.app.task(queue="q", track=False)
    def plain(number: int) -> None: ...

    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: encola.chain(), "a chain has at least one step"),
        (lambda: encola.group([]), "a group has between 1 and 10000 members"),
        (lambda: encola.group([shop.add.s(1)] * 10_001), "a group has between 1 and 10000 members"),
        (lambda: encola.group([shop.add.s(1)], timeout=0), "the timeout of a group is at most 14 days"),
        (lambda: encola.group([shop.add.s(1)], timeout=14 * 86_400 + 1), "the timeout of a group is at most 14 days"),
        (lambda: encola.group([shop.add.s(1)], timeout=math.nan), "the timeout of a group is at most 14 days"),
        (lambda: encola.chain(plain.s(1)), "a chain needs records, but plain has track=False"),
        (lambda: encola.chain(shop.add.s(1), plain.s()), "a chain needs records, but plain has track=False"),
        (lambda: encola.group([plain.s(1)]), "a group needs records, but plain has track=False"),
        (lambda: encola.group([shop.add.s(1)]).then(plain.s()), "what follows a group needs records"),
    ]
    for make, text in cases:
        with pytest.raises(ConfigurationError, match=text):
            make()


def test_arguments_that_are_wrong_or_missing_are_refused_when_it_is_made(shop: Shop) -> None:
    for make in (
        lambda: encola.chain(shop.add.s()),
        lambda: encola.chain(shop.add.s("one")),
        lambda: encola.group([shop.add.s()]),
        lambda: encola.group([shop.add.s("one")]),
        lambda: shop.add.s(1, 2, 3),
        lambda: shop.add.si("one"),
        lambda: shop.add.s(of=1),
    ):
        with pytest.raises(encola.BadPayloadError):
            make()


@pytest.mark.parametrize("inner", ["chain", "group", "job", "task"])
def test_chains_and_groups_are_made_of_tasks_and_of_nothing_else(shop: Shop, inner: str) -> None:
    """What is no signature ended in an AttributeError that told nobody what to do."""
    wrong: Any = {
        "chain": encola.chain(shop.add.s(1)),
        "group": encola.group([shop.add.s(1)]),
        "job": encola.Job(shop.app, "add/1"),
        "task": shop.add,
    }[inner]
    for make in (
        lambda: encola.chain(wrong),
        lambda: encola.chain(shop.add.s(1), wrong),
        lambda: encola.group([wrong]),
        lambda: encola.group([shop.add.s(1)]).then(wrong),
    ):
        with pytest.raises(
            ConfigurationError, match=r"is made of tasks with their arguments \(task\.s\(\.\.\.\)\), not"
        ):
            make()
