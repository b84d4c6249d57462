"""Random histories against a model: bronze, ledger and folders equal it after each step.

Files are delivered, corrected, re-delivered, renamed and withdrawn; loads are killed (kill -9) at
every step, retried, and run two at once; the source's policies are drawn as well. The model knows
the rules only, none of the steps by which they are kept.

``TESTS_TRIES`` makes more of them, ``STATEFUL_STEPS`` (15) longer ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sluice.errors import ConfigError
from sluice.loading import load_source
from sluice.loading.withdrawal import withdraw
from sluice.registry import Source
from sluice.settings import Settings
from tests.loading.conftest import HEADER, ORDERS
from tests.loading.kills import killed_load
from tests.properties import tried

STEPS = int(os.environ.get("STATEFUL_STEPS", "15"))

NAMES = ("a", "b", "c")
# Some have as many bytes as others, one has no rows, one cannot be loaded.
CONTENTS = {
    "ink": HEADER + "1,ink,2\n",
    "pen": HEADER + "1,pen,2\n",
    "two": HEADER + "1,ink,2\n2,pad,3\n",
    "none": HEADER,
    "bad": HEADER + "1,ink,2\nx,pad,3\n",
}
ROWS = {
    "ink": [(1, "ink")],
    "pen": [(1, "pen")],
    "two": [(1, "ink"), (2, "pad")],
    "none": [],
}
CONTENT_OF = {
    hashlib.sha256(text.encode()).hexdigest(): content for content, text in CONTENTS.items()
}
MOMENTS = (1_700_000_000, 1_800_000_000)

# Where a load is killed: before or after the n-th call of a function.
KILLS = (
    ("sluice.warehouse.ledger", "classify"),
    ("sluice.warehouse.ledger", "begin_load"),
    ("sluice.warehouse.ledger", "record"),
    ("sluice.warehouse.ledger", "mark_stored"),
    ("sluice.loading.storing", "store"),
    ("sluice.landing.local_store", "take"),
    ("sluice.landing.local_store", "put"),
)

Death = tuple[tuple[str, str], str, int]
DEATHS = st.tuples(
    st.sampled_from(KILLS), st.sampled_from(["before", "after"]), st.sampled_from([1, 1, 2])
)

# file name, outcome, kind, rows loaded, rows replaced
Line = tuple[str, str, str, int, int]


@dataclass
class Model:
    """What the rules make of deliveries, one after the other.

    Attributes:
        source: whose policies hold.
        current: the content in bronze, by file name and part.
        brought: which contents were ever loaded under a name and not withdrawn since.
        ledger: what has to stand in ``ops.loads``.
    """

    source: Source
    current: dict[tuple[str, int], str] = field(default_factory=dict)
    brought: dict[str, set[str]] = field(default_factory=dict)
    ledger: list[Line] = field(default_factory=list)

    def deliver(self, name: str, content: str) -> None:
        """A delivery comes to its end."""
        own = [part for part in self.current if part[0] == name]
        if self.source.write_disposition == "replace":
            kind, action = self._whole_truth(own, content)
            takes_out, part = list(self.current), 1
        else:
            kind, action = self._one_of_many(own, content)
            appends = kind == "correction" and self.source.on_changed_file == "append"
            takes_out = [] if appends else own
            part = max(number for _, number in own) + 1 if appends else 1
        if action == "load" and content == "bad":
            action = "fail"
        if action != "load":
            outcome = {"skip": "skipped", "fail": "rejected"}[action]
            self.ledger.append((name, outcome, kind, 0, 0))
            return
        replaced = sum(len(ROWS[self.current.pop(other)]) for other in takes_out)
        self.current[name, part] = content
        self.brought.setdefault(name, set()).add(content)
        self.ledger.append((name, "loaded", kind, len(ROWS[content]), replaced))

    def _one_of_many(self, own: list[tuple[str, int]], content: str) -> tuple[str, str]:
        if content in [self.current[part] for part in own]:
            return "same_again", "skip"
        if own:
            return "correction", "fail" if self.source.on_changed_file == "fail" else "load"
        if self._is_known(content):
            return "redelivery", self.source.on_duplicate_file
        return "new", "load"

    def _whole_truth(self, own: list[tuple[str, int]], content: str) -> tuple[str, str]:
        if list(self.current.values()) == [content]:
            return ("same_again", "skip") if own else ("redelivery", self.source.on_duplicate_file)
        if own:
            return "correction", "fail" if self.source.on_changed_file == "fail" else "load"
        return "redelivery" if self._is_known(content) else "new", "load"

    def _is_known(self, content: str) -> bool:
        return any(content in contents for contents in self.brought.values())

    def withdraw(self, name: str) -> bool:
        """A file is withdrawn; False where it has no rows."""
        own = [part for part in self.current if part[0] == name]
        rows = sum(len(ROWS[self.current.pop(part)]) for part in own)
        if own:
            self.brought.pop(name)
            self.ledger.append((name, "withdrawn", "withdrawal", 0, rows))
        return bool(own)


class Deliveries(RuleBasedStateMachine):
    """One source's life."""

    def __init__(self, settings: Settings, connection: psycopg.Connection) -> None:
        super().__init__()
        self.settings, self.connection = settings, connection
        self.place = settings.landing.parent
        self.folder = settings.landing / "orders"
        connection.execute("truncate ops.files, ops.loads, ops.attempts cascade")
        connection.execute("drop table if exists bronze.orders")
        for area in (settings.landing, settings.archive, settings.rejected):
            shutil.rmtree(area, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.model = Model(ORDERS)
        # Names that the sender wrote to while files that a killed load left wait for their move.
        self.overwritten: set[str] = set()
        self.lost: set[tuple[str, str]] = set()  # what was overwritten so: name and content

    @initialize(
        disposition=st.sampled_from(["append", "append", "replace"]),
        changed=st.sampled_from(["replace", "replace", "append", "fail"]),
        duplicate=st.sampled_from(["skip", "skip", "load", "fail"]),
        after=st.sampled_from(["archive", "archive", "delete"]),
    )
    def begin(self, disposition: str, changed: str, duplicate: str, after: str) -> None:
        policies = {
            "write_disposition": disposition,
            "on_changed_file": changed,
            "on_duplicate_file": duplicate,
            "after_load": after,
            "max_row_errors": 0,
        }
        self.model.source = Source.model_validate({**ORDERS.model_dump(), **policies})
        load_source(self.settings, self.model.source)  # makes the table

    # What the sender does.

    @rule(
        files=st.dictionaries(
            st.sampled_from(NAMES),
            st.tuples(st.sampled_from(sorted(CONTENTS)), st.sampled_from(MOMENTS)),
            min_size=1,
        ),
        then=st.one_of(st.just("wait"), st.just("load"), DEATHS),
    )
    def deliver(self, files: dict[str, tuple[str, int]], then: str | Death) -> None:
        """New, a correction, the same again or a re-delivery: as it happens."""
        for name, (content, moment) in files.items():
            hidden = self.folder / ".being-written"
            hidden.write_text(CONTENTS[content])
            os.utime(hidden, (moment, moment))
            hidden.rename(self.folder / name)
            self.overwritten.add(name)
        if then == "load":
            self.load()
        elif then != "wait":
            self.load_and_die(then)  # type: ignore[arg-type]

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def rename(self, data: st.DataObject, name: str) -> None:
        old = data.draw(st.sampled_from(sorted(self.waiting())))
        (self.folder / old).rename(self.folder / name)
        self.overwritten |= {old, name}

    # What Sluice does.

    @rule()
    def load(self) -> None:
        expected = self.expect()
        load_source(self.settings, self.model.source)
        self.hold_all(expected)

    @precondition(lambda self: self.waiting())
    @rule()
    def two_loads_at_once(self) -> None:
        expected = self.expect()
        reports: list[int] = []

        def load() -> None:
            reports.append(len(load_source(self.settings, self.model.source).entries))

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(reports) == sorted([0, len(expected)])
        self.hold_all(expected)

    @precondition(lambda self: self.waiting())
    @rule(death=DEATHS)
    def kill(self, death: Death) -> None:
        self.load_and_die(death)

    def load_and_die(self, death: Death) -> None:
        """A load dies; the ledger says how far it had come, and must say it rightly."""
        expected = self.expect()
        before = len(self.ledger())
        if not self.query("select from ops.loads where stored_at is null"):
            self.overwritten.clear()
        place, moment, call = death
        status = killed_load(self.settings, self.model.source, *place, moment, call)
        if status == 0:  # the step was never reached
            self.hold_all(expected)
            return
        assert status == -signal.SIGKILL
        done = len(self.ledger()) - before
        assert 0 <= done <= len(expected)
        for name, content in expected[:done]:
            self.model.deliver(name, content)
        self.hold_bytes()

    @rule(name=st.sampled_from(NAMES))
    def withdraw(self, name: str) -> None:
        if self.model.withdraw(name):
            withdraw(self.settings, self.model.source, name)
        else:
            with pytest.raises(ConfigError):
                withdraw(self.settings, self.model.source, name)

    # What must hold.

    @invariant()
    def bronze_is_as_the_model_says(self) -> None:
        if not self.ledger() and not self.model.ledger:
            return
        rows = self.query(
            "select file_name, _source_row_number, order_id, product from bronze.orders"
            " left join ops.loads on load_id = _load_id"
        )
        expected = [
            (name, number, *row)
            for (name, _), content in self.model.current.items()
            for number, row in enumerate(ROWS[content], start=1)
        ]
        assert sorted(rows) == sorted(expected)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        assert self.ledger() == self.model.ledger
        current = self.query(
            "select files.file_name, part, content_sha256 from ops.files"
            " join ops.loads on load_id = current_load_id"
        )
        assert {(name, part): CONTENT_OF[sha256] for name, part, sha256 in current} == (
            self.model.current
        )

    def waiting(self) -> dict[str, str]:
        """The content of each file that lies in the landing zone."""
        return {
            path.name: CONTENT_OF[hashlib.sha256(path.read_bytes()).hexdigest()]
            for path in self.folder.iterdir()
            if not path.name.startswith(".")
        }

    def expect(self) -> list[tuple[str, str]]:
        """Which deliveries the next load brings to their end, in order.

        A file whose load was killed between commit and move is no delivery any more.
        """
        waiting = self.waiting()
        moments = {name: (self.folder / name).stat().st_mtime for name in waiting}
        unmoved = self.query(
            "select load_id, file_name, content_sha256, stored_path from ops.loads"
            " where stored_at is null order by load_id"
        )
        for load_id, name, sha256, path in unmoved:
            is_taken = (self.folder / f".sluice-{load_id}").exists()
            is_there = path is not None and (self.place / path).exists()
            if not is_taken and not is_there and waiting.get(name) == CONTENT_OF[sha256]:
                del waiting[name]
        order = sorted(waiting)
        if self.model.source.write_disposition == "replace":
            order.sort(key=lambda name: moments[name])
        return [(name, waiting[name]) for name in order]

    def hold_all(self, done: Sequence[tuple[str, str]]) -> None:
        """After a load that was not killed: nothing waits, and every file is in its place."""
        for name, content in done:
            self.model.deliver(name, content)
        assert list(self.folder.iterdir()) == []
        assert self.query("select count(*) from ops.loads where stored_at is null") == [(0,)]
        assert self.query("select count(*) from ops.attempts") == [(0,)]
        self.hold_bytes()
        paths = [
            self.place / path
            for area in ("archive", "rejected")
            for path in (self.place / area).rglob("*")
            if path.is_file()
        ]
        entries = self.query("select stored_path from ops.loads where stored_path is not null")
        assert Counter(paths) == Counter(self.place / path for (path,) in entries)
        self.overwritten.clear()

    def hold_bytes(self) -> None:
        """Each file that has been moved has its bytes where the ledger says."""
        entries = self.query(
            "select file_name, outcome, content_sha256, stored_path from ops.loads"
            " where outcome <> 'withdrawn' and stored_at is not null"
        )
        for name, outcome, sha256, path in entries:
            if path:
                assert hashlib.sha256((self.place / path).read_bytes()).hexdigest() == sha256
                assert path.split("/")[0] == ("rejected" if outcome == "rejected" else "archive")
            elif outcome == "rejected" or self.model.source.after_load == "archive":
                # Only where the sender put another in its place after a kill.
                assert (name, sha256) in self.lost or name in self.overwritten
                self.lost.add((name, sha256))

    def ledger(self) -> list[Line]:
        return self.query(  # type: ignore[return-value]
            "select file_name, outcome, delivery_kind, rows_loaded, rows_replaced from ops.loads"
            " order by load_id"
        )

    def query(self, text: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(text).fetchall()  # type: ignore[arg-type]


def test_random_histories_equal_the_model(settings: Settings, loader: psycopg.Connection) -> None:
    loader.autocommit = True
    patient = settings.model_copy(update={"lock_timeout_seconds": 20})
    run_state_machine_as_test(
        lambda: Deliveries(patient, loader),
        settings=hypothesis_settings(
            tried(60), stateful_step_count=STEPS, suppress_health_check=list(HealthCheck)
        ),
    )
