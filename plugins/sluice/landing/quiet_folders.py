"""A landing zone of many folders, looked at again and again, of which most are empty.

To list a folder takes three calls of the system and 7 us, to ask for its times one and 1.8 us. A
folder that was empty, and in which nothing has come or gone since, is empty still.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sluice.landing.local_store import LocalStore
from sluice.landing.stores import Found

# So many folders are listed at each look whatever their times say: an ordinary landing zone has
# fewer, and nothing in it hangs on what a file system makes of times.
LISTED_ALWAYS = 100
# And each folder, however many there are, after so many seconds: some network file systems and
# those of virtual machines do not say, or say late, that something has come into a folder.
LISTED_AFTER_SECONDS = 5.0
# A file that comes within the same tick of the file system's clock as one before it leaves the
# folder's times as they are. The longest tick is that of FAT: two seconds.
TICK_SECONDS = 3.0

# The folder itself and its times, or the number of the error where they cannot be had.
_Times = tuple[int, int, int, int] | int


@dataclass(frozen=True)
class _Empty:
    """A folder as it was when it was last found empty.

    Attributes:
        times: as they were just before it was listed.
        since: when they were first seen, by our own clock.
        listed_at: when it was listed.
    """

    times: _Times
    since: float
    listed_at: float


@dataclass
class QuietFolders:
    """Lists the folders of a local store; of those that stay empty, a part at each look.

    A folder that is not empty is listed at each look: a file that is written in place changes
    nothing about its folder.

    Attributes:
        store: the landing zone.
        clock: seconds by a clock that nobody sets.
    """

    store: LocalStore
    clock: Callable[[], float] = time.monotonic
    # In the order in which they were listed, so that the first one's turn is next.
    _empty: dict[str, _Empty] = field(default_factory=dict)

    def listed(self, folders: Collection[str]) -> Mapping[str, list[Found] | OSError]:
        """What lies in the folders; see ``stores.Store``. One that is left out is empty."""
        if len(folders) <= LISTED_ALWAYS:
            return self.store.listed(folders)
        now = self.clock()
        in_turn = self._in_turn(now)
        root, before = str(self.store.root), self._empty
        times: dict[str, _Times] = {}
        for folder in folders:
            seen, known = _times_of(f"{root}/{folder}"), before.get(folder)
            if known is None or folder in in_turn or not _is_quiet(known, seen):
                times[folder] = seen
        found = self.store.listed(times)
        self._remember(folders, found, times, now)
        return found

    def _in_turn(self, now: float) -> set[str]:
        turn = set()
        for number, (folder, known) in enumerate(self._empty.items()):
            if number >= LISTED_ALWAYS and now < known.listed_at + LISTED_AFTER_SECONDS:
                break
            turn.add(folder)
        return turn

    def _remember(
        self,
        folders: Collection[str],
        found: Mapping[str, list[Found] | OSError],
        times: Mapping[str, _Times],
        now: float,
    ) -> None:
        for folder, entries in found.items():
            known = self._empty.pop(folder, None)
            if not entries and not isinstance(entries, OSError):
                is_same = known is not None and known.times == times[folder]
                since = known.since if known is not None and is_same else now
                self._empty[folder] = _Empty(times[folder], since, now)
        for folder in self._empty.keys() - set(folders):  # no source's any more
            del self._empty[folder]


def _is_quiet(known: _Empty, times: _Times) -> bool:
    """Whether what was listed as empty is so still, as far as its times can tell."""
    return times == known.times and known.listed_at >= known.since + TICK_SECONDS


def _times_of(folder: str) -> _Times:
    try:
        status = os.stat(folder)  # noqa: PTH116 - a Path would cost more than the call
    except OSError as error:
        return error.errno or 0
    # rsync puts a folder's time of modification back; that of the change nobody can set.
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
