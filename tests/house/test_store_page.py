"""docs/store.md has the tables and the numbers of the SQLite store."""

import apsw

from encola.stores.sqlite import checkpoint, commit, connection, ledger, records, schema

from .files import ROOT
from .markdown import plain, prose, section, table

PAGE = ROOT / "docs" / "store.md"
MIB = 1024 * 1024


def test_the_tables_of_the_page_are_those_of_a_new_file() -> None:
    database = apsw.Connection(":memory:")
    schema.prepare(database)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    columns = {name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")] for name in names}
    told = {plain(row[0]): plain(row[1]).split(", ") for row in table(section(PAGE, "Tables"))}
    assert told == columns


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    text = " ".join(prose(PAGE).split())
    assert f"at most {commit.CALLS_MAX} calls or {commit.BYTES_MAX // MIB} MiB" in text
    assert f"{checkpoint.LOG_PAGES} pages ({checkpoint.LOG_PAGES * connection.PAGE_BYTES // MIB} MiB)" in text
    assert f"at most {records.SORTED_MAX:,} keys have" in text
    assert f"after {records.LOOKED_AT_MAX:,} rows or {records.FOUND_BYTES_MAX // MIB} MiB" in text
    assert f"blocks of {ledger.IDS_RESERVED:,}" in text
    assert f"{connection.WRITER_CACHE_KIB // 1024} MiB for the writer" in text
    assert f"{connection.READER_CACHE_KIB // 1024} MiB for each of three readers" in text
