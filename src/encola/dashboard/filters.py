"""Which messages of a queue: a filter as it is in a page's address. Pure."""

from collections.abc import Callable

import msgspec

from encola.dashboard import spans
from encola.dashboard.fields import Fields
from encola.dashboard.reasons import sent_at, text_of, why
from encola.engine.lifecycle import State, state_of
from encola.engine.message import Header, Instant, Peek

TEXT_LENGTH_MAX = 1_000
RECEIVES_MAX = 10**9

STATES = {"waiting": State.READY, "flight": State.LEASED, "delayed": State.DELAYED}
STATE_WORDS = {State.READY: "waiting", State.LEASED: "in flight", State.DELAYED: "delayed", State.GONE: "gone"}
NAMES = ("text", "attribute", "group", "receives", "older", "younger", "state", "reason", "source", "error")

Test = Callable[[Peek], bool]


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """As it was typed; "" and 0 leave a field out. ``error`` is the kind of an error (``Why.kind``)."""

    text: str = ""
    attribute: str = ""
    group: str = ""
    receives: int = 0
    older: str = ""
    younger: str = ""
    state: str = ""
    reason: str = ""
    source: str = ""
    error: str = ""

    @classmethod
    def of(cls, query: Fields) -> "Filter":
        """Whatever is no number, or no state, is left out; ages are checked by ``problem``."""
        texts = {name: query.text(name)[:TEXT_LENGTH_MAX] for name in NAMES if name != "receives"}
        if texts["state"] not in STATES:
            texts["state"] = ""
        return cls(receives=query.number("receives", 0, 0, RECEIVES_MAX), **texts)

    @property
    def problem(self) -> str:
        """What is wrong with what was typed, or ""."""
        try:
            for text in (self.older, self.younger):
                if text:
                    spans.span(text)
        except spans.NotATimeError as error:
            return str(error)
        return ""

    @property
    def empty(self) -> bool:
        return self == Filter()

    def query(self) -> dict[str, object]:
        """For an address."""
        return {name: value for name in NAMES if (value := getattr(self, name))}

    def words(self) -> str:
        """For people, as the audit log has it: ``text “boom”, in flight``."""
        said = [
            f"{name} “{value}”"
            for name in NAMES
            if name not in ("state", "receives") and (value := getattr(self, name))
        ]
        if self.receives:
            said.append(f"received at least {self.receives} times")
        if self.state:
            said.append(STATE_WORDS[STATES[self.state]])
        return ", ".join(said)

    def test(self, now: Instant) -> Test:
        """Does a message fit? Cheap questions first. ``now`` is when ages and states are meant.

        Raises NotATimeError.
        """
        tests = [*self._of_state(now), *self._of_envelope()]
        if self.text:
            tests.append(_has_text(self.text))
        return lambda peek: all(test(peek) for test in tests)

    def _of_state(self, now: Instant) -> list[Test]:
        tests: list[Test] = []
        if self.state:
            state = STATES[self.state]
            tests.append(lambda peek: state_of(peek.state, now) is state)
        if self.receives:
            tests.append(lambda peek: peek.state.receives >= self.receives)
        if self.older:
            before = now - spans.span(self.older)
            tests.append(lambda peek: sent_at(peek) <= before)
        if self.younger:
            since = now - spans.span(self.younger)
            tests.append(lambda peek: sent_at(peek) >= since)
        return tests

    def _of_envelope(self) -> list[Test]:
        tests: list[Test] = []
        if self.group:
            tests.append(lambda peek: peek.envelope.group == self.group)
        if self.attribute:
            tests.append(_has_attribute(self.attribute))
        if self.reason or self.source or self.error:
            tests.append(self._is_why)
        return tests

    def _is_why(self, peek: Peek) -> bool:
        found = why(peek)
        return (
            self.reason in ("", found.reason) and self.source in ("", found.source) and self.error in ("", found.kind)
        )


def _has_attribute(wanted: str) -> Test:
    """``name=value``, or a name alone."""
    name, equals, value = wanted.partition("=")
    name, value = name.strip(), value.strip()

    def test(peek: Peek) -> bool:
        header: Header | None = peek.envelope.headers.get(name)
        return header is not None and (not equals or text_of(header) == value)

    return test


def _has_text(text: str) -> Test:
    """Whatever the case of its letters."""
    if text.isascii():
        octets = text.lower().encode()
        return lambda peek: octets in peek.body.lower()
    wanted = text.lower()
    return lambda peek: wanted in peek.body.decode("utf-8", "replace").lower()
