"""``sluice inspect``: what it shows of a file, and its exit codes."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sluice.cli.main import app
from sluice.cli.output import console
from sluice.settings import Settings
from tests.shop_project import make_shop

ORDERS = "order_id;product;amount\n1;ink;2,5\n2;pen;\n3;;\n"
NO_SERVER = {"SLUICE_WAREHOUSE": "postgresql://nobody:x@127.0.0.1:1/none"}


def inspect(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    given = {**NO_SERVER, "COLUMNS": "120", **(environment or {})}
    return CliRunner().invoke(app, ["inspect", *arguments], env=given)


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    return path


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    path = tmp_path / "dirty.csv"
    lines = [f"{n},item {n},{n}.5\n" for n in range(1, 21)]
    lines[4] = '5,"item" 5,5.5\n'
    lines[9] = "10,item,10.5,more\n"
    path.write_text("number,item,price\n" + "".join(lines))
    return path


def test_it_says_what_it_took_and_shows_the_records(orders: Path) -> None:
    outcome = inspect(str(orders))
    assert outcome.exit_code == 0, outcome.stderr
    assert "orders.csv: csv\n" in outcome.stdout
    assert "Delimiter ';': 4 of the 4 records looked at have 3 fields." in outcome.stdout
    assert "ink" in outcome.stdout
    assert "records: 3 accepted, 0 rejected" in outcome.stdout


def test_it_explains_each_reject(dirty: Path) -> None:
    outcome = inspect(str(dirty))
    assert outcome.exit_code == 1
    assert "records: 18 accepted, 2 rejected" in outcome.stdout
    assert "1 ragged_row: the record has more or fewer fields" in outcome.stdout
    assert "record 5, line 6: " in outcome.stdout
    assert '  5,"item" 5,5.5\n' in outcome.stdout


def test_records_too_wide_for_a_table_stand_field_by_field(
    dirty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 20)
    outcome = inspect(str(dirty), "--limit", "1")
    assert "record 1\n  number: 1\n  item: item 1\n  price: 1.5\n" in outcome.stdout
    assert "record 2\n" not in outcome.stdout


def test_json(dirty: Path) -> None:
    outcome = inspect(str(dirty), "--json", "--limit", "1")
    assert outcome.exit_code == 1
    document = json.loads(outcome.stdout)
    assert document["dialect"]["delimiter"] == ","
    assert document["columns"] == ["number", "item", "price"]
    assert document["accepted"] == 18
    assert document["rejected"] == {"bad_quotes": 1, "ragged_row": 1}
    assert document["first_records"] == [{"number": 1, "values": ["1", "item 1", "1.5"]}]
    [reject] = document["first_rejects"]
    assert (reject["number"], reject["line"], reject["code"]) == (5, 6, "bad_quotes")
    assert document["refused"] is None


def test_as_csv_gives_the_accepted_records_and_nothing_else(dirty: Path) -> None:
    outcome = inspect(str(dirty), "--as", "csv")
    assert outcome.exit_code == 1
    rows = list(csv.reader(io.StringIO(outcome.stdout, newline=""), strict=True))
    assert rows[0] == ["number", "item", "price"]
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(1, 21) if n not in (5, 10)]
    assert "bad_quotes" in outcome.stderr


def test_as_csv_keeps_every_value(tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    path.write_bytes(
        'a;b\r\n"x,""y""";\r\n"";"line\r\nend"\r\n=1+1; é \r\n\\.;\'\r\n'.encode("utf-16")
    )
    outcome = inspect(str(path), "--as", "csv")
    assert outcome.exit_code == 0, outcome.stderr
    expected = 'a,b\n"x,""y""",\n"","line\r\nend"\n=1+1, é \n"\\.",\'\n'
    assert outcome.stdout_bytes.decode() == expected


