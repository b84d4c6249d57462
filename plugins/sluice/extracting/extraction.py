"""One extraction: all pages of an API into one delivery, whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from sluice.errors import ConfigError, DeliveryError, RetriableError
from sluice.extracting.credentials import find_credentials
from sluice.extracting.pages import read_pages
from sluice.extracting.requests import Api, shown
from sluice.landing.zone import landing_store
from sluice.registry import Source
from sluice.registry.extract import Extract
from sluice.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extraction:
    """What an extraction brought.

    Attributes:
        source: the source's name.
        file_name: its delivery; None where there was no record, and so nothing to deliver.
        records: how many it has.
        pages: how many pages had records.
        requests: how many requests were sent, repetitions among them.
        bytes: how large the delivery is.
        place: where it lies, or would lie.
    """

    source: str
    file_name: str | None
    records: int
    pages: int
    requests: int
    bytes: int
    place: str


class _NoRecordsError(Exception):
    """Leaves the block that writes the delivery, so that none appears."""


@dataclass
class _Tally:
    """What has come so far."""

    records: int = 0
    pages: int = 0
    bytes: int = 0


def delivery_name(source: Source, moment: datetime) -> str:
    """The file's name: the source and the moment, to the second, in UTC.

    The same extraction repeated has the same name, so what it brings then is a correction.
    """
    return f"{source.name}_{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}.jsonl"


def extract_source(
    settings: Settings,
    source: Source,
    moment: datetime,
    *,
    tell: Callable[[str], None] | None = None,
) -> Extraction:
    """Fetch all records of a source's API and deliver them into its landing folder.

    An API without a record delivers nothing: a source that is replaced by each delivery does not
    become empty because an API was.

    Args:
        settings: the instance.
        source: a source with ``extract``.
        moment: the one that the delivery is named by, with a timezone.
        tell: called with a few words at each page, for progress.

    Raises:
        ConfigError: the source has no ``extract``; or its address or login has to be mended.
        DeliveryError: the API's answers are not what was agreed.
        RetriableError: the API could not be asked, or the delivery could not be written.
    """
    extract = source.extract
    if extract is None:
        raise ConfigError(
            f"Source {source.name} has no extract block: its files are dropped by somebody.",
            "docs/extract.md says how to write one.",
        )
    api = Api(extract, find_credentials(settings, source))
    name = delivery_name(source, moment)
    key = f"{source.landing_path}/{name}"
    store = landing_store(settings)
    tally = _Tally()
    delivered: str | None = None
    try:
        with store.new_file(key) as file:
            asyncio.run(_write(extract, api, file, tally, tell or (lambda _: None)))
        delivered = name
        logger.info("%s: %s records delivered as %s", source.name, tally.records, name)
    except _NoRecordsError:
        logger.warning("%s: %s has no records", source.name, shown(extract.url))
    except OSError as error:
        raise RetriableError(
            f"{store.shown(key)} cannot be written: {error.strerror or error}.",
            "Look at the rights of the folder, and at the space that is left.",
        ) from error
    return Extraction(
        source.name,
        delivered,
        tally.records,
        tally.pages,
        api.requests,
        tally.bytes,
        store.shown(key),
    )


async def _write(
    extract: Extract, api: Api, file: BinaryIO, tally: _Tally, tell: Callable[[str], None]
) -> None:
    """Write all records, a line each, counting them."""
    async with api, aclosing(read_pages(extract, api)) as pages:
        async for page in pages:
            tally.bytes += sum(map(len, page.records)) + len(page.records)
            if tally.bytes > extract.max_delivery_bytes:
                raise DeliveryError(
                    f"{shown(extract.url)} gives more than {extract.max_delivery_bytes:,} bytes.",
                    code="too_large",
                    remedy="Fetch less at once, or raise extract.max_delivery_bytes.",
                )
            file.writelines(record + b"\n" for record in page.records)
            tally.pages += 1
            tally.records += len(page.records)
            tell(f"{tally.records:,} records in {tally.pages} pages")
    if not tally.records:
        raise _NoRecordsError
