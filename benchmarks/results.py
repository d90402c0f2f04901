"""What a benchmark found: figures, each with its bar, and how they are shown and written."""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 180

console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)

Verdict = Literal["pass", "MISS", "told", "skipped"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. ``name`` holds the durability setting. Without ``bar`` it is only told.

    ``samples`` are what ``value`` is the median of; ``detail`` says what it was made of, in words.
    """

    name: str
    unit: str
    value: float | None
    bar: float | None = None
    at_least: bool = True
    samples: tuple[float, ...] = ()
    detail: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return "skipped"
        if self.bar is None:
            return "told"
        return "pass" if (self.value >= self.bar if self.at_least else self.value <= self.bar) else "MISS"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one benchmark."""

    benchmark: str
    title: str
    figures: list[Figure]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run: on what machine, with what, and what came of it."""

    machine: dict[str, str]
    quick: bool
    results: list[Result]

    def write(self, file: Path) -> None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def figure(
    name: str,
    unit: str,
    samples: Sequence[float],
    *,
    bar: float | None = None,
    at_least: bool = True,
    detail: str = "",
) -> Figure:
    """A figure that is the median of ``samples``."""
    value = statistics.median(samples)
    return Figure(name=name, unit=unit, value=value, bar=bar, at_least=at_least, samples=tuple(samples), detail=detail)


def skipped(name: str, unit: str, why: str) -> Figure:
    """A figure that could not be measured, and why."""
    return Figure(name=name, unit=unit, value=None, detail=why)


def show(result: Result) -> None:
    table = Table(title=result.title, title_justify="left", title_style="bold", expand=False)
    for heading in ("what", "measured", "bar", "verdict", "range", "detail"):
        table.add_column(heading, justify="right" if heading in ("measured", "bar") else "left", overflow="fold")
    styles = {"pass": "green", "MISS": "red", "told": "", "skipped": "yellow"}
    for one in result.figures:
        verdict = one.verdict
        table.add_row(
            one.name,
            _number(one.value, one.unit),
            "" if one.bar is None else f"{'>=' if one.at_least else '<='} {_number(one.bar, one.unit)}",
            f"[{styles[verdict]}]{verdict}[/]" if styles[verdict] else verdict,
            f"{min(one.samples):.3g} .. {max(one.samples):.3g}" if len(one.samples) > 1 else "",
            one.detail,
        )
    console.print(table)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()
