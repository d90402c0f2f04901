"""HTTP Basic with an access key and its secret key: for scrapers and scripts, which cannot sign (RFC 7617)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence

from encola.protocols.aws.credentials import Credential


def is_basic(authorization: str) -> bool:
    """Is an Authorization header of this kind?"""
    return authorization.partition(" ")[0].lower() == "basic"


class BasicKeys:
    """Credentials that are proved by their secrets. An unknown key takes the same way as a known one."""

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._credentials = {one.access_key: one for one in credentials}
        self._nobody = secrets.token_hex(32)  # the secret of an unknown key

    def __len__(self) -> int:
        return len(self._credentials)

    def find(self, access_key: str) -> Credential | None:
        """By its key alone: nothing is proved."""
        return self._credentials.get(access_key)

    def proved(self, access_key: str, secret_key: bytes) -> Credential | None:
        """The credential, if the secret is its own. Compared in constant time."""
        credential = self.find(access_key)
        expected = credential.secret_key if credential else self._nobody
        fits = hmac.compare_digest(secret_key, expected.encode())
        return credential if fits else None

    def of_header(self, authorization: str) -> Credential | None:
        """The credential that an Authorization header proves; None for any other header."""
        if not is_basic(authorization):
            return None
        try:
            encoded = authorization.partition(" ")[2].strip()
            access_key, _, secret_key = base64.b64decode(encoded, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return None
        return self.proved(access_key.decode("utf-8", "replace"), secret_key)
