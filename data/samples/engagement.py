"""Make realistic deliveries for the source event_stream: one CSV file a day.

Members of a loyalty programme earn and redeem miles, like, share and search for rewards. They have
favourite hours and weekdays, join over time, go silent and come back, and a few move to another
country. Some events arrive one to three days late, a few records come twice, and some members have
no known country. The same arguments make the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import struct
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

SOURCE = "event_stream"
HEADER = (
    "event_time",
    "user_id",
    "event_type",
    "transaction_category",
    "miles_amount",
    "platform",
    "utm_source",
    "country",
)
# A fixed day: the same command makes the same files whenever it is run.
END_DATE = date(2026, 6, 30)

COUNTRIES = {"DE": 30, "AT": 14, "CH": 12, "FR": 12, "IT": 10, "ES": 9, "PL": 7, "PT": 5, "": 1}
PLATFORMS = {"ios": 42, "android": 43, "web": 15}
CAMPAIGNS = {
    "": 40,
    "google": 20,
    "instagram": 12,
    "newsletter": 11,
    "partner": 9,
    "facebook": 5,
    "tiktok": 3,
}
CATEGORIES = {
    "groceries": 30,
    "fuel": 20,
    "flights": 16,
    "hotels": 12,
    "dining": 12,
    "shopping": 10,
}
EVENT_TYPES = {
    "miles_earned": 38,
    "reward_search": 24,
    "like": 18,
    "share": 11,
    "miles_redeemed": 9,
}
WITHOUT_CATEGORY = frozenset({"like", "share"})
TYPICAL_MILES = {"miles_earned": 120.0, "miles_redeemed": 2500.0}

WEEKDAY_FACTORS = (0.95, 0.9, 0.95, 1.0, 1.15, 1.3, 1.1)  # Monday first
EVENTS_PER_WEIGHT = 1.9
LATE_SHARE = 0.02
REPEATED_SHARE = 0.001
MOVING_SHARE = 0.03

# Rows are lines of text, put together from tables of ready-made pieces: a look-up costs a tenth of
# a draw and its formatting, which makes 390,000 rows a second where 160,000 were possible. Powers
# of two, as bits of random bytes are the index.
TIME_TABLE = 1 << 16
KIND_TABLE = 1 << 12
MILES_TABLE = 1 << 10
PROFILES = 1 << 3


@dataclass(frozen=True)
class User:
    """One member: habits, the days on which the app is in use, and where events come from."""

    user_id: str
    weight: float
    peak_second: int
    spells: tuple[tuple[int, int], ...]
    moves_on: int
    profiles: tuple[str, ...]
    profiles_after_move: tuple[str, ...]

    def uses_app(self, day: int) -> bool:
        """Whether the day (0 = the first) lies in one of the user's active spells."""
        return any(first <= day < end for first, end in self.spells)

    def profiles_on(self, day: int) -> tuple[str, ...]:
        """The ends of the rows of the user's events on the day: platform, campaign, country."""
        return self.profiles_after_move if day >= self.moves_on else self.profiles


@dataclass(frozen=True)
class Tables:
    """Distributions as tables of equally likely pieces of a row."""

    clock: tuple[str, ...]
    seconds_from_peak: tuple[int, ...]
    microseconds: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]


def generate(
    seed: int = 7,
    users: int = 2000,
    days: int = 60,
    rows: int | None = None,
    end_date: date = END_DATE,
) -> Iterator[tuple[str, list[str]]]:
    """Make the deliveries of some days, in the order of their arrival.

    Args:
        seed: another seed makes other users and other events.
        users: how many members there are; not all of them show up in few days.
        days: for how many days there are files.
        rows: how many rows there are in all; what the users' habits come to, if not given.
        end_date: the last day.

    Yields:
        The name of a file, and its rows: lines of CSV with the columns of ``HEADER``, without line
        ends; no field needs quotes. A day without a row has no file.
    """
    random_numbers = random.Random(seed)
    members = [_make_user(random_numbers, days) for _ in range(users)]
    tables = _make_tables(random_numbers)
    first_date = end_date - timedelta(days=days - 1)
    calendar = _make_calendar(random_numbers, members, days, first_date)
    arriving: list[list[str]] = [[] for _ in range(days)]
    for day, (active, row_count) in enumerate(zip(calendar, _quotas(calendar, rows), strict=True)):
        today = first_date + timedelta(days=day)
        happened = _events(random_numbers, tables, active, day, today, row_count)
        _repeat_some(random_numbers, happened)
        _hold_back_late_events(random_numbers, happened, arriving[day + 1 : day + 4])
        arriving[day] += happened
        if arriving[day]:
            arriving[day].sort()
            yield f"events_{today.isoformat()}.csv", arriving[day]
        arriving[day] = []


