"""Requests of Lambda's mapping operations, by the names of its API.

Source: the service model of botocore. What a field means is in the Lambda API reference.
"""

from typing import Any

import msgspec


class Filter(msgspec.Struct, rename="pascal"):
    """One pattern."""

    pattern: str = ""


class FilterCriteria(msgspec.Struct, rename="pascal"):
    """All patterns; none of them wants everything."""

    filters: list[Filter] | None = None


class ScalingConfig(msgspec.Struct, rename="pascal"):
    """An empty one removes the limit."""

    maximum_concurrency: int | None = None


class ProvisionedPollerConfig(msgspec.Struct, rename="pascal"):
    """An empty one ends provisioned mode."""

    minimum_pollers: int | None = None
    maximum_pollers: int | None = None


class MetricsConfig(msgspec.Struct, rename="pascal"):
    """Kept, without effect."""

    metrics: list[str] | None = None


class SettingsRequest(msgspec.Struct, rename="pascal", kw_only=True):
    """What Create and Update share. The last fields are for other event sources."""

    function_name: str | None = None
    enabled: bool | None = None
    batch_size: int | None = None
    filter_criteria: FilterCriteria | None = None
    maximum_batching_window_in_seconds: int | None = None
    function_response_types: list[str] | None = None
    scaling_config: ScalingConfig | None = None
    provisioned_poller_config: ProvisionedPollerConfig | None = None
    metrics_config: MetricsConfig | None = None
    kms_key_arn: str | None = msgspec.field(name="KMSKeyArn", default=None)

    destination_config: Any = None
    maximum_record_age_in_seconds: Any = None
    bisect_batch_on_function_error: Any = None
    maximum_retry_attempts: Any = None
    parallelization_factor: Any = None
    source_access_configurations: Any = None
    tumbling_window_in_seconds: Any = None
    amazon_managed_kafka_event_source_config: Any = None
    self_managed_kafka_event_source_config: Any = None
    document_db_event_source_config: Any = msgspec.field(name="DocumentDBEventSourceConfig", default=None)


class CreateRequest(SettingsRequest, rename="pascal", kw_only=True):
    """CreateEventSourceMapping."""

    event_source_arn: str | None = None
    tags: dict[str, str] | None = None

    starting_position: Any = None
    starting_position_timestamp: Any = None
    topics: Any = None
    queues: Any = None
    self_managed_event_source: Any = None


class UpdateRequest(SettingsRequest, rename="pascal", kw_only=True):
    """UpdateEventSourceMapping."""


OF_OTHER_SOURCES = tuple(
    (field.name, field.encode_name) for field in msgspec.structs.fields(CreateRequest) if field.type is Any
)
"""Fields that are not valid for a queue, with their names in the API."""
