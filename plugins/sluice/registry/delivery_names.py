r"""The names of deliveries, as the ledger writes them: text, and different for every name.

A member of an archive is ``archive.zip!member.csv``. A ``!`` of a file's own name is written
``\x21``, so that the first ``!`` always stands between an archive and its member.
"""

from __future__ import annotations

import os
import re

MEMBER_MARK = "!"


def ledger_name(name: str) -> str:
    r"""A file's name as text that PostgreSQL can hold, different for every name.

    Bytes that are not UTF-8 become ``\xNN``, as do ``!`` and NUL, and a backslash is doubled so
    that no two names meet.
    """
    escaped = os.fsencode(name).replace(b"\\", b"\\\\")
    for special in (b"!", b"\0"):
        escaped = escaped.replace(special, b"\\x%02x" % special[0])
    return escaped.decode("utf-8", errors="backslashreplace")


def file_system_name(name: str) -> str:
    """The file's own name, from the one in the ledger: the inverse of ``ledger_name``."""
    parts = re.split(rb"(\\\\|\\x[0-9a-f]{2})", name.encode())
    plain = (
        part
        if not part.startswith(b"\\") or len(part) < 2
        else b"\\"
        if part == b"\\\\"
        else bytes.fromhex(part[2:].decode())
        for part in parts
    )
    return os.fsdecode(b"".join(plain))


def member_name(archive: str, member: str) -> str:
    """The ledger's name of a member, from the ledger's name of its archive and its own name."""
    return f"{archive}{MEMBER_MARK}{ledger_name(member)}"


def archive_of(name: str) -> str | None:
    """The ledger's name of the archive whose member a delivery is; None where it is none."""
    archive, mark, _ = name.partition(MEMBER_MARK)
    return archive if mark else None


def own_names(name: str) -> tuple[str, ...]:
    """What a delivery is called by its sender, from the ledger's name.

    Of a member of an archive: its own name, then its archive's.
    """
    archive, mark, member = name.partition(MEMBER_MARK)
    names = (member, archive) if mark else (archive,)
    return tuple(map(file_system_name, names))
