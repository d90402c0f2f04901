"""What a function's answer means for the messages of its batch. Pure.

Source: AWS Lambda developer guide, "Implementing partial batch responses" (success and failure conditions).
"""

from collections.abc import Sequence

import msgspec

NOT_JSON = "the response is not JSON"
NOT_AN_OBJECT = "the response is not an object"
NOT_A_LIST = "batchItemFailures is not a list"
BAD_ITEM = "an item of batchItemFailures has no itemIdentifier, or an empty one"
UNKNOWN_ID = "an itemIdentifier is not the id of a message of the batch"


class Verdict(msgspec.Struct, frozen=True):
    """Positions in the batch. ``done`` are deleted; ``failed`` come again when their visibility timeout is over.

    ``held`` are given back uncounted: on an ordered queue, what follows a failed message of its group must wait for it.
    ``problem`` says why all of them failed.
    """

    done: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    problem: str = ""


def judge(payload: bytes, ids: Sequence[str], groups: Sequence[str] | None, *, reports: bool) -> Verdict:
    """The verdict over a batch whose function returned ``payload``.

    ``groups`` are the messages' groups on an ordered queue, else None. Without ``reports`` (ReportBatchItemFailures)
    whatever a function returns is a success.
    """
    everything = tuple(range(len(ids)))
    if not reports:
        return Verdict(done=everything)
    named, problem = _named(payload)
    positions = {message_id: at for at, message_id in enumerate(ids)}
    if not problem and not all(name in positions for name in named):
        problem = UNKNOWN_ID
    if problem:
        return Verdict(failed=everything, problem=problem)
    failed = {positions[name] for name in named}
    held = _after_failures(failed, groups) if groups is not None else set()
    return Verdict(
        done=tuple(at for at in everything if at not in failed and at not in held),
        failed=tuple(sorted(failed)),
        held=tuple(sorted(held)),
    )


def _named(payload: bytes) -> tuple[list[str], str]:
    """The ids that a response names as failed, or what is wrong with it."""
    if not payload.strip():
        return [], ""
    try:
        response = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return [], NOT_JSON
    if response is None or response in ("", [], {}):
        return [], ""
    if not isinstance(response, dict):
        return [], NOT_AN_OBJECT
    items = response.get("batchItemFailures")
    if items is None:
        return [], ""
    if not isinstance(items, list):
        return [], NOT_A_LIST
    named = []
    for item in items:
        name = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            return [], BAD_ITEM
        named.append(name)
    return named, ""


def _after_failures(failed: set[int], groups: Sequence[str]) -> set[int]:
    """What comes after the first failure of its group and was not named itself."""
    broken: set[str] = set()
    held: set[int] = set()
    for at, group in enumerate(groups):
        if at in failed:
            broken.add(group)
        elif group in broken:
            held.add(at)
    return held
