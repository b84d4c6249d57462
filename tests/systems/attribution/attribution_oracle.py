"""The marts of attribution, computed another way than the models do: each registration by itself.

It reads the delivered files themselves with Python's csv module, and asks the rules one after the
other of the list of a user's sessions. Rows have the columns of the mart in its order;
``fct_sessions`` has the file's name where the mart has the load.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

Rows = list[tuple[Any, ...]]

TRUE_WORDS = ("true", "t", "1")
CHANNELS: Rows = [
    (1, "PAID SEARCH", 1, Decimal(3)),
    (2, "IMPRESSION", 2, Decimal(1)),
    (3, "ORGANIC SEARCH", 3, Decimal(12)),
    (4, "DIRECT", 4, None),
    (5, "OTHERS", 5, None),
    (6, "UNATTRIBUTED", 6, None),
]
CHANNEL_ID = {name: channel_id for channel_id, name, _, _ in CHANNELS}


@dataclass(frozen=True)
class Session:
    session_id: UUID
    user_id: str
    medium: str | None
    is_paid: bool | None
    started_at: datetime
    file_name: str

    @property
    def channel(self) -> str:
        return self.medium if self.medium in list(CHANNEL_ID)[:4] else "OTHERS"


@dataclass(frozen=True)
class Registration:
    user_id: str
    registered_at: datetime
    channel: str
    session_at: datetime | None

    @property
    def hours(self) -> Fraction | None:
        if self.session_at is None:
            return None
        return Fraction((self.registered_at - self.session_at) // timedelta(microseconds=1)) / (
            3600 * 10**6
        )


def expected_marts(files: Mapping[str, Path]) -> dict[str, Rows]:
    """All marts.

    Args:
        files: by the path below the landing zone that it was delivered under, each file whose
            content counts: the latest of its name, and no copies.
    """
    sessions = [
        session
        for path, file in files.items()
        if path.startswith("sessions/")
        for session in read_sessions(path, file)
    ]
    delivered = {
        (record["user_id"].strip(" "), moment(record["registration_time"]))
        for path, file in files.items()
        if path.startswith("conversions/")
        for record in records(file)
    }
    sessions_of: dict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        sessions_of[session.user_id].append(session)
    registrations = [
        attribute(user_id, registered_at, sessions_of.get(user_id, []))
        for user_id, registered_at in delivered
    ]
    return {
        "dim_channel": CHANNELS,
        "dim_user": dim_user(sessions_of, registrations),
        "fct_sessions": fct_sessions(sessions),
        "fct_registrations": fct_registrations(registrations),
        "channel_attribution": channel_attribution(registrations),
    }


def records(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_sessions(path: str, file: Path) -> list[Session]:
    file_part = md5(path.encode()).hexdigest()[:20]
    return [
        Session(
            UUID(f"{file_part}{number:012x}"),
            record["user_id"].strip(" "),
            " ".join(re.split(r"[\s_-]+", record["medium"].upper())).strip() or None,
            record["is_paid"].lower() in TRUE_WORDS if record["is_paid"] else None,
            moment(record["time_started"]),
            Path(path).name,
        )
        for number, record in enumerate(records(file), start=1)
    ]


def moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def attribute(user_id: str, registered_at: datetime, sessions: list[Session]) -> Registration:
    before = [session for session in sessions if session.started_at <= registered_at]
    for channel, hours in (("PAID SEARCH", 3), ("IMPRESSION", 1), ("ORGANIC SEARCH", 12)):
        found = [
            session.started_at
            for session in before
            if session.medium == channel
            and session.started_at >= registered_at - timedelta(hours=hours)
        ]
        if found:
            return Registration(user_id, registered_at, channel, max(found))
    direct = [session.started_at for session in before if session.medium == "DIRECT"]
    if direct:
        return Registration(user_id, registered_at, "DIRECT", max(direct))
    if before:
        latest = max(session.started_at for session in before)
        return Registration(user_id, registered_at, "OTHERS", latest)
    return Registration(user_id, registered_at, "UNATTRIBUTED", None)


def dim_user(sessions_of: Mapping[str, list[Session]], registrations: list[Registration]) -> Rows:
    registered: dict[str, list[datetime]] = defaultdict(list)
    for registration in registrations:
        registered[registration.user_id].append(registration.registered_at)
    rows: Rows = []
    for user_id in {*sessions_of, *registered}:
        started = [session.started_at for session in sessions_of.get(user_id, [])]
        moments = registered.get(user_id, [])
        rows.append(
            (
                user_id,
                len(started),
                len(moments),
                min(started, default=None),
                max(started, default=None),
                min(moments, default=None),
            )
        )
    return rows


def fct_sessions(sessions: list[Session]) -> Rows:
    return [
        (
            session.session_id,
            session.user_id,
            CHANNEL_ID[session.channel],
            session.started_at,
            session.started_at.date(),
            session.medium,
            session.is_paid,
            session.file_name,
        )
        for session in sessions
    ]


def fct_registrations(registrations: list[Registration]) -> Rows:
    return [
        (
            registration.user_id,
            registration.registered_at,
            registration.registered_at.date(),
            CHANNEL_ID[registration.channel],
            registration.session_at,
            None if registration.hours is None else rounded(registration.hours),
        )
        for registration in registrations
    ]


def channel_attribution(registrations: list[Registration]) -> Rows:
    grouped: dict[tuple[str, date], list[Fraction | None]] = defaultdict(list)
    for registration in registrations:
        month = registration.registered_at.date().replace(day=1)
        grouped[registration.channel, month].append(registration.hours)
    return [
        (channel, month, len(hours), *middle_and_mean(hours))
        for (channel, month), hours in grouped.items()
    ]


def middle_and_mean(hours: list[Fraction | None]) -> tuple[Decimal | None, Decimal | None]:
    known = sorted(value for value in hours if value is not None)
    if not known:
        return None, None
    middle = known[len(known) // 2], known[(len(known) - 1) // 2]
    return rounded(sum(middle, Fraction()) / 2), rounded(sum(known, Fraction()) / len(known))


def rounded(value: Fraction) -> Decimal:
    """To four places, half up, as SQL's round() of a positive numeric does."""
    return Decimal(int(value * 10**4 + Fraction(1, 2))).scaleb(-4)
