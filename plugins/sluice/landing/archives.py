"""Zip archives: each member is a delivery of its own, read in place and never extracted.

What an archive's directory says is a sender's word: sizes, counts and places are held to caps and
to each other before a byte is unpacked, and to the bytes while they are.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zipfile
from collections import Counter
from dataclasses import replace

from sluice.errors import DeliveryError
from sluice.landing.compression import MEMBER_METHODS, Limits
from sluice.landing.names import LONGEST_NAME
from sluice.landing.stores import Original
from sluice.landing.streams import Window
from sluice.landing.zone import Delivery, Member
from sluice.registry import Source
from sluice.registry.delivery_names import ledger_name, member_name

# An archive begins with a member or, where it has none, with the end of its directory.
_MAGIC = (b"PK\3\4", b"PK\5\6")

# The end of the directory, and what a zip64 archive has before it: APPNOTE 4.3.14 to 4.3.16.
_END = struct.Struct("<4s6xHLL2x")
_LOCATOR = struct.Struct("<4s4xQ4x")
_END_64 = struct.Struct("<4s28xQQ8x")
_LONGEST_COMMENT = 1 << 16

# A member's line in the directory, generously: the directory is held in memory.
_DIRECTORY_BYTES_A_MEMBER = 1 << 10

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF_8 = 0x800
_LOCAL_HEADER_BYTES = 30

_OFFICE = {"[Content_Types].xml", "mimetype"}


def members_of(delivery: Delivery, source: Source, limits: Limits) -> list[Delivery] | None:
    """The deliveries in an archive, in the order of its directory.

    Members that are hidden (names that begin with a dot, and ``__MACOSX/``) are passed over. What
    may not be read, such as a member in a folder of the archive, is a delivery with a refusal.
    Where the archive itself cannot be used, it is the only delivery, with a refusal.

    Returns:
        None where the delivery is no archive, or the source takes zip files as they are.

    Raises:
        StillChangingError: the file is not the one that was listed any more.
    """
    if source.format == "excel":  # its files are zip archives themselves
        return None
    original = delivery.store.original(delivery.key, delivery.state)
    try:
        if original.read_at(0, 4) not in _MAGIC:
            return None
        try:
            return _Directory(delivery, original, limits).deliveries()
        except DeliveryError as error:
            reason = f"{error.message} {error.remedy}".strip()
            return [replace(delivery, refusal=(error.code, reason))]
    finally:
        original.close()


class _Directory:
    """An archive's directory, and what becomes of each line of it."""

    def __init__(self, archive: Delivery, original: Original, limits: Limits) -> None:
        self._archive = archive
        self._original = original
        self._limits = limits

    def deliveries(self) -> list[Delivery]:
        """A delivery for each visible member."""
        self._hold_size()
        lines = self._lines()
        names = [_own_name(line) for line in lines]
        if _OFFICE & set(names):
            raise DeliveryError(
                "It is an office document, not an archive of files.",
                code="bad_compression",
                remedy="For spreadsheets, the source's format has to be excel.",
            )
        visible = [
            (name, line) for name, line in zip(names, lines, strict=True) if not _is_hidden(name)
        ]
        if not visible:
            raise DeliveryError("The archive has no members.", code="empty_archive")
        self._limits.hold(sum(line.file_size for _, line in visible), self._original.size)
        counts = Counter(name for name, _ in visible)
        entangled = _entangled(lines)
        found: dict[str, Delivery] = {}
        for name, line in visible:
            reason = _objection(name, line)
            if counts[name] > 1:
                reason = f"The archive has {counts[name]} members of this name."
            elif line.header_offset in entangled and not reason:
                reason = "It shares bytes with another member."
            found[name] = self._delivery(name, line, reason)
        return list(found.values())

    def _delivery(self, name: str, line: zipfile.ZipInfo, reason: str) -> Delivery:
        file_name = member_name(self._archive.file_name, _bounded(name))
        if reason:
            refusal = ("refused_member", reason)
            return replace(self._archive, file_name=file_name, refusal=refusal)
        member = Member(
            line.header_offset, line.compress_size, line.file_size, line.compress_type, line.CRC
        )
        return replace(self._archive, file_name=file_name, member=member)

    def _lines(self) -> list[zipfile.ZipInfo]:
        window = io.BufferedReader(Window(self._original))
        try:
            with zipfile.ZipFile(window) as archive:
                lines = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
            raise _bad(str(error)) from None
        self._hold_count(len(lines))
        return lines

    def _hold_size(self) -> None:
        """Refuse a directory that is too large before it is read into memory."""
        size = self._original.size
        start = max(0, size - _END.size - _LONGEST_COMMENT)
        tail = self._original.read_at(start, size - start)
        place = len(tail) - _END.size
        if not (tail[place:].startswith(b"PK\5\6") and tail.endswith(b"\0\0")):
            place = tail.rfind(b"PK\5\6")
        if place < 0 or place + _END.size > len(tail):
            raise _bad("its directory is missing, as when it was not delivered whole")
        _, count, directory_bytes, _ = _END.unpack_from(tail, place)
        if count == 0xFFFF or directory_bytes == 0xFFFFFFFF:
            count, directory_bytes = self._zip64(start + place, count, directory_bytes)
        self._hold_count(count)
        if directory_bytes > self._limits.archive_members * _DIRECTORY_BYTES_A_MEMBER:
            raise self._too_many()

    def _zip64(self, end: int, count: int, directory_bytes: int) -> tuple[int, int]:
        locator = self._original.read_at(max(0, end - _LOCATOR.size), _LOCATOR.size)
        if len(locator) < _LOCATOR.size or not locator.startswith(b"PK\6\7"):
            return count, directory_bytes  # a small archive of exactly so many members
        _, place = _LOCATOR.unpack(locator)
        record = self._original.read_at(place, _END_64.size)
        if len(record) < _END_64.size or not record.startswith(b"PK\6\6"):
            raise _bad("its zip64 directory is missing")
        _, count, directory_bytes = _END_64.unpack(record)
        return count, directory_bytes

    def _hold_count(self, count: int) -> None:
        if count > self._limits.archive_members:
            raise self._too_many()

    def _too_many(self) -> DeliveryError:
        return DeliveryError(
            f"The archive has more than {self._limits.archive_members:,} members.",
            code="too_large",
            remedy="Deliver it in parts, or raise SLUICE_MAX_ARCHIVE_MEMBERS.",
        )


