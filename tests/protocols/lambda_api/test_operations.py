"""The five operations: what they answer, what they refuse, and how a mapping's state goes."""

import asyncio
from typing import Any

import msgspec
import pytest

from encola.broker.broker import Broker, Draft
from encola.engine.queue import Address
from encola.engine.store import StoreError
from encola.mappings.declared import DeclaredMapping
from encola.mappings.manager import MAPPINGS_MAX, Mappings
from encola.mappings.model import MappingError
from encola.protocols.lambda_api.endpoint import PAGE_MAX

from .client import ACCOUNT, OTHER_ACCOUNT, REGION, Client, RefusedError
from .conftest import FUNCTIONS, mappings_over

CREATE, GET, LIST = "CreateEventSourceMapping", "GetEventSourceMapping", "ListEventSourceMappings"
UPDATE, DELETE = "UpdateEventSourceMapping", "DeleteEventSourceMapping"
SOURCE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
OTHER = f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"
FIFO = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work.fifo"
NOBODY = "00000000-0000-0000-0000-000000000000"


async def create(call: Client, **parameters: Any) -> dict[str, Any]:
    return await call(CREATE, **{"EventSourceArn": SOURCE, "FunctionName": "f", **parameters})


async def state_of(call: Client, uuid: str) -> str:
    """The state of a mapping; empty when it is gone."""
    try:
        return str((await call(GET, UUID=uuid))["State"])
    except RefusedError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return ""


async def until(call: Client, uuid: str, state: str) -> None:
    async with asyncio.timeout(10):
        while await state_of(call, uuid) != state:
            await asyncio.sleep(0.005)


