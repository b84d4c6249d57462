"""Publications that a person has to approve: which are held, what is decided, what gold shows."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection
from pydantic import ValidationError

from sluice.errors import ConfigError, HeldError, TransformError
from sluice.publishing import publish
from sluice.publishing.approval import (
    Difference,
    decide,
    exceeded,
    find_held,
    waiting_publication,
)
from sluice.registry.schedule import ApproveWhen
from sluice.settings import Settings
from tests.publishing.test_publication import Gold, values

FIVE = values("(1, 'ink')", "(2, 'pen')", "(3, 'pad')", "(4, 'cup')", "(5, 'jar')")
TWO_GO = values("(1, 'ink')", "(2, 'pencil')", "(3, 'pad')")
LIMIT = ApproveWhen(rows_deleted=1)


@pytest.fixture
def gold(settings: Settings, transformer: Connection, reader: Connection) -> Gold:
    transformer.autocommit = reader.autocommit = True
    gold = Gold(settings, transformer, reader)
    gold.publish(FIVE)
    return gold


def hold(gold: Gold, select: str = TWO_GO) -> int:
    """Build a candidate that exceeds the limit; the id of its transformation."""
    transformation = gold.candidate(select)
    with pytest.raises(HeldError, match="sales: 2 of 5 rows deleted, more than 1"):
        publish(gold.settings, "shop", transformation, LIMIT)
    return transformation


def test_what_exceeds_the_limits_changes_nothing_until_it_is_approved(gold: Gold) -> None:
    transformation = hold(gold)
    assert len(gold.rows()) == 5
    held = waiting_publication(gold.connection, "shop")
    assert held is not None
    assert held.transformation_id == transformation
    assert list(held.marts) == [Difference("sales", 5, 0, 1, 2, [])]
    assert gold.connection.execute("select count(*) from ops.publications").fetchone() == (1,)
    hold(gold)  # asked again, or built again, it waits again: with the same difference

    decided = decide(gold.connection, waiting(gold), "approved", "somebody")
    published = publish(gold.settings, "shop", decided.transformation_id, LIMIT)
    assert [change.rows_deleted for change in published.marts] == [2]
    assert gold.rows() == [(1, "ink"), (2, "pencil"), (3, "pad")]
    assert waiting_publication(gold.connection, "shop") is None
    found = find_held(gold.connection, decided.transformation_id)
    assert found is not None
    assert (found.decision, found.decided_by) == ("approved", "somebody")


def waiting(gold: Gold) -> Any:
    held = waiting_publication(gold.connection, "shop")
    assert held is not None
    return held


def test_what_was_refused_is_never_published(gold: Gold) -> None:
    transformation = hold(gold)
    held = waiting(gold)
    decide(gold.connection, held, "refused", "somebody")
    with pytest.raises(TransformError, match="somebody has refused the publication"):
        publish(gold.settings, "shop", transformation, LIMIT)
    assert len(gold.rows()) == 5
    with pytest.raises(ConfigError, match="Somebody else has decided"):
        decide(gold.connection, held, "approved", "another")


def test_a_decision_is_about_what_was_seen(gold: Gold) -> None:
    transformation = hold(gold)
    seen = waiting(gold)
    hold(gold, values("(1, 'ink')", "(4, 'cup')", "(5, 'jar')"))
    # The newer candidate waits for a decision of its own; the older one cannot be published.
    decide(gold.connection, seen, "approved", "somebody")
    with pytest.raises(HeldError, match="waits for approval"):
        publish(gold.settings, "shop", transformation, LIMIT)
    assert waiting(gold).transformation_id > transformation
    assert len(gold.rows()) == 5


def test_within_the_limits_nobody_is_asked(gold: Gold) -> None:
    transformation = gold.candidate(values("(1, 'ink')", "(2, 'pen')", "(3, 'pad')", "(4, 'cup')"))
    publish(gold.settings, "shop", transformation, LIMIT)
    assert len(gold.rows()) == 4
    assert find_held(gold.connection, transformation) is None


def test_a_changed_key_counts_as_the_rows_that_it_moves(gold: Gold) -> None:
    transformation = gold.candidate(FIVE, key=("product",))
    with pytest.raises(HeldError, match="5 of 5 rows deleted"):
        publish(gold.settings, "shop", transformation, LIMIT)
    columns = "select column_name from information_schema.key_column_usage"
    where = "where table_schema = 'gold' and table_name = 'sales'"
    assert gold.connection.execute(f"{columns} {where}").fetchall() == [("id",)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "difference", "words"),
    [
        ({"rows_changed": "20%"}, (10, 1, 1, 0), []),
        ({"rows_changed": "20%"}, (10, 1, 1, 1), ["m: 3 of 10 rows changed, more than 20%"]),
        ({"rows_deleted": 0}, (10, 5, 5, 0), []),
        ({"rows_deleted": 0}, (10, 0, 0, 1), ["m: 1 of 10 rows deleted, more than 0"]),
        ({"rows_updated": "0%"}, (10, 0, 1, 0), ["m: 1 of 10 rows updated, more than 0%"]),
        ({"rows_inserted": 1000}, (9999, 1001, 0, 0), ["m: 1,001 of 9,999 rows inserted,"]),
        # A percentage of nothing says nothing; a count does. A new mart is never held.
        ({"rows_changed": "20%"}, (0, 9, 0, 0), []),
        ({"rows_changed": 8}, (0, 9, 0, 0), ["m: 9 of 0 rows changed, more than 8"]),
        ({"rows_changed": 8}, (None, 9, 0, 0), []),
    ],
)
def test_limits_are_counts_or_percentages(
    limits: dict[str, Any], difference: tuple[Any, ...], words: list[str]
) -> None:
    found = exceeded(ApproveWhen.model_validate(limits), [Difference("m", *difference)])
    assert len(found) == len(words)
    assert all(said.startswith(word) for said, word in zip(found, words, strict=True))


@pytest.mark.parametrize(
    "limits", [{}, {"rows_changed": "a lot"}, {"rows_changed": -1}, {"rows_changed": "101%"}]
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApproveWhen.model_validate(limits)


def test_a_run_in_which_dbt_could_not_begin_ends_no_wait(gold: Gold) -> None:
    transformation = hold(gold)
    gold.transformation([], "failed")
    assert waiting(gold).transformation_id == transformation
