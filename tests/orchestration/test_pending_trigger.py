"""The trigger over the ledger: what it tells, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sluice.orchestration import pending_trigger
from sluice.orchestration.pending_trigger import PendingTrigger
from sluice.pipeline.untaken import Untaken
from sluice.settings import Settings
from tests.orchestration.conftest import RegistryFiles

ONE, TWO = "source orders 1", "source orders 2"


def told(*looks: Untaken) -> list[list[str]]:
    """What a trigger of the pipeline shop tells of these looks."""

    async def stream() -> AsyncIterator[Untaken]:
        for look in looks:
            yield look

    async def collect() -> list[list[str]]:
        events = PendingTrigger("shop").filter_shared_stream(stream())
        return [event.payload["waiting"] async for event in events]

    return asyncio.run(collect())


def test_each_is_told_once() -> None:
    shop = {"shop": frozenset([ONE])}
    assert told(shop, shop, {}, {"web": frozenset([ONE])}) == [[ONE]]
    assert told(shop, {"shop": frozenset([TWO])}, {}) == [[ONE], [TWO]]


def test_what_still_waits_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_trigger, "TELL_AGAIN_SECONDS", 0)
    shop = {"shop": frozenset([ONE])}
    assert told(shop, shop) == [[ONE], [ONE]]


def test_a_warehouse_that_is_away_is_asked_again(
    registry_files: RegistryFiles,
    as_environment: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    as_environment(registry_files.settings)
    answers: list[Exception | Untaken] = [OSError("away"), OSError("away"), {"shop": frozenset()}]

    def look(settings: Settings, _: object) -> Untaken:
        assert settings.project == registry_files.settings.project
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(pending_trigger, "_look", look)
    monkeypatch.setattr(pending_trigger, "LOOK_SECONDS", 0)

    async def first() -> Untaken:
        found: Untaken = await anext(PendingTrigger.open_shared_stream({}))
        return found

    assert asyncio.run(first()) == {"shop": frozenset()}
    assert [record.getMessage() for record in caplog.records] == [
        "the ledger cannot be asked: away; it is tried again"
    ]


def test_it_is_made_again_by_its_pipeline() -> None:
    path, keys = PendingTrigger("shop").serialize()
    assert path == "sluice.orchestration.pending_trigger.PendingTrigger"
    assert keys == {"pipeline": "shop"}
