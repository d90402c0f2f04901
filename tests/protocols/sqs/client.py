"""A client of the endpoint in the same process: botocore's codecs around ``SqsEndpoint.handle``."""

import json
from typing import Any

from encola.protocols.http.message import Request, Response
from encola.protocols.sqs.endpoint import SqsEndpoint

from .botocore_wire import HOST, parsed, request_of

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"


class RefusedError(Exception):
    """An answer that is an error. ``shape`` is what a JSON client makes a class of ("" in the Query protocol)."""

    def __init__(self, response: Response, error: dict[str, Any], protocol: str) -> None:
        super().__init__(f"{response.status} {error['Code']}: {error['Message']}")
        self.response = response
        self.status = response.status
        self.message: str = error["Message"]
        self.headers = {name.lower(): value for name, value in response.headers}
        self.shape = ""
        if protocol == "json":
            self.code = self.headers["x-amzn-query-error"].partition(";")[0]
            self.shape = json.loads(response.body)["__type"].partition("#")[2]
        else:
            self.code = error["Code"]

    @property
    def told(self) -> tuple[str, str]:
        return self.code, self.message


class Client:
    """One caller: an account, a region, a protocol."""

    def __init__(
        self,
        endpoint: SqsEndpoint,
        *,
        protocol: str = "json",
        account: str = ACCOUNT,
        region: str = "us-east-1",
        host: str = HOST,
        secure: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self.protocol = protocol
        self.account = account
        self.region = region
        self._host = host
        self._secure = secure

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The parsed answer. Raises RefusedError."""
        response = await self.response(operation, **parameters)
        found = parsed(operation, response, self.protocol)
        if response.status >= 300:
            raise RefusedError(response, found["Error"], self.protocol)
        assert found.pop("ResponseMetadata")["RequestId"]
        return found

    async def response(self, operation: str, **parameters: Any) -> Response:
        request = request_of(operation, parameters, self.protocol)
        scope = f"{self.account}/20260101/{self.region}/sqs/aws4_request"
        request.headers |= {
            "host": self._host,
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        request.secure = self._secure
        return await self._endpoint.handle(request)

    async def ours(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one of encola's own operations. Raises RefusedError."""
        scope = f"{self.account}/20260101/{self.region}/sqs/aws4_request"
        headers = {
            "host": self._host,
            "x-amz-target": f"Encola.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        response = await self._endpoint.handle(Request("POST", "/", headers, json.dumps(parameters).encode()))
        told: dict[str, Any] = json.loads(response.body or b"{}")
        if response.status >= 300:
            raise RefusedError(response, {"Code": told["__type"], "Message": told["message"]}, "json")
        return told

    async def refusal(self, operation: str, **parameters: Any) -> RefusedError:
        """The error with which a call ends; it is a failure of the test when there is none."""
        try:
            answer = await self(operation, **parameters)
        except RefusedError as refused:
            return refused
        raise AssertionError(f"{operation} was answered: {answer}")

    # Short forms of what most stories need ----------------------------------------------------------

    async def queue(self, name: str = "work", tags: dict[str, str] | None = None, **attributes: object) -> str:
        """Creates a queue (FIFO by its name) and answers its URL."""
        if name.endswith(".fifo"):
            attributes = {"FifoQueue": "true", **attributes}
        given: dict[str, Any] = {"QueueName": name}
        if attributes:
            given["Attributes"] = {name: str(value) for name, value in attributes.items()}
        if tags:
            given["tags"] = tags
        return str((await self("CreateQueue", **given))["QueueUrl"])

    def arn(self, name: str) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"

    async def send(self, url: str, body: str = "hello", **more: Any) -> dict[str, Any]:
        return await self("SendMessage", QueueUrl=url, MessageBody=body, **more)

    async def receive(self, url: str, limit: int = 10, **more: Any) -> list[dict[str, Any]]:
        found = await self("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=limit, **more)
        return list(found.get("Messages", ()))

    async def attributes(self, url: str, *names: str) -> dict[str, str]:
        found = await self("GetQueueAttributes", QueueUrl=url, AttributeNames=list(names or ("All",)))
        return dict(found.get("Attributes", {}))

    async def set(self, url: str, **attributes: object) -> None:
        given = {name: str(value) for name, value in attributes.items()}
        await self("SetQueueAttributes", QueueUrl=url, Attributes=given)

    async def counts(self, url: str) -> tuple[int, int, int]:
        """Ready, in flight, delayed."""
        names = ("", "NotVisible", "Delayed")
        found = await self.attributes(url, *(f"ApproximateNumberOfMessages{name}" for name in names))
        return tuple(int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)  # type: ignore[return-value]


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]
