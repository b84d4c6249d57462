"""What a pipeline may say of who is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.registry import load_registry, read_registry
from sluice.registry.notify import EVENTS
from tests.registry.test_reading_pipelines import write


def test_all_but_publications_are_told_where_nothing_is_said(tmp_path: Path) -> None:
    line = "sources: [orders]\nnotify: [{connection: ops-mail.1}, {connection: b, events: [held]}]"
    mail, other = load_registry(write(tmp_path, shop=line)).pipeline("shop").notify
    assert set(mail.events) == set(EVENTS) - {"published"}
    assert other.events == ("held",)


@pytest.mark.parametrize(
    ("notify", "words"),
    [
        ("[{conection: a}]", "notify.0.conection: conection is not a key here"),
        ("[{conection: a}]", "Did you mean connection?"),
        ("[{connection: a, events: [rejects]}]", "Did you mean rejected?"),
        ("[{connection: a, events: []}]", "notify.0.events"),
        ("[{connection: a}, {connection: a}]", "a is named more than once"),
        (
            "[{connection: 'mailto://joe:secret@example'}]",
            "is no name of an Airflow connection",
        ),
    ],
)
def test_what_means_nothing_is_a_problem_and_an_address_is_not_repeated(
    tmp_path: Path, notify: str, words: str
) -> None:
    registry = read_registry(write(tmp_path, shop=f"sources: [orders]\nnotify: {notify}"))
    said = "\n".join(map(str, registry.problems))
    assert words in said
    assert "secret" not in said
