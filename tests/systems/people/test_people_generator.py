"""The generator of answers: repeatable, with the dirt that it promises; the server's shape."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from data.samples.people import END_DATE, PeopleApi, generate, main, moment_of


def test_the_same_seed_makes_the_same_records_and_another_one_others() -> None:
    assert list(generate(3, persons=50, days=4)) == list(generate(3, persons=50, days=4))
    assert list(generate(3, persons=50, days=4)) != list(generate(4, persons=50, days=4))


def test_records_have_the_shape_and_the_dirt_of_real_ones() -> None:
    seen: Counter[str] = Counter()
    uuids: Counter[str] = Counter()
    streets: Counter[str] = Counter()
    for day, records in generate(persons=3000):
        today: Counter[str] = Counter()
        for record in map(json.loads, records):
            uuid = record["login"]["uuid"].lower()
            today[uuid] += 1
            uuids[uuid] += 1
            streets[json.dumps(record["location"]["street"])] += 1
            for key in ("gender", "nat"):
                seen[f"{key}={record[key]}"] += 1
            born = record["dob"].get("date")
            seen[f"born {'ahead' if born and born[:4] > str(day.year) else bool(born)}"] += 1
            seen[f"postcode {type(record['location']['postcode']).__name__}"] += 1
            seen[f"coordinates {'coordinates' in record['location']}"] += 1
            seen[f"id {type(record['id']['value']).__name__}"] += 1
            assert {"username", "password", "salt", "md5", "sha1", "sha256"} < record[
                "login"
            ].keys()
        seen["twice a day"] += sum(count > 1 for count in today.values())
    seen["changed"] = sum(count > 1 for count in uuids.values())
    seen["households"] = sum(count > 1 for count in streets.values())
    for kind in (
        *("gender=female", "gender=Female", "gender= male ", "gender=", "gender=None"),
        *("nat=DE", "nat=de", "nat= gb", "nat=None"),
        *("born True", "born False", "born ahead"),
        *("postcode int", "postcode str", "postcode NoneType", "coordinates False"),
        *("id str", "id NoneType", "twice a day", "changed", "households"),
    ):
        assert seen[kind] > 0, kind


def test_broken_records_come_on_top() -> None:
    clean = sum(len(records) for _, records in generate(5, persons=50, days=1))
    broken = sum(len(records) for _, records in generate(5, persons=50, days=1, broken=9))
    assert broken == clean + 9


def test_the_server_answers_in_pages() -> None:
    api = PeopleApi()
    with api.served():
        api.records = [json.dumps({"number": number}) for number in range(5)]
        status, body = api.answer("/api/?results=2&page=3&seed=abc")
        document = json.loads(body)
        assert status == 200
        assert document["results"] == [{"number": 4}]
        assert document["info"] == {"seed": "abc", "results": 1, "page": 3}
        assert json.loads(api.answer("/api/?results=2&page=4")[1])["results"] == []
        assert json.loads(api.answer("/api/")[1])["results"] == [{"number": 0}]
        assert api.answer("/other")[0] == api.answer("/api/?page=x")[0] == 404


def test_the_program_fetches_a_delivery_a_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--landing", str(tmp_path), "--persons", "90", "--days", "2", "--seed", "1"])
    days = (END_DATE - timedelta(days=1), END_DATE)
    found = sorted(path.name for path in (tmp_path / "users").iterdir())
    assert found == [f"users_{moment_of(day):%Y%m%dT%H%M%SZ}.jsonl" for day in days]
    lines = [line for path in tmp_path.glob("users/*") for line in path.read_text().splitlines()]
    assert f"{len(lines)} records" in capsys.readouterr().out
    for options in (["--persons", "0"], ["--days", "0"], ["--serve", "1", "--landing", "x"]):
        with pytest.raises(SystemExit):
            main(["--landing", str(tmp_path), *options])
