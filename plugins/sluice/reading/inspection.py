"""A file as it would be read, without a database: what ``sluice inspect`` shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sluice.errors import ConfigError, DeliveryError, printable
from sluice.landing.archives import members_of
from sluice.landing.compression import Compression, Limits
from sluice.landing.content import DeliveryContent
from sluice.landing.zone import Delivery, local_delivery
from sluice.reading import needs_seeking, open_reader
from sluice.reading.csv_dialect import DETECTION_BYTES, Detected, detect
from sluice.reading.csv_records import CsvReader
from sluice.reading.records import Reader
from sluice.registry import Column, CsvDialect, SchemaContract, Source
from sluice.registry.delivery_names import archive_of
from sluice.registry.encodings import Encoding
from sluice.registry.formats import Format

# Of a source made up for a file that none is declared for; no file names a column so.
NO_COLUMN = "no_column_is_declared"

# How JSON goes on after its first bracket; a delimited file may begin with a bracket too.
JSON_STARTS = {b"{": (b'"', b"}"), b"[": (b"{", b"[", b"]")}

# Spreadsheets are zip archives with these names, or with one of these as their first member.
SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".ods")
SPREADSHEET_MEMBERS = (b"[Content_Types].xml", b"mimetype", b"_rels/.rels")
ZIP = b"PK\x03\x04"
ZIP_NAME_OFFSET = 30
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# What stands between an archive's path and a member's name.
MEMBER_MARK = "!"


@dataclass(frozen=True)
class OpenedFile:
    """A file, ready to be read.

    Attributes:
        format: its format.
        compression: how it is compressed; None where it is not.
        detected: how it is written; None where that is declared, or it is no delimited file.
        reader: its records.
        skipped_names: how many of the reader's first names are none of the file's.
    """

    format: Format
    compression: Compression | None
    detected: Detected | None
    reader: Reader
    skipped_names: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its fields."""
        return self.reader.names[self.skipped_names :]


def find_file(name: str, source: Source | None, limits: Limits) -> Delivery:
    """A file of this machine, or a member of an archive: ``archive.zip!member.csv``.

    An archive with a single member stands for that member.

    Args:
        name: the path.
        source: its declaration; None where there is none.
        limits: what it may unpack to.

    Raises:
        ConfigError: there is no such file.
        DeliveryError: the archive cannot be used, or has no such member.
    """
    path, member = Path(name), ""
    if not path.exists() and MEMBER_MARK in name:
        archive, _, member = name.partition(MEMBER_MARK)
        path = Path(archive)
    _check_file(path)
    delivery = local_delivery(path, source.name if source else "")
    if not member and _is_spreadsheet(delivery):
        return delivery
    members = members_of(delivery, source or _made_up("csv", None), limits)
    if members is None:
        if member:
            raise DeliveryError(f"{path.name} is no zip archive.", code="bad_compression")
        return delivery
    named = {_member_name(each): each for each in members}
    if member in named:
        return named[member]
    if member or len(members) > 1:
        raise DeliveryError(
            f"The archive has {len(named)} members: {', '.join(sorted(named)[:20])}.",
            code="no_such_member",
            remedy=f"Name one of them: {path.name}{MEMBER_MARK}{next(iter(named))}",
        )
    return members[0]


def _check_file(path: Path) -> None:
    name = printable(str(path))
    if path.is_dir():
        raise ConfigError(f"{name} is a folder.", "Name a file in it.")
    if not path.exists():
        raise ConfigError(f"There is no file {name}.", "Correct the path.")
    if not path.is_file():
        raise ConfigError(
            f"{name} is a pipe or a device, and no file.",
            "Write what it gives to a file: a file is read more than once.",
        )


