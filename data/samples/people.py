"""Make realistic deliveries for the source users: what an API of randomuser.me's shape answers.

Each day's answer has the persons that registered or changed on it: they move, marry, change their
mail address; some share a household. With what real answers have: postcodes as numbers and as
texts, birth dates that are missing or lie ahead, genders and nationalities in other spellings or
not at all, blanks around names, persons that come twice in one answer. The same arguments make the
same records on every machine.

The program starts a server that answers with them, and fetches each day's delivery from it as
`./sluice extract users` fetches it from randomuser.me. With --serve it is the server alone.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import random
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sluice.extracting import extract_source
from sluice.registry import Source, read_registry
from sluice.settings import load_settings

Person = dict[str, Any]

# A fixed day: the same command makes the same files whenever it is run.
END_DATE = date(2026, 6, 30)
MOST_RESULTS = 5000

FIRST_NAMES = {
    "female": ("Anna", "Zoë", "Marie", "Inès", "Chloe", "Ayşe", "Noora", "Emily", "Lærke"),
    "male": ("Ben", "Jürgen", "Louis", "Ramón", "Oliver", "Kaan", "Väinö", "Jack", "Mads"),
}
LAST_NAMES = ("Berg", "Moreau", "Ó Brien", "García", "Smith", "Yılmaz", "Lehto", "Sørensen", "Li")
# By nationality: country, cities with states, zone, and whether postcodes are numbers.
COUNTRIES: dict[str, tuple[str, tuple[tuple[str, str], ...], str, bool]] = {
    "DE": ("Germany", (("Köln", "Nordrhein-Westfalen"), ("Jena", "Thüringen")), "+1:00", True),
    "FR": ("France", (("Lyon", "Rhône"), ("Nîmes", "Gard")), "+1:00", True),
    "GB": ("United Kingdom", (("Leeds", "West Yorkshire"), ("Bath", "Avon")), "0:00", False),
    "CA": ("Canada", (("Trout Lake", "Québec"), ("Maidstone", "Ontario")), "-5:00", False),
    "AU": ("Australia", (("Perth", "Western Australia"), ("Hobart", "Tasmania")), "+9:30", True),
}
STREETS = ("Hauptstraße", "Rue de l'Église", "High Street", "Ash Dr", "Station Road", "Mill Lane")
WORDS = ("purple", "silver", "tiny", "organic", "angry", "lazy", "golden", "heavy")

FIRST_DAY_SHARE = 0.8
CHANGE_SHARE = 0.02
REPEATED_SHARE = 0.005
HOUSEHOLD_SHARE = 0.05
DIRT_SHARE = 0.02


def generate(
    seed: int = 7,
    persons: int = 3000,
    days: int = 5,
    end_date: date = END_DATE,
    broken: int = 0,
) -> Iterator[tuple[date, list[str]]]:
    """Make what the API answers on some days.

    Args:
        seed: another seed makes other persons.
        persons: how many there are on the last day; most of them from the first day on.
        days: on how many days they are asked for.
        end_date: the last day.
        broken: how many more records there are that cannot be loaded: without an identifier, with
            one that is none, with a time or a place that is none.

    Yields:
        A day and its records as JSON, in the order of the answer; no day without a record.
    """
    random_numbers = random.Random(seed)
    known: list[Person] = []
    first_day = end_date - timedelta(days=days - 1)
    joining = [
        0 if random_numbers.random() < FIRST_DAY_SHARE else random_numbers.randrange(days)
        for _ in range(persons)
    ]
    broken_on = [random_numbers.randrange(days) for _ in range(broken)]
    for number in range(days):
        today = first_day + timedelta(days=number)
        answered = [
            _change(random_numbers, person, today)
            for person in known
            if random_numbers.random() < CHANGE_SHARE
        ]
        for _ in range(joining.count(number)):
            person = _make_person(random_numbers, known, today, is_new=number > 0)
            known.append(person)
            answered.append(person)
        records = [_as_answered(random_numbers, person) for person in answered]
        for record in random_numbers.sample(records, round(len(records) * REPEATED_SHARE)):
            # Asked for page by page, a person who changes meanwhile comes twice.
            again = copy.deepcopy(record)
            again["phone"] = _phone(random_numbers)
            records.insert(random_numbers.randrange(len(records) + 1), again)
        for _ in range(broken_on.count(number)):
            place = random_numbers.randrange(len(records) + 1)
            records.insert(place, _broken(random_numbers, _make_person(random_numbers, [], today)))
        if records:
            yield today, [json.dumps(record, ensure_ascii=False) for record in records]


def moment_of(day: date) -> datetime:
    """When a day's delivery is fetched."""
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC)


def path_of(day: date) -> str:
    """Where a day's delivery lies below the landing zone."""
    return f"users/users_{moment_of(day):%Y%m%dT%H%M%SZ}.jsonl"