def write_delivery(path: Path, rows: Iterable[str]) -> None:
    """Write a delivery under a hidden name and rename it, so that nobody reads half a file.

    Args:
        path: the file as it shall be named; its folder is made where missing.
        rows: lines of CSV with the columns of ``HEADER``, without line ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.part")
    lines = itertools.chain((",".join(HEADER),), rows, ("",))
    hidden.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    hidden.replace(path)


def _make_user(random_numbers: random.Random, days: int) -> User:
    country = _draw(random_numbers, COUNTRIES)
    moves = random_numbers.random() < MOVING_SHARE
    elsewhere = _draw(random_numbers, COUNTRIES) if moves else country
    campaign = _draw(random_numbers, CAMPAIGNS)
    platform = _draw(random_numbers, PLATFORMS)
    visits = [f"{platform},{campaign}"] * (PROFILES - 3) + [f"{platform},"] * 2 + ["web,newsletter"]
    return User(
        user_id=str(uuid.UUID(int=random_numbers.getrandbits(128), version=4)),
        weight=random_numbers.lognormvariate(0.0, 0.6),
        peak_second=int(random_numbers.gauss(17.5, 3.5) % 24 * 3600),
        spells=tuple(_make_spells(random_numbers, days)),
        moves_on=random_numbers.randrange(days) if moves else days,
        profiles=tuple(f"{visit},{country}" for visit in visits),
        profiles_after_move=tuple(f"{visit},{elsewhere}" for visit in visits),
    )


def _make_spells(random_numbers: random.Random, days: int) -> Iterator[tuple[int, int]]:
    # Half of the users were there before the first file; a spell of use lasts about two weeks, a
    # pause one and a half, and after each spell one in four leaves for good.
    day = 0 if random_numbers.random() < 0.5 else random_numbers.randrange(days)
    while day < days:
        end = day + 1 + int(random_numbers.expovariate(1 / 14))
        yield day, end
        if random_numbers.random() < 0.25:
            return
        day = end + 1 + int(random_numbers.expovariate(1 / 10))


def _make_tables(random_numbers: random.Random) -> Tables:
    miles = {
        event_type: tuple(
            f"{typical * random_numbers.lognormvariate(0.0, 0.7):.2f}" for _ in range(MILES_TABLE)
        )
        for event_type, typical in TYPICAL_MILES.items()
    }
    kinds = {}
    for event_type in EVENT_TYPES:
        for category in ("",) if event_type in WITHOUT_CATEGORY else CATEGORIES:
            kinds[event_type, category] = tuple(
                f"{event_type},{category},{amount}"
                for amount in miles.get(event_type, ("",) * MILES_TABLE)
            )
    drawn_kinds = []
    for _ in range(KIND_TABLE):
        event_type = _draw(random_numbers, EVENT_TYPES)
        category = "" if event_type in WITHOUT_CATEGORY else _draw(random_numbers, CATEGORIES)
        drawn_kinds.append(kinds[event_type, category])
    return Tables(
        clock=tuple(
            f"{hour:02d}:{minute:02d}:{second:02d}"
            for hour, minute, second in itertools.product(range(24), range(60), range(60))
        ),
        seconds_from_peak=tuple(int(random_numbers.gauss(0, 9000)) for _ in range(TIME_TABLE)),
        microseconds=tuple(f"{random_numbers.randrange(10**6):06d}" for _ in range(TIME_TABLE)),
        kinds=tuple(drawn_kinds),
    )


def _draw(random_numbers: random.Random, weights: dict[str, int]) -> str:
    return random_numbers.choices(tuple(weights), tuple(weights.values()))[0]


def _make_calendar(
    random_numbers: random.Random, members: list[User], days: int, first_date: date
) -> list[list[tuple[User, float]]]:
    """Who has events on which day, and how eagerly."""
    calendar = []
    for day in range(days):
        likelihood = 0.55 * WEEKDAY_FACTORS[(first_date.weekday() + day) % 7]
        calendar.append(
            [
                (user, user.weight * random_numbers.uniform(0.3, 1.7))
                for user in members
                if user.uses_app(day) and random_numbers.random() < likelihood
            ]
        )
    if not any(calendar):
        calendar[0] = [(user, user.weight) for user in members]
    return calendar


def _quotas(calendar: list[list[tuple[User, float]]], rows: int | None) -> Iterator[int]:
    """How many events each day has; in all exactly ``rows``, where that is given."""
    weights = [sum(weight for _, weight in active) for active in calendar]
    total = sum(weights)
    wanted = round(total * EVENTS_PER_WEIGHT) if rows is None else rows
    last_day = max(day for day, weight in enumerate(weights) if weight)
    done, weight_so_far = 0, 0.0
    for day, weight in enumerate(weights):
        weight_so_far += weight
        due = wanted if day >= last_day else int(wanted * weight_so_far / total)
        yield due - done
        done = due


def _events(
    random_numbers: random.Random,
    tables: Tables,
    active: list[tuple[User, float]],
    day: int,
    today: date,
    row_count: int,
) -> list[str]:
    """The events that happen on one day, by user."""
    clock, seconds_from_peak = tables.clock, tables.seconds_from_peak
    microseconds, kinds = tables.microseconds, tables.kinds
    noise = struct.iter_unpack("<HHHH", random_numbers.randbytes(8 * row_count))
    today_text = today.isoformat()
    rows: list[str] = []
    # Of the kind's 16 bits, 12 choose from KIND_TABLE and the 3 highest from PROFILES.
    for user, count in _share_out(random_numbers, active, row_count):
        user_id, peak_second, profiles = user.user_id, user.peak_second, user.profiles_on(day)
        rows += [
            f"{today_text} {clock[(peak_second + seconds_from_peak[time_bits]) % 86400]}"
            f".{microseconds[micro_bits]},{user_id},"
            f"{kinds[kind_bits & 4095][miles_bits & 1023]},{profiles[kind_bits >> 13]}"
            for time_bits, micro_bits, kind_bits, miles_bits in itertools.islice(noise, count)
        ]
    return rows


def _share_out(
    random_numbers: random.Random, active: list[tuple[User, float]], row_count: int
) -> Iterator[tuple[User, int]]:
    """Give each user a share of the day's events by weight; in all exactly ``row_count``."""
    total = sum(weight for _, weight in active)
    done, weight_so_far, offset = 0, 0.0, random_numbers.random()
    for position, (user, weight) in enumerate(active, start=1):
        weight_so_far += weight
        share = int(row_count * weight_so_far / total + offset)
        due = row_count if position == len(active) else min(share, row_count)
        yield user, due - done
        done = due