def test_a_reader_that_has_seen_enough_is_no_failure_to_explain(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,2\n" * 500_000)
    command = f"{sys.executable} -m sluice.cli.main inspect {path} --as csv | head -2"
    outcome = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert outcome.stdout == "a,b\n1,2\n"
    assert "Traceback" not in outcome.stderr
    assert "Error" not in outcome.stderr


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_files_are_unpacked(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "orders.csv.packed"
    path.write_bytes(pack(ORDERS.encode()))  # type: ignore[operator]
    outcome = inspect(str(path), "--json")
    assert outcome.exit_code == 0, outcome.stderr
    document = json.loads(outcome.stdout)
    assert document["compression"] in ("gzip", "bzip2")
    assert document["accepted"] == 3


def test_members_of_archives(tmp_path: Path) -> None:
    path = tmp_path / "orders.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.csv", ORDERS)
    assert json.loads(inspect(str(path), "--json").stdout)["accepted"] == 3
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("two.csv", "a,b\n1,2\n")
    both = inspect(str(path))
    assert both.exit_code == 1
    assert "one.csv, two.csv" in both.stderr
    assert "orders.zip!one.csv" in both.stderr
    assert json.loads(inspect(f"{path}!two.csv", "--json").stdout)["accepted"] == 1


@pytest.mark.parametrize(
    ("name", "content", "format_", "columns"),
    [
        ("a.jsonl", '{"x": 1}\n{"x": 2, "y": "é"}\n', "jsonl", ["x", "y"]),
        ("a.json", '[{"x": 1}, {"x": 2, "y": "é"}]', "json", ["x", "y"]),
        ("a.csv", "x\ty\n1\t\n2\té\n", "csv", ["x", "y"]),
        ("a.tsv", "x\ty\n1\t\n2\té\n", "tsv", ["x", "y"]),
        ("[x].csv", "[x],y\n1,2\n3,4\n", "csv", ["[x]", "y"]),
    ],
)
def test_the_format_is_seen(
    tmp_path: Path, name: str, content: str, format_: str, columns: list[str]
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    outcome = inspect(str(path), "--json")
    assert outcome.exit_code == 0, outcome.stdout
    document = json.loads(outcome.stdout)
    assert (document["format"], document["columns"]) == (format_, columns)
    assert document["accepted"] == 2


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"x": [1, 2], "y": ["é", None]}), path)
    document = json.loads(inspect(str(path), "--json").stdout)
    assert (document["format"], document["columns"]) == ("parquet", ["x", "y"])
    assert [record["values"] for record in document["first_records"]] == [["1", "é"], ["2", None]]


def test_a_dialect_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("title\n1,'a,b'\n2,'c'\n")
    given = "delimiter=,,quote=',header=false,skip_lines=1"
    document = json.loads(inspect(str(path), "--dialect", given, "--json").stdout)
    assert [record["values"] for record in document["first_records"]] == [["1", "a,b"], ["2", "c"]]
    assert document["columns"] == ["column_1", "column_2"]


