"""Names of queues: the rules for them, their URLs and their ARNs. Pure."""

import re

from encola.engine.queue import Address
from encola.protocols.sqs.errors import SqsError, invalid_parameter

NAME_LENGTH_MAX = 80
FIFO_SUFFIX = ".fifo"
URL_SHOWN_MAX = 500  # characters of a wrong URL that its error repeats

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")


def check_name(name: str, *, fifo: bool) -> None:
    """Source: Amazon SQS developer guide, "Quotas" (queue name). Raises SqsError."""
    stem = name.removesuffix(FIFO_SUFFIX) if fifo else name
    fits = len(name) <= NAME_LENGTH_MAX and _NAME.match(stem)
    if fifo and not (fits and name.endswith(FIFO_SUFFIX)):
        raise invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
            "must end with .fifo suffix and be 1 to 80 in length."
        )
    if not fits:
        raise invalid_parameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")


def address_of_url(url: str, account: str) -> Address:
    """The queue that a QueueUrl names: by its last two path parts, whatever the host; or a bare name of ``account``.

    Raises SqsError (InvalidAddress) for what is neither.
    """
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url
    parts = path.strip("/").split("/")
    if len(parts) >= 2 and _ACCOUNT.match(parts[-2]):
        return Address(parts[-2], parts[-1])
    if len(parts) == 1 and parts[0] and "://" not in url:
        return Address(account, parts[0])
    raise SqsError("InvalidAddress", f"The address {url[:URL_SHOWN_MAX]} is not valid for this endpoint.")


def url_of(base: str, address: Address) -> str:
    return f"{base}/{address.account}/{address.name}"


def arn_of(region: str, address: Address) -> str:
    return f"arn:aws:sqs:{region}:{address.account}:{address.name}"


def address_of_arn(arn: str) -> Address | None:
    """The queue of an ARN, in any region; None when it is not the ARN of a queue."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sqs" or not _ACCOUNT.match(parts[4]) or not parts[5]:
        return None
    return Address(parts[4], parts[5])
