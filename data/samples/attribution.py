"""Make realistic deliveries for the sources sessions and conversions: two CSV files a day.

Visitors come through search results, advertisements, mails and directly; some register, most of
them soon after a session, a few without any. The files have what real exports have: media spelled
in several ways or missing, flags written as true, TRUE, 1 or not at all, times with a T and a zone,
records that arrive up to three days late or twice, users who register again. The same arguments
make the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import os
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path

HEADERS = {
    "sessions": ("user_id", "time_started", "is_paid", "medium"),
    "conversions": ("user_id", "registration_time"),
}
# A fixed day: the same command makes the same files whenever it is run.
END_DATE = date(2026, 6, 30)

MEDIA = {
    "PAID SEARCH": 20,
    "IMPRESSION": 17,
    "ORGANIC SEARCH": 25,
    "DIRECT": 21,
    "EMAIL": 7,
    "REFERRAL": 6,
    "PAID SOCIAL": 4,
}
PAID_MEDIA = frozenset({"PAID SEARCH", "IMPRESSION", "PAID SOCIAL"})
# How long before a registration its session began, in hours; most of the windows' ends lie between.
TYPICAL_HOURS = 1.5

REGISTERING_SHARE = 0.3
WITHOUT_SESSION_SHARE = 0.04
REGISTERING_AGAIN_SHARE = 0.01
REPEATED_SHARE = 0.002
LATE_SHARE = 0.02
ODD_SPELLING_SHARE = 0.06
WITHOUT_MEDIUM_SHARE = 0.01
WRONG_FLAG_SHARE = 0.01
SESSIONS_PER_VISITOR = 4.0
# A session at the very moment of the registration, as where one click does both.
SAME_MOMENT_SHARE = 0.02
MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Visitor:
    """One visitor: how eager, and when registrations happen, in microseconds of the period."""

    user_id: str
    weight: float
    registrations: tuple[int, ...]


def generate(
    seed: int = 7,
    users: int = 4000,
    days: int = 60,
    rows: int | None = None,
    end_date: date = END_DATE,
    broken: int = 0,
) -> Iterator[tuple[str, list[str]]]:
    """Make the deliveries of some days, in the order of their arrival.

    Args:
        seed: another seed makes other visitors and other sessions.
        users: how many visitors there are.
        days: for how many days there are files.
        rows: how many session records there are in all; four a visitor, if not given.
        end_date: the last day.
        broken: how many more records of sessions there are that cannot be loaded: without a user,
            with a time that is none, with a field too many.

    Yields:
        The path of a file below the landing zone, such as ``sessions/sessions_2026-06-30.csv``, and
        its rows: lines of CSV with the columns of ``HEADERS``, without line ends. A day
        without a row has no file.
    """
    random_numbers = random.Random(seed)
    visitors = [_make_visitor(random_numbers, days) for _ in range(users)]
    wanted = round(users * SESSIONS_PER_VISITOR) if rows is None else rows
    start = datetime.combine(end_date - timedelta(days=days - 1), datetime.min.time(), UTC)
    sessions = _by_arrival(random_numbers, _sessions(random_numbers, visitors, days, wanted), days)
    registrations = _by_arrival(random_numbers, _registrations(random_numbers, visitors), days)
    days_with_sessions = [day for day in range(days) if sessions[day]]
    broken_on = random_numbers.choices(days_with_sessions, k=broken) if days_with_sessions else []
    for day in range(days):
        today = (start + timedelta(days=day)).date().isoformat()
        if sessions[day]:
            lines = [
                f"{user_id},{_moment(random_numbers, start, at)},{visit}"
                for at, user_id, visit in sessions[day]
            ]
            for _ in range(broken_on.count(day)):
                _add_broken_record(random_numbers, lines)
            yield f"sessions/sessions_{today}.csv", lines
        if registrations[day]:
            lines = [
                f"{user_id},{_moment(random_numbers, start, at)}"
                for at, user_id, _ in registrations[day]
            ]
            yield f"conversions/conversions_{today}.csv", lines


def write_delivery(path: Path, rows: Iterable[str]) -> None:
    """Write a delivery under a hidden name and rename it, so that nobody reads half a file.

    Args:
        path: the file as it shall be named, in its source's folder, which is made where missing.
        rows: lines of CSV with the columns of ``HEADERS``, without line ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.part")
    lines = chain((",".join(HEADERS[path.parent.name]),), rows, ("",))
    hidden.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    hidden.replace(path)


def _make_visitor(random_numbers: random.Random, days: int) -> Visitor:
    registrations = []
    if random_numbers.random() < REGISTERING_SHARE:
        registrations.append(random_numbers.randrange(days * MICROSECONDS_PER_DAY))
        if random_numbers.random() < REGISTERING_AGAIN_SHARE:
            registrations.append(random_numbers.randrange(days * MICROSECONDS_PER_DAY))
    # Who registers without a session, such as in a shop, has none at all.
    is_unseen = bool(registrations) and random_numbers.random() < WITHOUT_SESSION_SHARE
    return Visitor(
        user_id=str(uuid.UUID(int=random_numbers.getrandbits(128), version=4)),
        weight=0.0 if is_unseen else random_numbers.lognormvariate(0.0, 0.8),
        registrations=tuple(registrations),
    )


# A record before it is written: its moment, its user and, of a session, the rest of its line.
Record = tuple[int, str, str]


