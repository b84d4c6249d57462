"""The marts of people, computed another way than the models do: one file after the other.

It reads the delivered files themselves with Python's json module, in the order of the moments in
their names, and lets each record replace the person's earlier one. Rows have the columns that the
queries of ``people_instance`` name: those of a location instead of its key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

Rows = list[tuple[Any, ...]]

SECRET = ("password", "salt", "md5", "sha1", "sha256")


@dataclass(frozen=True)
class Person:
    person_id: UUID
    location: tuple[Any, ...]
    words: tuple[str | None, ...]
    gender: str | None
    nationality: str | None
    birth_date: date | None
    registered_at: datetime
    extracted_at: datetime

    def age_on(self, day: date) -> int | None:
        born = self.birth_date
        if born is None or born > day:
            return None
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def expected_marts(files: Mapping[str, Path], given_day: date | None) -> dict[str, Rows]:
    """All marts.

    Args:
        files: by the path below the landing zone that it was delivered under, each file whose
            content counts: the latest of its name, and no copies.
        given_day: as of which day the population is told.
    """
    persons: dict[UUID, Person] = {}
    locations = set()
    for path in sorted(files):  # the names sort as their moments do
        for person in read_persons(path, files[path]):
            persons[person.person_id] = person
            locations.add(person.location)
    newest = max((person.extracted_at.date() for person in persons.values()), default=None)
    as_of = given_day or newest
    population = [
        person for person in persons.values() if as_of and person.registered_at.date() <= as_of
    ]
    return {
        "dim_person": [dim_person(person) for person in persons.values()],
        "dim_location": list(locations),
        "fct_person_registrations": [registration(person) for person in persons.values()],
        "population_by_age_group": by_age_group(population, as_of),
        "population_by_nationality": counted(
            [person.nationality or "unknown" for person in population], as_of
        ),
        "population_by_gender": counted(
            [person.gender or "unknown" for person in population], as_of
        ),
    }


def read_persons(path: str, file: Path) -> list[Person]:
    extracted_at = datetime.strptime(path[-22:-6], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    lines = file.read_text(encoding="utf-8").splitlines()
    return [read_person(json.loads(line), extracted_at) for line in lines]


def read_person(record: dict[str, Any], extracted_at: datetime) -> Person:
    name, login, gender, nat = (record.get(key) for key in ("name", "login", "gender", "nat"))
    email = text(record.get("email"))
    words = (
        *(text(name.get(key)) for key in ("title", "first", "last")),
        email and email.lower(),
        text(login.get("username")),
        text(record.get("phone")),
        text(record.get("cell")),
        text(record["picture"]["large"]),
    )
    gender, nat = text(gender), text(nat)
    born = record.get("dob", {}).get("date")
    return Person(
        UUID(login["uuid"]),
        read_location(record["location"]),
        words,
        gender and gender.lower(),
        nat and nat.upper(),
        moment(born).date() if born else None,
        moment(record["registered"]["date"]),
        extracted_at,
    )


def read_location(location: dict[str, Any]) -> tuple[Any, ...]:
    coordinates = location.get("coordinates", {})
    return (
        text(location["country"]) or "unknown",
        text(location["state"]),
        text(location["city"]),
        text(location["postcode"]),
        text(location["street"]["name"]),
        text(location["street"]["number"]),
        text(location["timezone"]["offset"]),
        text(location["timezone"]["description"]),
        *(
            Decimal(coordinates[key]) if key in coordinates else None
            for key in ("latitude", "longitude")
        ),
    )


def text(value: object) -> str | None:
    return None if value is None else str(value).strip(" ") or None


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


def dim_person(person: Person) -> tuple[Any, ...]:
    return (
        person.person_id,
        *person.location,
        person.gender,
        person.nationality,
        *person.words,
        person.birth_date,
        person.registered_at,
        person.extracted_at,
    )


def registration(person: Person) -> tuple[Any, ...]:
    day = person.registered_at.date()
    return (person.person_id, *person.location, person.registered_at, day, person.age_on(day))


def by_age_group(population: list[Person], as_of: date | None) -> Rows:
    rows: Rows = []
    ages = [person.age_on(as_of) for person in population] if as_of else []
    known = [age for age in ages if age is not None]
    for start in range(0, 100, 10):
        inside = [age for age in known if start <= age <= start + 9]
        rows.append((f"{start}-{start + 9}", start, len(inside), as_of))
    rows.append(("100+", 100, sum(age >= 100 for age in known), as_of))
    rows.append(("unknown", None, len(ages) - len(known), as_of))
    return rows


def counted(words: list[str], as_of: date | None) -> Rows:
    return [(word, number, as_of) for word, number in Counter(words).items()]
