"""SQS errors: shapes, the codes that the Query protocol gives them, statuses, and the recorded texts.

Sources: botocore's service model (shapes), the AWS JSON protocol's query compatibility (codes), recorded answers for
the texts.
A JSON client reads the shape from ``__type`` and the code from a header; a Query client reads the code from the XML.
"""

import msgspec

_SIMPLE = "AWS.SimpleQueueService."


class ErrorShape(msgspec.Struct, frozen=True):
    """An error's code in the Query protocol and its HTTP status."""

    code: str
    status: int = 400


def _prefixed(name: str, status: int = 400) -> ErrorShape:
    return ErrorShape(_SIMPLE + name, status)


SHAPES: dict[str, ErrorShape] = {
    # In the service model:
    "BatchEntryIdsNotDistinct": _prefixed("BatchEntryIdsNotDistinct"),
    "BatchRequestTooLong": _prefixed("BatchRequestTooLong"),
    "EmptyBatchRequest": _prefixed("EmptyBatchRequest"),
    "InvalidBatchEntryId": _prefixed("InvalidBatchEntryId"),
    "TooManyEntriesInBatchRequest": _prefixed("TooManyEntriesInBatchRequest"),
    "MessageNotInflight": _prefixed("MessageNotInflight"),
    "PurgeQueueInProgress": _prefixed("PurgeQueueInProgress", 403),
    "QueueDeletedRecently": _prefixed("QueueDeletedRecently"),
    "QueueDoesNotExist": _prefixed("NonExistentQueue"),
    "QueueNameExists": ErrorShape("QueueAlreadyExists"),
    "UnsupportedOperation": _prefixed("UnsupportedOperation"),
    "ReceiptHandleIsInvalid": ErrorShape("ReceiptHandleIsInvalid", 404),
    "ResourceNotFoundException": ErrorShape("ResourceNotFoundException", 404),
    "OverLimit": ErrorShape("OverLimit", 403),
    "RequestThrottled": ErrorShape("RequestThrottled", 403),
    "InvalidAddress": ErrorShape("InvalidAddress", 404),
    "InvalidSecurity": ErrorShape("InvalidSecurity", 403),
    "InvalidAttributeName": ErrorShape("InvalidAttributeName"),
    "InvalidAttributeValue": ErrorShape("InvalidAttributeValue"),
    "InvalidMessageContents": ErrorShape("InvalidMessageContents"),
    "InvalidIdFormat": ErrorShape("InvalidIdFormat"),
    "KmsAccessDenied": ErrorShape("KMS.AccessDeniedException"),
    "KmsDisabled": ErrorShape("KMS.DisabledException"),
    "KmsInvalidKeyUsage": ErrorShape("KMS.InvalidKeyUsageException"),
    "KmsInvalidState": ErrorShape("KMS.InvalidStateException"),
    "KmsNotFound": ErrorShape("KMS.NotFoundException"),
    "KmsOptInRequired": ErrorShape("KMS.OptInRequired", 403),
    "KmsThrottled": ErrorShape("KMS.ThrottlingException"),
    # Not in the model, but what AWS answers:
    "InvalidParameterValueException": ErrorShape("InvalidParameterValue"),
    "MissingRequiredParameterException": ErrorShape("MissingParameter"),
    "AccessDeniedException": ErrorShape("AccessDenied", 403),
    "UnknownOperationException": ErrorShape("InvalidAction"),
    "SerializationException": ErrorShape("MalformedInput"),
    "ServiceUnavailable": ErrorShape("ServiceUnavailable", 503),
    "InternalFailure": ErrorShape("InternalFailure", 500),
    # Ours:
    "NoDeadLetterQueue": ErrorShape("Encola.NoDeadLetterQueue"),
}


class SqsError(Exception):
    """An answer that is an error. ``shape`` is a key of ``SHAPES``."""

    def __init__(self, shape: str, message: str) -> None:
        super().__init__(message)
        self.shape = shape
        self.message = message

    @property
    def code(self) -> str:
        return SHAPES[self.shape].code

    @property
    def status(self) -> int:
        return SHAPES[self.shape].status


def invalid_value(value: object, parameter: str, reason: str) -> SqsError:
    return SqsError(
        "InvalidParameterValueException", f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    )


def invalid_parameter(message: str) -> SqsError:
    return SqsError("InvalidParameterValueException", message)


def missing(parameter: str) -> SqsError:
    return SqsError("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def no_queue() -> SqsError:
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def no_resource(parameter: str) -> SqsError:
    return SqsError(
        "ResourceNotFoundException", f"The resource that you specified for the {parameter} parameter doesn't exist."
    )


def bad_attribute(name: str, reason: str = "") -> SqsError:
    text = f"Invalid value for the parameter {name}."
    return SqsError("InvalidAttributeValue", f"{text} Reason: {reason}" if reason else text)


def unknown_attribute(name: str) -> SqsError:
    return SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def access_denied(text: str) -> SqsError:
    return SqsError("AccessDeniedException", text)
