"""A machine that dies while it writes the log: what was acknowledged is there, what was torn never happened."""

import random
import shutil
from pathlib import Path

from encola.engine.changes import Delete, Put
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.check import check
from encola.stores.sqlite.connection import FILE_NAME
from tests.conformance.desk import WORK, Desk

STEPS = 12
CUTS = 4  # at each step
CHANCE = random.Random(7)


def copied(directory: Path, target: Path) -> Path:
    """The files as a dead machine leaves them: the database and its log, without the index of the log."""
    target.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(directory / f"{FILE_NAME}{suffix}", target / f"{FILE_NAME}{suffix}")
    return target


async def bodies(directory: Path) -> list[str]:
    store = SqliteStore(directory)
    await store.open()
    found = [peek.body.decode() for peek in await store.browse(WORK, None, 1000)]
    await store.close()
    return sorted(found)


async def test_a_torn_last_write_is_as_if_it_had_not_been_begun(tmp_path: Path, directory: Path, desk: Desk) -> None:
    log = directory / f"{FILE_NAME}-wal"
    await desk.declare()
    kept: list[str] = []
    for step in range(STEPS):
        before, size_before = sorted(kept), log.stat().st_size
        # Given a transaction of several changes that was acknowledged
        sent = [desk.a_put(f"{step}-{number}" + "x" * CHANCE.randrange(20_000)) for number in range(3)]
        changes: list[Put | Delete] = list(sent)
        if step % 3 == 2:
            (delivery,) = await desk.claim(1)
            size_before = log.stat().st_size
            changes.append(Delete(WORK, delivery.id, delivery.lease, desk.now, False))
            kept.remove(delivery.body.decode())
        await desk.store.apply(changes)
        kept += [put.body.decode() for put in sent]
        whole, size = log.read_bytes(), log.stat().st_size
        assert size > size_before
        # When the log is cut or garbled anywhere within it, then nothing of it is there, and all that was before
        for cut in range(CUTS):
            torn = copied(directory, tmp_path / f"torn-{step}-{cut}")
            at = CHANCE.randrange(size_before, size - 1)
            garbage = CHANCE.randbytes(size - at) if cut % 2 else b""
            (torn / log.name).write_bytes(whole[:at] + garbage)
            assert await bodies(torn) == before
            assert check(torn) == []
            shutil.rmtree(torn)
        # And the whole log has all of it
        intact = copied(directory, tmp_path / f"intact-{step}")
        assert await bodies(intact) == sorted(kept)
        shutil.rmtree(intact)
