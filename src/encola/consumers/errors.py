"""What tasks may raise to say what shall happen, and what the runtime raises to tell its callers."""

AGAIN_SECONDS_MAX = 43_200
"""A message stays hidden for 12 hours at most (Amazon SQS, ChangeMessageVisibility)."""


class EncolaError(Exception):
    """The root of all errors of the runtime."""


# Raised by tasks -------------------------------------------------------------------------------------


class Permanent(EncolaError):  # noqa: N818 - reads as a verdict: raise Permanent("no such route")
    """Trying again will not help: the message goes to the dead-letter queue at once, with this text as the reason."""


class Retry(EncolaError):  # noqa: N818 - as above
    """Try again, after ``delay`` seconds, up to 12 hours (None: as the task's back-off says). The attempt counts."""

    def __init__(self, message: str = "", *, delay: float | None = None) -> None:
        """Raises TypeError, ValueError for a delay that cannot be."""
        super().__init__(message or "to be tried again")
        if delay is not None:
            if isinstance(delay, bool) or not isinstance(delay, int | float):
                raise TypeError(f"the delay of Retry is a number of seconds, not {delay!r}")
            if not 0 <= delay <= AGAIN_SECONDS_MAX:  # nor is it NaN
                raise ValueError(f"the delay of Retry is between 0 and {AGAIN_SECONDS_MAX} seconds, not {delay}")
        self.delay = delay


class AlreadyDone(EncolaError):  # noqa: N818 - as above
    """The effect of this key is in the database already: a task that lets it through counts as completed.

    Not so if the attempt marked something else before: see UncertainEffectError.
    """


# Raised to producers and who asks for results --------------------------------------------------------


class ConfigurationError(EncolaError):
    """What was declared cannot be; the text says where and why."""


class BadPayloadError(EncolaError, ValueError):
    """Arguments that do not fit the task's signature: nothing was sent."""


class SendError(EncolaError):
    """The queue service did not take the message. Some of many may have been sent: ``sent`` says how many."""

    def __init__(self, message: str, sent: int = 0) -> None:
        super().__init__(message)
        self.sent = sent


class NoRecordsError(EncolaError):
    """Jobs of this task leave no records (``track=False``, or the application has no store of records)."""


class ResultPendingError(EncolaError, TimeoutError):
    """The job had not ended when the time to wait for it was over."""


class JobDeadError(EncolaError):
    """The job failed for good. ``type`` and ``traceback`` are those of its last error."""

    def __init__(self, message: str, kind: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.type = kind
        self.traceback = traceback


class ResultTypeError(EncolaError, ValueError):
    """The job is completed, and what it answered does not fit its task's return annotation."""


class JobCancelledError(EncolaError):
    """The job was cancelled, and will not run."""


# Raised into tasks -----------------------------------------------------------------------------------


class UncertainEffectError(EncolaError):
    """The task let AlreadyDone through after it had marked another effect, which may have been rolled back with it."""


class TaskTimeoutError(EncolaError, TimeoutError):
    """The task ran longer than its ``timeout``."""


class InterruptedTaskError(BaseException):
    """Raised in the thread of a task that shall stop (lost lease, timeout, cancelled): not an ``Exception``."""


# Within the runtime ----------------------------------------------------------------------------------


class TaskExitError(EncolaError):
    """The task called ``sys.exit``, or raised what is no ``Exception``."""


class BadMessageError(EncolaError):
    """A message that no task can be run with. ``reason`` is one word for the dead-letter queue."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
