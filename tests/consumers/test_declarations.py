"""What is declared and cannot work is refused where it is declared; what is wished and cannot be, where it is wished.

Each of these was taken once, and failed later, somewhere else, in other words; or did what nobody had asked for.
"""

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest

import encola
from encola.consumers.errors import BadPayloadError, ConfigurationError
from encola.consumers.preparing import prepare_queues


@pytest.fixture
def app() -> encola.App:
    return encola.App("a", server="http://127.0.0.1:1")


def work(month: str = "") -> None: ...


# Tasks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"run": "proc"}, "run is thread or process"),
        ({"queue": "bad queue!"}, "the queue 'bad queue!' has a name that no queue can have"),
        ({"queue": "q" * 81}, "has a name that no queue can have: up to 80 letters"),
        ({"queue": "q.other"}, "has a name that no queue can have"),
        ({"queue": ".fifo"}, "has a name that no queue can have"),
        ({"queue": 5}, "which queue"),
        ({"retries": 1.5}, "between 0 and 1000 retries, a whole number"),
        ({"retries": "3"}, "between 0 and 1000 retries, a whole number"),
        ({"retries": True}, "between 0 and 1000 retries, a whole number"),
        ({"backoff": 5}, "the backoff is an encola.Backoff"),
        ({"timeout": "60"}, "a timeout is a number of seconds"),
        ({"window": "day"}, "the window is between 0 and 365 days"),
        ({"key": "k", "limit_per_key": 1.5}, "limit_per_key is between 1 and 1000, a whole number"),
        ({"key": 5}, "the key is a pattern or a function"),
        ({"limit_key": 5}, "the limit_key is a pattern or a function"),
        ({"group": 5}, "the group is a pattern or a function"),
        ({"key": ""}, "an empty key would make all its wishes one job"),
        ({"rate": ""}, "a rate is written as 100/s"),
        ({"rate": 5}, "a rate is written as 100/s"),
        ({"name": ""}, "a name has up to 100 letters"),
        ({"name": "encola.join-timeout"}, "names that begin with encola. are the runtime's own"),
        ({"priority": ["high"]}, "the priority is one of"),
    ],
)
def test_what_a_task_cannot_have_is_refused(app: encola.App, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        app.task(**{"queue": "q", **options})(work)
    assert app.tasks == {}


def test_names_that_only_look_like_the_runtimes_own_may_be_had(app: encola.App) -> None:
    assert app.task(queue="q" * 80, name="encola")(work).name == "encola"
    assert app.task(queue=f"{'q' * 75}.fifo", name="encolas.own")(work).name == "encolas.own"


class Nameless:
    def __call__(self) -> None: ...


@pytest.mark.parametrize("name", [None, "named"])
@pytest.mark.parametrize("function", [functools.partial(work, "10"), Nameless(), Nameless, 5])
def test_what_is_no_function_with_a_name_is_refused(app: encola.App, function: Any, name: str | None) -> None:
    for declare in (app.task(queue="q", name=name), app.batch(queue="q", name=name)):
        with pytest.raises(ConfigurationError, match=r"a task is made of a function with a name, and .* is none"):
            declare(function)


def generator(month: str) -> Iterator[str]:
    yield month


async def asynchronous_generator(month: str) -> AsyncIterator[str]:
    yield month


@pytest.mark.parametrize("function", [generator, asynchronous_generator])
def test_a_generator_is_no_task(app: encola.App, function: Callable[..., Any]) -> None:
    """Its jobs were completed, and nothing of it had run."""
    with pytest.raises(ConfigurationError, match="a generator answers nothing that a job could have"):
        app.task(queue="q")(function)


def test_a_parameter_with_two_underscores_is_refused(app: encola.App) -> None:
    def hidden(__month: str) -> None: ...

    with pytest.raises(ConfigurationError, match="the parameter __month begins with two underscores"):
        app.task(queue="q")(hidden)


# Batch tasks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 1.5}, "the size is between 1 and 10000, a whole number"),
        ({"size": "10"}, "the size is between 1 and 10000, a whole number"),
        ({"window": "1"}, "the window is between 0 and 300 s"),
        ({"window": float("nan")}, "the window is between 0 and 300 s"),
        ({"rate": ""}, "a rate is written as"),
        ({"retries": 1.5}, "a whole number"),
    ],
)
def test_what_a_batch_task_cannot_have_is_refused(app: encola.App, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        app.batch(queue="q", **options)(work_batch)
    assert app.tasks == {}


def work_batch(items: list[str]) -> None: ...


@pytest.mark.parametrize("hint", [str, int, dict[str, int], tuple[int, ...], set[int], list[int] | None])
def test_a_batch_function_takes_a_list(app: encola.App, hint: Any) -> None:
    def wrong(items: Any) -> None: ...

    wrong.__annotations__["items"] = hint
    with pytest.raises(ConfigurationError, match="batch task wrong: items is a list of items, not "):
        app.batch(queue="q")(wrong)


@pytest.mark.parametrize("hint", [Any, list, list[int], Sequence[int], Annotated[list[int], "numbers"]])
def test_a_list_may_be_called_by_what_it_can_do(app: encola.App, hint: Any) -> None:
    def right(items: Any) -> None: ...

    right.__annotations__["items"] = hint
    task = app.batch(queue="q")(right)
    assert task.prepare((5,), {}).queue == "q"
    if hint not in (Any, list):
        with pytest.raises(BadPayloadError, match="Expected `int`"):
            task.prepare(("five",), {})


# Queues ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "bad queue!"}, "has a name that no queue can have"),
        ({"name": "q" * 78, "priorities": True}, "has a name that no queue can have"),
        ({"lease": -5}, "a lease is between 1 and 43,200 seconds"),
        ({"lease": 0}, "a lease is between 1 and 43,200 seconds"),
        ({"lease": "60"}, "a lease is between 1 and 43,200 seconds"),
        ({"retention": 59}, "a retention is between 60 seconds and 14 days"),
        ({"retention": 14 * 86_400 + 1}, "a retention is between 60 seconds and 14 days"),
        ({"dead_letters": "q"}, "it cannot be its own dead-letter queue"),
        ({"dead_letters": "q-low", "priorities": True}, "it cannot be its own dead-letter queue"),
        ({"dead_letters": "no such!"}, "has a name that no queue can have"),
        ({"dead_letters": "dead.fifo"}, "a FIFO queue has a FIFO queue for its dead letters"),
        ({"name": "q.fifo", "dead_letters": "dead"}, "a FIFO queue has a FIFO queue for its dead letters"),
    ],
)
def test_what_a_queue_cannot_be_is_refused(app: encola.App, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        app.queue(**{"name": "q", **options})
    assert app.queues == {}


async def test_a_worker_is_told_of_a_task_whose_priority_has_no_lane(app: encola.App) -> None:
    task = app.task(queue="q", priority="high")(work)
    with pytest.raises(ConfigurationError, match="the queue q has no priorities"):
        await prepare_queues(app, None, [app.queue_options("q")])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="the queue q has no priorities"):
        task.send()
    app.queue("q", priorities=True)  # later is soon enough
    assert task.prepare((), {}).queue == "q-high"


