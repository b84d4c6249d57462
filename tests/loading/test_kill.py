"""kill -9 at every step of a load, then a second run: as if nothing had happened (P1 to P3)."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.loading.conftest import ORDERS, Shop
from tests.loading.kills import killed_load

LOADER, STORING = "sluice.loading.loader", "sluice.loading.storing"
ATTEMPT = "sluice.loading.attempt"
STEPS = [
    (LOADER, "ensure_table"),
    (LOADER, "ledger.bytes_may_be_known"),
    (LOADER, "ledger.begin_load"),
    (ATTEMPT, "delete_loads"),
    (ATTEMPT, "copy_csv"),
    (ATTEMPT, "find_failures"),
    (LOADER, "ledger.record"),
    (LOADER, "storing.store"),
    (STORING, "take"),
    (STORING, "put"),
    (STORING, "ledger.mark_stored"),
]

LEDGER = """
    select file_name, outcome, delivery_kind, rows_loaded, rows_replaced, content_sha256,
        reject_code, stored_at is not null
    from ops.loads order by load_id
"""


def state(shop: Shop) -> dict[str, Any]:
    return {
        "bronze": shop.rows(),
        "ledger": shop.query(LEDGER),
        "current": shop.query(
            "select file_name, current_load_id is null from ops.files order by 1"
        ),
        "folders": shop.stored(),
    }


def kill(shop: Shop, module: str, name: str, moment: str) -> None:
    assert killed_load(shop.settings, ORDERS, module, name, moment) == -signal.SIGKILL


def history(shop: Shop) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    shop.load()
    shop.drop("a.csv", "1,ink,2\n2,pencil,3\n")  # a correction of another size
    shop.drop("bad.csv", "x,ink,2\n")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_kill_leaves_no_trace(shop: Shop, module: str, name: str, moment: str) -> None:
    history(shop)
    kill(shop, module, name, moment)
    hold_to_promises(shop)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["_copy", "_sync_folder"])
def test_a_kill_between_file_systems_leaves_no_trace(shop: Shop, name: str, moment: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if Path(elsewhere).stat().st_dev == shop.settings.project.stat().st_dev:
            pytest.fail("/dev/shm is no file system of its own here")
        folders = {"archive": Path(elsewhere) / "archive", "rejected": Path(elsewhere) / "rejected"}
        shop.settings = shop.settings.model_copy(update=folders)
        history(shop)
        kill(shop, "sluice.landing.local_store", name, moment)
        hold_to_promises(shop)


def hold_to_promises(shop: Shop) -> None:
    """Run again: bronze, ledger and folders are as if the first run had gone through."""
    shop.load()
    after_kill = state(shop)

    expected_rows = [("a.csv", 1, 1, "ink"), ("a.csv", 2, 2, "pencil")]
    assert after_kill["bronze"] == expected_rows
    assert [entry[:5] for entry in after_kill["ledger"]] == [
        ("a.csv", "loaded", "new", 2, 0),
        ("a.csv", "loaded", "correction", 2, 2),
        ("bad.csv", "rejected", "new", 0, 0),
    ]
    assert all(entry[-1] for entry in after_kill["ledger"])
    assert after_kill["current"] == [("a.csv", False), ("bad.csv", True)]
    assert (
        after_kill["folders"]["landing"],
        len(after_kill["folders"]["archive"]),
        len(after_kill["folders"]["rejected"]),
    ) == ([], 2, 1)
    shop.load()
    assert state(shop) == after_kill
