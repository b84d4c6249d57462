"""What an ``extract`` block may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sluice.registry import Source, read_registry
from sluice.registry.problems import explain

SOURCE = {
    "name": "users",
    "description": "Users.",
    "owner": "crm",
    "format": "jsonl",
    "columns": {"id": {"data_type": "bigint"}},
}
URL = "https://api.example.org/users"


def problems(source: dict[str, Any]) -> list[str]:
    try:
        Source.model_validate(source)
    except ValidationError as error:
        return [f"{'.'.join(map(str, place))}: {say}" for place, say, _ in explain(error, Source)]
    return []


@pytest.mark.parametrize(
    "extract",
    [
        {"url": URL},
        {"url": URL, "schedule": None},
        {"url": URL, "schedule": "30 5 * * 1-5", "auth": {"connection": "crm", "type": "bearer"}},
        {"url": "http://127.0.0.1:8000/", "auth": {"connection": "crm"}},
        {"url": URL, "paginator": {"type": "offset", "limit": 100, "total_path": "meta.total"}},
    ],
)
def test_sound_blocks(extract: dict[str, Any]) -> None:
    assert problems({**SOURCE, "extract": extract}) == []


@pytest.mark.parametrize(
    ("extract", "said"),
    [
        ({"url": "ftp://example.org/"}, "must be an address such as"),
        ({"url": "https://"}, "must be an address such as"),
        ({"url": URL + "#part"}, "must be an address such as"),
        ({"url": URL + "?a=b c"}, "without blanks"),
        ({"url": "https://me:pa55word@example.org/"}, "holds a login"),
        ({"url": "http://example.org", "auth": {"connection": "crm"}}, "unencrypted"),
        ({"url": URL, "auth": {"connection": "crm", "name": "key"}}, "name is for type api_key"),
        ({"url": URL, "auth": {"connection": "../crm"}}, "is not a name"),
        ({"url": URL, "schedule": "daily"}, "cron expression"),
        ({"url": URL, "paginator": {"type": "cursor"}}, "needs cursor_path"),
        ({"url": URL, "paginator": {"type": "json_link"}}, "needs next_url_path"),
        ({"url": URL, "paginator": {"type": "offset"}}, "needs limit"),
        ({"url": URL, "paginator": {"limit": 5}}, "limit is for type page_number"),
        ({"url": URL, "paginator": {"type": "pages"}}, "'pages' is not allowed"),
        ({"url": URL, "requests_at_once": 0}, "greater than or equal to 1"),
        ({"url": URL, "retires": 3}, "retires is not a key here"),
    ],
)
def test_unsound_blocks(extract: dict[str, Any], said: str) -> None:
    (found,) = problems({**SOURCE, "extract": extract})
    assert said in found
    assert "pa55word" not in found


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"format": "csv"}, "needs format jsonl"),
        ({"encoding": "latin-1"}, "in UTF-8"),
        ({"file_glob": "*.json"}, "which file_glob refuses"),
    ],
)
def test_the_source_must_take_what_is_extracted(keys: dict[str, Any], said: str) -> None:
    (found,) = problems({**SOURCE, **keys, "extract": {"url": URL}})
    assert said in found


def test_a_pipeline_cannot_be_named_as_the_dag_that_fetches(tmp_path: Path) -> None:
    for folder in ("sources", "pipelines"):
        (tmp_path / "registry" / folder).mkdir(parents=True)
    source = {key: value for key, value in SOURCE.items() if key != "name"}
    (tmp_path / "registry/sources/users.yml").write_text(
        yaml.safe_dump({**source, "extract": {"url": URL}})
    )
    (tmp_path / "registry/pipelines/extract_users.yml").write_text(
        yaml.safe_dump({"description": "Users.", "owner": "crm", "sources": ["users"]})
    )
    (problem,) = read_registry(tmp_path).problems
    assert "is the DAG that fetches source users" in problem.message
