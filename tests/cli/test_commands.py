"""Each command as a user runs it: what it prints, its exit code, its errors."""

from __future__ import annotations

import json
import re

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner

from sluice.cli import instance, output
from sluice.cli.main import app
from sluice.cli.status import SOURCE_HEADINGS
from sluice.settings import Settings
from tests.cli.conftest import Sluice
from tests.shop_project import ShopProject

COMMANDS = [
    "demo",
    "up",
    "down",
    "status",
    "check",
    "inspect",
    "rejects",
    "run",
    "dsn",
    "psql",
    "test",
    "version",
    "withdraw",
    "replay",
    "approve",
    "refuse",
    "notify",
]


def test_help_names_every_command(sluice: Sluice) -> None:
    text = sluice("--help").stdout
    assert all(f"│ {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    outcome = CliRunner().invoke(app, [command, "--help"])
    assert outcome.exit_code == 0
    assert len(outcome.stdout.splitlines()) > 5


def test_version_names_what_it_runs_on(sluice: Sluice) -> None:
    assert "apache-airflow 3.3" in sluice("version").stdout


def test_run_publishes_and_status_and_psql_show_it(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\nx,pen,3\n")
    waiting = json.loads(sluice("status", "--json").stdout)
    assert waiting["sources"][0]["waiting"] == 1
    assert waiting["sources"][0]["last_load"] is None

    outcome = sluice("run", "shop")
    assert outcome.returncode == 0, outcome.stderr
    assert "orders: 1 loaded; 1 row\n" in outcome.stdout
    assert "1 record could not be loaded: ./sluice rejects orders" in outcome.stdout
    assert "gold.total_sales: 1 inserted, 0 updated, 0 deleted; table created" in outcome.stdout

    done = json.loads(sluice("status", "--json").stdout)
    assert done["sources"][0]["last_load"]["file_name"] == "a.csv"
    assert done["pipelines"][0]["pending_loads"] == 0
    assert done["pipelines"][0]["last_publication"]["marts"] == ["product_sales", "total_sales"]

    assert sluice("psql", "-Atc", "select orders from total_sales").stdout == "1\n"
    refused = sluice("psql", "-c", "select * from ops.loads")
    assert refused.returncode != 0
    assert "permission denied for schema ops" in refused.stderr


def test_run_ends_with_1_where_a_file_was_rejected(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("[bold]bad.csv", "x,ink,2\n")
    outcome = sluice("run", "shop", "--json")

    assert outcome.returncode == 1
    document = json.loads(outcome.stdout)
    assert document["errors"][0]["kind"] == "DeliveryError"
    assert "[bold]bad.csv" in document["errors"][0]["message"]
    assert document["publication"]["marts"]
    again = sluice("status")
    assert "rejected: orders/[bold]bad.csv: None of the 1 records can be loaded" in again.stdout


def test_status_says_how_many_files_are_rejected(sluice: Sluice, shop: ShopProject) -> None:
    for number in range(5):
        shop.drop(f"bad{number}.csv", "x,ink,2\n")
    shop.load()
    shop.drop("good.csv", "1,ink,2\n")
    shop.load()
    shown = sluice("status").stdout
    assert re.findall(r"rejected: orders/bad(\d)\.csv: None", shown) == ["4", "3", "2"]
    assert "rejected: orders has 5 rejected files in all: ./sluice rejects orders" in shown
    rejected = json.loads(sluice("status", "--json").stdout)["sources"][0]["rejected"]
    assert (rejected["files"], rejected["newest"][0]["file_name"]) == (5, "bad4.csv")
    assert set(re.findall(r"bad\d\.csv", sluice("rejects", "orders").stdout)) == {
        f"bad{number}.csv" for number in range(5)
    }
    for number in range(3):
        shop.drop(f"bad{number}.csv", f"{number},mended,2\n")
    shop.load()
    shown = sluice("status").stdout
    assert re.findall(r"rejected: orders/bad(\d)\.csv: None", shown) == ["4", "3"]
    assert "in all" not in shown


LONG = "orders_of_the_year_2026_in_the_shop_at_the_corner_of_the_market_square.csv"


def test_status_cuts_no_name_where_a_program_reads_it(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop(LONG, "1,ink,2\n")
    shop.load()
    assert re.search(rf"^ *orders .* {LONG} ", sluice("status", COLUMNS="40").stdout, re.MULTILINE)


def test_a_narrow_terminal_folds_the_names_of_files_and_cuts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "central_market_orders_of_the_year"
    monkeypatch.setattr(output, "console", Console(force_terminal=True, width=80))
    row = (source, "59 min ago", LONG, "rejected", "1000000", "0", "0 +1")
    output.print_table(SOURCE_HEADINGS, [row], numbers=SOURCE_HEADINGS[4:], folded="file")
    text = capsys.readouterr().out
    (first,) = [line for line in text.splitlines() if source in line]
    assert first.split() == [source, "59", "min", "ago", LONG[:12], *row[3:6], "0", "+1"]
    assert "".join(text.partition(first)[2].split()) == LONG[12:]


def test_the_demo_waits_for_a_second_at_least(sluice: Sluice) -> None:
    refused = sluice("demo", "--timeout", "-1")
    assert refused.returncode == 2
    assert "greater than or equal to 1" in refused.stderr


def test_what_runs_already_is_not_said_to_be_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ensure_warehouse", "start_airflow"):
        monkeypatch.setattr(instance, name, lambda *_: None)
    instance.start_instance(settings)
    assert "starting PostgreSQL" not in capsys.readouterr().err


def test_run_ends_with_1_where_a_test_failed(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,gold,2\n")
    outcome = sluice("run", "shop")

    assert outcome.returncode == 1
    assert "accepted_values_product_sales_product" in outcome.stderr
    assert "failed:" in sluice("status").stdout


def test_run_loads_the_part_of_a_file_that_is_wanted(sluice: Sluice, shop: ShopProject) -> None:
    shop.drop("a.csv", "1,ink,2\n2,pen,3\n")
    refused = sluice("run", "shop", "--filter", "produkt=pen")
    assert refused.returncode != 0
    assert "Did you mean product?" in refused.stderr
    outcome = sluice("run", "shop", "--filter", "product=pen")
    assert outcome.returncode == 0, outcome.stderr
    assert "orders: 1 loaded; 1 row\n" in outcome.stdout
    assert "left out by the filter: 1 record\n" in outcome.stdout


def test_run_of_an_unknown_pipeline_names_the_nearest(sluice: Sluice, shop: ShopProject) -> None:
    outcome = sluice("run", "shopp")
    assert outcome.returncode == 1
    assert "Did you mean shop?" in outcome.stderr


def test_check_shows_problems_and_writes_what_is_generated(
    sluice: Sluice, shop: ShopProject
) -> None:
    first = sluice("check")
    assert first.returncode == 1
    assert "dbt/models/bronze/_sources.yml:1: is not what the registry makes of it" in first.stderr
    assert sluice("check", "--fix").returncode == 0
    assert sluice("check").returncode == 0
    source = shop.settings.registry / "sources" / "orders.yml"
    source.write_text(source.read_text() + "colour: red\n")
    broken = sluice("check", "--json")
    assert broken.returncode == 1
    assert "colour is not a key here" in broken.stdout
    assert sluice("check").stdout.endswith(": 1 problem\n")


def test_dsn_is_a_uri_that_works(sluice: Sluice) -> None:
    for role in ("loader", "transformer", "reader"):
        with psycopg.connect(sluice("dsn", role).stdout.strip()) as connection:
            row = connection.execute("select current_user").fetchone()
            assert row == (f"sluice_{role}",)
    assert sluice("dsn", "admin").returncode == 2


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("SLUICE_AIRFLOW_PORT", "ninety", "SLUICE_AIRFLOW_PORT"),
        ("SLUICE_LANDING", "", "SLUICE_LANDING"),
        ("SLUICE_WAREHOUSE", "nonsense", "SLUICE_WAREHOUSE is not a connection URI"),
        ("SLUICE_WAREHOUSE", "postgresql://u:s3cret@127.0.0.1:1/x", "127.0.0.1, port 1"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_and_its_secret_kept(
    sluice: Sluice, setting: str, value: str, words: str
) -> None:
    outcome = sluice("dsn", "reader", **{setting: value})
    assert outcome.returncode == 1
    assert words in " ".join(outcome.stderr.split())
    assert "s3cret" not in outcome.stderr + outcome.stdout
    assert "Traceback" not in outcome.stderr
