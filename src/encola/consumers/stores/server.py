"""The store of records that an encola server keeps: over the same connections as its queues."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from encola.consumers.jobstore import FOUND_MAX, JobQuery, JobStoreError
from encola.consumers.sqs.answers import decoder_of, shape_of
from encola.consumers.sqs.client import ServiceClient
from encola.consumers.transport import RefusedError, TransportError
from encola.engine.message import Instant
from encola.engine.record_rules import WrongRecordError
from encola.engine.records import COMMANDS_MAX, Command, Job, JobSearch, Reply

REQUEST_BYTES_MAX = 4 * 1024 * 1024
"""Of one request: results may be large. The server takes twice as much."""

_WRONG_RECORD = "WrongRecord"
_PROBE = b'{"Keys":["-"]}'


class _Replies(msgspec.Struct, rename="pascal"):
    replies: list[Reply]


class _Jobs(msgspec.Struct, rename="pascal"):
    jobs: list[Job | None]


class _Found(msgspec.Struct, rename="pascal"):
    jobs: list[Job]
    next: tuple[Instant, str] | None = None


_encode = msgspec.json.Encoder().encode
_replies_decoder = decoder_of(_Replies)
_jobs_decoder = decoder_of(_Jobs)
_found_decoder = decoder_of(_Found)


class ServerJobStore:
    """See the module; it is a ``JobStore``. ``client`` may be that of a transport."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def open(self) -> None:
        try:
            await self._client.open()
        except TransportError as error:
            raise JobStoreError(str(error)) from None
        try:
            await self._ask("EncolaJobs.Get", _PROBE)
        except BaseException:
            await self._client.close()
            raise

    async def close(self) -> None:
        await self._client.close()

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Any number of commands, in as many requests as it takes."""
        replies: list[Reply] = []
        for portion in _portions([_encode(command) for command in commands]):
            body = b'{"Commands":[' + b",".join(portion) + b"]}"
            found = await self._answer("EncolaJobs.Apply", body, _replies_decoder)
            if len(found.replies) != len(portion):
                raise JobStoreError(f"the server answered {len(found.replies)} of {len(portion)} commands")
            replies += found.replies
        return replies

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        jobs: list[Job | None] = []
        for start in range(0, len(keys), COMMANDS_MAX):
            some = keys[start : start + COMMANDS_MAX]
            found = await self._answer("EncolaJobs.Get", _encode({"Keys": some}), _jobs_decoder)
            if len(found.jobs) != len(some):
                raise JobStoreError(f"the server answered {len(found.jobs)} of {len(some)} keys")
            jobs += found.jobs
        return jobs

    async def find(self, query: JobQuery) -> Sequence[Job]:
        limit = min(query.limit, FOUND_MAX)
        jobs: list[Job] = []
        before = query.before
        while len(jobs) < limit:  # the server may answer a short page that is not the last
            search = JobSearch(
                prefix=query.prefix,
                task=query.task,
                queue=query.queue,
                states=query.states,
                before=before,
                limit=limit - len(jobs),
            )
            found = await self._answer("EncolaJobs.Find", _encode(search), _found_decoder)
            jobs += found.jobs
            before = found.next
            if before is None:
                break
        return jobs

    async def _answer(self, target: str, body: bytes, decoder: "msgspec.json.Decoder[Any]") -> Any:
        answer = await self._ask(target, body)
        try:
            return shape_of(decoder, answer)
        except TransportError as error:
            raise JobStoreError(str(error)) from None

    async def _ask(self, target: str, body: bytes) -> bytes:
        """All of them may be repeated: commands are made for that."""
        try:
            return await self._client.call(target, body)
        except RefusedError as error:
            if error.code == _WRONG_RECORD:
                raise WrongRecordError(str(error)) from None
            raise JobStoreError(str(error)) from None
        except TransportError as error:
            raise JobStoreError(str(error)) from None


def _portions(commands: list[bytes]) -> Iterator[list[bytes]]:
    """Each is one request's: so many commands, and so many bytes, but at least one."""
    portion: list[bytes] = []
    size = 0
    for command in commands:
        if portion and (len(portion) == COMMANDS_MAX or size + len(command) > REQUEST_BYTES_MAX):
            yield portion
            portion, size = [], 0
        portion.append(command)
        size += len(command) + 1
    if portion:
        yield portion