def _repeat_some(random_numbers: random.Random, rows: list[str]) -> None:
    """Put copies of some rows in the place of others: equal records are separate events."""
    if not rows:
        return
    for _ in range(int(len(rows) * REPEATED_SHARE + random_numbers.random())):
        rows[random_numbers.randrange(len(rows))] = random_numbers.choice(rows)


def _hold_back_late_events(
    random_numbers: random.Random, rows: list[str], later_days: list[list[str]]
) -> None:
    """Move some of a day's rows to what arrives on the days after it."""
    if not rows or not later_days:
        return
    for _ in range(int(len(rows) * LATE_SHARE + random_numbers.random())):
        position = random_numbers.randrange(len(rows))
        rows[position], rows[-1] = rows[-1], rows[position]
        random_numbers.choice(later_days).append(rows.pop())


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n"
            "  python data/samples/engagement.py --landing data/landing\n"
            "      the deliveries of the demo: 60 days of 2,000 users\n"
            "  python data/samples/engagement.py --landing /tmp/one --days 1 --rows 10000\n"
            "      one delivery of exactly 10,000 rows\n"
        ),
    )
    parser.add_argument(
        "--landing",
        type=Path,
        required=True,
        metavar="DIR",
        help=f"the landing zone; the files go into its folder {SOURCE}/, which is made if missing",
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="another seed, other events (default: 7)"
    )
    parser.add_argument(
        "--users", type=int, default=2000, help="how many users there are (default: 2000)"
    )
    parser.add_argument(
        "--days", type=int, default=60, help="how many days, one file each (default: 60)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        help="how many rows in all files together (default: as many as the users' habits make)",
    )
    parser.add_argument(
        "--end-date",
        type=date.fromisoformat,
        default=END_DATE,
        metavar="YYYY-MM-DD",
        help=f"the last day (default: {END_DATE})",
    )
    options = parser.parse_args(arguments)
    for name in ("users", "days"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    if options.rows is not None and options.rows < 0:
        parser.error("--rows must be 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the deliveries and say how many."""
    options = _parse_arguments(arguments)
    folder = options.landing / SOURCE
    started, files, rows_written = time.perf_counter(), 0, 0
    for file_name, rows in generate(
        options.seed, options.users, options.days, options.rows, options.end_date
    ):
        write_delivery(folder / file_name, rows)
        files += 1
        rows_written += len(rows)
    seconds = time.perf_counter() - started
    print(f"{rows_written:,} rows in {files} files in {folder}{os.sep} ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
