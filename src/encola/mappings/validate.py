"""The rules for a mapping's settings. Pure; MappingError says what breaks one, in Lambda's words where they are known.

Sources: AWS Lambda API reference, CreateEventSourceMapping; developer guide, "Lambda parameters for Amazon SQS event
source mappings".
"""

import re

from encola.engine.queue import SECOND, Address, Queue
from encola.mappings.filters import PATTERN_LENGTH_MAX, PATTERNS_MAX, FilterError, Filters
from encola.mappings.functions import DeclaredFunction
from encola.mappings.model import MappingError, Settings, invalid

BATCH_SIZE_MAX = 10_000
FIFO_BATCH_SIZE_MAX = 10
UNWINDOWED_BATCH_SIZE_MAX = 10
WINDOW_SECONDS_MAX = 300
CONCURRENCY_MIN, CONCURRENCY_MAX = 2, 1000
POLLERS_MIN, MINIMUM_POLLERS_MAX, MAXIMUM_POLLERS_MAX = 2, 200, 2000
TAGS_MAX = 50

_SOURCE = re.compile(
    r"arn:aws[a-zA-Z-]*:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d{12}):(?P<name>.+)"
)


def queue_of_source(source: str) -> tuple[Address, str]:
    """The queue of an event source's ARN, and its region. Raises MappingError."""
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise MappingError(
            "ValidationException",
            f"1 validation error detected: Value '{source[:200]}' at 'eventSourceArn' failed to satisfy constraint: "
            "Member must be an ARN",
        )
    if found["service"] != "sqs":
        raise invalid("Unrecognized event source: only Amazon SQS queues are supported by this server.")
    return Address(found["account"], found["name"]), found["region"]


def check(settings: Settings, queue: Queue, function: DeclaredFunction) -> None:
    """Everything that can be wrong with settings for this queue and this function. Raises MappingError."""
    check_ranges(settings)
    if queue.ordered and settings.window:
        raise invalid("Batching window is not supported for FIFO queues.")
    if queue.ordered and settings.batch_size > FIFO_BATCH_SIZE_MAX:
        raise invalid(f"Batch size must be at most {FIFO_BATCH_SIZE_MAX} for FIFO queues.")
    if settings.batch_size > UNWINDOWED_BATCH_SIZE_MAX and not settings.window:
        raise invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
    if settings.pollers is not None and settings.maximum_concurrency is not None:
        raise invalid("MaximumConcurrency and ProvisionedPollerConfig cannot be used together.")
    reserved = function.concurrency
    if settings.maximum_concurrency is not None and reserved is not None and settings.maximum_concurrency > reserved:
        raise invalid("MaximumConcurrency must not be greater than the reserved concurrency of the function.")
    visibility = queue.settings.lease // SECOND
    if visibility < function.timeout:
        raise invalid(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {function.timeout} seconds"
        )
    check_filters(settings.filters)


def check_ranges(settings: Settings) -> None:
    """The bounds of single numbers. Raises MappingError (ValidationException)."""
    _within(settings.batch_size, "batchSize", 1, BATCH_SIZE_MAX)
    _within(settings.window, "maximumBatchingWindowInSeconds", 0, WINDOW_SECONDS_MAX)
    if settings.maximum_concurrency is not None:
        _within(settings.maximum_concurrency, "scalingConfig.maximumConcurrency", CONCURRENCY_MIN, CONCURRENCY_MAX)
    if settings.pollers is not None:
        minimum, maximum = settings.pollers.minimum, settings.pollers.maximum
        _within(minimum, "provisionedPollerConfig.minimumPollers", POLLERS_MIN, MINIMUM_POLLERS_MAX)
        _within(maximum, "provisionedPollerConfig.maximumPollers", POLLERS_MIN, MAXIMUM_POLLERS_MAX)
        if minimum > maximum:
            raise invalid("MinimumPollers must not be greater than MaximumPollers.")


def check_filters(patterns: tuple[str, ...]) -> None:
    """Raises MappingError."""
    if len(patterns) > PATTERNS_MAX:
        raise invalid(f"Filter criteria may have at most {PATTERNS_MAX} filters.")
    for pattern in patterns:
        if len(pattern) > PATTERN_LENGTH_MAX:
            raise _unsatisfied(
                f"{pattern[:50]}...",
                "filterCriteria.filters.pattern",
                f"Member must have length less than or equal to {PATTERN_LENGTH_MAX}",
            )
    try:
        Filters(patterns)
    except FilterError as error:
        raise invalid(f"Invalid filter pattern definition. ({error})") from None


def check_tags(tags: dict[str, str]) -> None:
    """Raises MappingError."""
    if len(tags) > TAGS_MAX or any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in tags.items()):
        raise invalid(
            f"There may be at most {TAGS_MAX} tags, with keys of 1 to 128 and values of up to 256 characters."
        )


def _within(value: int, name: str, low: int, high: int) -> None:
    if value < low:
        raise _unsatisfied(str(value), name, f"Member must have value greater than or equal to {low}")
    if value > high:
        raise _unsatisfied(str(value), name, f"Member must have value less than or equal to {high}")


def _unsatisfied(value: str, name: str, constraint: str) -> MappingError:
    return MappingError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}",
    )
