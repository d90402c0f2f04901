"""How SQLite carries out our statements: by an index, without a scan, without sorting.

The statements are not listed here: every one that the store runs in a life of all kinds of calls is seen by a trace and
asked for its plan. Only those of ``RARE`` may do otherwise, and each has its reason.
"""

from pathlib import Path

import apsw
import pytest

from encola.engine.changes import Drop, Note, Purge
from encola.engine.queue import LONG_DELAY
from encola.engine.records import Claim, Complete, Enter, Leave
from encola.stores.sqlite import SqliteStore, browser, connection, records
from encola.stores.sqlite.browser import NEWEST_FIRST, OLDEST_FIRST
from encola.stores.sqlite.connection import FILE_NAME, open_writer
from tests.conformance.desk import DEAD, SECOND, WORK, Desk

RARE = {
    "SELECT key, value FROM meta": "two rows",
    "FROM queue q JOIN partition p": "a walk over queues, when the store opens",
    "SELECT id FROM partition WHERE id NOT IN": "a walk over queues, when the store opens",
    "SELECT doc FROM queue": "the catalog is all queues",
    "SELECT kind, key, value FROM note": "the catalog is all notes",
    "FROM sqlite_schema": "a new file",
    "INSERT INTO meta": "a new file",
    "json_each": "a portion of queues; of each, by index, the front and what is not ready",
    OLDEST_FIRST.sort: "keeps as many ids as one page has; only where others' messages lie between",
    NEWEST_FIRST.sort: "keeps as many ids as one page has; only where others' messages lie between",
}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """All that is run on any connection, once the tables are there."""
    seen: set[str] = set()
    open_plainly = connection._open

    def open_traced(*arguments: object) -> apsw.Connection:
        opened = open_plainly(*arguments)  # type: ignore[arg-type]

        def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            seen.add(sql)
            return True

        opened.exec_trace = trace
        return opened

    monkeypatch.setattr(connection, "_open", open_traced)
    monkeypatch.setattr(browser, "WALK_FIRST", 1)
    return seen


async def records_of_jobs(desk: Desk) -> None:
    claim = Claim("k", "me", "report", "reports", "hash", SECOND, 3600 * SECOND)
    await desk.do(claim, Complete("k", "me", 1, SECOND), Enter("s", "me", 1, SECOND), Leave("s", "me"))
    await desk.job("k")
    for search in ({}, {"prefix": "k"}, {"states": ("completed",), "before": (desk.now, "l")}):
        await desk.find(**search)


async def pages(desk: Desk) -> None:
    """Of a queue whose messages lie before and behind many of another."""
    await desk.declare(WORK)
    await desk.declare(DEAD)
    first = await desk.put("first")
    await desk.put_all(*map(str, range(30)), queue=DEAD)
    await desk.put("last")
    for newest_first in (False, True):
        found = await desk.store.browse(WORK, None, 2, newest_first=newest_first)
        assert [peek.body for peek in found] == ([b"last", b"first"] if newest_first else [b"first", b"last"])
    await desk.store.browse_from(WORK, desk.now)
    await desk.store.peek(WORK, [first.message])
    await desk.store.apply([Drop(WORK), Drop(DEAD)])


async def a_life_with_everything(desk: Desk) -> None:
    await records_of_jobs(desk)
    await pages(desk)
    for ordered in (False, True):
        await desk.declare(WORK, ordered=ordered)
        await desk.declare(DEAD, ordered=ordered)
        for group in ("", "a", "b"):
            await desk.put_all(*"12345", group=group, key=None)
            await desk.put("once", group=group, key="k")
        deliveries = [*await desk.claim(4, retention=3600 * SECOND, noisy=("a",)), *await desk.claim(2)]
        await desk.extend(deliveries[0], SECOND)
        await desk.delete(deliveries[0])
        await desk.move(deliveries[1])
        await desk.resend(deliveries[2], DEAD)
        await desk.put_off(deliveries[3], LONG_DELAY + 1)
        await desk.reject(deliveries[4])
        await desk.counts()
        await desk.store.leased_by_group(WORK, desk.now)
        await desk.store.backlogs([WORK, DEAD], desk.now)
        await desk.store.next_ready(WORK, desk.now)
        await desk.bodies()
        await desk.declare(WORK, ordered=ordered, delay=SECOND)
        await desk.one(Note("kind", "key", b"value"))
        await desk.one(Note("kind", "key", None))
        desk.turn(7200 * SECOND)
        await desk.sweep(retention=3600 * SECOND, limit=7)
        await desk.claim(3, retention=1)  # meets messages past their retention
        await desk.store.apply([desk.a_put("1", group="c"), Purge(WORK), Drop(DEAD), Drop(WORK)])
        await desk.sweep()
        await desk.reopen()
        await desk.store.catalog()


