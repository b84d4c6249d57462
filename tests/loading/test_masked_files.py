"""Hostile files for a source with masked columns: the secret is in no table and in no log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.sql import SQL, Identifier
from pydantic import ValidationError

from sluice.errors import DeliveryError
from sluice.loading.loader import rejection_error
from sluice.registry import Source
from tests.loading.conftest import ORDERS, Shop
from tests.reading.workbooks import xlsx

SECRET = "123-45-6789"
OTHER = "987-65-4321"

COLUMNS = {
    "order_id": {"data_type": "bigint", "nullable": False},
    "ssn": {"data_type": "text", "mask": "hash", "nullable": False, "unique": True},
    "mail": {"data_type": "text", "mask": "redact", "from": "E-Mail"},
}
HEADER = "order_id,ssn,E-Mail\n"
LOOSE = {"new_columns": "discard_row", "missing_columns": "evolve"}
EVOLVE = {"schema_contract": "evolve"}
AUTO = {"dialect": "auto", "encoding": "auto"}
WIDE = {
    "format": "fixed_width",
    "columns": {
        "order_id": {**COLUMNS["order_id"], "start": 1, "width": 4},
        "ssn": {**COLUMNS["ssn"], "start": 5, "width": 11},
    },
}


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def lines(*records: Any) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


NANOSECONDS = pa.array([1_234_567_890_123_456_789], pa.timestamp("ns"))

# By what is wrong: what the source says, and the file.
FILES: dict[str, tuple[dict[str, Any], bytes | str]] = {
    "no header": ({}, f"1,{SECRET},{OTHER}\n2,{SECRET},{OTHER}\n"),
    "no header, one of its values a name": ({}, f"order_id,{SECRET},{OTHER}\n"),
    "no header, the same": (EVOLVE, f"order_id,{SECRET},{SECRET}\n"),
    "no header, two values alike": ({}, f"{SECRET},{SECRET},{OTHER}\n"),
    "no header, alike in snake_case": (
        {"column_names": "snake_case", **EVOLVE},
        f"order_id,ssn,{SECRET},{SECRET.replace('-', ' ')}\n",
    ),
    "no header, any contract": (EVOLVE, f"1,{SECRET},{OTHER}\n"),
    "no header, looked at": (AUTO, f"1,{SECRET},{OTHER}\n2,{OTHER},{SECRET}\n" * 3),
    "no header, looked at, any contract": ({**AUTO, **EVOLVE}, f"x,{SECRET},{OTHER}\n"),
    "lines above the header": (
        {**AUTO, "schema_contract": LOOSE},
        f"of {SECRET}\n\n{HEADER}1,{OTHER},\n2,,\n",
    ),
    "a header of two rows, looked at": (
        AUTO,
        f"order_id,ssn,mail,a\n{SECRET},{OTHER},x,y\n1,2-2,3/3,4\n2,3-3,4/4,5\n3,4-4,5/5,6\n",
    ),
    "one field because of another delimiter": ({}, f"order_id;ssn;{SECRET}\n1;{OTHER};\n"),
    "a broken header": ({}, f'order_id,"ssn"{SECRET},mail\n'),
    "a header without an end": ({}, f'order_id,"{SECRET}'),
    "a header in another encoding": ({}, f"order_id,{SECRET}\xe9,mail\n".encode("latin-1")),
    "an unknown column": ({}, f"order_id,ssn,E-Mail,{SECRET}\n1,{OTHER},,\n"),
    "a masked column by another name": (
        {**EVOLVE, "columns": {**COLUMNS, "ssn": {"data_type": "text", "mask": "hash"}}},
        f"order_id,SSN no.,E-Mail\n1,{SECRET},\n2,{OTHER},\n",
    ),
    "a nameless column": ({}, f"order_id,ssn,E-Mail,\n1,{OTHER},,{SECRET}\n"),
    "too few fields": ({}, f"{HEADER}1,{SECRET}\n2,{OTHER},\n"),
    "too many fields": ({}, f"{HEADER}1,{SECRET},,\n2,{OTHER},\n"),
    "a broken quote": ({}, f'{HEADER}1,"{SECRET},\n2,"{OTHER}"x,\n3,4,\n'),
    "a NUL byte": ({}, f"{HEADER}1,{SECRET}\0,\n2,{OTHER},\n"),
    "bytes that are no text": ({}, f"{HEADER}1,{SECRET}\xe9,\n2,{OTHER},\n".encode("latin-1")),
    "a wrong type": ({}, f"{HEADER}x,{SECRET},\n2,{OTHER},\n"),
    "a missing value": ({}, f"{HEADER},{SECRET},\n2,{OTHER},\n3,,{SECRET}\n"),
    "a value twice": ({}, f"{HEADER}1,{SECRET},\n2,{SECRET},\n3,{OTHER},\n"),
    "a record that refuses all": ({"on_row_error": "fail"}, f"{HEADER}x,{SECRET},{OTHER}\n"),
    "a ragged one that refuses all": ({"on_row_error": "fail"}, f"{HEADER}x,{SECRET}\n"),
    "frozen types": (
        {"schema_contract": {"data_types": "freeze"}},
        f"{HEADER}x,{SECRET},{OTHER}\n",
    ),
    "types that evolve": (EVOLVE, f"{HEADER}x,{SECRET},{OTHER}\n2,{OTHER},\n"),
    "a record too long": ({}, HEADER + f"1,{SECRET}," + "x" * (17 << 20) + f"\n2,{OTHER},\n"),
    "an end of data": ({}, f"{HEADER}1,{SECRET},\n\\.\n2,{OTHER},\n"),
    "UTF-16, not declared": ({}, f"{HEADER}1,{SECRET},\n".encode("utf-16")),
    "no JSON": ({"format": "jsonl"}, b'{"order_id": 1, "ssn": "' + SECRET.encode() + b'"\n'),
    "no object": ({"format": "jsonl"}, lines([SECRET], SECRET)),
    "an unknown key": ({"format": "jsonl"}, lines({"order_id": 1, SECRET: OTHER})),
    "an unknown key in a record": (
        {"format": "jsonl", "schema_contract": LOOSE},
        lines({"order_id": 1, "ssn": "x"}, {"order_id": 2, "ssn": "y", SECRET: {"a": OTHER}}),
    ),
    "a key twice": (
        {"format": "jsonl"},
        f'{{"order_id": 1, "{SECRET}": 1, "{SECRET}": "{OTHER}"}}\n',
    ),
    "keys that are data": (
        {"format": "jsonl", **EVOLVE},
        lines({"order_id": 1, **{f"{SECRET}-{n}": OTHER for n in range(600)}}),
    ),
    "half a character": ({"format": "jsonl"}, lines({"order_id": 1, "ssn": SECRET + "\ud800"})),
    "a broken array": ({"format": "json"}, f'[{{"order_id": 1, "ssn": "{SECRET}"}}, {OTHER}'),
    "no array": ({"format": "json", "json": {"path": "a"}}, f'{{"{SECRET}": "{OTHER}"}}'),
    "no Parquet": ({"format": "parquet"}, f"PAR1{SECRET}PAR1"),
    "Parquet with another column": (
        {"format": "parquet"},
        parquet(**{"order_id": [1], SECRET: [OTHER]}),
    ),
    "Parquet with a type that is none": (
        {"format": "parquet"},
        parquet(**{"order_id": [1], SECRET: pa.array([b"x"], pa.binary(1))}),
    ),
    "no workbook": ({"format": "excel"}, f"{SECRET},{OTHER}\n"),
    "a workbook without a header": ({"format": "excel"}, xlsx({"S": [[1.0, SECRET, OTHER]]})),
    "a workbook with a cell beside": (
        {"format": "excel"},
        xlsx({"S": [["order_id", "ssn", "E-Mail"], [1.0, "x", None, SECRET], [2.0, OTHER]]}),
    ),
    "a workbook with an error": (
        {"format": "excel"},
        xlsx({"S": [["order_id", "ssn", "E-Mail"], [("#N/A",), SECRET, OTHER], [2.0, "x"]]}),
    ),
    "a line too short": (WIDE, f"1   {SECRET[:8]}\n2   {OTHER}\n"),
    "a line too long": (WIDE, f"1   {OTHER}{SECRET}\n2   {OTHER}\n"),
}


def declare(shop: Shop, keys: dict[str, Any]) -> None:
    base = {**ORDERS.model_dump(), "columns": COLUMNS, "max_row_errors": 100}
    shop.source = Source.model_validate({**base, **keys})


def everything(shop: Shop) -> str:
    """All that is in the database, names of columns included."""
    tables = shop.query(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema in ('ops', 'bronze')"
    )
    rows = [
        shop.connection.execute(SQL("select t::text from {} as t").format(Identifier(*table)))
        for table in tables
    ]
    columns = shop.query("select column_name from information_schema.columns")
    return "\n".join(str(row) for each in [*rows, columns] for row in each)


def leaked(text: str) -> set[str]:
    forms = {
        form
        for value in (SECRET, OTHER, SECRET[:8])
        for form in (value, value.replace("-", "_"), value.replace("-", " "))
    }
    return {form for form in forms if form in text}


@pytest.mark.parametrize("case", FILES)
def test_nothing_of_it_is_said(shop: Shop, caplog: pytest.LogCaptureFixture, case: str) -> None:
    keys, content = FILES[case]
    declare(shop, keys)
    caplog.set_level(logging.DEBUG)
    shop.folder.mkdir(parents=True, exist_ok=True)
    path = shop.folder / "a file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = shop.load()

    (entry,) = report.entries
    assert (
        entry.outcome == "rejected" or entry.rows_rejected or case.startswith(("an end", "types"))
    )
    assert not leaked(everything(shop))
    assert not leaked(caplog.text)
    if report.rejected:
        assert not leaked(str(rejection_error(report.rejected)))
        assert len(entry.reject_reason or "") > 20


def test_a_time_that_is_masked_is_not_said(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    declare(shop, {"format": "parquet"})
    shop.folder.mkdir(parents=True)
    names = {"order_id": [1], "ssn": NANOSECONDS, "E-Mail": ["x"]}
    (shop.folder / "a").write_bytes(parquet(**names))
    shop.load()
    assert "456789" not in everything(shop) + caplog.text


def test_the_reason_still_helps(shop: Shop) -> None:
    declare(shop, {})
    shop.drop("a", f"1,{SECRET}\n", header="")
    (entry,) = shop.load().entries
    assert entry.reject_reason == (
        "The header lacks 'order_id', 'ssn', 'E-Mail'; it has 2 names. Deliver the columns, or take"
        " them out of registry/sources/orders.yml."
    )
    assert (entry.reject_code, entry.reject_column) == ("missing_column", "order_id")


def test_a_reason_that_is_not_known_to_say_nothing_is_not_shown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise DeliveryError(f"It has {SECRET}.", code="new_code", column=SECRET, remedy=SECRET)

    declare(shop, {})
    monkeypatch.setattr("sluice.loading.attempt.open_reader", refuse)
    shop.drop("a", f"1,{SECRET},\n", header=HEADER)
    (entry,) = shop.load().entries
    assert (entry.reject_code, entry.reject_column) == ("new_code", None)
    assert "./sluice inspect FILE --source orders" in entry.reject_reason
    assert not leaked(everything(shop))


def test_what_stands_in_the_files_name_cannot_be_masked() -> None:
    column = {"data_type": "text", "mask": "hash", "from_file_name": r"(\d+)"}
    with pytest.raises(ValidationError, match="the ledger has the name"):
        Source.model_validate({**ORDERS.model_dump(), "columns": {"ssn": column}})