def open_file(
    content: DeliveryContent,
    name: str,
    *,
    source: Source | None = None,
    format_: Format | None = None,
    dialect: CsvDialect | None = None,
    encoding: Encoding | None = None,
    names: tuple[str, ...] | None = None,
) -> OpenedFile:
    """Open a file as its declaration says, or as it looks.

    Args:
        content: its content, entered.
        name: its name, whose ending is asked where the content does not tell the format.
        source: its declaration; None for a file that none is declared for.
        format_: its format, where there is no declaration; None to see it by the content.
        dialect: its dialect, where there is no declaration; None for ``auto``.
        encoding: its encoding, where there is no declaration; None for ``auto``.
        names: the names of a delimited file's fields, where it does not name them itself.

    Raises:
        DeliveryError: the file cannot be read at all.
        ConfigError: the format needs a declaration.
    """
    taken = source.format if source else format_ or _format_of(content.head(DETECTION_BYTES), name)
    if source is None and taken in ("csv", "tsv"):
        return _open_delimited(content, taken, dialect, encoding, names)
    declared = source or _made_up(taken, encoding)
    opener = partial(content.opener, seekable=needs_seeking(declared))
    reader = open_reader(opener, declared)
    skipped = int(source is None and reader.names[:1] == (NO_COLUMN,))
    return OpenedFile(taken, content.compression, None, reader, skipped)


def _open_delimited(
    content: DeliveryContent,
    format_: Format,
    dialect: CsvDialect | None,
    encoding: Encoding | None,
    names: tuple[str, ...] | None,
) -> OpenedFile:
    head = content.head(DETECTION_BYTES)
    delimiter = "\t" if format_ == "tsv" else ","
    if dialect is not None and dialect.delimiter is None:
        dialect = dialect.model_copy(update={"delimiter": delimiter})
    detected = detect(
        head,
        None,
        is_whole_file=len(head) < DETECTION_BYTES,
        dialect=dialect,
        encoding=None if encoding == "auto" else encoding,
        delimiter=delimiter,
    )
    reader = CsvReader(
        content.opener,
        detected.dialect,
        detected.encoding,
        names or detected.names,
        detected.notes,
    )
    return OpenedFile(format_, content.compression, detected, reader)


def _made_up(format_: Format, encoding: Encoding | None) -> Source:
    """A declaration that takes every field of a file as it comes."""
    if format_ == "fixed_width":
        raise ConfigError(
            "A fixed-width file says nothing of its columns.",
            "Declare them in a source, and name it with --source.",
        )
    is_text = format_ in ("jsonl", "json")
    return Source(
        name="inspected",
        description="",
        owner="",
        format=format_,
        encoding=(encoding or "auto") if is_text else "utf-8",
        columns={NO_COLUMN: Column(data_type="text")},
        schema_contract=SchemaContract(new_columns="evolve", missing_columns="evolve"),
    )


def _member_name(delivery: Delivery) -> str:
    archive = archive_of(delivery.file_name)
    return delivery.file_name if archive is None else delivery.file_name[len(archive) + 1 :]


def _is_spreadsheet(delivery: Delivery) -> bool:
    original = delivery.store.original(delivery.key, delivery.state)
    try:
        return _format_of(original.read_at(0, DETECTION_BYTES), delivery.key) == "excel"
    finally:
        original.close()


def _format_of(head: bytes, name: str) -> Format:
    """What a file is, by its content; where that says nothing, by its name."""
    if head.startswith(b"PAR1"):
        return "parquet"
    first_member = head[ZIP_NAME_OFFSET:] if head.startswith(ZIP) else b""
    if head.startswith(OLD_EXCEL) or first_member.startswith(SPREADSHEET_MEMBERS):
        return "excel"
    if head.startswith(ZIP) and name.lower().endswith(SPREADSHEETS):
        return "excel"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[1:].lstrip()[:1] in JSON_STARTS.get(start[:1], ()):
        first_line = start.split(b"\n", 1)[0]
        return "jsonl" if start[:1] == b"{" and _is_object(first_line) else "json"
    return "tsv" if ".tsv" in Path(name.lower()).suffixes else "csv"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