def _make_person(
    random_numbers: random.Random, known: list[Person], today: date, *, is_new: bool = True
) -> Person:
    gender = random_numbers.choice(("female", "male"))
    nat = random_numbers.choice(tuple(COUNTRIES))
    first, last = random_numbers.choice(FIRST_NAMES[gender]), random_numbers.choice(LAST_NAMES)
    born = _moment(random_numbers, today - timedelta(days=int(365.25 * _age(random_numbers))), 3000)
    registered = _moment(random_numbers, today, 1 if is_new else 6000)
    password = "".join(random_numbers.sample(WORDS, 2))
    salt = f"{random_numbers.getrandbits(32):08x}"
    hashed = {
        name: hashlib.new(name, f"{salt}{password}".encode()).hexdigest()
        for name in ("md5", "sha1", "sha256")
    }
    shared = known and random_numbers.random() < HOUSEHOLD_SHARE
    portrait = f"{'women' if gender == 'female' else 'men'}/{random_numbers.randrange(99)}.jpg"
    return {
        "gender": gender,
        "name": {"title": "Ms" if gender == "female" else "Mr", "first": first, "last": last},
        "location": copy.deepcopy(random_numbers.choice(known)["location"])
        if shared
        else _location(random_numbers, nat),
        "email": f"{first}.{last}@example.com".replace(" ", "").lower(),
        "login": {
            "uuid": str(uuid.UUID(int=random_numbers.getrandbits(128), version=4)),
            "username": f"{random_numbers.choice(WORDS)}{random_numbers.randrange(1000)}",
            "password": password,
            "salt": salt,
            **hashed,
        },
        "dob": {"date": born, "age": today.year - int(born[:4])},
        "registered": {"date": registered, "age": today.year - int(registered[:4])},
        "phone": _phone(random_numbers),
        "cell": _phone(random_numbers),
        "id": {"name": "SVNR", "value": f"{random_numbers.randrange(10**9):09d}"}
        if nat == "DE"
        else {"name": "", "value": None},
        "picture": {
            "large": f"https://randomuser.me/api/portraits/{portrait}",
            "medium": f"https://randomuser.me/api/portraits/med/{portrait}",
            "thumbnail": f"https://randomuser.me/api/portraits/thumb/{portrait}",
        },
        "nat": nat,
    }


def _age(random_numbers: random.Random) -> float:
    """Mostly of working age, with some children and some of a hundred and more."""
    if random_numbers.random() < 0.02:
        return random_numbers.uniform(99, 112)
    return random_numbers.betavariate(2, 3) * 95


def _moment(random_numbers: random.Random, day: date, days_before: int) -> str:
    """A moment before noon of a day, or up to some days earlier, as the API writes it."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    at -= timedelta(days=random_numbers.randrange(days_before))
    at += timedelta(milliseconds=random_numbers.randrange(6 * 3600 * 1000))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _location(random_numbers: random.Random, nat: str) -> Person:
    country, cities, offset, is_number = COUNTRIES[nat]
    city, state = random_numbers.choice(cities)
    number = random_numbers.randrange(10000, 99999)
    return {
        "street": {
            "number": random_numbers.randrange(1, 9999),
            "name": random_numbers.choice(STREETS),
        },
        "city": city,
        "state": state,
        "country": country,
        "postcode": number if is_number else f"{nat[0]}{number % 9} {number % 7}XY",
        "coordinates": {
            "latitude": f"{random_numbers.uniform(-90, 90):.4f}",
            "longitude": f"{random_numbers.uniform(-180, 180):.4f}",
        },
        "timezone": {"offset": offset, "description": f"{country}, {city}"},
    }


def _phone(random_numbers: random.Random) -> str:
    return f"0{random_numbers.randrange(100, 999)}-{random_numbers.randrange(10**6):06d}"


def _change(random_numbers: random.Random, person: Person, today: date) -> Person:
    """What happens to somebody; the person is changed for all days to come."""
    kind = random_numbers.randrange(3)
    if kind == 0:
        person["location"] = _location(random_numbers, random_numbers.choice(tuple(COUNTRIES)))
    elif kind == 1:
        person["name"] = {**person["name"], "last": random_numbers.choice(LAST_NAMES)}
    else:
        person["email"] = f"{random_numbers.choice(WORDS)}{today:%d%m}@example.com"
    return person


def _as_answered(random_numbers: random.Random, person: Person) -> Person:
    """The record as the API has it that day: now and then with dirt."""
    record = copy.deepcopy(person)
    if random_numbers.random() >= DIRT_SHARE * 6:
        return record
    kind = random_numbers.randrange(6)
    if kind == 0:
        record["gender"] = random_numbers.choice(("Female", " male ", "", None, "diverse"))
    elif kind == 1:
        record["nat"] = random_numbers.choice(("de", " gb", "", None))
    elif kind == 2:
        ahead = {"date": "2060-02-29T00:00:00.000Z", "age": -34}
        record["dob"] = random_numbers.choice(({"date": None, "age": None}, ahead, {}))
    elif kind == 3:
        record["name"]["first"] = f"  {record['name']['first']} "
        record["login"]["uuid"] = record["login"]["uuid"].upper()
    elif kind == 4:
        del record["location"]["coordinates"]
    else:
        record["location"]["postcode"] = None
    return record


def _broken(random_numbers: random.Random, person: Person) -> Person:
    kind = random_numbers.randrange(4)
    if kind == 0:
        del person["login"]["uuid"]
    elif kind == 1:
        person["login"]["uuid"] = "me"
    elif kind == 2:
        person["registered"]["date"] = "yesterday"
    else:
        person["location"]["coordinates"]["latitude"] = "190.0000"
    return person


class PeopleApi:
    """A server of randomuser.me's shape on this machine; it answers with ``records``, paged."""

    def __init__(self, port: int = 0) -> None:
        """Take a port; a free one where it is 0."""
        self.records: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = api.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    def answer(self, path: str) -> tuple[int, bytes]:
        """The status and the body of the answer to a request."""
        params = {name: values[-1] for name, values in parse_qs(urlsplit(path).query).items()}
        size, page = params.get("results", "1"), params.get("page", "1")
        if urlsplit(path).path != "/api/" or not (size.isdigit() and page.isdigit()):
            return 404, b'{"error": "Uh oh, something has gone wrong."}'
        limit, number = min(int(size), MOST_RESULTS), max(int(page), 1)
        found = self.records[(number - 1) * limit : number * limit]
        info = {"seed": params.get("seed", ""), "results": len(found), "page": number}
        return 200, f'{{"results":[{",".join(found)}],"info":{json.dumps(info)}}}'.encode()

    def serve_forever(self) -> None:
        """Answer until the process ends."""
        self._server.serve_forever()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer within the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()


