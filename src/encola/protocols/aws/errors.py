"""Why a caller is refused, in AWS's own codes and words.

Codes and statuses: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html. The JSON
protocols name ``SignatureDoesNotMatch`` ``InvalidSignatureException``; that renaming belongs to each protocol.
"""


class AuthError(Exception):
    """The request is refused; ``message`` may be shown to the client and never holds a secret."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def missing_token() -> AuthError:
    return AuthError(403, "MissingAuthenticationToken", "Request is missing Authentication Token")


def incomplete(message: str) -> AuthError:
    return AuthError(400, "IncompleteSignature", message)


def unknown_key() -> AuthError:
    return AuthError(403, "InvalidClientTokenId", "The security token included in the request is invalid.")


def mismatch(
    message: str = "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details.",
) -> AuthError:
    return AuthError(403, "SignatureDoesNotMatch", message)