# Wishes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"at": 5}, "`at` is a datetime, not 5"),
        ({"at": "2026-10-01"}, "`at` is a datetime, not '2026-10-01'"),
        ({"delay": "5"}, "a delay is a number of seconds, not '5'"),
        ({"delay": True}, "a delay is a number of seconds, not True"),
        ({"delay": 10**400}, "a delay is at most 14 days"),
        ({"attributes": {"a": 1}}, "attributes are texts by their names"),
        ({"attributes": {1: "a"}}, "attributes are texts by their names"),
        ({"attributes": {"a": "\ud800"}}, "attributes are texts by their names"),
        ({"attributes": "a"}, "attributes are texts by their names"),
        ({"key": ""}, "a key is a text that is not empty, not ''"),
        ({"key": 5}, "a key is a text that is not empty, not 5"),
        ({"key": "\ud800"}, "a key is a text that is not empty"),
        ({"group": ""}, "a group is a text that is not empty, not ''"),
    ],
)
def test_what_cannot_be_wished_is_refused_before_anything_is_sent(
    app: encola.App, options: dict[str, Any], text: str
) -> None:
    task = app.task(queue="q")(work)
    with pytest.raises(ConfigurationError, match=text):
        task.options(**options).send()
    task.options(delay=5, key="k", attributes={"a": "b"})
    task.options(at=datetime(2026, 10, 1, tzinfo=UTC))


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("depth", [600, 800, 900, 950, 1000, 100_000])
def test_what_is_nested_too_deep_is_refused_in_words(app: encola.App, depth: int) -> None:
    """What became of it depended on the depth: a RecursionError of the key's pattern was one of it."""

    @app.task(queue="q", key="{value}")
    def keyed(value: Any) -> None: ...

    with pytest.raises((BadPayloadError, ConfigurationError), match="keyed: "):
        keyed.prepare((nested(depth),), {})


@pytest.mark.parametrize("error", [RecursionError("too deep"), ZeroDivisionError("by zero"), LookupError("no such")])
def test_what_a_key_function_raises_is_told_of_in_one_kind_of_error(app: encola.App, error: Exception) -> None:
    def key(month: str) -> str:
        raise error

    with pytest.raises(ConfigurationError, match=f"the key .* cannot be filled in: {type(error).__name__}: {error}"):
        app.task(queue="q", key=key)(work).prepare((), {})


def test_a_key_that_comes_out_empty_is_refused(app: encola.App) -> None:
    """All such wishes would be one job."""
    for name, key in (("one", "{month}"), ("two", "two/{month}")):
        task = app.task(queue="q", name=name, key=key)(work)
        assert task.prepare(("10",), {}).job == f"{name}/10"
        with pytest.raises(BadPayloadError, match=f"{name}: its key is empty"):
            task.prepare(("",), {})
    half = app.task(queue="q", name="half", key=lambda month: "\ud800")(work)
    with pytest.raises(BadPayloadError, match="half of a surrogate pair"):
        half.prepare((), {})


@pytest.mark.parametrize("wish", [5, "10", None, {1, 2}])
def test_one_of_many_wishes_that_is_neither_tuple_nor_mapping_is_refused(app: encola.App, wish: Any) -> None:
    """A text was taken apart: its letters were the arguments."""
    task = app.task(queue="q")(work)
    with pytest.raises(BadPayloadError, match="work: a wish of many is a tuple or a mapping, not a "):
        task.send_many([("10",), wish])


@pytest.mark.parametrize("options", [{"name": 5}, {"name": None}, {"name": "a", "lease": "60"}])
def test_what_an_application_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"an application has a name|a lease is between"):
        encola.App(**options)
