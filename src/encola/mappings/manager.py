"""All mappings of a server: made, changed and deleted; kept in the store; at work from its start to its stop.

What the API makes is a note in the store, written before the answer. What the configuration declares is made anew at
each start and cannot be changed by the API.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence

import msgspec

from encola.broker.broker import Broker
from encola.mappings.declared import DeclaredMapping
from encola.mappings.event import Words
from encola.mappings.functions import Functions, Reference, arn_of_function, reference_of
from encola.mappings.model import (
    SETTLED,
    Mapping,
    MappingError,
    Settings,
    State,
    conflict,
    in_use,
    invalid,
    not_found,
)
from encola.mappings.poller import Poller
from encola.mappings.status import Status
from encola.mappings.targets.pool import Targets
from encola.mappings.validate import check, check_tags, queue_of_source

MAPPINGS_MAX = 1000  # of one account
NO_FUNCTION = "the function is not declared"
GONE = "The resource you requested does not exist."

_NOTE = "mapping"
_log = logging.getLogger("encola.mappings")


class View(msgspec.Struct, frozen=True):
    """A mapping as it stands at one moment."""

    mapping: Mapping
    state: State
    function_arn: str
    status: Status


class _Entry:
    """A mapping, its state, and what works for it."""

    def __init__(self, mapping: Mapping, state: State, poller: Poller) -> None:
        self.mapping = mapping
        self.state = state
        self.poller = poller

    def view(self) -> View:
        reference = reference_of(self.mapping.settings.function, self.mapping.account)
        self.poller.status.limit = self.poller.limit
        return View(self.mapping, self.state, arn_of_function(self.mapping.region, reference), self.poller.status)


class Mappings:
    """See the module."""

    def __init__(self, broker: Broker, functions: Functions, words: Words) -> None:
        self._broker = broker
        self._functions = functions
        self._words = words
        self._entries: dict[str, _Entry] = {}
        self._targets = Targets()
        self._changes: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def open(self, declared: Sequence[DeclaredMapping]) -> None:
        """Goes on with all mappings; the queues are there. Raises MappingError for a wrong declaration, StoreError."""
        now = self._broker.clock.now()
        wanted = [one.mapping(now) for one in declared]
        for mapping in wanted:
            self._check(mapping)
        ours = {(one.queue, one.settings.function) for one in wanted}
        kept = [msgspec.msgpack.decode(note, type=Mapping) for note in (await self._broker.notes(_NOTE)).values()]
        replaced = [one for one in kept if (one.queue, one.settings.function) in ours]
        if replaced:
            _log.warning("%d mappings of the API give way to declared ones", len(replaced))
            await self._broker.keep(_NOTE, {one.uuid: None for one in replaced})
        for mapping in (*wanted, *(one for one in kept if one not in replaced)):
            self._settle(self._enter(mapping, State.CREATING))

    async def stop_receiving(self) -> None:
        """Takes no more messages; those that no function has yet are given back, uncounted."""
        self._stopping = True
        await asyncio.gather(*(entry.poller.stop() for entry in self._entries.values()))

    async def stop(self, grace_seconds: float) -> None:
        """Lets running invocations finish for a while, ends the others and gives their messages back, uncounted."""
        await self.stop_receiving()
        pollers = [entry.poller for entry in self._entries.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await asyncio.gather(*(poller.drained() for poller in pollers))
        for poller in pollers:
            poller.abort()
        await asyncio.gather(*(poller.drained() for poller in pollers))
        for change in self._changes:
            change.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)
        await self._targets.close()

    # Operations -------------------------------------------------------------------------------------

    def get(self, account: str, mapping_uuid: str) -> View:
        """Raises MappingError."""
        return self._find(account, mapping_uuid).view()

    def all(self, account: str | None = None) -> list[View]:
        """The mappings of an account (of all without one), by UUID."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.mapping.uuid)
        return [entry.view() for entry in entries if account in (None, entry.mapping.account)]

    async def create(
        self, account: str, region: str, source: str, settings: Settings, tags: dict[str, str] | None = None
    ) -> View:
        """Durable on return. Raises MappingError, StoreError."""
        queue, _ = queue_of_source(source)
        reference = reference_of(settings.function, account)
        mapping = Mapping(
            uuid=str(uuid.uuid4()),
            account=account,
            region=region,
            source=source,
            queue=queue,
            settings=msgspec.structs.replace(settings, function=reference.name),
            modified_at=self._broker.clock.now(),
            tags=tags or {},
        )
        check_tags(mapping.tags)
        self._check(mapping)
        self._check_unique(mapping)
        if sum(entry.mapping.account == account for entry in self._entries.values()) >= MAPPINGS_MAX:
            raise invalid(f"An account may have at most {MAPPINGS_MAX} event source mappings.")
        entry = self._enter(mapping, State.CREATING)
        try:
            await self._keep(mapping)
        except BaseException:
            del self._entries[mapping.uuid]
            raise
        view = entry.view()
        self._settle(entry)
        return view

    async def update(self, account: str, mapping_uuid: str, settings: Settings) -> View:
        """Replaces the settings; durable on return. Raises MappingError, StoreError."""
        entry = self._changeable(account, mapping_uuid, "update")
        before, state = entry.mapping, entry.state
        reference = reference_of(settings.function, account)
        mapping = msgspec.structs.replace(
            before,
            settings=msgspec.structs.replace(settings, function=reference.name),
            modified_at=self._broker.clock.now(),
        )
        self._check(mapping)
        self._check_unique(mapping)
        entry.state = _transition(before.settings, mapping.settings)
        try:
            await self._keep(mapping)
        except BaseException:
            entry.state = state
            raise
        entry.mapping = mapping
        view = entry.view()
        self._settle(entry)
        return view

    async def delete(self, account: str, mapping_uuid: str) -> View:
        """Durable on return; running invocations finish. Raises MappingError, StoreError."""
        entry = self._changeable(account, mapping_uuid, "delete")
        state, entry.state = entry.state, State.DELETING
        try:
            await self._broker.keep(_NOTE, {entry.mapping.uuid: None})
        except BaseException:
            entry.state = state
            raise
        view = entry.view()
        self._settle(entry)
        return view

    # Rules ------------------------------------------------------------------------------------------

    def _check(self, mapping: Mapping) -> None:
        """Raises MappingError."""
        queue = self._broker.find(mapping.queue)
        if queue is None or mapping.queue.account != mapping.account:
            raise invalid(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                "SQS Error Message: The specified queue does not exist."
            )
        _, function = self._functions.resolve(mapping.settings.function, mapping.account, mapping.region)
        check(mapping.settings, queue, function)

    def _check_unique(self, mapping: Mapping) -> None:
        for entry in self._entries.values():
            other = entry.mapping
            same = (other.queue, other.settings.function) == (mapping.queue, mapping.settings.function)
            if same and other.uuid != mapping.uuid:
                raise conflict(
                    f'An event source mapping with SQS arn (" {mapping.source} ") and function '
                    f'(" {mapping.settings.function} ") already exists. Please update or delete the existing mapping '
                    f"with UUID {other.uuid}"
                )

    def _find(self, account: str, mapping_uuid: str) -> _Entry:
        entry = self._entries.get(mapping_uuid.lower())
        if entry is None or entry.mapping.account != account:
            raise not_found(GONE)
        return entry

    def _changeable(self, account: str, mapping_uuid: str, verb: str) -> _Entry:
        entry = self._find(account, mapping_uuid)
        if entry.mapping.declared:
            raise invalid(f"Cannot {verb} the event source mapping: it is declared in the server's configuration.")
        if entry.state not in SETTLED or self._stopping:
            raise in_use(verb)
        return entry

    # Work -------------------------------------------------------------------------------------------

    def _enter(self, mapping: Mapping, state: State) -> _Entry:
        entry = _Entry(mapping, state, Poller(self._broker, self._words, mapping))
        self._entries[mapping.uuid] = entry
        return entry

    async def _keep(self, mapping: Mapping) -> None:
        await self._broker.keep(_NOTE, {mapping.uuid: msgspec.msgpack.encode(mapping)})

    def _settle(self, entry: _Entry) -> None:
        """Brings a mapping to where its state leads, in the background."""
        change = asyncio.create_task(self._change(entry), name=f"change of mapping {entry.mapping.uuid}")
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def _change(self, entry: _Entry) -> None:
        await entry.poller.stop()
        if entry.state is State.DELETING:
            await entry.poller.drained()
            del self._entries[entry.mapping.uuid]
            await self._forget_target(entry.mapping)
        elif not entry.mapping.settings.enabled:
            await entry.poller.drained()
            entry.state = State.DISABLED
        else:
            self._start(entry)
            entry.state = State.ENABLED

    def _start(self, entry: _Entry) -> None:
        mapping = entry.mapping
        reference = Reference(mapping.account, mapping.settings.function)
        function = self._functions.find(reference)
        if function is None:  # a mapping of the API whose function was declared when it was made
            entry.poller.status.problem(self._broker.clock.now(), NO_FUNCTION)
            _log.warning("mapping %s does nothing: %s", mapping.uuid, NO_FUNCTION)
        elif not self._stopping:
            arn = arn_of_function(mapping.region, reference)
            gate, target = self._functions.gate(reference, function), self._targets.get(reference, function)
            entry.poller.start(mapping, function, gate, target, arn)

    async def _forget_target(self, mapping: Mapping) -> None:
        """Ends the processes of a function that no mapping uses any more."""
        reference = Reference(mapping.account, mapping.settings.function)
        others = (entry.mapping for entry in self._entries.values())
        if all(Reference(other.account, other.settings.function) != reference for other in others):
            await self._targets.forget(reference)


def _transition(before: Settings, after: Settings) -> State:
    if before.enabled and not after.enabled:
        return State.DISABLING
    if after.enabled and not before.enabled:
        return State.ENABLING
    return State.UPDATING


__all__ = ["MappingError", "Mappings", "View"]
