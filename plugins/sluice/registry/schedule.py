"""When a pipeline runs, what it waits for, and what it may publish by itself."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped] # Airflow's own reader of schedules
from pydantic import Field, StrictStr, field_validator, model_validator

from sluice.registry.formats import RegistryModel
from sluice.registry.freshness import Span

When = Literal["any", "all", "cron"]
OnMissing = Literal["skip", "warn", "fail"]

PERCENTAGE = r"^(100|\d{1,2})(\.\d+)?%$"
_CRON_FIELDS = 5


class ScheduledSource(RegistryModel):
    """What a pipeline does about one of its sources."""

    optional: bool = False
    """Whether it is never waited for or missed; with `when: all` its files start no run either."""
    on_missing: OnMissing | None = None
    """The pipeline's `on_missing`, for this source."""


class Schedule(RegistryModel):
    """When a pipeline runs."""

    when: When = "any"
    """`any`: as soon as anything has arrived. `all`: once every source that is not optional, and
    every pipeline that it reads, has something new since the last run. `cron`: at a time."""
    cron: StrictStr | None = None
    """The time, as five fields such as `0 6 * * *` or a word such as `@daily`. With `any` or `all`
    it runs at that time as well, whatever has arrived."""
    timezone: StrictStr = "UTC"
    """The time zone of `cron`, such as `Europe/Vienna`."""
    wait_for: Span | None = None
    """How long a run of `cron` waits for what has not arrived since the time before."""
    on_missing: OnMissing = "warn"
    """What becomes of a run of `cron` if something has not arrived by then: `skip` goes on without
    it, `warn` does so and says it, `fail` fails the run and loads nothing."""
    sources: dict[str, ScheduledSource] = Field(default={})
    """What is different for some sources, by name: `{deals: {on_missing: fail}}`."""

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is None:
            return value
        has_fields = value.startswith("@") or len(value.split()) == _CRON_FIELDS
        if not has_fields or not croniter.is_valid(value):
            raise ValueError("is no time of cron: five fields such as 0 6 * * *, or @daily")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError):
            raise ValueError("is no time zone; write one such as Europe/Vienna") from None
        return value

    @model_validator(mode="after")
    def _keys_fit_each_other(self) -> Schedule:
        if self.when == "cron" and self.cron is None:
            raise ValueError("when: cron needs the time in cron")
        for key in ("timezone", "wait_for", "on_missing"):
            if key in self.model_fields_set and self.cron is None:
                raise ValueError(f"{key} is for runs at a time: say it in cron")
        if self.sources and self.when == "any" and self.cron is None:
            raise ValueError("sources is for when: all, or for runs at a time")
        return self

    def of_source(self, name: str) -> ScheduledSource:
        """What is said of a source."""
        return self.sources.get(name, ScheduledSource())

    def on_missing_of(self, name: str) -> OnMissing:
        """What becomes of a run that misses a source, or a pipeline that is read."""
        return self.of_source(name).on_missing or self.on_missing

    def time_before(self, moment: datetime) -> datetime:
        """The last time of ``cron`` before a moment that has a time zone."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        before: datetime = croniter(self.cron, local).get_prev(datetime)
        return before

    def time_after(self, moment: datetime) -> datetime:
        """The next time of ``cron`` after a moment that has a time zone."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        after: datetime = croniter(self.cron, local).get_next(datetime)
        return after


class ApproveWhen(RegistryModel):
    """Which publications a person has to approve: those that change more in any mart.

    A limit is a count of rows, or a percentage of the rows that the published mart has. The first
    publication of a mart, of which nothing is there to compare, is never held.
    """

    rows_changed: int | StrictStr | None = None
    """Rows inserted, updated and deleted together: a count, or a percentage such as `"20%"`."""
    rows_inserted: int | StrictStr | None = None
    """Rows inserted, likewise."""
    rows_updated: int | StrictStr | None = None
    """Rows updated, likewise."""
    rows_deleted: int | StrictStr | None = None
    """Rows deleted, likewise."""

    @field_validator("*")
    @classmethod
    def _count_or_percentage(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, str) and not re.match(PERCENTAGE, value):
            raise ValueError('must be a count such as 1000, or a percentage such as "20%"')
        if isinstance(value, int) and value < 0:
            raise ValueError("must not be negative")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> ApproveWhen:
        if all(limit is None for limit in self.limits().values()):
            raise ValueError(f"needs one of {', '.join(self.limits())}")
        return self

    def limits(self) -> dict[str, int | str | None]:
        """The limits by what they are for."""
        return {name: getattr(self, name) for name in type(self).model_fields}