async def refused(call: Client, operation: str, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(RefusedError) as caught:
        await call(operation, **parameters)
    return caught.value.code, caught.value.message


# Create ------------------------------------------------------------------------------------------------


async def test_a_new_mapping_has_lambdas_defaults(call: Client) -> None:
    made = await create(call)
    assert made.pop("LastModified").year > 2000
    uuid = made.pop("UUID")
    assert made == {
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "EventSourceArn": SOURCE,
        "FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": [],
        "EventSourceMappingArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}",
    }
    await until(call, uuid, "Enabled")


async def test_what_is_set_is_answered(call: Client) -> None:
    given = {
        "BatchSize": 500,
        "MaximumBatchingWindowInSeconds": 7,
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": ["a"]}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 20},
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "KMSKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/k",
    }
    uuid = (await create(call, Tags={"team": "shop"}, **given))["UUID"]
    found = await call(GET, UUID=uuid.upper())
    assert {name: found[name] for name in given} == given


async def test_a_mapping_that_is_not_enabled_becomes_disabled(call: Client) -> None:
    made = await create(call, Enabled=False)
    assert made["State"] == "Creating"
    await until(call, made["UUID"], "Disabled")


async def test_provisioned_pollers_have_their_defaults(call: Client) -> None:
    made = await create(call, ProvisionedPollerConfig={"MinimumPollers": 5})
    assert made["ProvisionedPollerConfig"] == {"MinimumPollers": 5, "MaximumPollers": 200}


async def test_a_url_below_an_allowed_prefix_stands_for_a_function(call: Client) -> None:
    assert (await create(call, FunctionName="http://127.0.0.1:1/open/x"))["FunctionArn"] == "http://127.0.0.1:1/open/x"


async def test_the_same_queue_and_function_are_mapped_once(call: Client) -> None:
    first = await create(call)
    code, message = await refused(call, CREATE, EventSourceArn=SOURCE, FunctionName="f:$LATEST")
    assert code == "ResourceConflictException"
    assert first["UUID"] in message
    assert SOURCE in message
    await create(call, FunctionName="g")
    await create(call, EventSourceArn=OTHER)


BAD_CREATES: list[tuple[str, dict[str, Any], str]] = [
    ("no source", {"EventSourceArn": None}, "ValidationException"),
    ("no function", {"FunctionName": None}, "ValidationException"),
    ("a source that is no ARN", {"EventSourceArn": "work"}, "ValidationException"),
    ("another event source", {"EventSourceArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"}, "Invalid"),
    ("a queue that does not exist", {"EventSourceArn": f"{SOURCE}x"}, "Invalid"),
    ("a queue of another account", {"EventSourceArn": SOURCE.replace(ACCOUNT, OTHER_ACCOUNT)}, "Invalid"),
    ("a function that does not exist", {"FunctionName": "nobody"}, "ResourceNotFoundException"),
    ("a name that is none", {"FunctionName": "no name"}, "ValidationException"),
    ("python from outside", {"FunctionName": "python:os:system"}, "ValidationException"),
    ("a url elsewhere", {"FunctionName": "http://169.254.169.254/latest"}, "Invalid"),
    ("a batch of nothing", {"BatchSize": 0}, "ValidationException"),
    ("a batch too large", {"BatchSize": 10_001, "MaximumBatchingWindowInSeconds": 1}, "ValidationException"),
    ("a large batch without a window", {"BatchSize": 11}, "Invalid"),
    ("a window too long", {"MaximumBatchingWindowInSeconds": 301}, "ValidationException"),
    ("a window on a FIFO queue", {"EventSourceArn": FIFO, "MaximumBatchingWindowInSeconds": 1}, "Invalid"),
    (
        "a large batch on a FIFO queue",
        {"EventSourceArn": FIFO, "BatchSize": 11, "MaximumBatchingWindowInSeconds": 0},
        "Invalid",
    ),
    ("a concurrency too low", {"ScalingConfig": {"MaximumConcurrency": 1}}, "ValidationException"),
    ("a concurrency too high", {"ScalingConfig": {"MaximumConcurrency": 1001}}, "ValidationException"),
    ("pollers too many", {"ProvisionedPollerConfig": {"MaximumPollers": 2001}}, "ValidationException"),
    ("another response type", {"FunctionResponseTypes": ["Other"]}, "ValidationException"),
    ("another metric", {"MetricsConfig": {"Metrics": ["Other"]}}, "Invalid"),
    ("a filter that is none", {"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "Invalid"),
    ("a filter without a pattern", {"FilterCriteria": {"Filters": [{}]}}, "Invalid"),
    ("six filters", {"FilterCriteria": {"Filters": [{"Pattern": '{"body":["a"]}'}] * 6}}, "Invalid"),
    ("a visibility timeout below the function's", {"FunctionName": "slow"}, "Invalid"),
    ("a starting position", {"StartingPosition": "LATEST"}, "Invalid"),
    ("a starting time", {"StartingPositionTimestamp": 0}, "Invalid"),
    ("a stream's factor", {"ParallelizationFactor": 2}, "Invalid"),
    ("a stream's retries", {"MaximumRetryAttempts": 2}, "Invalid"),
    ("a destination", {"DestinationConfig": {"OnFailure": {"Destination": OTHER}}}, "Invalid"),
    ("topics", {"Topics": ["t"]}, "Invalid"),
    ("too many tags", {"Tags": {str(number): "v" for number in range(51)}}, "Invalid"),
]


@pytest.mark.parametrize(
    ("parameters", "code"), [case[1:] for case in BAD_CREATES], ids=[case[0] for case in BAD_CREATES]
)
async def test_a_mapping_that_cannot_be_is_refused_and_not_made(
    call: Client, parameters: dict[str, Any], code: str
) -> None:
    given = {"EventSourceArn": SOURCE, "FunctionName": "f", **parameters}
    found, message = await refused(call, CREATE, **{name: value for name, value in given.items() if value is not None})
    assert found == ("InvalidParameterValueException" if code == "Invalid" else code)
    assert message
    assert (await call(LIST))["EventSourceMappings"] == []


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b'"text"', b'{"FunctionName": 5}', b'{"BatchSize": "ten"}', b'{"Tags": [1]}', b"[" * 100_000],
)
async def test_a_body_that_cannot_be_read_is_refused(call: Client, body: bytes) -> None:
    response = await call.send("POST", "/2015-03-31/event-source-mappings/", body)
    assert (response.status, dict(response.headers)["x-amzn-ErrorType"]) == (400, "SerializationException")


async def test_an_account_has_a_thousand_mappings_at_most(call: Client, mappings: Mappings) -> None:
    view = mappings.get(ACCOUNT, (await create(call))["UUID"])
    entry = mappings._find(ACCOUNT, view.mapping.uuid)
    for number in range(MAPPINGS_MAX - 1):
        mappings._entries[str(number)] = entry
    code, message = await refused(call, CREATE, EventSourceArn=OTHER, FunctionName="f")
    assert (code, str(MAPPINGS_MAX) in message) == ("InvalidParameterValueException", True)
    for number in range(MAPPINGS_MAX - 1):
        del mappings._entries[str(number)]


# Get and list ------------------------------------------------------------------------------------------


async def test_what_does_not_exist_is_not_found(call: Client) -> None:
    for operation in (GET, UPDATE, DELETE):
        assert (await refused(call, operation, UUID=NOBODY))[0] == "ResourceNotFoundException"


async def test_mappings_are_listed_by_queue_and_by_function(call: Client) -> None:
    made = {
        (source, name): (await create(call, EventSourceArn=source, FunctionName=name))["UUID"]
        for source in (SOURCE, OTHER)
        for name in ("f", "g")
    }

    async def listed(**parameters: str) -> set[str]:
        return {one["UUID"] for one in (await call(LIST, **parameters))["EventSourceMappings"]}

    assert await listed() == set(made.values())
    assert await listed(EventSourceArn=SOURCE) == {made[SOURCE, "f"], made[SOURCE, "g"]}
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    assert await listed(FunctionName=arn) == {made[SOURCE, "f"], made[OTHER, "f"]}
    assert await listed(EventSourceArn=OTHER, FunctionName="g") == {made[OTHER, "g"]}
    assert await listed(FunctionName="nobody") == set()


async def test_a_long_list_comes_in_pages(call: Client) -> None:
    for source in (SOURCE, OTHER):
        for name in ("f", "g"):
            await create(call, EventSourceArn=source, FunctionName=name)
    first = await call(LIST, MaxItems=3)
    second = await call(LIST, MaxItems=3, Marker=first["NextMarker"])
    assert (len(first["EventSourceMappings"]), len(second["EventSourceMappings"])) == (3, 1)
    assert "NextMarker" not in second
    everything = first["EventSourceMappings"] + second["EventSourceMappings"]
    assert len({one["UUID"] for one in everything}) == 4
    assert PAGE_MAX == 100


@pytest.mark.parametrize(
    "parameters",
    [{"MaxItems": 0}, {"MaxItems": 10_001}, {"Marker": "é"}, {"Marker": "a"}, {"EventSourceArn": "x"}],
)
async def test_a_list_that_cannot_be_asked_for_is_refused(call: Client, parameters: dict[str, Any]) -> None:
    assert (await refused(call, LIST, **parameters))[0] in ("ValidationException", "InvalidParameterValueException")


async def test_nobody_sees_or_touches_mappings_of_another_account(call: Client, stranger: Client) -> None:
    uuid = (await create(call))["UUID"]
    assert (await stranger(LIST))["EventSourceMappings"] == []
    for operation in (GET, UPDATE, DELETE):
        assert (await refused(stranger, operation, UUID=uuid))[0] == "ResourceNotFoundException"
    own = f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:work"
    assert (await create(stranger, EventSourceArn=own))["State"] == "Creating"


# Update ------------------------------------------------------------------------------------------------


async def test_an_update_changes_what_it_names_and_leaves_the_rest(call: Client) -> None:
    uuid = (await create(call, BatchSize=5, ScalingConfig={"MaximumConcurrency": 3}))["UUID"]
    await until(call, uuid, "Enabled")
    changed = await call(UPDATE, UUID=uuid, BatchSize=7, FunctionName="g")
    assert changed["State"] == "Updating"
    assert (changed["BatchSize"], changed["ScalingConfig"]) == (7, {"MaximumConcurrency": 3})
    assert changed["FunctionArn"].endswith(":g")
    await until(call, uuid, "Enabled")


async def test_empty_settings_are_removed(call: Client) -> None:
    settings = {
        "ScalingConfig": {"MaximumConcurrency": 3},
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": ["a"]}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "KMSKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/k",
    }
    uuid = (await create(call, **settings))["UUID"]
    await until(call, uuid, "Enabled")
    empty = {"ScalingConfig": {}, "FilterCriteria": {}, "FunctionResponseTypes": [], "KMSKeyArn": ""}
    changed = await call(UPDATE, UUID=uuid, **empty, MetricsConfig={"Metrics": []})
    assert changed["FunctionResponseTypes"] == []
    assert not {"ScalingConfig", "FilterCriteria", "MetricsConfig", "KMSKeyArn"} & changed.keys()


async def test_a_mapping_goes_from_one_way_of_scaling_to_the_other(call: Client) -> None:
    uuid = (await create(call, ScalingConfig={"MaximumConcurrency": 3}))["UUID"]
    await until(call, uuid, "Enabled")
    both = {"ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 3}}
    assert (await refused(call, UPDATE, UUID=uuid, **both))[0] == "InvalidParameterValueException"
    changed = await call(UPDATE, UUID=uuid, ScalingConfig={}, **both)
    assert changed["ProvisionedPollerConfig"] == both["ProvisionedPollerConfig"]
    await until(call, uuid, "Enabled")
    assert "ProvisionedPollerConfig" not in await call(UPDATE, UUID=uuid, ProvisionedPollerConfig={})


async def test_a_mapping_is_disabled_and_enabled_again(call: Client) -> None:
    uuid = (await create(call))["UUID"]
    await until(call, uuid, "Enabled")
    assert (await call(UPDATE, UUID=uuid, Enabled=False))["State"] == "Disabling"
    await until(call, uuid, "Disabled")
    assert (await call(UPDATE, UUID=uuid, BatchSize=3))["State"] == "Updating"
    await until(call, uuid, "Disabled")
    assert (await call(UPDATE, UUID=uuid, Enabled=True))["State"] == "Enabling"
    await until(call, uuid, "Enabled")


OF_CREATE = {"EventSourceArn", "Tags", "StartingPosition", "StartingPositionTimestamp", "Topics"}
BAD_UPDATES = [case for case in BAD_CREATES if not OF_CREATE & case[1].keys()]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [case[1:] for case in BAD_UPDATES if None not in case[1].values()],
    ids=[case[0] for case in BAD_UPDATES if None not in case[1].values()],
)
async def test_an_update_that_cannot_be_is_refused_and_changes_nothing(
    call: Client, parameters: dict[str, Any], code: str
) -> None:
    uuid = (await create(call))["UUID"]
    await until(call, uuid, "Enabled")
    before = await call(GET, UUID=uuid)
    found, _ = await refused(call, UPDATE, UUID=uuid, **parameters)
    assert found == ("InvalidParameterValueException" if code == "Invalid" else code)
    assert await call(GET, UUID=uuid) == before


async def test_an_update_to_what_another_mapping_is_conflicts(call: Client) -> None:
    await create(call, FunctionName="g")
    uuid = (await create(call))["UUID"]
    await until(call, uuid, "Enabled")
    assert (await refused(call, UPDATE, UUID=uuid, FunctionName="g"))[0] == "ResourceConflictException"


async def test_a_mapping_that_is_still_changing_is_in_use(call: Client, mappings: Mappings) -> None:
    uuid = (await create(call))["UUID"]
    found = mappings._find(ACCOUNT, uuid)
    assert found.state.value == "Creating"
    for operation in (UPDATE, DELETE):
        code, message = await refused(call, operation, UUID=uuid)
        assert code == "ResourceInUseException"
        assert "in use" in message
        mappings._find(ACCOUNT, uuid).state = type(found.state)("Updating")


# Delete ------------------------------------------------------------------------------------------------


async def test_a_deleted_mapping_is_gone_and_may_be_made_again(call: Client) -> None:
    uuid = (await create(call))["UUID"]
    await until(call, uuid, "Enabled")
    assert (await call(DELETE, UUID=uuid))["State"] == "Deleting"
    await until(call, uuid, "")
    assert (await create(call))["UUID"] != uuid


# What lasts --------------------------------------------------------------------------------------------


async def test_mappings_go_on_after_a_restart(call: Client, mappings: Mappings, broker: Broker) -> None:
    kept = await create(call, BatchSize=3)
    gone = await create(call, FunctionName="g")
    await until(call, gone["UUID"], "Enabled")
    await call(DELETE, UUID=gone["UUID"])
    await mappings.stop(1)
    again = mappings_over(broker)
    await again.open([])
    (view,) = again.all()
    assert (view.mapping.uuid, view.mapping.settings.batch_size) == (kept["UUID"], 3)
    await again.stop(0)


async def test_a_mapping_whose_function_is_not_declared_any_more_waits(
    call: Client, mappings: Mappings, broker: Broker
) -> None:
    await create(call)
    await mappings.stop(1)
    again = mappings_over(broker, FUNCTIONS[1:3])
    await again.open([])
    await asyncio.sleep(0.01)
    (view,) = again.all()
    assert view.status.last_result == "PROBLEM: the function is not declared"
    await broker.send(_queue(broker, "work"), [Draft(b"a")])
    assert (await broker.counts(_queue(broker, "work"))).ready == 1
    await again.stop(0)


def _queue(broker: Broker, name: str) -> Any:
    queue = broker.find(Address(ACCOUNT, name))
    assert queue is not None
    return queue


@pytest.mark.parametrize("operation", [CREATE, UPDATE, DELETE])
async def test_what_could_not_be_stored_did_not_happen(
    call: Client, broker: Broker, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    uuid = (await create(call))["UUID"]
    await until(call, uuid, "Enabled")
    before = await call(LIST)

    async def failing(*_: Any) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patched:
        patched.setattr(broker, "keep", failing)
        parameters = {"EventSourceArn": OTHER, "FunctionName": "f"} if operation == CREATE else {"UUID": uuid}
        assert (await refused(call, operation, **parameters))[0] == "ServiceException"
        assert call.response.status == 500
    assert await call(LIST) == before
    await call(DELETE, UUID=uuid)


async def test_a_fault_of_ours_is_a_service_exception_without_details(
    call: Client, mappings: Mappings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(mappings, "all", failing)
    code, message = await refused(call, LIST)
    assert code == "ServiceException"
    assert "secret" not in message


# Declared ----------------------------------------------------------------------------------------------


def declared(**more: Any) -> DeclaredMapping:
    return DeclaredMapping(**{"queue": "work", "function": "f", "account": ACCOUNT, **more})


async def test_a_declared_mapping_has_the_same_uuid_at_every_start_and_follows_its_declaration(broker: Broker) -> None:
    uuids = set()
    for size in (3, 4):
        mappings = mappings_over(broker)
        await mappings.open([declared(batch_size=size, report_batch_item_failures=True)])
        (view,) = mappings.all()
        assert (view.mapping.settings.batch_size, view.mapping.settings.reports_failures) == (size, True)
        uuids.add(view.mapping.uuid)
        await mappings.stop(0)
    assert len(uuids) == 1
    assert await broker.notes("mapping") == {}  # nothing of it stays when the declaration goes


async def test_the_api_shows_declared_mappings_and_cannot_change_them(broker: Broker, call: Client) -> None:
    mappings = call._endpoint._mappings
    await mappings.stop(0)
    again = mappings_over(broker)
    await again.open([declared()])
    call._endpoint._mappings = again
    (shown,) = (await call(LIST))["EventSourceMappings"]
    assert shown["StateTransitionReason"] == "declared in the configuration"
    for operation in (UPDATE, DELETE):
        code, message = await refused(call, operation, UUID=shown["UUID"])
        assert code == "InvalidParameterValueException"
        assert "configuration" in message
    await again.stop(0)


async def test_a_declaration_takes_the_place_of_a_mapping_that_the_api_made(
    broker: Broker, call: Client, mappings: Mappings
) -> None:
    made = await create(call)
    other = await create(call, FunctionName="g")
    await mappings.stop(1)
    again = mappings_over(broker)
    await again.open([declared()])
    assert {view.mapping.uuid for view in again.all()} >= {other["UUID"]}
    assert made["UUID"] not in {view.mapping.uuid for view in again.all()}
    assert list(await broker.notes("mapping")) == [other["UUID"]]
    await again.stop(0)


@pytest.mark.parametrize(
    "wrong", [{"queue": "nowhere"}, {"function": "nobody"}, {"batch_size": 11}, {"filters": ("{}",)}, {"account": "1"}]
)
async def test_a_wrong_declaration_is_refused_at_the_start(broker: Broker, wrong: dict[str, Any]) -> None:
    mappings = mappings_over(broker)
    with pytest.raises(MappingError):
        await mappings.open([declared(**wrong)])
    await mappings.stop(0)


def test_a_misspelt_declaration_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"queue": "q", "function": "f", "batchsize": 3}, DeclaredMapping)