async def test_every_statement_finds_its_rows_by_an_index(
    directory: Path, statements: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(lambda: SqliteStore(directory))
    await desk.store.open()
    await a_life_with_everything(desk)
    monkeypatch.setattr(records, "SORTED_MAX", -1)
    await desk.find(prefix="k")
    await desk.store.close()

    planner = open_writer(directory / FILE_NAME)
    verbs = ("SELECT", "INSERT", "UPDATE", "DELETE")
    asked = [sql for sql in statements if sql.lstrip().startswith(verbs)]
    assert len(asked) > 30  # the trace works
    wrong = {}
    for sql in asked:
        if any(mark in sql for mark in RARE):
            continue
        plan = [row[3] for row in planner.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))]
        if any("SCAN" in step or "TEMP B-TREE" in step for step in plan):
            wrong[sql] = plan
    planner.close()
    assert wrong == {}


async def test_every_exception_is_still_there(directory: Path, statements: set[str]) -> None:
    desk = Desk(lambda: SqliteStore(directory))
    await desk.store.open()
    await a_life_with_everything(desk)
    await desk.store.close()
    assert [mark for mark in RARE if not any(mark in sql for sql in statements)] == []


@pytest.mark.parametrize("direction", [OLDEST_FIRST, NEWEST_FIRST], ids=["oldest first", "newest first"])
async def test_a_page_is_found_without_bodies(directory: Path, direction: browser._Direction) -> None:
    """Only ids are walked over, or sorted; those of the page are kept: what is sorted does not grow with the queue."""
    desk = Desk(lambda: SqliteStore(directory))
    await desk.store.open()
    await desk.store.close()
    planner = open_writer(directory / FILE_NAME)
    walk = [row[3] for row in planner.execute(f"EXPLAIN QUERY PLAN {direction.walk}", (0, 9, 1, 10))]
    sort = [row[3] for row in planner.execute(f"EXPLAIN QUERY PLAN {direction.sort}", (0, 1, 10))]
    planner.close()
    assert walk == [
        "SEARCH m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "SEARCH l USING INTEGER PRIMARY KEY (rowid=?)",
    ]
    assert "SEARCH message USING COVERING INDEX message_ready (lane=?)" in sort
    assert sort.count("USE TEMP B-TREE FOR ORDER BY") == 1


@pytest.mark.parametrize(
    ("query", "bindings", "plan"),
    [
        (
            records.BY_STATE,
            ("1", "running", 9, "k"),
            "SEARCH record USING INDEX record_state (account=? AND state=? AND (updated_at,key)<(?,?))",
        ),
        (
            records.BY_KEY,
            ("1", "a", "b", 10),
            "SEARCH record USING INDEX sqlite_autoindex_record_1 (account=? AND key>? AND key<?)",
        ),
        (records.OVER, (1, 10), "SEARCH record USING COVERING INDEX record_expiry (expires_at<?)"),
    ],
)
async def test_jobs_are_found_in_order_by_an_index(
    directory: Path, query: str, bindings: tuple[object, ...], plan: str
) -> None:
    desk = Desk(lambda: SqliteStore(directory))
    await desk.store.open()
    await desk.store.close()
    planner = open_writer(directory / FILE_NAME)
    assert [row[3] for row in planner.execute(f"EXPLAIN QUERY PLAN {query}", bindings)] == [plan]
    planner.close()
