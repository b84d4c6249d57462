"""Small charts as the geometry of their bars; a template draws them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PITCH = 6  # from bar to bar, in the unit of the chart's view box
BAR = 5
HEIGHT = 32
LEAST = 2.0  # so that little is not mistaken for nothing


@dataclass(frozen=True)
class Bar:
    """One bar, from below: a part that is well and a part that is not.

    Attributes:
        x: its left edge.
        height: of the part that is well.
        bad: height of the part that is not, above it.
        label: what it stands for, in words.
    """

    x: int
    height: float
    bad: float
    label: str

    @property
    def y(self) -> float:
        """The upper edge of the part that is well."""
        return HEIGHT - self.height

    @property
    def bad_y(self) -> float:
        """The upper edge of the bar."""
        return self.y - self.bad


@dataclass(frozen=True)
class Chart:
    """Bars in the order of time, the newest at the right.

    Attributes:
        bars: the bars.
        slots: how many there is room for.
        label: the chart in words, for who does not see it.
    """

    bars: tuple[Bar, ...]
    slots: int
    label: str

    @property
    def width(self) -> int:
        """Of the view box."""
        return self.slots * PITCH


def chart(values: Sequence[tuple[float, float, str]], slots: int, label: str) -> Chart:
    """Draw values: for each bar what is well, what is not, and its words; oldest first."""
    most = max((good + bad for good, bad, _ in values), default=0) or 1
    first = slots - len(values)
    bars = tuple(
        Bar((first + index) * PITCH, _height(good, most), _height(bad, most), words)
        for index, (good, bad, words) in enumerate(values)
    )
    return Chart(bars, slots, label)


def loads_chart(loads: Sequence[Mapping[str, Any]], slots: int) -> Chart:
    """Rows and rejects of loads, which come newest first; a refused delivery is wholly bad."""
    most = max((load["rows_loaded"] + load["rows_rejected"] for load in loads), default=0) or 1
    values = []
    for load in reversed(loads):
        refused = load["outcome"] == "rejected"
        good = 0 if refused else load["rows_loaded"]
        bad = most if refused else load["rows_rejected"]
        words = (
            f"{load['loaded_at']:%Y-%m-%d %H:%M}: {load['outcome']},"
            f" {load['rows_loaded']:,} rows, {load['rows_rejected']:,} rejects"
        )
        values.append((good, bad, words))
    rejected = sum(load["outcome"] == "rejected" for load in loads)
    label = f"the last {len(loads)} loads: up to {most:,} records each, {rejected} refused"
    return chart(values, slots, label)


def _height(value: float, most: float) -> float:
    return round(max(LEAST, value / most * (HEIGHT - LEAST)), 1) if value else 0.0
