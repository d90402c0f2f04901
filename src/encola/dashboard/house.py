"""What pages stand on: the parts of the server that they read, and act through."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from encola.broker.broker import Broker
from encola.dashboard.audit import Audit
from encola.dashboard.config import DashboardConfig
from encola.dashboard.letters import Letters
from encola.dashboard.works import Works
from encola.mappings.manager import Mappings
from encola.metrics.sampler import Sampler
from encola.protocols.sqs.desk import Desk

if TYPE_CHECKING:
    from encola.dashboard.visitors import Visitors


class House:
    """Handed to every page. ``desk`` is that of the SQS endpoint, so a page and a client are told the same."""

    def __init__(
        self,
        config: DashboardConfig,
        broker: Broker,
        desk: Desk,
        sampler: Sampler,
        mappings: Mappings,
        visitors: "Visitors",
        facts: Callable[[], dict[str, str | int]],
    ) -> None:
        self.config = config
        self.broker = broker
        self.desk = desk
        self.sampler = sampler
        self.mappings = mappings
        self.visitors = visitors
        self.facts = facts
        self.audit = Audit(broker)
        self.works = Works(broker.clock)
        self.letters = Letters(broker)
        self.started_at = broker.clock.now()
