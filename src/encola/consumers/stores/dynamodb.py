"""A store of records in a DynamoDB table, for consumers on AWS. By the caller's clock, with a margin.

Each record is an item with a version. A command reads it (consistently), asks the rule, and puts the answer on
condition that the version is still the same; if not, it begins anew. The attribute ``expires`` (in seconds) is for
DynamoDB's Time to Live, which only cleans up: whether a record is past its time is judged here.

    aws dynamodb create-table --table-name jobs --billing-mode PAY_PER_REQUEST \\
        --attribute-definitions AttributeName=key,AttributeType=S --key-schema AttributeName=key,KeyType=HASH
    aws dynamodb update-time-to-live --table-name jobs \\
        --time-to-live-specification Enabled=true,AttributeName=expires

``find`` scans the table: it is for people who look for a job now and then. Source: Amazon DynamoDB developer guide,
"Condition expressions" and "Time to Live".
"""

import asyncio
import functools
import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from encola.consumers.jobstore import JobQuery, JobStoreError
from encola.consumers.stores.sql import job_of
from encola.engine.message import Duration, Instant
from encola.engine.record_rules import decide
from encola.engine.records import COMMANDS_MAX, FOUND_MAX, Busy, Claim, Command, Job, Reply, pack, unpack

Result = TypeVar("Result")

THREADS = 8
TRIES = 12
PAUSE_SECONDS = 0.02
PAUSE_SECONDS_MAX = 1.0
SKEW_MARGIN: Duration = 2_000
"""Clocks of callers may differ: another's lease is taken for over only so long after its end."""

ITEM_BYTES_MAX = 390_000
"""DynamoDB holds 400 KB in an item, with names and keys."""

SCANNED_MAX = 100_000
"""Items that one search looks at."""


class DynamoDbJobStore:
    """See the module. ``client`` is a boto3 or botocore client for who has one; else botocore makes it."""

    def __init__(
        self,
        table: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        client: Any = None,
        now: Callable[[], Instant] = lambda: int(time.time() * 1000),
    ) -> None:
        self._table = table
        self._endpoint = endpoint
        self._region = region
        self._client = client
        self._now = now
        self._threads: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Connects. The table must exist (see the module, or ``create_table``). Raises JobStoreError."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="encola-records")
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    async def create_table(self) -> None:
        """Makes the table, with payment per request; for development. Raises JobStoreError."""
        self._threads = self._threads or ThreadPoolExecutor(THREADS, thread_name_prefix="encola-records")
        await self._run(
            lambda: self._connected().create_table(
                TableName=self._table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            )
        )

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Commands of different records run at the same time; those of one record in their order."""
        if len(commands) > COMMANDS_MAX:
            raise ValueError(f"at most {COMMANDS_MAX} commands at once")
        by_key: dict[str, list[int]] = {}
        for index, command in enumerate(commands):
            by_key.setdefault(command.key, []).append(index)
        replies: dict[int, Reply] = {}

        def amend_all(indexes: list[int]) -> None:
            for index in indexes:
                replies[index] = self._amend(commands[index])

        work = (functools.partial(amend_all, indexes) for indexes in by_key.values())
        await asyncio.gather(*map(self._run, work))
        return [replies[index] for index in range(len(commands))]

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        async def one(key: str) -> Job | None:
            item = await self._run(lambda: self._load(key))
            return job_of(item["doc"]["B"], self._now()) if item else None

        return await asyncio.gather(*(one(key) for key in keys))

    async def find(self, query: JobQuery) -> Sequence[Job]:
        return await self._run(lambda: self._find(query))

    # In the threads -----------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connected().describe_table(TableName=self._table)

    def _connected(self) -> Any:
        if self._client is None:
            import botocore.session
            from botocore.config import Config

            self._client = botocore.session.get_session().create_client(
                "dynamodb",
                region_name=self._region,
                endpoint_url=self._endpoint,
                config=Config(max_pool_connections=THREADS, retries={"mode": "standard"}),
            )
        return self._client

    def _load(self, key: str) -> dict[str, Any] | None:
        answer = self._connected().get_item(TableName=self._table, Key={"key": {"S": key}}, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def _amend(self, command: Command) -> Reply:
        from botocore.exceptions import ClientError

        for attempt in range(TRIES):
            item = self._load(command.key)
            record = unpack(bytes(item["doc"]["B"])) if item else None
            now = self._now()
            changed, reply = decide(record, command, now)
            if isinstance(command, Claim) and isinstance(record, Job) and self._may_be_held(record, command, now):
                return Busy(record.lease_until)
            if changed is record or (changed is None and item is None):
                return reply
            try:
                self._save(command.key, item, pack(changed) if changed else None, changed.expires_at if changed else 0)
                return reply
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
            longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2**attempt)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - to spread, not to be secret
        raise JobStoreError(f"the record {command.key} changes too often")

    def _may_be_held(self, job: Job, claim: Claim, now: Instant) -> bool:
        """Is its lease over by our clock, but perhaps not by its owner's?"""
        return job.state == "running" and job.owner != claim.owner and job.lease_until + SKEW_MARGIN > now

    def _save(self, key: str, before: dict[str, Any] | None, doc: bytes | None, expires_at: Instant) -> None:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(version)"}
        if before:
            condition = {
                "ConditionExpression": "version = :before",
                "ExpressionAttributeValues": {":before": before["version"]},
            }
        if doc is None:
            self._connected().delete_item(TableName=self._table, Key={"key": {"S": key}}, **condition)
            return
        if len(doc) > ITEM_BYTES_MAX:
            raise JobStoreError(f"the record {key} has {len(doc)} bytes, more than DynamoDB holds in an item")
        item = {
            "key": {"S": key},
            "version": {"S": uuid.uuid4().hex},  # never the same again, also after a removal
            "doc": {"B": doc},
            "expires": {"N": str(expires_at // 1000 + 1)},
        }
        self._connected().put_item(TableName=self._table, Item=item, **condition)

    def _find(self, query: JobQuery) -> list[Job]:
        found: list[Job] = []
        scanned = 0
        start: dict[str, Any] = {}
        while scanned < SCANNED_MAX:
            page = self._connected().scan(TableName=self._table, **start)
            scanned += page["ScannedCount"]
            for item in page["Items"]:
                job = job_of(item["doc"]["B"], self._now())
                if job is not None and query.fits(job):
                    found.append(job)
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        found.sort(key=lambda job: (job.updated_at, job.key), reverse=True)
        return found[: min(query.limit, FOUND_MAX)]

    async def _run(self, work: Callable[[], Result]) -> Result:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._threads is None:
            raise JobStoreError("the store of records is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (ClientError, BotoCoreError) as error:
            raise JobStoreError(f"the store of records in DynamoDB's table {self._table}: {error}") from error
