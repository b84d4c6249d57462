"""The trigger over real folders: when it fires, what it survives, and that one scan is enough."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager

from sluice.landing import quiet_folders
from sluice.landing.local_store import LocalStore
from sluice.landing.zone import Listing
from sluice.orchestration import scan as scan_module
from sluice.orchestration import trigger as trigger_module
from sluice.orchestration.scan import LandingZoneScan, Look
from sluice.orchestration.trigger import LandingZoneTrigger
from sluice.settings import Settings, StorageUrl
from tests.orchestration.conftest import RegistryFiles

# Many polls of 0.02 s: long enough for what must come, and for what must not.
PATIENCE_SECONDS = 5.0
SILENCE_SECONDS = 0.3


@pytest.fixture
def landing(
    registry_files: RegistryFiles, as_environment: Callable[[Settings], None]
) -> RegistryFiles:
    registry_files.pipeline("shop", "orders", "customers")
    as_environment(registry_files.settings)
    return registry_files


class Events:
    """Collects the events of some triggers that share their stream, as the triggerer does."""

    def __init__(self, *sources: str) -> None:
        self.manager = SharedStreamManager()
        self.queue: asyncio.Queue[TriggerEvent] = asyncio.Queue()
        self.tasks = [
            asyncio.create_task(self._collect(number, LandingZoneTrigger(source=source)))
            for number, source in enumerate(sources)
        ]

    async def _collect(self, number: int, trigger: LandingZoneTrigger) -> None:
        stream = self.manager.subscribe(
            trigger_id=number, trigger=trigger, key=trigger.shared_stream_key()
        )
        async for event in trigger.filter_shared_stream(stream):
            await self.queue.put(event)

    async def next(self) -> dict[str, Any]:
        event = await asyncio.wait_for(self.queue.get(), PATIENCE_SECONDS)
        payload: dict[str, Any] = event.payload
        return payload

    async def silence(self) -> None:
        await asyncio.sleep(SILENCE_SECONDS)
        assert self.queue.empty()
        assert not any(task.done() for task in self.tasks)


def watched(test: Callable[[Events], Awaitable[None]], *sources: str) -> None:
    """Run a test while triggers for these sources run."""

    async def run() -> None:
        events = Events(*sources)
        try:
            await test(events)
        finally:
            for task in events.tasks:
                task.cancel()
            await events.manager.stop_all()

    asyncio.run(run())


def test_each_delivery_is_announced_once_to_its_own_source(landing: RegistryFiles) -> None:
    async def test(events: Events) -> None:
        await events.silence()
        landing.drop("orders", "a.csv")
        assert await events.next() == {"source": "orders", "deliveries": 1}
        await events.silence()
        landing.drop("orders", "b.csv")
        assert await events.next() == {"source": "orders", "deliveries": 2}
        landing.drop("customers", "a.csv")
        assert await events.next() == {"source": "customers", "deliveries": 1}
        await events.silence()

    watched(test, "orders", "customers")


def test_a_file_that_changes_is_announced_again(landing: RegistryFiles) -> None:
    path = landing.drop("orders", "a.csv")

    async def test(events: Events) -> None:
        await events.next()
        path.write_text("id\n1\n2\n")
        assert await events.next() == {"source": "orders", "deliveries": 1}

    watched(test, "orders")


def test_a_file_that_is_still_written_is_not_announced(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SETTLE_SECONDS", "0.4")

    async def test(events: Events) -> None:
        path = landing.drop("orders", "a.csv")
        written = time.monotonic()
        while time.monotonic() < written + 1:
            path.write_text(path.read_text() + "2\n")
            await asyncio.sleep(0.05)
        assert events.queue.empty()
        assert await events.next() == {"source": "orders", "deliveries": 1}

    watched(test, "orders")


def test_what_still_lies_there_is_announced_again_after_a_while(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_module, "ANNOUNCE_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(trigger_module, "REPEAT_SECONDS", 0.05)
    path = landing.drop("orders", "a.csv")

    async def test(events: Events) -> None:
        await events.next()
        started = time.monotonic()
        await events.next()
        await events.next()
        assert time.monotonic() - started >= 0.3
        path.unlink()
        await asyncio.sleep(0.1)
        while not events.queue.empty():
            events.queue.get_nowait()
        await events.silence()

    watched(test, "orders")


def test_a_trigger_that_joins_late_learns_what_lies_there(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_module, "REPEAT_SECONDS", 0.1)
    landing.drop("orders", "a.csv")
    landing.drop("customers", "a.csv")

    async def test(events: Events) -> None:
        assert (await events.next())["source"] == "orders"
        await events.silence()
        late = asyncio.create_task(events._collect(7, LandingZoneTrigger(source="customers")))
        assert await events.next() == {"source": "customers", "deliveries": 1}
        late.cancel()

    watched(test, "orders")


def test_one_scan_serves_all_triggers(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[LandingZoneScan] = []

    class CountedScan(LandingZoneScan):
        def look(self) -> Look:
            scans.append(self)
            return super().look()

    monkeypatch.setattr(trigger_module, "LandingZoneScan", CountedScan)

    async def test(events: Events) -> None:
        landing.drop("orders", "a.csv")
        await events.next()
        landing.drop("customers", "a.csv")
        await events.next()

    watched(test, "orders", "customers")
    assert len({id(scan) for scan in scans}) == 1


def test_an_unreadable_folder_and_a_vanished_zone_are_survived(
    landing: RegistryFiles, caplog: pytest.LogCaptureFixture
) -> None:
    zone = landing.settings.landing
    zone.mkdir(exist_ok=True)
    (zone / "customers").symlink_to("customers")  # a loop: nobody can list it, not even root

    async def test(events: Events) -> None:
        landing.drop("orders", "a.csv")
        assert (await events.next())["source"] == "orders"
        shutil.rmtree(zone)
        await events.silence()
        landing.drop("orders", "b.csv")
        assert (await events.next())["source"] == "orders"
        landing.drop("customers", "a.csv")
        assert (await events.next())["source"] == "customers"

    caplog.set_level("INFO", "sluice.orchestration.scan")
    watched(test, "orders", "customers")
    messages = [record.getMessage() for record in caplog.records]
    loop = "the folder of source customers cannot be read: Too many levels of symbolic links"
    assert messages.count(f"{loop}; it is tried again") == 1
    assert messages.count("the folder of source customers can be read again") == 1
    assert f"{zone} is not there; it is tried again" in messages
    assert f"{zone} can be read again" in messages


def test_a_fault_of_the_scan_does_not_end_the_stream(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([RuntimeError("unheard of")])

    class FaultyScan(LandingZoneScan):
        def look(self) -> Look:
            for fault in faults:
                raise fault
            return super().look()

    monkeypatch.setattr(trigger_module, "LandingZoneScan", FaultyScan)
    monkeypatch.setattr(trigger_module, "_AFTER_A_FAULT_SECONDS", 0.05)
    landing.drop("orders", "a.csv")

    async def test(events: Events) -> None:
        assert (await events.next())["source"] == "orders"

    watched(test, "orders")
    assert list(faults) == []


def test_a_source_that_is_added_is_watched(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.orchestration.scan.REGISTRY_SECONDS", 0.05)

    async def test(events: Events) -> None:
        landing.drop("articles", "a.csv")
        await events.silence()
        landing.source("articles")
        assert await events.next() == {"source": "articles", "deliveries": 1}

    watched(test, "orders", "articles")


def test_a_slow_scan_does_not_hold_up_other_triggers(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowScan(LandingZoneScan):
        def look(self) -> Look:
            time.sleep(0.3)
            return super().look()

    monkeypatch.setattr(trigger_module, "LandingZoneScan", SlowScan)
    landing.drop("orders", "a.csv")

    async def test(events: Events) -> None:
        longest, last = 0.0, time.monotonic()
        while events.queue.empty():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < 0.25

    watched(test, "orders")


def test_a_costly_scan_is_made_less_often(landing: RegistryFiles) -> None:
    scan = LandingZoneScan(landing.settings.model_copy(update={"poll_seconds": 0.5}))

    assert trigger_module._pause(scan, Look({}, is_settling=False), 0.001) == 0.5
    assert trigger_module._pause(scan, Look({}, is_settling=True), 0.001) == 0.125
    assert trigger_module._pause(scan, Look({}, is_settling=True), 1.0) == pytest.approx(19)


def test_a_look_that_waits_for_a_core_is_not_a_costly_one(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Listing()

    def wait(*_: object) -> Listing:
        time.sleep(0.2)
        return listing

    monkeypatch.setattr(scan_module, "list_folders", wait)
    assert 0.01 <= LandingZoneScan(landing.settings).look().cost_seconds < 0.1
    # An object store's client works in threads of its own: there is only the clock.
    bucket = landing.settings.model_copy(update={"landing": StorageUrl("s3", "lake", "bucket")})
    assert LandingZoneScan(bucket).look().cost_seconds >= 0.2


def test_of_many_folders_those_that_are_empty_are_not_listed_each_time(
    landing: RegistryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"app_{number}" for number in range(5)]
    landing.pipeline("apps", *names)
    monkeypatch.setattr(quiet_folders, "LISTED_ALWAYS", 1)
    monkeypatch.setattr(quiet_folders, "TICK_SECONDS", 0.1)
    monkeypatch.setattr(quiet_folders, "LISTED_AFTER_SECONDS", PATIENCE_SECONDS)
    looks: list[int] = []
    listed = LocalStore.listed

    def counted(store: LocalStore, folders: Collection[str]) -> Any:
        looks.append(len(folders))
        return listed(store, folders)

    monkeypatch.setattr(LocalStore, "listed", counted)

    async def test(events: Events) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while looks[-1:] != [1]:
                await asyncio.sleep(0.02)
        assert looks[0] > 5
        for name in names:
            landing.drop(name, "a.csv")
            assert await events.next() == {"source": name, "deliveries": 1}

    watched(test, *names)


def test_a_trigger_runs_alone_as_well(landing: RegistryFiles) -> None:
    landing.drop("orders", "a.csv")

    async def run() -> Any:
        stream: AsyncIterator[TriggerEvent] = LandingZoneTrigger(source="orders").run()
        async with contextlib.aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                return event.payload
        return None

    payload = asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))
    assert payload == {"source": "orders", "deliveries": 1}