@pytest.mark.parametrize("dialect", ["delimiter=tab", "delimiter=\t"])
def test_characters_have_names(tmp_path: Path, dialect: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\tb\n1\t2\n")
    outcome = inspect(str(path), "--dialect", dialect, "--json")
    assert json.loads(outcome.stdout)["columns"] == ["a", "b"]


def test_an_encoding_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\né,1\n".encode("latin-1"))
    assert inspect(str(path)).exit_code == 1
    document = json.loads(inspect(str(path), "--encoding", "latin-1", "--json").stdout)
    assert document["first_records"][0]["values"] == ["é", "1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dialect", "delimiter"),
        ("--dialect", "delimiter=ab"),
        ("--dialect", "colour=red"),
        ("--encoding", "klingon"),
        ("--format", "word"),
        ("--format", "fixed_width"),
        ("--as", "xml"),
        ("--as", "csv", "--json"),
        ("--source", "nobody_has_this"),
        ("--source", "orders", "--format", "csv"),
    ],
)
def test_misuse_ends_with_2(orders: Path, arguments: tuple[str, ...]) -> None:
    outcome = inspect(str(orders), *arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    outcome = inspect(str(tmp_path / "none.csv"))
    assert outcome.exit_code == 2
    assert "There is no file" in outcome.stderr


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08cut"])
def test_a_file_that_cannot_be_read_at_all_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    outcome = inspect(str(path))
    assert outcome.exit_code == 1
    assert "error:" in outcome.stderr
    refused = json.loads(inspect(str(path), "--json").stdout)["refused"]
    assert refused["code"] in ("no_header", "bad_compression")


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n\x1b[31mred,1\n"\x1b]0;title\x07",2,3\n')
    assert "\x1b" not in inspect(str(path)).stdout


class TestWithSource:
    @pytest.fixture
    def environment(self, settings: Settings) -> dict[str, str]:
        make_shop(settings)
        source = settings.project / "registry" / "sources" / "orders.yml"
        source.write_text(
            "description: Orders of the shop.\n"
            "owner: shop\n"
            "dialect: auto\n"
            "encoding: auto\n"
            "values: {decimal_separator: ',', null_values: [n/a]}\n"
            "columns:\n"
            "  order_id: {data_type: bigint, nullable: false, maximum: 1000}\n"
            "  product: {data_type: text, accepted_values: [ink, pen]}\n"
            "  amount: {data_type: decimal, precision: 5, scale: 2}\n"
        )
        return {
            "SLUICE_PROJECT": str(settings.project),
            "SLUICE_HOME": str(settings.home),
            "SLUICE_WAREHOUSE": settings.warehouse.get_secret_value(),
        }

    def test_postgresql_judges_types_and_rules(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "orders.csv"
        path.write_text(
            "product;order_id;amount\n"
            "ink;1;2,50\n"
            "ink;x;2,50\n"
            "pen;3;1000000,00\n"
            "pen;4;1.000,00\n"
            "n/a;5;n/a\n"
            "lamp;6;1\n"
            "ink;;1\n"
            "ink;1001;1\n"
            "ink;9\n"
            "pen;10;3\n"
        )
        outcome = inspect(str(path), "--source", "orders", "--json", environment=environment)
        assert outcome.exit_code == 1, outcome.stderr
        document = json.loads(outcome.stdout)
        assert document["columns"] == ["product", "order_id", "amount"]
        assert [(record["number"], record["values"]) for record in document["first_records"]] == [
            (1, ["ink", "1", "2.50"]),
            (5, [None, "5", None]),
            (10, ["pen", "10", "3"]),
        ]
        assert [
            (reject["number"], reject["line"], reject["code"], reject["column"])
            for reject in document["first_rejects"]
        ] == [
            (2, 3, "wrong_type", "order_id"),
            (3, 4, "out_of_range", "amount"),
            (4, 5, "wrong_type", "amount"),
            (6, 7, "not_accepted", "product"),
            (7, 8, "missing_value", "order_id"),
            (8, 9, "above_maximum", "order_id"),
            (9, 10, "ragged_row", None),
        ]

    def test_json_too_deep_for_the_server_is_one_reject(
        self, environment: dict[str, str], settings: Settings, tmp_path: Path
    ) -> None:
        source = settings.project / "registry" / "sources" / "orders.yml"
        source.write_text(source.read_text().replace("text, accepted_values: [ink, pen]", "json"))
        path = tmp_path / "orders.csv"
        deep = "[" * 20_000 + "]" * 20_000
        path.write_text(f"order_id;product;amount\n1;7;1\n2;{deep};1\n3;8;1\n")
        outcome = inspect(str(path), "--source", "orders", "--json", environment=environment)
        document = json.loads(outcome.stdout)
        assert (document["accepted"], document["rejected"]) == (2, {"wrong_type": 1})

    def test_a_file_with_other_columns_is_refused(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "orders.csv"
        path.write_text("order_id,product\n1,ink\n")
        outcome = inspect(str(path), "--source", "orders", environment=environment)
        assert outcome.exit_code == 1
        assert "The header lacks 'amount'" in outcome.stderr

    def test_options_stand_in_for_the_declaration(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "orders.csv"
        path.write_text("a|b|c\n1|ink|2,5\n")
        given = "delimiter=pipe,skip_lines=1,header=false"
        outcome = inspect(
            str(path),
            "--source",
            "orders",
            "--dialect",
            given,
            "--as",
            "csv",
            environment=environment,
        )
        assert outcome.exit_code == 0, outcome.stderr
        assert outcome.stdout == "order_id,product,amount\n1,ink,2.5\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (".", "is a folder"),
        ("/dev/zero", "is a pipe or a device"),
        ("/no/such/file.csv", "There is no file /no/such/file.csv."),
    ],
)
def test_what_is_no_file_is_told_as_that(name: str, words: str) -> None:
    outcome = inspect(name)
    assert outcome.exit_code == 2
    assert words in outcome.stderr
    assert "do:" in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [["inspect"], ["rejects", "S"], ["withdraw", "S"], ["replay", "S"]]
)
def test_how_a_name_with_a_dash_is_given_is_said(arguments: list[str]) -> None:
    outcome = CliRunner().invoke(app, [*arguments, "-rf"], env={"COLUMNS": "120"})
    assert outcome.exit_code == 2
    assert "begins with a dash goes last, after --" in outcome.stderr


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_tar_archive_is_named(tmp_path: Path, form: int, pack: Callable[[bytes], bytes]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        member = tarfile.TarInfo("orders.csv")
        member.size = len(ORDERS)
        archive.addfile(member, io.BytesIO(ORDERS.encode()))
    path = tmp_path / "orders.tar.gz"
    path.write_bytes(pack(packed.getvalue()))
    outcome = inspect(str(path))
    assert outcome.exit_code == 1
    assert "It is a tar archive" in outcome.stderr
