"""Mappings that the operator declares in the configuration. They live as long as they are declared."""

import uuid

import msgspec

from encola.engine.queue import Address
from encola.mappings.event import arn_of_queue
from encola.mappings.model import BATCH_SIZE_DEFAULT, DECLARED, Mapping, Settings

REGION = "us-east-1"
_NAMES = uuid.UUID("5b0c2a8e-3f0d-5c5e-9d0a-0d6f3f6f5a11")


class DeclaredMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``function`` is the name of a declared function of the account, or an allowed URL. ``filters`` are patterns."""

    queue: str
    function: str
    account: str = "000000000000"
    enabled: bool = True
    batch_size: int = BATCH_SIZE_DEFAULT
    batching_window: int = 0
    maximum_concurrency: int | None = None
    report_batch_item_failures: bool = False
    filters: tuple[str, ...] = ()

    def mapping(self, now: int) -> Mapping:
        """The mapping that is declared, with the same UUID at every start."""
        address = Address(self.account, self.queue)
        return Mapping(
            uuid=str(uuid.uuid5(_NAMES, f"{address} {self.function}")),
            account=self.account,
            region=REGION,
            source=arn_of_queue(REGION, address),
            queue=address,
            settings=Settings(
                function=self.function,
                enabled=self.enabled,
                batch_size=self.batch_size,
                window=self.batching_window,
                maximum_concurrency=self.maximum_concurrency,
                reports_failures=self.report_batch_item_failures,
                filters=self.filters,
            ),
            modified_at=now,
            reason=DECLARED,
        )
