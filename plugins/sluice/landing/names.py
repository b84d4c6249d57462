"""Which names of files in the landing zone are deliveries, and how long they may be."""

from __future__ import annotations

# In bytes: the limit of file systems. Object stores and archives take more; the index of the
# ledger does not.
LONGEST_NAME = 255

# Names that programs give to files they are still writing: rename when done, and it is a delivery.
TEMPORARY_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


def is_temporary(name: str) -> bool:
    """Whether a name is hidden, or that of a file that is still being written."""
    return name.startswith(".") or name.lower().endswith(TEMPORARY_SUFFIXES)
