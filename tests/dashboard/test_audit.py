"""The audit log: kept across restarts, bounded, and not to be emptied by those who may do nothing."""

from collections.abc import Mapping
from typing import Any

from encola.dashboard import audit as module
from encola.dashboard.audit import Audit, Entry


class Store:
    """The notes of a broker."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}

    async def notes(self, kind: str) -> dict[str, bytes]:
        return dict(self.kept.get(kind, {}))

    async def keep(self, kind: str, notes: Mapping[str, bytes | None]) -> None:
        for key, value in notes.items():
            if value is None:
                del self.kept[kind][key]
            else:
                self.kept.setdefault(kind, {})[key] = value


def entry(at: int, what: str, outcome: str = "done", account: str = "1") -> Entry:
    return Entry(at, account, "ann", "127.0.0.1", what, "orders", outcome=outcome)


async def test_refused_acts_do_not_push_out_those_that_were_done(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REFUSED_MAX", 3)
    store: Any = Store()
    audit = Audit(store)
    await audit.open()
    await audit.note(entry(1, "PurgeQueue"))
    for number in range(10):
        await audit.note(entry(2, f"no{number}", "you may not"))
    again = Audit(store)
    await again.open()
    for log in (audit, again):
        assert [one.what for one in log.newest("1", 10)] == ["no9", "no8", "no7", "PurgeQueue"]
    assert [one.what for one in audit.newest("1", 10, "MAY NOT")] == ["no9", "no8", "no7"]
    assert not audit.newest("2", 10)


async def test_the_log_is_bounded_and_orders_what_happens_in_one_moment(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 5)
    store: Any = Store()
    audit = Audit(store)
    for number in range(12):
        await audit.note(entry(7, f"act{number}"))
    assert [one.what for one in audit.newest("1", 10)] == [f"act{number}" for number in range(11, 6, -1)]
    assert len(store.kept["audit"]) == 5
    assert [one.what for one in audit.newest("1", 2)] == ["act11", "act10"]
