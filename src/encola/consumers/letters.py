"""The messages of jobs that failed for good, as they lie on a dead-letter queue: whose they are, and how each is made
once more. Pure; the command line and the pages follow the same rules.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from encola.consumers.message import ERROR_ATTRIBUTE, REASON_ATTRIBUTE

ADDED = (REASON_ATTRIBUTE, ERROR_ATTRIBUTE)
"""Attributes that the runtime or the server added on the way to the dead-letter queue."""

Value = TypeVar("Value")


class _Named(msgspec.Struct):
    """What a message says of its job."""

    task: Any = None
    job: Any = None
    app: Any = None


_decoder = msgspec.json.Decoder(_Named)
_body = msgspec.json.Decoder(dict[str, Any])


def job_named(body: str | bytes, message_id: str) -> tuple[str, str]:
    """The application (if the message says it) and the job's id. ("", "") for what is no message of a job.

    A message of a foreign producer names no job: then its id makes the job's (see ``runner``).
    """
    try:
        named = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "", ""
    app = named.app if isinstance(named.app, str) else ""
    if named.job:
        return (app, named.job) if isinstance(named.job, str) else ("", "")
    return (app, f"{named.task}/{message_id}") if isinstance(named.task, str) and named.task else ("", "")


def is_of(body: str | bytes, message_id: str, key: str) -> bool:
    """Is it the message of the job whose record has this key (``APPLICATION/JOB-ID``)?"""
    application, _, wanted = key.partition("/")
    app, job = job_named(body, message_id)
    return bool(job) and job == wanted and app in ("", application)


def body_again(body: str, key: str) -> str:
    """The body that makes the message, which is this job's, once more: it names its job from now on."""
    if _decoder.decode(body).job:
        return body
    return msgspec.json.encode({**_body.decode(body), "job": key.partition("/")[2]}).decode()


def kept(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Its attributes, without what was added on the way to the dead-letter queue."""
    return {name: value for name, value in attributes.items() if name not in ADDED}
