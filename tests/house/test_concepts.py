"""The diagram of a message's life in docs/concepts/messages.md is that of the engine."""

from encola.engine.lifecycle import TRANSITIONS, Event, State

from .files import ROOT
from .markdown import blocks, prose, section

PAGE = ROOT / "docs" / "concepts" / "messages.md"


def diagram() -> str:
    """The transitions as a state diagram; those between the same two states share an arrow."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), target in TRANSITIONS.items():
        arrows.setdefault((state, target), []).append(event.value)
    lines = ["stateDiagram-v2", "    [*] --> delayed: send with a delay", "    [*] --> ready: send"]
    lines += [f"    {one.value} --> {other.value}: {', '.join(events)}" for (one, other), events in arrows.items()]
    return "\n".join([*lines, "    gone --> [*]", ""])


def test_the_state_diagram_is_the_table_of_transitions() -> None:
    (shown,) = (block.text for block in blocks(PAGE) if block.language == "mermaid")
    assert shown == diagram()


def test_every_state_and_every_event_is_explained() -> None:
    text = section(PAGE, "The life of a message")
    assert [state.value for state in State if f"**{state.value}**" not in text] == []
    assert [event.value for event in Event if f"*{event.value}*" not in text] == []


def test_the_numbers_of_the_rules_are_those_of_the_engine() -> None:
    from encola.engine import fairness, queue

    text = prose(PAGE)
    assert f"{queue.LEASE_TOTAL_MAX // queue.HOUR} hours" in text
    assert f"{queue.DEDUPLICATION_WINDOW // queue.MINUTE} minutes" in text
    assert f"at least {fairness.NOISY_LEASED_MIN} messages" in text
    assert f"{fairness.NOISY_SHARE:.0%}" in text
    assert f"{queue.LEASED_MAX:,}" in text
