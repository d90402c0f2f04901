"""Credentials, from where AWS's tools look for them, and kept fresh.

botocore finds them: environment, files and profiles, credential processes, roles, the metadata of a container or a
machine. It does so with blocking calls, hence in a thread. Those that expire are renewed before they do, and all are
looked for again when the service says that they expired: somebody may have put new ones into the file.
"""

import asyncio
import os
import time
from typing import Any, NamedTuple, Protocol

from encola.consumers.sqs.address import AWS, REGION, Address, address_of, aws_url
from encola.consumers.transport import RefusedError, TransportError

LOOK_SECONDS = 20.0
"""So often it is looked whether credentials are about to expire; botocore renews them minutes before."""

ANYBODY = "encola"
"""Access key and secret for a server on this machine when there are no credentials: it may take any."""


class Frozen(Protocol):
    """Credentials as they are now (``botocore.credentials.ReadOnlyCredentials``)."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class _Anybody(NamedTuple):
    access_key: str = ANYBODY
    secret_key: str = ANYBODY
    token: str | None = None


class Place(NamedTuple):
    """Where requests go, and the region that they are signed for. ``aws``: to AWS itself."""

    address: Address
    region: str
    aws: bool
    ca_bundle: str | None = None


class Keys:
    """See the module. ``given`` are credentials of botocore's kind that the caller has already."""

    def __init__(self, endpoint: str, region: str | None, profile: str | None, given: Any = None) -> None:
        self._endpoint = endpoint
        self._region = region
        self._profile = profile
        self._given = given
        self._found: Any = given
        self._frozen: Frozen = _Anybody()
        self._look_at = 0.0
        self._renewal = asyncio.Lock()

    async def find(self) -> Place:
        """The first look. Raises RefusedError, TransportError, ConfigurationError."""
        place = await asyncio.to_thread(self._find)
        self._look_at = time.monotonic() + LOOK_SECONDS
        return place

    async def current(self) -> Frozen:
        """Raises TransportError when they expired and new ones could not be had."""
        if time.monotonic() < self._look_at:
            return self._frozen
        async with self._renewal:
            if time.monotonic() >= self._look_at:
                if hasattr(self._found, "refresh_needed"):
                    self._frozen = await asyncio.to_thread(_freeze, self._found)
                self._look_at = time.monotonic() + LOOK_SECONDS
        return self._frozen

    async def renew(self, expired: Frozen) -> bool:
        """Looks for credentials other than those. False if there are none. Raises TransportError, RefusedError."""
        async with self._renewal:
            if self._frozen == expired:
                await asyncio.to_thread(self._find)
                self._look_at = time.monotonic() + LOOK_SECONDS
            return self._frozen != expired

    def _find(self) -> Place:
        import botocore.session
        from botocore.exceptions import BotoCoreError

        session = botocore.session.Session(profile=self._profile)
        try:
            place = self._place(session)
            if self._given is None:
                if place.address.local:
                    # A machine's own role is for AWS; looking for it takes seconds where there is none.
                    session.get_component("credential_provider").remove("iam-role")
                self._found = session.get_credentials()
        except BotoCoreError as error:
            raise RefusedError(type(error).__name__, str(error)) from None
        if self._found is not None:
            self._frozen = _freeze(self._found)
        elif not place.address.local:
            raise RefusedError("NoCredentials", f"no credentials were found for {place.address.url}")
        return place

    def _place(self, session: Any) -> Place:
        region = self._region or session.get_config_variable("region") or os.environ.get("AWS_REGION")
        url = self._endpoint
        if url == AWS:
            url = os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL") or AWS
        if url != AWS:
            return Place(address_of(url), region or REGION, False, session.get_config_variable("ca_bundle"))
        if region is None:
            raise RefusedError("NoRegion", "which region of AWS? Give region=, or set AWS_REGION")
        return Place(address_of(aws_url(region)), region, True, session.get_config_variable("ca_bundle"))


def _freeze(credentials: Any) -> Frozen:
    """Renews them if they are about to expire. Raises TransportError."""
    try:
        frozen: Frozen = credentials.get_frozen_credentials()
    except Exception as error:  # of a credential process, a role's service, the machine's metadata: of any kind
        raise TransportError(f"the credentials could not be renewed: {error}") from None
    return frozen
