"""What is to be loaded: all that lies in the landing zone, but for files that stay there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from psycopg import Connection

from sluice.landing.zone import Delivery, Listing, list_deliveries
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse.kept_files import FileInState, kept_among


def list_pending(connection: Connection, settings: Settings, sources: Iterable[Source]) -> Listing:
    """List what has arrived for the sources and was not dealt with; see ``list_deliveries``.

    Args:
        connection: of a role that reads schema ops.
        settings: the instance.
        sources: whose deliveries.
    """
    sources = list(sources)
    listing = list_deliveries(settings, sources)
    return without_kept(connection, listing, keeping_sources(sources))


def keeping_sources(sources: Iterable[Source]) -> set[str]:
    """The sources whose files stay where they are."""
    return {source.name for source in sources if source.after_load == "keep"}


def without_kept(connection: Connection, listing: Listing, keeping: Collection[str]) -> Listing:
    """A listing without the files of some sources that stay where they are and have not changed."""
    files = files_of(listing, keeping)
    return leave_out(listing, kept_among(connection, list(files)) if files else set())


def files_of(listing: Listing, keeping: Collection[str]) -> set[FileInState]:
    """The files of some sources, as they were when they were listed."""
    return {_in_state(delivery) for delivery in listing.deliveries if delivery.source in keeping}


def leave_out(listing: Listing, kept: Collection[FileInState]) -> Listing:
    """A listing without these files."""
    if not kept:
        return listing
    deliveries = [delivery for delivery in listing.deliveries if _in_state(delivery) not in kept]
    return replace(listing, deliveries=deliveries)


def _in_state(delivery: Delivery) -> FileInState:
    return delivery.source, delivery.file_name, delivery.state.token
