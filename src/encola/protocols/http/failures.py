"""What is our own fault is told to the operator: where it happened, and nothing that a client sent."""

import logging
import traceback


def log_failure(log: logging.Logger, what: str, error: BaseException | None) -> None:
    """Neither the request nor the error's own text: both may hold what clients sent."""
    frames = "".join(traceback.format_tb(error.__traceback__)) if error is not None else ""
    log.error("%s failed with %s\n%s", what, type(error).__name__, frames)
