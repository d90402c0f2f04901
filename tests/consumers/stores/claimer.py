"""A process that claims keys, for the tests of races: prints those that it may run."""

import asyncio
import random
import sys

from encola.consumers.jobstore import JobStore
from encola.engine import records

MINUTE = 60_000


def store_at(kind: str, place: str) -> JobStore:
    """A store as every worker of a fleet opens it."""
    if kind == "sqlite":
        from encola.consumers.stores.sqlite import SqliteJobStore

        return SqliteJobStore(place)
    if kind == "postgres":
        from encola.consumers.stores.postgres import PostgresJobStore

        return PostgresJobStore(place)
    if kind == "dynamodb":
        from encola.consumers.stores.dynamodb import DynamoDbJobStore

        table, _, endpoint = place.partition("@")
        return DynamoDbJobStore(table, endpoint=endpoint, region="us-east-1")
    from encola.consumers.sqs.client import ServiceClient
    from encola.consumers.stores.server import ServerJobStore

    return ServerJobStore(ServiceClient(place))


async def main(kind: str, place: str, name: str, keys: list[str]) -> None:
    """Begins when its standard input says so."""
    store = store_at(kind, place)
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    random.shuffle(keys)
    for key in keys:
        claim = records.Claim(key, name, "report", "q", "hash", MINUTE, MINUTE, sent_at=0)
        (reply,) = await store.apply([claim])
        if isinstance(reply, records.Run):
            print(key, reply.fence, flush=True)
        else:
            assert isinstance(reply, records.Busy), reply
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
