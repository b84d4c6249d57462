"""What the page knows of its instance beside the ledger: the registry and the landing zone."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from psycopg import Connection

from sluice.errors import ConfigError
from sluice.landing.zone import Listing, list_deliveries
from sluice.loading.pending import keeping_sources, without_kept
from sluice.orchestration.scan import CurrentRegistry
from sluice.registry import Registry, Source
from sluice.settings import Settings
from sluice.warehouse.connections import connect

# How long a view waits for the landing zone, and how long what was seen there is good enough.
PATIENCE_SECONDS = 1.5
GOOD_FOR_SECONDS = 2.0


class ObserverRefusedError(ConfigError):
    """The warehouse refuses the role that the page reads it as: no view has anything to show."""


@dataclass(frozen=True)
class Look:
    """What was last seen in the landing zone.

    Attributes:
        listing: what lay there; None where it could not be listed.
        problem: why not, or why it is an old one; empty where all is well.
        seen_at: when, on the monotonic clock.
    """

    listing: Listing | None
    problem: str = ""
    seen_at: float = 0.0


@dataclass
class Instance:
    """One instance, for all requests.

    A landing zone that does not answer, such as a network's that is away, keeps one thread waiting
    and no view.
    """

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _current: CurrentRegistry = field(init=False)
    _look: Look = Look(None)
    _looking: threading.Thread | None = None

    def __post_init__(self) -> None:
        """Read nothing yet."""
        self._current = CurrentRegistry(self.settings.project)

    def connect(self) -> Connection:
        """A connection as the role that may read the ledger and nothing else.

        Raises:
            RetriableError: the warehouse is away.
            ObserverRefusedError: it refuses the role.
        """
        try:
            return connect(
                self.settings, "observer", application_name="sluice page", autocommit=True
            )
        except ConfigError as error:
            raise ObserverRefusedError(error.message, error.remedy) from error

    def registry(self) -> Registry:
        """The registry as it is now; read again when a file has changed."""
        return self._current.read()

    def look(self) -> Look:
        """The landing zone as it is now, or as it was when it last answered."""
        sources = tuple(self.registry().sources.values())
        with self._lock:
            if time.monotonic() - self._look.seen_at < GOOD_FOR_SECONDS and self._look.listing:
                return self._look
            if self._looking is None or not self._looking.is_alive():
                self._looking = threading.Thread(
                    target=self._list, args=(sources,), name="landing zone", daemon=True
                )
                self._looking.start()
            thread = self._looking
        thread.join(PATIENCE_SECONDS)
        if not thread.is_alive():
            return self._look
        age = time.monotonic() - self._look.seen_at
        if self._look.listing is None:
            return Look(None, f"has not answered for {PATIENCE_SECONDS} s")
        return Look(self._look.listing, f"does not answer; this is {age:.0f} s old")

    def _list(self, sources: tuple[Source, ...]) -> None:
        try:
            listing = list_deliveries(self.settings, sources)
            keeping = keeping_sources(sources)
            if keeping:
                with self.connect() as connection:
                    listing = without_kept(connection, listing, keeping)
        except Exception as error:  # an object store's client has its own kinds, by the store
            self._look = Look(None, f"cannot be listed: {error}")
        else:
            self._look = Look(listing, seen_at=time.monotonic())
