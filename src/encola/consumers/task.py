"""A task: a function that can be asked for. Calling it runs it here; sending it has it run by a consumer."""

import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import msgspec

from encola.consumers.errors import BadPayloadError, ConfigurationError
from encola.consumers.job import Job
from encola.consumers.message import (
    ATTRIBUTES_BYTES,
    BODY_BYTES_MAX,
    TASK_ATTRIBUTE,
    JobMessage,
    Link,
    Membership,
    encode,
)
from encola.consumers.options import SendOptions, TaskOptions, check_template, is_text, template
from encola.consumers.payload import Payload
from encola.consumers.transport import Outgoing
from encola.engine.records import KEY_LENGTH_MAX

if TYPE_CHECKING:
    from encola.consumers.app import App

Given = ParamSpec("Given")
Result = TypeVar("Result")

PLAIN = SendOptions()


class Prepared(msgspec.Struct, frozen=True):
    """A wish that was checked and is ready to be sent."""

    queue: str
    job: str
    message: Outgoing


class Task(Generic[Given, Result]):
    """Made by ``App.task``. ``task(...)`` runs the plain function; ``task.send(...)`` asks for it."""

    def __init__(self, app: "App", function: Callable[Given, Result], options: TaskOptions) -> None:
        """Raises ConfigurationError."""
        name_of(function)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"task {options.name}: a generator answers nothing that a job could have")
        self.app = app
        self.function = function
        self.settings = options
        self.payload = Payload(function)
        for what, pattern in (("key", options.key), ("limit_key", options.limit_key), ("group", options.group)):
            check_template(pattern, self.payload.names, f"task {options.name}: the {what}")
        self.is_async = inspect.iscoroutinefunction(function)
        self._prefix = f"{options.name}/"
        # ``report/{month}`` is a whole id. To look at the pattern, not at what is filled in, keeps other keys apart.
        self._keys_are_ids = isinstance(options.key, str) and options.key.startswith(self._prefix)
        if self.is_async and options.run == "process":
            raise ConfigurationError(f"task {options.name}: an async function runs on the loop, not in a process")
        result = inspect.signature(function).return_annotation
        self.returns: Any = Any if result is inspect.Signature.empty else result
        self.__doc__ = function.__doc__
        self.__name__ = options.name
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<Task {self.name} on {self.queue}>"

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def queue(self) -> str:
        return self.settings.queue

    # Sending ------------------------------------------------------------------------------------------

    def send(self, *args: Given.args, **kwargs: Given.kwargs) -> Job[Result]:
        """Asks for it. Durable on return. Raises BadPayloadError, SendError, ConfigurationError."""
        return self.app.wait(self.app.enqueue(self, [self.prepare(args, kwargs)]))[0]

    async def asend(self, *args: Given.args, **kwargs: Given.kwargs) -> Job[Result]:
        """As ``send``, for async code."""
        return (await self.app.enqueue(self, [self.prepare(args, kwargs)]))[0]

    def send_many(self, wishes: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[Job[Result]]:
        """Many at once, in batches: tuples of arguments or mappings of keyword arguments. All are checked first.

        Raises as ``send``; SendError says how many were sent.
        """
        return self.app.wait(self.asend_many(wishes))

    async def asend_many(self, wishes: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[Job[Result]]:
        """As ``send_many``, for async code."""
        return await self.app.enqueue(self, [self._prepare_one(wish) for wish in wishes])

    def _prepare_one(self, wish: tuple[Any, ...] | Mapping[str, Any]) -> Prepared:
        if isinstance(wish, Mapping):
            return self.prepare((), wish)
        if not isinstance(wish, tuple | list):  # the letters of a text would be taken for arguments
            raise BadPayloadError(f"{self.name}: a wish of many is a tuple or a mapping, not a {type(wish).__name__}")
        return self.prepare(tuple(wish), {})

    def options(self, **options: Any) -> "Wish[Given, Result]":
        """For one wish: ``delay`` or ``at``, ``key``, ``priority``, ``group`` (see ``SendOptions``)."""
        return Wish(self, SendOptions(**options))

    # Links of chains and groups -----------------------------------------------------------------------

    def s(self, *args: Any, **kwargs: Any) -> "Signature":
        """A wish for a chain or group. Its first missing parameter gets the result of what came before."""
        data, missing = self.payload.encode_partial(args, kwargs)
        return Signature(self, data, missing)

    def si(self, *args: Given.args, **kwargs: Given.kwargs) -> "Signature":
        """As ``s``, but takes nothing from what came before."""
        return Signature(self, self.payload.encode(args, kwargs), None)

    # Preparing ----------------------------------------------------------------------------------------

    def prepare(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: SendOptions = PLAIN) -> Prepared:
        """Checks a wish and makes its message. Raises BadPayloadError, ConfigurationError."""
        return self.prepare_data(self.payload.encode(args, kwargs), options)

    def prepare_data(
        self,
        data: bytes,
        options: SendOptions = PLAIN,
        *,
        job: str = "",
        keyed: bool = False,
        then: tuple[Link, ...] = (),
        join: Membership | None = None,
    ) -> Prepared:
        """As ``prepare``, of arguments that are JSON already."""
        job_id, keyed = (job, keyed) if job else self.job_id(data, options.key)
        if self.settings.limit_per_key is not None:
            self.limit_key(data)  # who cannot be told whose slots the job takes could not run it
        body = encode(JobMessage(self.name, msgspec.Raw(data), job_id, keyed, then, join, self.app.name))
        size = len(body.encode())
        if size > BODY_BYTES_MAX - ATTRIBUTES_BYTES:
            raise BadPayloadError(f"{self.name}: the arguments make a message of {size} bytes, too large for a queue")
        queue = self.app.lane(self, options.priority or self.settings.priority)
        attributes = {TASK_ATTRIBUTE: self.name, **options.attributes}
        for middleware in self.app.middleware:
            middleware.sending(self.name, job_id, queue, attributes)
        fifo = queue.endswith(".fifo")
        outgoing = Outgoing(
            body=body,
            attributes=attributes,
            delay=options.seconds(self.app.bridge.now),
            group=(options.group or self._group(data)) if fifo else options.group,
            deduplication_id=uuid.uuid4().hex if fifo else None,
        )
        return Prepared(queue, job_id, outgoing)

    def job_id(self, data: bytes | msgspec.Raw, key: str | None = None, token: str = "") -> tuple[str, bool]:
        """The id of a job with these arguments, and whether it was made of its key. Raises ConfigurationError."""
        if key is None and self.settings.key is not None:
            key = template(self.settings.key, self.payload.decode(data), f"task {self.name}: the key")
        if key is not None and self._keys_are_ids and key.startswith(self._prefix):
            made = key
        else:
            made = self._prefix + (key if key is not None else token or uuid.uuid4().hex)
        if made == self._prefix:
            raise BadPayloadError(f"{self.name}: its key is empty: all such wishes would be one job")
        if len(self.app.record_key(made)) > KEY_LENGTH_MAX or not is_text(made):
            raise BadPayloadError(f"{self.name}: its key is too long, has a zero byte or half of a surrogate pair")
        return made, key is not None

    def limit_key(self, data: bytes | msgspec.Raw) -> str:
        """Whose slots a job takes (tasks with ``limit_per_key``)."""
        pattern = self.settings.limit_key if self.settings.limit_key is not None else self.settings.key
        assert pattern is not None  # noqa: S101 - the options were checked
        return template(pattern, self.payload.decode(data), f"task {self.name}: the limit_key")

    def _group(self, data: bytes) -> str:
        if self.settings.group is None:
            return self.name
        return template(self.settings.group, self.payload.decode(data), f"task {self.name}: the group")


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called. Raises ConfigurationError where it is none."""
    if isinstance(function, type) or not (
        callable(function) and hasattr(function, "__name__") and hasattr(function, "__qualname__")
    ):
        raise ConfigurationError(f"a task is made of a function with a name, and {function!r} is none: use def")
    return str(function.__name__)


class Wish(Generic[Given, Result]):
    """A task with options for what is sent: ``report.options(delay=60).send(...)``."""

    def __init__(self, task: Task[Given, Result], options: SendOptions) -> None:
        self._task = task
        self._options = options

    def send(self, *args: Given.args, **kwargs: Given.kwargs) -> Job[Result]:
        """As ``Task.send``."""
        return self._task.app.wait(self.asend(*args, **kwargs))

    async def asend(self, *args: Given.args, **kwargs: Given.kwargs) -> Job[Result]:
        """As ``Task.asend``."""
        return (await self._task.app.enqueue(self._task, [self._task.prepare(args, kwargs, self._options)]))[0]


class Signature:
    """A task with (some of) its arguments. Made by ``Task.s``; see ``workflow``."""

    __slots__ = ("data", "missing", "task")

    def __init__(self, task: Task[Any, Any], data: bytes, missing: str | None) -> None:
        self.task = task
        self.data = data
        self.missing = missing