def asking(source: Source, url: str) -> Source:
    """The source users, which asks at another address, as fast as it can."""
    if source.extract is None:
        raise ValueError(f"{source.name} has no extract block")
    update = {"url": url, "requests_per_second": None, "auth": None}
    return source.model_copy(update={"extract": source.extract.model_copy(update=update)})


def fetch(landing: Path, answers: Iterable[tuple[date, list[str]]]) -> int:
    """Fetch each day's delivery from a server that answers with it; returns how many records."""
    settings = load_settings().model_copy(update={"landing": landing.absolute()})
    api, fetched = PeopleApi(), 0
    source = asking(read_registry(settings.project).source("users"), api.url)
    with api.served():
        for day, api.records in answers:
            fetched += extract_source(settings, source, moment_of(day)).records
    return fetched


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n"
            "  python data/samples/people.py --landing data/landing\n"
            "      the deliveries of the demo: 5 days of 3,000 persons\n"
            "  python data/samples/people.py --serve 8095\n"
            "      the server alone: http://127.0.0.1:8095/api/?results=500&page=1\n"
        ),
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--landing",
        type=Path,
        metavar="DIR",
        help="the landing zone; the files go into its folder users",
    )
    target.add_argument("--serve", type=int, metavar="PORT", help="be the server, with all persons")
    parser.add_argument(
        "--seed", type=int, default=7, help="another seed, other persons (default: 7)"
    )
    parser.add_argument(
        "--persons", type=int, default=3000, help="how many persons in all (default: 3000)"
    )
    parser.add_argument(
        "--days", type=int, default=5, help="how many days, a file each (default: 5)"
    )
    parser.add_argument(
        "--end-date",
        type=date.fromisoformat,
        default=END_DATE,
        metavar="YYYY-MM-DD",
        help=f"the last day (default: {END_DATE})",
    )
    parser.add_argument(
        "--broken", type=int, default=0, help="how many more that cannot be loaded (default: 0)"
    )
    options = parser.parse_args(arguments)
    for name in ("persons", "days"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the deliveries and say how many, or be the server."""
    options = _parse_arguments(arguments)
    answers = generate(
        options.seed, options.persons, options.days, options.end_date, options.broken
    )
    if options.serve is not None:
        api = PeopleApi(options.serve)
        api.records = [record for _, records in answers for record in records]
        print(f"{len(api.records):,} records at {api.url}", flush=True)
        api.serve_forever()
        return
    started = time.perf_counter()
    fetched = fetch(options.landing, answers)
    print(f"{fetched:,} records in {options.landing} ({time.perf_counter() - started:.1f} s)")


if __name__ == "__main__":
    main()
