"""botocore's service model is the oracle: members, statistics, units and errors are those that it knows."""

from typing import Any

import msgspec
import pytest
from botocore.session import Session

from encola.protocols.cloudwatch.checks import UNITS
from encola.protocols.cloudwatch.endpoint import ACTIONS, OPERATIONS
from encola.protocols.cloudwatch.errors import SHAPES
from encola.protocols.cloudwatch.queries import SCANS
from encola.protocols.cloudwatch.reading import NAMES
from encola.protocols.cloudwatch.shapes import (
    Datapoint,
    Dimension,
    GetMetricDataResult,
    GetMetricStatisticsResult,
    ListMetricsResult,
    MessageData,
    MetricDataQuery,
    MetricDataResult,
    MetricShape,
    MetricStatShape,
    Shape,
)

MODEL: Any = Session().get_service_model("cloudwatch")
WITHOUT_EFFECT = {"LabelOptions"}
"""Members of requests that we do not read."""


@pytest.mark.parametrize("action", ACTIONS)
def test_the_members_of_a_request_are_those_of_the_model(action: str) -> None:
    wanted = set(MODEL.operation_model(action).input_shape.members)
    assert set(OPERATIONS[action][0].__struct_fields__) == wanted - WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("struct", "name"),
    [
        (Datapoint, "Datapoint"),
        (Dimension, "Dimension"),
        (GetMetricDataResult, "GetMetricDataOutput"),
        (GetMetricStatisticsResult, "GetMetricStatisticsOutput"),
        (ListMetricsResult, "ListMetricsOutput"),
        (MessageData, "MessageData"),
        (MetricDataQuery, "MetricDataQuery"),
        (MetricDataResult, "MetricDataResult"),
        (MetricShape, "Metric"),
        (MetricStatShape, "MetricStat"),
    ],
)
def test_the_members_of_a_structure_are_those_of_the_model(struct: type[Shape], name: str) -> None:
    missing = (
        {"OwningAccounts"} if name == "ListMetricsOutput" else set()
    )  # of linked accounts, which there are none of
    assert set(struct.__struct_fields__) == set(MODEL.shape_for(name).members) - missing
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    assert set(MODEL.shape_for(name).required_members) <= required | {"Value"}


def test_words_are_those_of_the_model() -> None:
    assert set(NAMES) == set(MODEL.shape_for("Statistic").enum)
    assert set(MODEL.shape_for("StandardUnit").enum) == UNITS
    assert set(SCANS) == set(MODEL.shape_for("ScanBy").enum)


def test_the_errors_of_the_model_have_its_codes_and_statuses() -> None:
    declared = {shape.name: shape for action in ACTIONS for shape in MODEL.operation_model(action).error_shapes}
    ours = {shape.shape: (code, shape.status) for code, shape in SHAPES.items()}
    for name, shape in declared.items():
        error = shape.metadata["error"]
        assert ours[name] == (error["code"], error["httpStatusCode"])
