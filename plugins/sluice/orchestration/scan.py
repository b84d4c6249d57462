"""One look at the landing zone for all sources: which settled deliveries lie there."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from sluice.errors import SluiceError
from sluice.landing.local_store import LocalStore
from sluice.landing.quiet_folders import QuietFolders
from sluice.landing.stores import Store
from sluice.landing.zone import (
    FileState,
    Listing,
    landing_store,
    list_folders,
    takers_by_folder,
)
from sluice.loading.pending import files_of, keeping_sources, leave_out
from sluice.registry import Registry, Source, read_registry
from sluice.settings import Settings
from sluice.warehouse.connections import connect
from sluice.warehouse.kept_files import FileInState, kept_among

logger = logging.getLogger(__name__)

# How often the registry's files are looked at: 1,000 of them cost 5 ms. Also how often
# the ledger is asked about files that stay.
REGISTRY_SECONDS = 2.0
# What a second of waiting for folders of this machine counts as, beside the core's own time: so a
# slow network disk is asked for half of the time at most, where a twentieth of a core is allowed.
WAITING_COSTS = 0.05

Waiting = Mapping[str, frozenset[tuple[str, FileState]]]


@dataclass(frozen=True)
class Look:
    """The landing zone at one moment.

    Attributes:
        waiting: the settled deliveries of each source that has any: name and state.
        is_settling: whether files lie there that may still be written.
        cost_seconds: how long a core was busy with it, as far as that can be known.
    """

    waiting: Waiting
    is_settling: bool
    cost_seconds: float = 0.0


@dataclass
class LandingZoneScan:
    """Looks at the landing zone again and again; one thread at a time.

    A folder that cannot be read is logged when that begins and when it ends, and keeps nobody from
    seeing the others. A changed registry is noticed within two seconds.
    """

    settings: Settings
    _current: CurrentRegistry = field(init=False)
    _staying: StayingFiles = field(init=False)
    _store: Store = field(init=False)
    _quiet: QuietFolders | None = field(init=False)
    _takers: Mapping[str, list[Source]] = field(default_factory=dict)
    _keeping: Collection[str] = ()
    _registry: Registry | None = None
    _registry_seen_at: float = 0.0
    _failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read nothing yet."""
        self._current = CurrentRegistry(self.settings.project)
        self._staying = StayingFiles(self.settings)
        self._store = store = landing_store(self.settings)
        self._quiet = QuietFolders(store) if isinstance(store, LocalStore) else None

    def look(self) -> Look:
        """Look at every folder once; never raises for what lies in the landing zone."""
        self.registry()
        busy, clock = time.thread_time(), time.monotonic()
        listing = list_folders(self.settings, self._store, self._takers, self._quiet)
        left = self._staying.left_of(listing, self._keeping)
        cost = self._cost(time.thread_time() - busy, time.monotonic() - clock)
        failures = {
            f"the folder of source {refusal.source}": refusal.reason
            for refusal in listing.refusals
            if not refusal.file_name  # the folder itself
        }
        if not self._store.is_there():
            failures[str(self.settings.landing)] = "is not there"
        self._log_changes(failures)
        waiting: dict[str, set[tuple[str, FileState]]] = defaultdict(set)
        for delivery in left.deliveries:
            waiting[delivery.source].add((delivery.file_name, delivery.state))
        return Look(
            {name: frozenset(files) for name, files in waiting.items()},
            is_settling=bool(listing.unsettled),
            cost_seconds=cost,
        )

    def _cost(self, busy_seconds: float, seconds: float) -> float:
        """What a look has cost.

        By the clock alone, a look that had to wait for a core counted as a dear one: on two busy
        cores one of 10 ms took 0.5 s, and the next one came 10 s later. An object store's client
        works in threads of its own, so the clock is all that there is.
        """
        return max(busy_seconds, seconds * WAITING_COSTS) if self._quiet else seconds

    def _log_changes(self, failures: dict[str, str]) -> None:
        for folder, reason in failures.items():
            if self._failures.get(folder) != reason:
                logger.warning("%s %s; it is tried again", folder, reason)
        for folder in self._failures.keys() - failures.keys():
            logger.info("%s can be read again", folder)
        self._failures = failures

    def registry(self) -> Registry:
        """The registry as it is now, or was two seconds ago."""
        now = time.monotonic()
        if self._registry and now < self._registry_seen_at + REGISTRY_SECONDS:
            return self._registry
        self._registry_seen_at = now
        registry = self._current.read()
        if registry is not self._registry:
            count = len(registry.sources)
            logger.info("watching %s sources below %s", count, self.settings.landing)
            self._registry = registry
            self._takers = takers_by_folder(registry.sources.values())
            self._keeping = keeping_sources(registry.sources.values())
        return registry


@dataclass
class StayingFiles:
    """Which files stay in the landing zone and were dealt with, from one look to the next.

    The ledger is asked about a file until it says so; a warehouse that is away leaves it waiting.
    """

    settings: Settings
    _known: frozenset[FileInState] = frozenset()
    _asked: frozenset[FileInState] = frozenset()
    _asked_at: float = 0.0

    def left_of(self, listing: Listing, keeping: Collection[str]) -> Listing:
        """The listing without them; those of the sources ``keeping`` are looked at."""
        files = files_of(listing, keeping)
        self._known &= files
        unknown = frozenset(files - self._known)
        now = time.monotonic()
        if unknown and (unknown - self._asked or now >= self._asked_at + REGISTRY_SECONDS):
            self._asked, self._asked_at = unknown, now
            try:
                with connect(self.settings, "loader", application_name="sluice watch") as session:
                    self._known |= kept_among(session, list(unknown))
            except (SluiceError, psycopg.Error) as error:
                logger.warning("the ledger cannot be asked for what was loaded: %s", error)
        return leave_out(listing, self._known)


@dataclass
class CurrentRegistry:
    """A project's registry, read again when a file of it has changed; for any number of threads."""

    project: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _registry: Registry | None = None
    _state: tuple[tuple[str, int, int], ...] = ()

    def read(self) -> Registry:
        """The registry as it is now; the same object as long as nothing has changed."""
        state = registry_state(self.project)
        with self._lock:
            if self._registry is None or state != self._state:
                self._registry = read_registry(self.project)
                self._state = state
            return self._registry


def registry_state(project: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells one state of the registry's files from another, without reading them."""
    found = []
    for kind in ("sources", "pipelines"):
        try:
            with os.scandir(project / "registry" / kind) as entries:
                for entry in entries:
                    status = entry.stat()
                    found.append((f"{kind}/{entry.name}", status.st_mtime_ns, status.st_size))
        except OSError:
            continue  # a file or folder that is just being replaced: another state, seen again
    return tuple(sorted(found))
