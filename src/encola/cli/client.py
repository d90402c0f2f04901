"""The SQS client behind the commands: botocore, against an encola server, another endpoint, or AWS itself."""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from encola.server.loopback import is_loopback

DEFAULT_ENDPOINT = "http://127.0.0.1:9324"
AWS = "aws"
REGION = "us-east-1"

Endpoint = Annotated[
    str,
    typer.Option("--endpoint", "-e", help="URL of an SQS endpoint, or 'aws' for AWS itself.", envvar="ENCOLA_ENDPOINT"),
]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile of the AWS configuration.")]
Region = Annotated[str | None, typer.Option("--region", help="Region; any will do on an encola server.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QueueName = Annotated[str, typer.Argument(help="Name or URL of the queue.")]


def connect(endpoint: str, profile: str | None, region: str | None) -> Any:
    """A botocore client. Credentials come from where AWS's tools look; a server on this machine may need none."""
    from urllib.parse import urlsplit

    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import ProfileNotFound

    session = botocore.session.Session(profile=profile)
    known: dict[str, str] = {}
    try:
        if endpoint != AWS:
            parts = urlsplit(endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError(f"the endpoint {endpoint!r} is no http:// or https:// URL")
        if session.get_credentials() is None and endpoint != AWS and is_loopback(urlsplit(endpoint).hostname or ""):
            known = {"aws_access_key_id": "encola", "aws_secret_access_key": "encola"}
        region = region or session.get_config_variable("region")
        if region is None and endpoint != AWS:
            region = REGION
        return session.create_client(
            "sqs",
            region_name=region,
            endpoint_url=None if endpoint == AWS else endpoint,
            config=Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=40, connect_timeout=5),
            **known,
        )
    except (ProfileNotFound, ValueError) as error:
        raise _ended(str(error)) from None


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """Turns what the endpoint refuses, and what is not there, into one line and exit status 1."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        raise _ended(f"{told.get('Message', error)} ({told.get('Code', '?')})") from None
    except BotoCoreError as error:
        raise _ended(str(error)) from None
    except UnicodeError:
        raise _ended("what is to be sent is not valid UTF-8") from None


def _ended(message: str) -> typer.Exit:
    typer.echo(f"encola: {message}", err=True)
    return typer.Exit(1)


def queue_url(client: Any, queue: str) -> str:
    """The URL of a queue that was given by name; one that is a URL already is taken as it is."""
    if "://" in queue:
        return queue
    url: str = client.get_queue_url(QueueName=queue)["QueueUrl"]
    return url


def queue_arn(client: Any, queue: str) -> str:
    """The ARN of a queue given by name, URL or ARN."""
    if queue.startswith("arn:"):
        return queue
    answer = client.get_queue_attributes(QueueUrl=queue_url(client, queue), AttributeNames=["QueueArn"])
    arn: str = answer["Attributes"]["QueueArn"]
    return arn


def queue_urls(client: Any, prefix: str) -> list[str]:
    """All queues of the caller whose names begin with ``prefix``."""
    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    return [url for page in pages for url in page.get("QueueUrls", [])]
