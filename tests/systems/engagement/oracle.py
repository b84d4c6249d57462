"""The marts of engagement, computed another way than the models do: DuckDB, sets and fractions.

It reads the delivered files themselves. Rows have the columns of the mart in its order;
``fct_events`` has the file's name where the mart has the load.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

RETENTION_DAYS = (1, 7, 30, 60, 90)

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Event:
    event_id: UUID
    user_id: str
    event_at: datetime
    event_type: str
    transaction_category: str | None
    miles_amount: Decimal | None
    platform: str | None
    utm_source: str | None
    country: str
    file_name: str

    @property
    def day(self) -> date:
        return self.event_at.date()


def expected_marts(files: Mapping[str, Path]) -> dict[str, Rows]:
    """All marts.

    Args:
        files: by the name it was delivered under, each file whose content counts: the latest of its
            name, and no copies.
    """
    with duckdb.connect(config={"threads": 1}) as connection:  # one thread keeps the files' order
        events = [
            event for name, path in files.items() for event in read_events(connection, name, path)
        ]
    country_of = {user: latest(events_of).country for user, events_of in by_user(events).items()}
    return {
        "dim_users": dim_users(events, country_of),
        "fct_events": fct_events(events),
        "user_growth_daily": user_growth(events, country_of, lambda day: day),
        "user_growth_weekly": user_growth(events, country_of, monday_of),
        "user_growth_monthly": user_growth(events, country_of, lambda day: day.replace(day=1)),
        "user_retention": user_retention(events, country_of),
        "user_interactions": user_interactions(events),
    }


def read_events(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> list[Event]:
    records = connection.execute(
        """
        select
            row_number() over (),
            user_id, event_time, event_type,
            nullif(transaction_category, ''), miles_amount,
            nullif(platform, ''), nullif(utm_source, ''),
            coalesce(nullif(country, ''), 'unknown')
        from read_csv(?, header = true, auto_detect = false, delim = ',', quote = '"', columns = {
            'event_time': 'timestamp', 'user_id': 'varchar', 'event_type': 'varchar',
            'transaction_category': 'varchar', 'miles_amount': 'decimal(12, 2)',
            'platform': 'varchar', 'utm_source': 'varchar', 'country': 'varchar'
        })
        """,
        [str(path)],
    ).fetchall()
    file_part = md5(f"event_stream/{name}".encode()).hexdigest()[:20]
    return [
        Event(
            UUID(f"{file_part}{number:012x}"),
            user_id,
            event_time.replace(tzinfo=UTC),
            event_type,
            category,
            miles,
            platform,
            utm_source,
            country,
            name,
        )
        for (
            number,
            user_id,
            event_time,
            event_type,
            category,
            miles,
            platform,
            utm_source,
            country,
        ) in records
    ]


def by_user(events: list[Event]) -> dict[str, list[Event]]:
    grouped: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        grouped[event.user_id].append(event)
    return grouped


def latest(events: list[Event]) -> Event:
    return max(events, key=lambda event: (event.event_at, event.event_id))


def dim_users(events: list[Event], country_of: Mapping[str, str]) -> Rows:
    return [
        (
            user,
            country_of[user],
            min(event.event_at for event in events_of),
            max(event.event_at for event in events_of),
        )
        for user, events_of in by_user(events).items()
    ]


def fct_events(events: list[Event]) -> Rows:
    return [
        (
            event.event_id,
            event.user_id,
            event.event_at,
            event.day,
            event.event_type,
            event.transaction_category,
            event.miles_amount,
            event.platform,
            event.utm_source,
            event.country,
            event.file_name,
        )
        for event in events
    ]


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def user_growth(events: list[Event], country_of: Mapping[str, str], period_of: Any) -> Rows:
    """Walks through the periods with sets of users: seen so far, and active in the one before."""
    active: dict[date, set[str]] = defaultdict(set)
    for event in events:
        active[period_of(event.day)].add(event.user_id)
    rows: Rows = []
    if not active:
        return rows
    seen: set[str] = set()
    before: set[str] = set()
    period, last = min(active), max(active)
    while period <= last:
        now = active.get(period, set())
        groups = (now - seen, now & before, (now & seen) - before, before - now, now)
        counts = [Counter(country_of[user] for user in group) for group in groups]
        rows += [
            (period, country, *(count[country] for count in counts))
            for country in set(country_of.values())
        ]
        seen |= now
        before = now
        day = period  # day by day to where the next period starts
        while period_of(day) == period:
            day += timedelta(days=1)
        period = day
    return rows


def user_retention(events: list[Event], country_of: Mapping[str, str]) -> Rows:
    days_of = {user: {event.day for event in its} for user, its in by_user(events).items()}
    cohorts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for user, days in days_of.items():
        cohorts[min(days), country_of[user]].append(user)
    last_day = max((event.day for event in events), default=None)
    rows: Rows = []
    for (cohort_date, country), users in cohorts.items():
        row: list[Any] = [cohort_date, country, len(users)]
        for number in RETENTION_DAYS:
            day = cohort_date + timedelta(days=number)
            retained = sum(day in days_of[user] for user in users)
            is_known = last_day is not None and day <= last_day
            row += [
                retained,
                rounded(Fraction(100 * retained, len(users)), 2) if is_known else None,
            ]
        rows.append(tuple(row))
    return rows


def user_interactions(events: list[Event]) -> Rows:
    keys = [(event.country, event.event_type) for event in events]
    totals = Counter(keys)
    counts = Counter(
        (*key, event.transaction_category or "none")
        for key, event in zip(keys, events, strict=True)
    )
    return [
        (*key, count, rounded(Fraction(count, totals[key[:2]]), 10))
        for key, count in counts.items()
    ]


def rounded(value: Fraction, places: int) -> Decimal:
    """Half up, as SQL's round() of a positive numeric does."""
    return Decimal(int(value * 10**places + Fraction(1, 2))).scaleb(-places)
