"""Rejected records of every format: exported, mended, dropped again, and in bronze as they were."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.loading.hiding import ShownRecords
from sluice.loading.masks import HIDDEN_RECORD, masks_of
from sluice.loading.reject_export import RejectExport
from sluice.reading.csv_writing import csv_writer
from sluice.reading.records import RAW_CHARACTERS
from sluice.registry import CsvDialect, Source
from sluice.warehouse.passwords import password
from sluice.warehouse.rejected_rows import rejected_files, rejected_rows
from tests.loading.conftest import ORDERS, Shop
from tests.reading.workbooks import xlsx

# Formulas, what only looks like one, apostrophes of their own, and what CSV has to quote.
VALUES = [
    "=A1",
    "-foo",
    "+49 30",
    "-5.2",
    "'=A1",
    "''=A1",
    "'tis",
    "'-5",
    "@x",
    "\t=A1",
    "é ü",
    'a;b,"c"',
    "\\.",
    "007",
    " spaces ",
    "[masked]",
]
LINES = ["two\nlines", "\r=A1"]
# A record is rejected for its number, and comes after one that is loaded.
RECORDS = [("1", "good"), *[("x", value) for value in [*VALUES, *LINES]]]
PLAIN = [("1", "good"), *[("x", value) for value in VALUES if not set(value) & set(';,"\t\\')]]

FIELDS = {"order_id": {"data_type": "bigint", "nullable": False}, "product": {"data_type": "text"}}

Write = Callable[[Sequence[tuple[str, str]]], bytes]


def delimited(encoding: str = "utf-8", start: str = "", end: str = "", **keys: Any) -> Write:
    dialect = CsvDialect(**{"delimiter": ",", **keys})
    line = csv_writer(dialect)

    def write(records: Sequence[tuple[str, str]]) -> bytes:
        lines = [line(["order_id", "product"])] if dialect.header else []
        lines += [line(record) for record in records]
        return (start + "".join(text[:-1] + end + "\n" for text in lines)).encode(encoding)

    return write


def jsonl(records: Sequence[tuple[str, str]]) -> bytes:
    made = [{"order_id": number, "product": value} for number, value in records]
    return "".join(json.dumps(each) + "\n" for each in made).encode()


def json_array(records: Sequence[tuple[str, str]]) -> bytes:
    made = [{"id": number, "of": {"product": value}} for number, value in records]
    return json.dumps({"data": made}).encode()


def parquet(records: Sequence[tuple[str, str]]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(
        {"order_id": [one for one, _ in records], "product": [two for _, two in records]}
    )
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def excel(records: Sequence[tuple[str, str]]) -> bytes:
    return xlsx({"Sheet": [["order_id", "product"], *records]})


def fixed_width(records: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{number:<4}{value:<12}\n" for number, value in records).encode()


def wide(**keys: Any) -> dict[str, Any]:
    columns = {name: {**column, **keys.get(name, {})} for name, column in FIELDS.items()}
    return {"columns": columns}


CASES: dict[str, tuple[dict[str, Any], Write, Sequence[tuple[str, str]]]] = {
    "csv": ({}, delimited(), RECORDS),
    "csv, latin-1": ({"encoding": "latin-1"}, delimited("latin-1"), RECORDS),
    "csv, windows-1252": ({"encoding": "windows-1252"}, delimited("windows-1252"), RECORDS),
    "csv, utf-16": ({"encoding": "utf-16"}, delimited("utf-16"), RECORDS),
    "csv, no header": ({"dialect": {"header": False}}, delimited(header=False), RECORDS),
    "csv, skipped lines": ({"dialect": {"skip_lines": 2}}, delimited(start="a\nb\n"), RECORDS),
    "csv, semicolons": (
        {"dialect": {"delimiter": ";", "escape": "\\"}},
        delimited(delimiter=";", escape="\\"),
        RECORDS,
    ),
    "csv, comments": ({"dialect": {"comment": "#"}}, delimited(start="# a\n"), RECORDS),
    "csv, no quote": (
        {"dialect": {"quote": None, "delimiter": ";"}},
        delimited(delimiter=";"),
        PLAIN,
    ),
    "csv, spaces": (
        {"dialect": {"space_after_delimiter": True}},
        delimited(space_after_delimiter=True),
        RECORDS,
    ),
    "csv, open ends": ({"dialect": {"trailing_delimiter": True}}, delimited(end=","), RECORDS),
    "csv, looked at": (
        {"dialect": "auto", "encoding": "auto"},
        delimited("utf-8-sig", delimiter=";"),
        RECORDS,
    ),
    "tsv": ({"format": "tsv"}, delimited(delimiter="\t"), RECORDS),
    "jsonl": ({"format": "jsonl"}, jsonl, RECORDS),
    "json": (
        {
            "format": "json",
            "json": {"path": "data"},
            **wide(order_id={"from": "id"}, product={"from": "of.product"}),
        },
        json_array,
        RECORDS,
    ),
    "parquet": ({"format": "parquet"}, parquet, RECORDS),
    "excel": (
        {"format": "excel"},
        excel,
        [one for one in RECORDS if one[1].strip("\r\n\t") == one[1]],
    ),
    "fixed width": (
        {
            "format": "fixed_width",
            **wide(order_id={"start": 1, "width": 4}, product={"start": 5, "width": 12}),
        },
        fixed_width,
        [one for one in RECORDS if one[1].rstrip() == one[1] and "\n" not in one[1]],
    ),
}


def declare(shop: Shop, **keys: Any) -> None:
    base = {**ORDERS.model_dump(), "columns": FIELDS}
    shop.source = Source.model_validate({**base, **keys})


def deliver(shop: Shop, name: str, content: bytes) -> Any:
    shop.folder.mkdir(parents=True, exist_ok=True)
    (shop.folder / name).write_bytes(content)
    (entry,) = shop.load().entries
    return entry


def exported(shop: Shop, file: str | None = None) -> str:
    files = rejected_files(shop.connection, shop.source.name, file)
    export = RejectExport(shop.source, {each.load_id: each.file_columns for each in files})
    with shop.connection.transaction():
        rows = rejected_rows(shop.connection, [each.load_id for each in files])
        return "".join(export.lines(rows))


def mended(text: str, mend: Callable[[int, dict[str, str]], dict[str, str]], **keys: Any) -> bytes:
    """The export, with each record mended as by a program that knows nothing of Sluice."""
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0].keys(), **keys)
    writer.writeheader()
    writer.writerows({**row, **mend(number, row)} for number, row in enumerate(rows, start=2))
    return file.getvalue().encode()


def bronze(shop: Shop) -> list[Any]:
    return [value for (value,) in shop.query("select product from bronze.orders order by order_id")]


@pytest.mark.parametrize("case", CASES)
def test_what_is_mended_comes_to_bronze_as_it_was(shop: Shop, case: str) -> None:
    keys, write, records = CASES[case]
    declare(shop, **keys)
    entry = deliver(shop, "day", write(records))
    assert (entry.outcome, entry.rows_loaded, entry.rows_rejected) == (
        "loaded",
        1,
        len(records) - 1,
    )
    number = "id" if case == "json" else "order_id"

    entry = deliver(shop, "mended", mended(exported(shop), lambda n, _: {number: str(n)}))
    assert (entry.outcome, entry.rows_rejected) == ("loaded", 0), entry
    assert bronze(shop) == [value for _, value in records]


@pytest.mark.parametrize("case", CASES)
def test_what_nobody_has_mended_is_rejected_again(shop: Shop, case: str) -> None:
    keys, write, records = CASES[case]
    declare(shop, **keys)
    deliver(shop, "day", write(records))
    before = shop.query(
        "select code, column_name, fields from ops.rejected_rows order by row_number"
    )
    entry = deliver(shop, "again", exported(shop).encode())
    assert (entry.outcome, entry.rows_rejected) == ("rejected", len(records) - 1)
    again = (
        "select code, column_name, fields from ops.rejected_rows where file_name = 'again'"
        " order by row_number"
    )
    assert shop.query(again) == before
    # What was rejected of an export can be exported, and mended, like any other record.
    number = "id" if case == "json" else "order_id"
    content = mended(exported(shop, "again"), lambda n, _: {number: str(n)})
    assert deliver(shop, "mended", content).rows_rejected == 0
    assert bronze(shop) == [value for _, value in records]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_may_save_it_with_its_own_delimiter(shop: Shop, delimiter: str) -> None:
    declare(shop)
    deliver(shop, "day", delimited()(RECORDS))
    mend = mended(
        exported(shop),
        lambda n, _: {"order_id": str(n)},
        delimiter=delimiter,
        lineterminator="\r\n",
    )
    assert deliver(shop, "mended", b"\xef\xbb\xbf" + mend).rows_rejected == 0
    assert bronze(shop) == [value for _, value in RECORDS]


def test_a_workbook_may_be_saved_as_one(shop: Shop) -> None:
    declare(shop, format="excel")
    deliver(shop, "day.xlsx", excel([("1", "good"), ("x", "=A1"), ("y", "'=A1")]))
    rows = list(csv.reader(io.StringIO(exported(shop).removeprefix("\ufeff"))))
    for number, row in enumerate(rows[1:], start=2):
        row[0] = str(number)
    cells = [[cell or None for cell in row] for row in rows]
    assert deliver(shop, "mended.xlsx", xlsx({"Sheet": cells})).rows_rejected == 0
    assert bronze(shop) == ["good", "=A1", "'=A1"]


def test_empty_text_and_missing_values_stay_apart(shop: Shop) -> None:
    declare(shop)
    deliver(shop, "day", b'order_id,product\n1,good\nx,""\nx,\n')
    content = exported(shop).replace("\nx,", "\n2,")
    assert deliver(shop, "mended", content.encode()).rows_rejected == 0
    assert bronze(shop) == ["good", "", None]


# What the export does not have as the file had it: by format, a record, and what is lost of it.
LOST: dict[str, tuple[dict[str, Any], bytes]] = {
    "too few fields": ({}, b"order_id,product\n1,good\n2\n"),
    "too many fields": ({}, b"order_id,product\n1,good\n2,ink,blue\n"),
    "the header once more": (
        {"columns": {**FIELDS, "order_id": {"data_type": "text"}}},
        b"order_id,product\n1,good\norder_id,product\n",
    ),
    "bad quotes": ({}, b'order_id,product\n1,good\n2,in"k\n'),
    "bytes that are no text": ({}, b"order_id,product\n1,good\n2,caf\xe9\n"),
    "a NUL byte": ({}, b"order_id,product\n1,good\n2,i\0nk\n"),
    "no JSON": ({"format": "jsonl"}, b'{"order_id": 1, "product": "good"}\n{"order_id": 2, "pro\n'),
    "an unknown key": (
        {"format": "jsonl", "schema_contract": {"new_columns": "discard_row"}},
        b'{"order_id": 1, "product": "good"}\n{"order_id": 2, "product": "ink", "hue": "blue"}\n',
    ),
    "an error in a cell": (
        {"format": "excel"},
        xlsx({"Sheet": [["order_id", "product"], [1.0, "good"], [2.0, ("#N/A",)]]}),
    ),
    "a cell beside the table": (
        {"format": "excel"},
        xlsx({"Sheet": [["order_id", "product"], [1.0, "good"], [2.0, "ink", "blue"]]}),
    ),
    "a line too short": (
        {"format": "fixed_width", **CASES["fixed width"][0]},
        b"1   good        \n2   ink\n",
    ),
    "a value that stood before": (
        wide(product={"unique": True}),
        b"order_id,product\n1,good\n2,good\n",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_what_was_lost_has_to_be_mended(shop: Shop, case: str) -> None:
    keys, content = LOST[case]
    declare(shop, **keys)
    entry = deliver(shop, "day", content)
    assert (entry.rows_loaded, entry.rows_rejected) == (1, 1)
    text = exported(shop)

    entry = deliver(shop, "again", text.encode())
    assert (entry.outcome, entry.reject_code) == ("rejected", "not_mended")
    assert "_reject_raw_record" in entry.reject_reason
    assert bronze(shop) == ["good"]
    mend = {"order_id": "2", "product": "ink", "_reject_mended": "yes"}
    assert deliver(shop, "mended", mended(text, lambda _n, _row: mend)).rows_rejected == 0
    assert bronze(shop) == ["good", "ink"]


def test_a_part_of_a_record_helps_to_mend_it(shop: Shop) -> None:
    declare(shop)
    deliver(shop, "day", b"order_id,product\n1,good\n2,ink,blue\n")
    (row,) = csv.DictReader(io.StringIO(exported(shop).removeprefix("\ufeff")))
    assert (row["order_id"], row["product"], row["_reject_mended"]) == ("2", "ink", "no")
    assert row["_reject_raw_record"] == "2,ink,blue"


MASKED = {
    "columns": {
        **FIELDS,
        "ssn": {"data_type": "text", "mask": "hash", "values": {"null_values": ["none"]}},
        "mail": {"data_type": "text", "mask": "redact"},
    }
}
PEOPLE = b"order_id,ssn,mail\n1,secret,a@b\nx,secret,a@b\nx,none,\nx,,\n"


# Longer than what is kept of a record, so that its fields are not.
LONG = b"secret," + b"x" * (RAW_CHARACTERS + 1) + b"\n"


def without_product(keys: dict[str, Any]) -> dict[str, Any]:
    columns = {name: column for name, column in keys["columns"].items() if name != "product"}
    return {"columns": columns}


def masked(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.query("select ssn, mail from bronze.orders order by order_id")


def test_a_masked_value_stays_the_masked_value(shop: Shop) -> None:
    declare(shop, **without_product(MASKED))
    deliver(shop, "day", PEOPLE)
    text = exported(shop)
    assert "secret" not in text
    assert "a@b" not in text
    content = mended(text, lambda n, _: {"order_id": str(n)})
    assert deliver(shop, "mended", content).rows_rejected == 0
    digest = masks_of(shop.settings, shop.source)["ssn"]("secret")
    assert masked(shop) == [
        (digest, "[redacted]"),
        (digest, "[redacted]"),
        (None, None),
        (None, None),
    ]


def test_a_masked_value_may_be_filled_in(shop: Shop) -> None:
    declare(shop, **without_product(MASKED))
    deliver(shop, "day", PEOPLE)
    mend = {"ssn": "other", "mail": "c@d"}
    deliver(shop, "mended", mended(exported(shop), lambda n, _: {"order_id": str(n), **mend}))
    digest = masks_of(shop.settings, shop.source)["ssn"]("other")
    assert masked(shop)[1:] == [(digest, "[redacted]")] * 3


def test_what_another_installation_masked_is_never_masked_again(shop: Shop) -> None:
    declare(shop, **without_product(MASKED))
    deliver(shop, "day", PEOPLE)
    password(shop.settings, "mask-key")
    (shop.settings.secrets / "mask-key").write_text("of another installation")
    content = mended(exported(shop), lambda n, _: {"order_id": str(n)})
    entry = deliver(shop, "mended", content)
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 1)
    # Exported once more, it is still none.
    content = mended(exported(shop, "mended"), lambda n, _: {"order_id": str(n)})
    assert deliver(shop, "again", content).reject_code == "masked_value"
    assert len(masked(shop)) == 3


def test_a_mask_of_yesterday_is_no_value_of_today(shop: Shop) -> None:
    declare(shop, **without_product(MASKED))
    deliver(shop, "day", PEOPLE)
    columns = without_product(MASKED)["columns"]
    declare(shop, columns={**columns, "ssn": {"data_type": "text"}, "mail": {"data_type": "text"}})
    entry = deliver(shop, "mended", mended(exported(shop), lambda n, _: {"order_id": str(n)}))
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 1)
    assert shop.query(
        "select code, column_name from ops.rejected_rows where file_name = 'mended'"
    ) == [("masked_value", "ssn")]


def test_what_is_masked_since_is_not_exported(shop: Shop) -> None:
    columns = without_product(MASKED)["columns"]
    declare(shop, columns={**columns, "ssn": {"data_type": "text"}, "mail": {"data_type": "text"}})
    deliver(shop, "day", PEOPLE)
    declare(shop, **without_product(MASKED))
    rows = list(csv.DictReader(io.StringIO(exported(shop).removeprefix("\ufeff"))))
    assert [(row["ssn"], row["mail"]) for row in rows] == [
        ("[masked:unknown]", "[masked:redact]"),
        ("none", ""),
        ("", ""),
    ]
    content = mended(exported(shop), lambda n, _: {"order_id": str(n)})
    assert deliver(shop, "mended", content).rows_rejected == 1


MASKED_NUMBER = {**FIELDS, "order_id": {"data_type": "text", "nullable": False, "mask": "hash"}}


def test_what_is_masked_since_stands_nowhere_in_an_export(shop: Shop) -> None:
    declare(shop)
    deliver(shop, "day", b"order_id,product\n1,good\nsecret,ink\n2,pen,secret\n" + LONG)
    before = exported(shop)
    assert before.count("secret") > 4
    declare(shop, columns=MASKED_NUMBER)
    text = exported(shop)
    assert "secret" not in text
    taken_apart, *others = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert json.loads(taken_apart["_reject_raw_record"]) == {
        "order_id": "[masked:unknown]",
        "product": "ink",
    }
    assert taken_apart["product"] == "ink"
    assert taken_apart["_reject_reason"] == "A value that the column's type does not take."
    assert [row["_reject_raw_record"] for row in others] == [HIDDEN_RECORD] * 2
    # What has nothing to hide is as it was.
    declare(shop, columns={**FIELDS, "other": {"data_type": "text", "mask": "hash"}})
    (first, *_) = csv.DictReader(io.StringIO(exported(shop).removeprefix("\ufeff")))
    assert first["_reject_raw_record"] == "secret,ink"
    assert "secret" in first["_reject_reason"]


def test_two_fields_that_are_one_column_by_now_are_hidden(shop: Shop) -> None:
    declare(shop, schema_contract={"new_columns": "discard_value"})
    deliver(shop, "day", b"order_id,product,Product\n1,good,x\nsecret,ink,x\n")
    declare(shop, columns=MASKED_NUMBER, column_names="snake_case")
    files = rejected_files(shop.connection, shop.source.name)
    headers = {each.load_id: each.file_columns for each in files}
    with shop.connection.transaction():
        rows = rejected_rows(shop.connection, list(headers))
        (row,) = ShownRecords(shop.source, headers).of(rows)
    assert (row.raw_record, row.fields, row.column_name) == (HIDDEN_RECORD, None, "order_id")
    assert "secret" not in row.reason


def test_under_its_own_name_it_takes_the_place_of_nothing(shop: Shop) -> None:
    declare(shop)
    deliver(shop, "day", delimited()(RECORDS))
    entry = deliver(shop, "day", mended(exported(shop), lambda n, _: {"order_id": str(n)}))
    assert (entry.outcome, entry.reject_code) == ("rejected", "reject_export")
    assert "of this very name" in entry.reject_reason
    assert bronze(shop) == ["good"]


def test_it_never_becomes_the_whole_truth(shop: Shop) -> None:
    declare(shop, write_disposition="replace")
    deliver(shop, "day", delimited()(RECORDS))
    entry = deliver(shop, "mended", mended(exported(shop), lambda n, _: {"order_id": str(n)}))
    assert (entry.outcome, entry.reject_code) == ("rejected", "reject_export")
    assert bronze(shop) == ["good"]


@pytest.mark.parametrize("column", ["_reject_mended", "_reject_file"])
def test_a_column_that_is_needed_is_asked_for(shop: Shop, column: str) -> None:
    declare(shop)
    deliver(shop, "day", delimited()(RECORDS))
    text = exported(shop).replace(column, "other", 1)
    entry = deliver(shop, "mended", text.encode())
    assert (entry.reject_code, column in entry.reject_reason) == ("reject_export", True)


def test_what_the_files_name_said_is_said_by_the_export(shop: Shop) -> None:
    day = {"data_type": "date", "from_file_name": r"(\d{4}-\d\d-\d\d)"}
    declare(shop, columns={**FIELDS, "day": day})
    deliver(shop, "of 2026-01-31.csv", delimited()([("1", "good"), ("x", "ink"), ("", "")]))
    text = exported(shop)
    entry = deliver(shop, "of 2026-02-28.csv", mended(text, lambda n, _: {"order_id": str(n)}))
    # The last one had no value of its own, and its number is one now.
    assert (entry.rows_loaded, entry.rows_rejected) == (2, 0)
    days = shop.query("select distinct day::text from bronze.orders")
    assert days == [("2026-01-31",)]


def test_the_columns_of_a_file_that_was_rejected_whole_are_known(shop: Shop) -> None:
    columns = {**FIELDS, "hue": {"data_type": "text"}}
    declare(shop, columns=columns, on_row_error="fail")
    entry = deliver(shop, "day", b"hue,product,order_id\nblue,ink,x\n")
    assert (entry.outcome, entry.file_columns) == ("rejected", ["hue", "product", "order_id"])
    content = mended(exported(shop), lambda n, _: {"order_id": str(n)})
    assert deliver(shop, "mended", content).rows_loaded == 1
    assert shop.query("select order_id, product, hue from bronze.orders") == [(2, "ink", "blue")]
