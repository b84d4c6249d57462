"""The people system on one instance: deliveries in, runs, and what the marts hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from datetime import date
from typing import Any, ClassVar

from data.samples.people import moment_of
from tests.systems.instance import Rows, SystemInstance
from tests.systems.people.people_oracle import expected_marts

LOCATION = """country, state, city, postcode, street_name, street_number, timezone_offset,
    timezone_description, latitude, longitude"""

# A person as the API answers, and on which day; a test says what is different.
PERSON: dict[str, Any] = {
    "gender": "female",
    "name": {"title": "Ms", "first": "Anna", "last": "Berg"},
    "location": {
        "street": {"number": 1, "name": "Mill Lane"},
        "city": "Leeds",
        "state": "West Yorkshire",
        "country": "United Kingdom",
        "postcode": "L1 1XY",
        "coordinates": {"latitude": "53.8000", "longitude": "-1.5500"},
        "timezone": {"offset": "0:00", "description": "Western Europe Time"},
    },
    "email": "anna@example.com",
    "login": {
        "uuid": "aaaaaaaa-0000-4000-8000-000000000001",
        "username": "anna",
        "password": "purple-secret",
        "salt": "s4lt-secret",
        "md5": "md5-secret",
        "sha1": "sha1-secret",
        "sha256": "sha256-secret",
    },
    "dob": {"date": "1990-06-30T12:00:00.000Z", "age": 36},
    "registered": {"date": "2020-01-01T12:00:00.000Z", "age": 6},
    "phone": "1",
    "cell": "2",
    "id": {"name": "NINO", "value": "national-secret"},
    "picture": {"large": "l", "medium": "m", "thumbnail": "t"},
    "nat": "GB",
}


class People(SystemInstance):
    """One instance with the system's part of the project."""

    pipelines = ("people",)
    folders = ("tests/people",)
    mart_queries: ClassVar = {
        "dim_person": f"""
            select
                person_id, {LOCATION}, gender, nationality, title, first_name, last_name, email,
                username, phone, cell, picture_url, birth_date, registered_at, extracted_at
            from gold.dim_person
            inner join gold.dim_location using (location_id)
        """,
        "dim_location": f"select {LOCATION} from gold.dim_location",
        "fct_person_registrations": f"""
            select person_id, {LOCATION}, registered_at, registered_date, age_at_registration
            from gold.fct_person_registrations
            inner join gold.dim_location using (location_id)
        """,
        "population_by_age_group": "select * from gold.population_by_age_group",
        "population_by_nationality": "select * from gold.population_by_nationality",
        "population_by_gender": "select * from gold.population_by_gender",
    }
    incremental = (
        ("silver", "stg_users"),
        ("gold_audit", "dim_person"),
        ("gold_audit", "dim_location"),
        ("gold_audit", "fct_person_registrations"),
    )
    # As of which day the population is told; the day of the newest extraction where None.
    given_day: date | None = None

    def expected_marts(self) -> dict[str, Rows]:
        return expected_marts(self.files, self.given_day)

    def give_day(self, day: date) -> None:
        """Set the variable of the dbt project."""
        project = self.settings.dbt / "dbt_project.yml"
        text = project.read_text()
        assert 'people_as_of: ""' in text
        project.write_text(text.replace('people_as_of: ""', f'people_as_of: "{day}"'))
        self.given_day = day

    def drop(self, path: str, records: Iterable[str]) -> None:
        """Deliver records under a path: for the first time, or as a correction."""
        self.deliver(path, "".join(f"{record}\n" for record in records).encode())


def path_of(day: date) -> str:
    """Where a day's delivery lies below the landing zone."""
    return f"users/users_{moment_of(day):%Y%m%dT%H%M%SZ}.jsonl"


def person(number: int, **changed: Any) -> str:
    """A record of the person of a number; ``dob__date`` is the key date within dob."""
    record = copy.deepcopy(PERSON)
    record["login"]["uuid"] = f"aaaaaaaa-0000-4000-8000-{number:012d}"
    for name, value in changed.items():
        *outer, key = name.split("__")
        place = record
        for part in outer:
            place = place[part]
        place[key] = value
    return json.dumps(record)
