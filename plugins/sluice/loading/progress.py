"""How far a load is, for whoever waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.errors import printable

logger = logging.getLogger(__name__)

LOG_SECONDS = 10.0
_BAR = 20  # characters


@dataclass(frozen=True)
class Progress:
    """One moment of a load.

    Attributes:
        file_name: the delivery.
        bytes_read: of the delivered bytes.
        bytes_total: how many there are.
        rows: rows sent to PostgreSQL so far.
        rejects: records rejected so far.
        seconds: since the load began.
    """

    file_name: str
    bytes_read: int
    bytes_total: int
    rows: int
    rejects: int
    seconds: float

    def __str__(self) -> str:
        """The moment in words: a bar, bytes, rows, rejects, rate, time left."""
        share = min(self.bytes_read / self.bytes_total, 1.0) if self.bytes_total else 1.0
        bar = "█" * round(share * _BAR) + "░" * (_BAR - round(share * _BAR))
        rate = self.bytes_read / self.seconds if self.seconds > 0 else 0.0
        left = f", {(self.bytes_total - self.bytes_read) / rate:,.0f} s left" if rate else ""
        rejects = f", {self.rejects:,} rejects" if self.rejects else ""
        return (
            f"{printable(self.file_name)} {bar} {share:.0%} of {self.bytes_total / 1e6:,.1f} MB,"
            f" {self.rows:,} rows{rejects}, {rate / 1e6:,.1f} MB/s{left}"
        )


Tell = Callable[[Progress], None]


@dataclass
class Meter:
    """Counts one load and tells of it; without anybody to tell, a log line every ten seconds."""

    file_name: str
    bytes_total: int
    tell: Tell | None = None
    rows: int = 0
    rejects: int = 0
    _begun: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def at(self, bytes_read: int) -> None:
        """The load has come so far."""
        now = time.monotonic()
        if self.tell is None and now - self._told < LOG_SECONDS:
            return
        self._told = now
        moment = Progress(
            self.file_name,
            bytes_read,
            self.bytes_total,
            self.rows,
            self.rejects,
            now - self._begun,
        )
        if self.tell is not None:
            self.tell(moment)
        else:
            logger.info("%s", moment)
