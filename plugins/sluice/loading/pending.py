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
    files = [in_state(delivery) for delivery in listing.deliveries if delivery.source in keeping]
    kept = kept_among(connection, files) if files else set()
    deliveries = [delivery for delivery in listing.deliveries if in_state(delivery) not in kept]
    return replace(listing, deliveries=deliveries) if kept else listing


def in_state(delivery: Delivery) -> FileInState:
    """A file as it was when it was listed."""
    return delivery.source, delivery.file_name, delivery.state.token
