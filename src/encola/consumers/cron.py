"""Cron: at each time of an expression one message is sent, however many workers look at the clock.

Every worker wakes at each time and claims a record that is named by task and time. Who gets it, sends. If it dies
before the send is known to be done, its claim runs out and another one sends. Should the message come twice, the job's
id, which has the time in it, makes both one job.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from encola.consumers.errors import ConfigurationError
from encola.consumers.options import is_number

if TYPE_CHECKING:
    from encola.consumers.task import Task

CLAIM_SECONDS = 15.0
FIELDS = 5
"""A sixth would be seconds, but times are on the minute."""

CATCH_UP_SECONDS_MAX = 86_400
"""Half of what a claim is kept for (``clockwork.WINDOW_MS``): what was sent is known while it can be missed."""


class Schedule:
    """When a task is sent. Times are on the minute; ``tick`` names one, in UTC."""

    def __init__(self, task: "Task[[], Any]", expression: str, timezone: str, catch_up: float) -> None:
        """Raises ConfigurationError."""
        where = f"cron of {task.name}"
        try:
            self._zone = ZoneInfo(timezone)
        except (KeyError, ValueError, OSError, TypeError):
            raise ConfigurationError(f"{where}: no time zone is called {timezone!r}") from None
        self.task = task
        self.expression = expression
        self.catch_up = catch_up
        if not task.settings.track:
            raise ConfigurationError(f"{where}: it needs records, but the task has track=False")
        if not (is_number(catch_up) and 0 <= catch_up <= CATCH_UP_SECONDS_MAX):
            raise ConfigurationError(f"{where}: catch_up is between 0 and {CATCH_UP_SECONDS_MAX} seconds (a day)")
        if wrong := self._what_is_wrong():
            raise ConfigurationError(f"{where}: {expression!r} is no cron expression that ever fires: {wrong}")
        task.payload.encode((), {})  # BadPayloadError: it has arguments without defaults

    def _what_is_wrong(self) -> str:
        if (count := len(str(self.expression).split())) != FIELDS:
            return f"it has {count} fields, not {FIELDS}"
        try:
            self.next_after(datetime.now(self._zone))
        except CronSimError as error:
            return str(error)
        except StopIteration:
            return "there is no such day"
        return ""

    def next_after(self, moment: datetime) -> datetime:
        """The first time after ``moment``, across changes of the zone's clock."""
        times = CronSim(self.expression, moment.astimezone(self._zone))
        # In an hour that is there for the second time cronsim begins with the times of the first.
        time: datetime = next(time for time in times if time.timestamp() > moment.timestamp())
        return time

    def missed(self, now: datetime) -> datetime | None:
        """The last time within ``catch_up`` before ``now``, if any: nobody may have been there."""
        last = None
        time = self.next_after(now - timedelta(seconds=self.catch_up))
        while time <= now:
            last, time = time, self.next_after(time)
        return last


def tick(time: datetime) -> str:
    """How a time is named in records and job ids: UTC, to the minute."""
    return time.astimezone(ZoneInfo("UTC")).strftime("%Y%m%dT%H%MZ")
