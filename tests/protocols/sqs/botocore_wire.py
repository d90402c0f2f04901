"""The oracle: botocore's own serializers and parsers for Amazon SQS, in both of its wire protocols.

botocore's model describes the JSON protocol today. The Query protocol needs names that the model no longer has
(``Attribute.1.Name``); they are put back here, from "Making Query API requests" in the Amazon SQS developer guide.
"""

import copy
import functools
from typing import Any

import botocore.parsers
import botocore.serialize
from botocore.awsrequest import AWSRequest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from encola.protocols.http.message import Request, Response

PROTOCOLS = ("json", "query")
HOST = "queue.test:9324"

_LIST_MEMBERS = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
_MAP_ENTRIES = {
    "MessageBodyAttributeMap": ("Name", "Value"),
    "MessageBodySystemAttributeMap": ("Name", "Value"),
    "MessageSystemAttributeMap": ("Name", "Value"),
    "QueueAttributeMap": ("Name", "Value"),
    "TagMap": ("Key", "Value"),
}
_MEMBERS = {
    "Attributes": "Attribute",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "StringListValues": "StringListValue",
    "BinaryListValues": "BinaryListValue",
    "Tags": "Tag",
    "tags": "Tag",
}


@functools.cache
def service_model(protocol: str = "json") -> ServiceModel:
    description = Loader().load_service_model("sqs", "service-2")
    return ServiceModel(description if protocol == "json" else _query_description(description), "sqs")


def _query_description(description: dict[str, Any]) -> dict[str, Any]:
    """The model as it was written for the Query protocol."""
    description = copy.deepcopy(description)
    metadata = description["metadata"]
    for name in ("awsQueryCompatible", "jsonVersion", "targetPrefix"):
        del metadata[name]
    metadata |= {"protocol": "query", "protocols": ["query"]}
    for operation in description["operations"].values():
        if "output" in operation:
            operation["output"]["resultWrapper"] = operation["output"]["shape"]
    for name, shape in description["shapes"].items():
        if shape["type"] == "list":
            shape["member"]["locationName"] = _LIST_MEMBERS[name]
        elif shape["type"] == "map":
            shape["key"]["locationName"], shape["value"]["locationName"] = _MAP_ENTRIES[name]
        elif shape["type"] == "structure":
            for member, traits in shape["members"].items():
                if member in _MEMBERS:
                    traits["locationName"] = _MEMBERS[member]
    return description


def operation_model(operation: str, protocol: str = "json") -> OperationModel:
    return service_model(protocol).operation_model(operation)


def operation_names() -> list[str]:
    return list(service_model().operation_names)


@functools.cache
def _serializer(protocol: str) -> Any:
    # Without validation: what a client would not even send is for the server to refuse.
    return botocore.serialize.create_serializer(protocol, include_validation=False)


@functools.cache
def _parser(protocol: str) -> Any:
    return botocore.parsers.create_parser(protocol)


def request_of(operation: str, parameters: dict[str, Any], protocol: str = "json") -> Request:
    """The HTTP request that botocore makes of a call, as a server sees it."""
    made = _serializer(protocol).serialize_to_request(parameters, operation_model(operation, protocol))
    url = f"http://{HOST}{made['url_path']}"
    prepared = AWSRequest(made["method"], url, made["headers"], data=made["body"]).prepare()
    headers = {"host": HOST} | {name.lower(): _text(value) for name, value in prepared.headers.items()}
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    return Request(prepared.method, made["url_path"], headers, body or b"", peer="127.0.0.1")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def parsed(operation: str, response: Response, protocol: str = "json") -> dict[str, Any]:
    """What botocore reads from an answer; errors are under ``Error``."""
    raw = {
        "status_code": response.status,
        "headers": {name.lower(): value for name, value in response.headers},
        "body": response.body,
    }
    found: dict[str, Any] = _parser(protocol).parse(raw, operation_model(operation, protocol).output_shape)
    return found