def _sessions(
    random_numbers: random.Random, visitors: list[Visitor], days: int, wanted: int
) -> list[Record]:
    """Exactly as many records of sessions as wanted, repeated ones among them."""
    seen = [visitor for visitor in visitors if visitor.weight] or visitors
    weights = [visitor.weight or 1.0 for visitor in seen]
    media, media_weights = tuple(MEDIA), tuple(MEDIA.values())
    repeated = int(wanted * REPEATED_SHARE)
    records = [
        (
            _session_moment(random_numbers, visitor, days),
            visitor.user_id,
            _visit(random_numbers, medium),
        )
        for visitor, medium in zip(
            random_numbers.choices(seen, weights, k=wanted - repeated),
            random_numbers.choices(media, media_weights, k=wanted - repeated),
            strict=True,
        )
    ]
    return records + random_numbers.choices(records, k=repeated) if records else records


def _session_moment(random_numbers: random.Random, visitor: Visitor, days: int) -> int:
    """Half of the sessions of those who register lead up to it; the others lie anywhere."""
    end = days * MICROSECONDS_PER_DAY
    if visitor.registrations and random_numbers.random() < 0.5:
        registered_at = random_numbers.choice(visitor.registrations)
        if random_numbers.random() < SAME_MOMENT_SHARE:
            return registered_at
        hours = random_numbers.lognormvariate(0.0, 1.5) * TYPICAL_HOURS
        # Whole minutes before, now and then: the windows' ends are hit exactly.
        before = round(hours * 60) * 60_000_000 or 1
        return max(0, registered_at - before)
    return random_numbers.randrange(end)


def _visit(random_numbers: random.Random, medium: str) -> str:
    """The end of a session's line: whether it was paid for, and the medium as it is spelled."""
    is_paid = (medium in PAID_MEDIA) != (random_numbers.random() < WRONG_FLAG_SHARE)
    flag = "true" if is_paid else "false"
    if random_numbers.random() < ODD_SPELLING_SHARE:
        flag = random_numbers.choice((flag.upper(), flag[0], "1" if is_paid else "0", ""))
    if random_numbers.random() < WITHOUT_MEDIUM_SHARE:
        return flag + random_numbers.choice((",", ",  ", ',""'))
    if random_numbers.random() < ODD_SPELLING_SHARE:
        spellings = (
            medium.lower(),
            medium.title(),
            f" {medium} ",
            medium.lower().replace(" ", "_"),
            medium.replace(" ", "-"),
            f'"{medium}"',
        )
        medium = random_numbers.choice(spellings)
    return f"{flag},{medium}"


def _registrations(random_numbers: random.Random, visitors: list[Visitor]) -> list[Record]:
    records = [(at, visitor.user_id, "") for visitor in visitors for at in visitor.registrations]
    repeated = int(len(records) * REPEATED_SHARE + random_numbers.random()) if records else 0
    return records + random_numbers.choices(records, k=repeated)


def _by_arrival(
    random_numbers: random.Random, records: list[Record], days: int
) -> list[list[Record]]:
    """The records of each day's file, in order: those of the day, and late ones of days before."""
    arriving: list[list[Record]] = [[] for _ in range(days)]
    for record in records:
        day = record[0] // MICROSECONDS_PER_DAY
        if random_numbers.random() < LATE_SHARE:
            day += random_numbers.randint(1, 3)
        arriving[min(day, days - 1)].append(record)
    for arrived in arriving:
        arrived.sort()
    return arriving


def _moment(random_numbers: random.Random, start: datetime, microseconds: int) -> str:
    """The moment as exports write it; most of them in UTC without saying so."""
    at = start + timedelta(microseconds=microseconds)
    if random_numbers.random() < ODD_SPELLING_SHARE:
        offset = timedelta(hours=2)
        return random_numbers.choice(
            (f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", f"{at + offset:%Y-%m-%d %H:%M:%S.%f}+02:00")
        )
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _add_broken_record(random_numbers: random.Random, lines: list[str]) -> None:
    user_id, moment, visit = random_numbers.choice(lines).split(",", maxsplit=2)
    record = random_numbers.choice(
        (f",{moment},{visit}", f"{user_id},yesterday,{visit}", f"{user_id},{moment},{visit},")
    )
    lines.insert(random_numbers.randrange(len(lines) + 1), record)


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n"
            "  python data/samples/attribution.py --landing data/landing\n"
            "      the deliveries of the demo: 60 days of 4,000 visitors\n"
            "  python data/samples/attribution.py --landing /tmp/one --days 1 --rows 10000\n"
            "      one delivery of exactly 10,000 sessions, and one of the registrations\n"
        ),
    )
    parser.add_argument(
        "--landing",
        type=Path,
        required=True,
        metavar="DIR",
        help=f"the landing zone; the files go into its folders {' and '.join(HEADERS)}",
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="another seed, other sessions (default: 7)"
    )
    parser.add_argument(
        "--users", type=int, default=4000, help="how many visitors there are (default: 4000)"
    )
    parser.add_argument(
        "--days", type=int, default=60, help="how many days, two files each (default: 60)"
    )
    parser.add_argument(
        "--rows", type=int, help="how many sessions in all files together (default: 4 a visitor)"
    )
    parser.add_argument(
        "--end-date",
        type=date.fromisoformat,
        default=END_DATE,
        metavar="YYYY-MM-DD",
        help=f"the last day (default: {END_DATE})",
    )
    parser.add_argument(
        "--broken",
        type=int,
        default=0,
        help="how many sessions more that cannot be loaded (default: 0)",
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
    started, files, rows_written = time.perf_counter(), 0, 0
    for name, rows in generate(
        options.seed,
        options.users,
        options.days,
        options.rows,
        options.end_date,
        options.broken,
    ):
        write_delivery(options.landing / name, rows)
        files += 1
        rows_written += len(rows)
    seconds = time.perf_counter() - started
    print(f"{rows_written:,} rows in {files} files in {options.landing}{os.sep} ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
