"""Lambda's words on one side, a mapping's settings on the other."""

from typing import Any

from encola.mappings.manager import View
from encola.mappings.model import MappingError, Pollers, Settings, invalid
from encola.protocols.lambda_api.shapes import OF_OTHER_SOURCES, CreateRequest, SettingsRequest

REPORTS = "ReportBatchItemFailures"
METRICS = ("EventCount",)


def settings_of(request: CreateRequest) -> Settings:
    """The settings of a new mapping. Raises MappingError."""
    if request.function_name is None:
        raise missing("functionName")
    return merged(Settings(function=request.function_name), request)


def merged(settings: Settings, request: SettingsRequest) -> Settings:
    """Settings with what a request changes: what it leaves out stays, what it empties goes. Raises MappingError."""
    _check_of_queue(request)
    changes: dict[str, Any] = {
        "function": request.function_name,
        "enabled": request.enabled,
        "batch_size": request.batch_size,
        "window": request.maximum_batching_window_in_seconds,
    }
    changed = {name: value for name, value in changes.items() if value is not None}
    if request.function_response_types is not None:
        changed["reports_failures"] = _reports(request.function_response_types)
    if request.filter_criteria is not None:
        changed["filters"] = tuple(one.pattern for one in request.filter_criteria.filters or ())
    if request.scaling_config is not None:
        changed["maximum_concurrency"] = request.scaling_config.maximum_concurrency
    if request.provisioned_poller_config is not None:
        changed["pollers"] = _pollers(request)
    if request.metrics_config is not None:
        changed["metrics"] = _metrics(request.metrics_config.metrics or [])
    if request.kms_key_arn is not None:
        changed["kms_key"] = request.kms_key_arn or None
    return Settings(**{**{name: getattr(settings, name) for name in settings.__struct_fields__}, **changed})


def _check_of_queue(request: SettingsRequest) -> None:
    for name, shown in OF_OTHER_SOURCES:
        if getattr(request, name, None) is None:
            continue
        if name.startswith("starting_position"):
            raise invalid("StartingPosition is not valid for SQS event sources.")
        raise invalid(f"Unsupported {shown} parameter for given event source mapping type.")


def _reports(types: list[str]) -> bool:
    if len(types) > 1 or any(one != REPORTS for one in types):
        raise MappingError(
            "ValidationException",
            f"1 validation error detected: Value '{str(types)[:200]}' at 'functionResponseTypes' failed to satisfy "
            f"constraint: Member must satisfy constraint: [Member must satisfy enum value set: [{REPORTS}]]",
        )
    return bool(types)


def _pollers(request: SettingsRequest) -> Pollers | None:
    config = request.provisioned_poller_config
    if config is None or (config.minimum_pollers is None and config.maximum_pollers is None):
        return None
    default = Pollers()
    minimum = default.minimum if config.minimum_pollers is None else config.minimum_pollers
    maximum = max(default.maximum, minimum) if config.maximum_pollers is None else config.maximum_pollers
    return Pollers(minimum, maximum)


def _metrics(metrics: list[str]) -> tuple[str, ...] | None:
    if any(one not in METRICS for one in metrics):
        raise invalid("MetricsConfig may only name EventCount.")
    return tuple(metrics) or None


def missing(name: str) -> MappingError:
    return MappingError(
        "ValidationException",
        f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null",
    )


def answer_of(view: View) -> dict[str, Any]:
    """A mapping as EventSourceMappingConfiguration; what is not set is left out."""
    mapping, settings = view.mapping, view.mapping.settings
    arn = f"arn:aws:lambda:{mapping.region}:{mapping.account}:event-source-mapping:{mapping.uuid}"
    answer: dict[str, Any] = {
        "UUID": mapping.uuid,
        "BatchSize": settings.batch_size,
        "MaximumBatchingWindowInSeconds": settings.window,
        "EventSourceArn": mapping.source,
        "FunctionArn": view.function_arn,
        "LastModified": mapping.modified_at / 1000,
        "LastProcessingResult": view.status.last_result,
        "State": view.state.value,
        "StateTransitionReason": mapping.reason,
        "FunctionResponseTypes": [REPORTS] if settings.reports_failures else [],
        "EventSourceMappingArn": arn,
    }
    if settings.filters:
        answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in settings.filters]}
    if settings.maximum_concurrency is not None:
        answer["ScalingConfig"] = {"MaximumConcurrency": settings.maximum_concurrency}
    if settings.pollers is not None:
        answer["ProvisionedPollerConfig"] = {
            "MinimumPollers": settings.pollers.minimum,
            "MaximumPollers": settings.pollers.maximum,
        }
    if settings.metrics is not None:
        answer["MetricsConfig"] = {"Metrics": list(settings.metrics)}
    if settings.kms_key is not None:
        answer["KMSKeyArn"] = settings.kms_key
    return answer