def _own_name(line: zipfile.ZipInfo) -> str:
    """A member's name, as a file of the same bytes would have it.

    Many programs write UTF-8 without saying so, which the standard library takes for code page
    437; that loses nothing.
    """
    if line.flag_bits & _UTF_8:
        return line.orig_filename
    return os.fsdecode(line.orig_filename.encode("cp437"))


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "__MACOSX" or (parts[-1].startswith(".") and ".." not in parts)


def _objection(name: str, line: zipfile.ZipInfo) -> str:
    """Why a member is not read; empty where nothing speaks against it."""
    parts = name.replace("\\", "/").split("/")
    if name.endswith("/"):
        return "It is a folder."
    if parts[0] == "" or ".." in parts or parts[0].endswith(":"):
        return "Its path leads out of the archive."
    if len(parts) > 1:
        return "It lies in a folder of the archive; members have to lie at its top."
    if "\0" in name or len(os.fsencode(name)) > LONGEST_NAME:
        return "Its name is not one that a file can have."
    if line.flag_bits & _ENCRYPTED:
        return "It is encrypted."
    if stat.S_ISLNK(line.external_attr >> 16):
        return "It is a link, not a file."
    if line.compress_type not in MEMBER_METHODS:
        return f"It is compressed with method {line.compress_type}, which Sluice does not unpack."
    return ""


def _entangled(lines: list[zipfile.ZipInfo]) -> set[int]:
    """Where members begin that share bytes with others, as in archives made to fill a disk."""
    found: set[int] = set()
    ordered = sorted(lines, key=lambda line: line.header_offset)
    end, owner = 0, -1
    for line in ordered:
        if line.header_offset < end:
            found |= {owner, line.header_offset}
        own_end = line.header_offset + _LOCAL_HEADER_BYTES + line.compress_size
        if own_end > end:
            end, owner = own_end, line.header_offset
    return found


def _bounded(name: str) -> str:
    """A name that the ledger can hold, different for every name."""
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"{ledger_name(name)[:100]}...{digest[:16]}"


def _bad(what: str) -> DeliveryError:
    return DeliveryError(
        f"The archive cannot be read: {what}.",
        code="bad_compression",
        remedy="Deliver it once more.",
    )
