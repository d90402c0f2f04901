"""botocore's service model is the oracle: paths, members, types and errors are those that it knows."""

from typing import Any

import msgspec
import pytest
from botocore.model import Shape

from encola.mappings.manager import View
from encola.mappings.model import Mapping, Pollers, Settings, State
from encola.mappings.status import Status
from encola.protocols.lambda_api.endpoint import ACTIONS, COLLECTION
from encola.protocols.lambda_api.errors import SHAPES, body_of
from encola.protocols.lambda_api.mapping import answer_of
from encola.protocols.lambda_api.shapes import CreateRequest, UpdateRequest

from ...mappings.samples import ACCOUNT, REGION, SOURCE, queue
from .client import service_model

FULL = Mapping(
    uuid="70ecaeb5-d7ef-4ce0-a2ea-7cc823aff0c3",
    account=ACCOUNT,
    region=REGION,
    source=SOURCE,
    queue=queue().address,
    settings=Settings(
        function="f",
        filters=('{"body": ["a"]}',),
        maximum_concurrency=5,
        pollers=Pollers(),
        reports_failures=True,
        metrics=("EventCount",),
        kms_key="arn:aws:kms:eu-west-1:111122223333:key/k",
    ),
    modified_at=1_700_000_000_123,
)


def check_shape(value: Any, shape: Shape, path: str = "") -> None:
    """The value has the type of the shape, and only members that the shape has."""
    if shape.type_name == "structure":
        for name, member in value.items():
            assert name in shape.members, f"{path}.{name}"
            check_shape(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for member in value:
            check_shape(member, shape.member, f"{path}[]")
    else:
        kinds = {"string": str, "integer": int, "boolean": bool, "timestamp": float}
        assert isinstance(value, kinds[shape.type_name]), path
        assert not shape.metadata.get("enum") or value in shape.metadata["enum"], path


@pytest.mark.parametrize("action", ACTIONS)
def test_an_operation_is_where_the_model_says(action: str) -> None:
    path = service_model().operation_model(action).http["requestUri"]
    assert path.rstrip("/") in (COLLECTION, f"{COLLECTION}/{{UUID}}")


@pytest.mark.parametrize("state", State)
def test_an_answer_has_the_members_and_types_of_the_model(state: State) -> None:
    answer = answer_of(View(FULL, state, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", Status()))
    for action in ("GetEventSourceMapping", "CreateEventSourceMapping"):
        check_shape(answer, service_model().operation_model(action).output_shape)
    assert answer["LastModified"] == 1_700_000_000.123


@pytest.mark.parametrize(
    ("struct", "action"),
    [(CreateRequest, "CreateEventSourceMapping"), (UpdateRequest, "UpdateEventSourceMapping")],
)
def test_every_parameter_of_the_model_is_known(struct: type[msgspec.Struct], action: str) -> None:
    wanted = set(service_model().operation_model(action).input_shape.members) - {"UUID"}
    assert {field.encode_name for field in msgspec.structs.fields(struct)} == wanted


@pytest.mark.parametrize("name", SHAPES)
def test_an_error_has_the_status_and_the_members_of_the_model(name: str) -> None:
    body = msgspec.json.decode(body_of(name, "why"))
    assert body["Type"] == ("Service" if SHAPES[name].status >= 500 else "User")
    shapes = service_model().shape_names
    if name not in shapes:
        return
    shape = service_model().shape_for(name)
    assert shape.metadata["error"]["httpStatusCode"] == SHAPES[name].status
    check_shape(body, shape)


def test_the_errors_of_each_operation_cover_what_it_may_answer() -> None:
    declared = {shape.name for action in ACTIONS for shape in service_model().operation_model(action).error_shapes}
    assert declared - set(SHAPES) == {"TooManyRequestsException"}  # nobody is throttled here
