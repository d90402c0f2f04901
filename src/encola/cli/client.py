"""The SQS client behind the commands: botocore, against an encola server, another endpoint, or AWS itself."""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from encola.server.loopback import is_loopback

DEFAULT_ENDPOINT = "http://127.0.0.1:9324"
AWS = "aws"
REGION = "us-east-1"
SECONDS_MAX = 30
"""Of one request to an operation of encola's own."""

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
        raise ended(str(error)) from None


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """Turns what the endpoint refuses, and what is not there, into one line and exit status 1."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        raise ended(f"{told.get('Message', error)} ({told.get('Code', '?')})") from None
    except BotoCoreError as error:
        raise ended(str(error)) from None
    except UnicodeError:
        raise ended("what is to be sent is not valid UTF-8") from None


def call(client: Any, operation: str, asked: dict[str, Any], *, of: str = "Encola") -> dict[str, Any]:
    """An operation of encola's own: it is not in botocore's model, so the request is made here, and signed as any.

    ``of`` begins its target.
    """
    import msgspec
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import ClientError
    from botocore.httpsession import URLLib3Session

    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"{of}.{operation}"}
    request = AWSRequest("POST", client.meta.endpoint_url, headers, msgspec.json.encode(asked))
    credentials = client._request_signer._credentials
    SigV4Auth(credentials, "sqs", client.meta.region_name).add_auth(request)
    answer = URLLib3Session(timeout=SECONDS_MAX).send(request.prepare())
    try:
        told = msgspec.json.decode(answer.content or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        told = {"message": "This endpoint is no encola server.", "__type": "UnknownOperationException"}
    if answer.status_code != 200:
        by_header = answer.headers.get("x-amzn-query-error", "").partition(";")[0]  # as botocore names it
        code = by_header or str(told.get("__type", "?")).rpartition("#")[2]
        text = told.get("message") or told.get("Message") or f"HTTP status {answer.status_code}"
        raise ClientError({"Error": {"Code": code, "Message": text}}, operation)
    return told


def ended(message: str) -> typer.Exit:
    """Says it on the standard error stream; the answer is to be raised."""
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
