"""Functions on AWS Lambda, by its Invoke API: signed by botocore, sent by aiohttp.

Credentials, region and endpoint come from where every AWS tool takes them (environment, profile, instance), unless the
function's declaration says otherwise. botocore may ask the instance's metadata for them, and blocks: hence the threads.
"""

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from yarl import URL

from encola.mappings.functions import DeclaredFunction
from encola.mappings.targets.http import limits_of, problem_of, read_limited
from encola.mappings.targets.target import RESPONSE_BYTES_MAX, Answer, Failed, Invocation, Refused, Returned, shortened

ANSWER_SECONDS = 5.0
"""What Lambda may need beyond the function's own timeout, which it enforces by itself."""

BAD_EVENT = ("InvalidRequestContentException", "RequestTooLargeException", "SerializedRequestEntityTooLargeException")
"""Errors of Invoke that are the event's fault, not the service's: to try again for ever would help nobody."""


class InvokeTarget:
    """Calls a function of AWS Lambda, and waits for what it returns."""

    def __init__(self, function: DeclaredFunction, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._function = function
        self._path = f"/2015-03-31/functions/{quote(function.target.removeprefix('aws:'), safe='')}/invocations"
        self._aws: tuple[Any, str, str] | None = None  # credentials, region, endpoint

    async def invoke(self, invocation: Invocation) -> Answer:
        """What Lambda's service refuses has not run; X-Amz-Function-Error says that the function failed."""
        try:
            url, headers = await asyncio.to_thread(self._signed, invocation.payload)
        except (BotoCoreError, ValueError) as error:
            return Refused(shortened(f"cannot sign: {error}"))
        timeout = limits_of(self._function.timeout + ANSWER_SECONDS)
        try:
            async with self._session.post(
                URL(url, encoded=True),
                data=invocation.payload,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return await _answer(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Refused(shortened(f"cannot connect: {type(error).__name__}: {error}"))
        except TimeoutError:
            return Failed(f"no answer after {timeout.total:g} seconds")
        except (aiohttp.ClientError, OSError) as error:
            return Failed(shortened(f"the connection broke: {type(error).__name__}: {error}"))

    async def close(self) -> None:
        """Nothing to do: the session belongs to all targets."""

    def _signed(self, payload: bytes) -> tuple[str, dict[str, str]]:
        """The URL and the signed headers of a request. Blocks; raises BotoCoreError, ValueError."""
        if self._aws is None:
            self._aws = self._find_aws()
        credentials, region, endpoint = self._aws
        url = endpoint.rstrip("/") + self._path
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
        request = AWSRequest("POST", url, headers=headers, data=payload)
        SigV4Auth(credentials.get_frozen_credentials(), "lambda", region).add_auth(request)
        return url, dict(request.headers.items())

    def _find_aws(self) -> tuple[Any, str, str]:
        session = botocore.session.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise ValueError("there are no AWS credentials")
        client = session.create_client(
            "lambda",
            region_name=self._function.region or _region_of_arn(self._function.target),
            endpoint_url=self._function.endpoint,
        )
        return credentials, client.meta.region_name, client.meta.endpoint_url


def _region_of_arn(target: str) -> str | None:
    parts = target.removeprefix("aws:").split(":")
    return parts[3] if len(parts) > 4 and parts[0] == "arn" else None


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    body = await read_limited(response)
    if response.status == 200:
        if body is None:
            return Failed(f"the response is longer than {RESPONSE_BYTES_MAX} bytes")
        return Failed(problem_of(body)) if "X-Amz-Function-Error" in response.headers else Returned(body)
    name = response.headers.get("x-amzn-ErrorType", "").partition(":")[0]
    problem = f"Invoke answered {response.status} {name}".rstrip()
    if name in BAD_EVENT:
        return Failed(problem)
    return Refused(problem, throttled=response.status == 429)
