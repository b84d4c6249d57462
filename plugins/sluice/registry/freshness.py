"""How old what arrived last, or was published last, may get: dbt's ``freshness``."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from sluice.registry.formats import RegistryModel

SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


class Span(RegistryModel):
    """A length of time, as dbt writes it: `{count: 12, period: hour}`."""

    count: int = Field(ge=1, le=100_000)
    """How many."""
    period: Literal["minute", "hour", "day"]
    """Of what; a day has 24 hours."""

    @property
    def length(self) -> timedelta:
        """The same as Python's."""
        return timedelta(seconds=self.count * SECONDS[self.period])

    def __str__(self) -> str:
        """The same in words."""
        return f"{self.count} {self.period}{'s' if self.count > 1 else ''}"


class Freshness(RegistryModel):
    """When something that should have come is late: with a warning, and as an error."""

    warn_after: Span | None = None
    """At this age it is shown as a warning, such as `{count: 26, period: hour}`."""
    error_after: Span | None = None
    """At this age it is shown as an error, and the DAG `sluice_freshness` fails."""

    @model_validator(mode="after")
    def _says_something(self) -> Freshness:
        if self.warn_after is None and self.error_after is None:
            raise ValueError("freshness needs warn_after, error_after or both")
        warn, error = self.warn_after, self.error_after
        if warn and error and warn.length > error.length:
            raise ValueError("warn_after must not be longer than error_after")
        return self
