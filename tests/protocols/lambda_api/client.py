"""A caller of the endpoint in this process, with botocore's own serializer and parser for AWS Lambda."""

import functools
import json
from typing import Any
from urllib.parse import urlencode

import botocore.parsers
import botocore.serialize
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel

from encola.protocols.http.message import Request, Response
from encola.protocols.lambda_api.endpoint import LambdaEndpoint

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
REGION = "eu-west-1"
HOST = "queue.test:9324"


@functools.cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")


class RefusedError(Exception):
    """The endpoint answered an error; ``code`` is what a client sees."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Client:
    """``client("CreateEventSourceMapping", FunctionName="f")`` answers what botocore makes of the response."""

    def __init__(
        self, endpoint: LambdaEndpoint, account: str = ACCOUNT, secret: str = "", service: str = "lambda"
    ) -> None:
        self._endpoint = endpoint
        self._credentials = Credentials(account, secret or "any")
        self._service = service
        self.response = Response(0)

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        model = service_model().operation_model(operation)
        made = botocore.serialize.create_serializer("rest-json", False).serialize_to_request(parameters, model)
        query = urlencode(made["query_string"] or {}, doseq=True)
        target = made["url_path"] + (f"?{query}" if query else "")
        response = await self.send(made["method"], target, made["body"] or b"", dict(made["headers"]))
        parser = botocore.parsers.create_parser("rest-json")
        headers = {name.lower(): value for name, value in response.headers}
        raw = {"status_code": response.status, "headers": headers, "body": response.body}
        parsed = parser.parse(raw, model.output_shape)
        if response.status >= 300:
            raise RefusedError(response.status, parsed["Error"]["Code"], parsed["Error"]["Message"])
        assert response.status == model.http["responseCode"]
        parsed.pop("ResponseMetadata")
        return dict(parsed)

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """Any request, signed."""
        made = AWSRequest(method, f"http://{HOST}{target}", headers=headers or {}, data=body)
        SigV4Auth(self._credentials, self._service, REGION).add_auth(made)
        prepared = made.prepare()
        sent = {"host": HOST, **{name.lower(): str(value) for name, value in prepared.headers.items()}}
        path = str(prepared.url).partition(HOST)[2]
        self.response = await self._endpoint.handle(Request(method, path, sent, body))
        return self.response

    @property
    def raw(self) -> Any:
        """The body of the last response."""
        return json.loads(self.response.body)
