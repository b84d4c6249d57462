"""One look at the landing zone for all sources: which settled deliveries lie there."""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sluice.landing.zone import FileState, landing_folder, list_deliveries
from sluice.registry import Source, read_registry
from sluice.settings import Settings

logger = logging.getLogger(__name__)

# How often the registry's files are looked at: 1,000 of them cost 5 ms.
REGISTRY_SECONDS = 2.0

Waiting = Mapping[str, frozenset[tuple[str, FileState]]]


@dataclass(frozen=True)
class Look:
    """The landing zone at one moment.

    Attributes:
        waiting: the settled deliveries of each source that has any: name and state.
        is_settling: whether files lie there that may still be written.
    """

    waiting: Waiting
    is_settling: bool


@dataclass
class LandingZoneScan:
    """Looks at the landing zone again and again; one thread at a time.

    A folder that cannot be read is logged when that begins and when it ends, and keeps nobody from
    seeing the others. A changed registry is noticed within two seconds.
    """

    settings: Settings
    _folders: dict[Path, list[Source]] = field(default_factory=dict)
    _registry_state: tuple[tuple[str, int, int], ...] | None = None
    _registry_seen_at: float = 0.0
    _failures: dict[Path, str] = field(default_factory=dict)

    def look(self) -> Look:
        """List every folder once; never raises for what lies in the landing zone."""
        self._refresh_registry()
        self._note(self.settings.landing, self._missing_zone())
        waiting: dict[str, set[tuple[str, FileState]]] = defaultdict(set)
        is_settling = False
        for folder, sources in self._folders.items():
            try:
                listing = list_deliveries(self.settings, sources)
            except OSError as error:
                self._note(folder, error.strerror or str(error))
                continue
            self._note(folder, None)
            is_settling = is_settling or bool(listing.unsettled)
            for delivery in listing.deliveries:
                waiting[delivery.source].add((delivery.file_name, delivery.state))
        return Look({name: frozenset(files) for name, files in waiting.items()}, is_settling)

    def _missing_zone(self) -> str | None:
        return None if self.settings.landing.is_dir() else "it is not there"

    def _note(self, folder: Path, failure: str | None) -> None:
        """Log a folder that can no longer be read, or can again: once each."""
        before = self._failures.pop(folder, None)
        if failure is not None:
            self._failures[folder] = failure
        if failure == before:
            return
        if failure is None:
            logger.info("%s can be read again", folder)
        else:
            logger.warning("%s cannot be read: %s; it is tried again", folder, failure)

    def _refresh_registry(self) -> None:
        now = time.monotonic()
        if self._registry_state is not None and now < self._registry_seen_at + REGISTRY_SECONDS:
            return
        self._registry_seen_at = now
        state = registry_state(self.settings.project)
        if state == self._registry_state:
            return
        by_folder: dict[Path, list[Source]] = defaultdict(list)
        for source in read_registry(self.settings.project).sources.values():
            by_folder[landing_folder(self.settings, source)].append(source)
        self._folders = dict(by_folder)
        self._registry_state = state
        logger.info("watching %s folders below %s", len(by_folder), self.settings.landing)


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
