from __future__ import annotations

import io
import subprocess
import sys
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.errors import DeliveryError
from sluice.reading import needs_seeking
from sluice.registry.formats import Format
from tests.reading.readers import bad_records, good_records, places, reader_of, source_of, verdicts
from tests.reading.workbooks import xlsx


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", None]}), file)
    return file.getvalue()


PLACED = {
    "id": {"data_type": "bigint", "start": 1, "width": 2},
    "name": {"data_type": "text", "start": 3, "width": 2},
}
FILES: dict[str, bytes] = {
    "csv": b"id,name\n1,a\n2,\n",
    "tsv": b"id\tname\n1\ta\n2\t\n",
    "jsonl": b'{"id": 1, "name": "a"}\n{"id": 2}\n',
    "json": b'[{"id": 1, "name": "a"}, {"id": 2, "name": null}]',
    "parquet": parquet(),
    "excel": xlsx({"Sheet": [["id", "name"], [1.0, "a"], [2.0, None]]}),
    "fixed_width": b"1 a \n2   \n",
}


def source(format_: str, **keys: Any) -> Any:
    columns = PLACED if format_ == "fixed_width" else {"id": "bigint", "name": "text"}
    return source_of(format_, columns, **keys)


def test_every_format_has_a_case() -> None:
    assert set(FILES) == set(get_args(Format))


@pytest.mark.parametrize("format_", FILES)
def test_each_format_gives_the_same_records(format_: str) -> None:
    reader = reader_of(FILES[format_], source(format_))
    assert reader.names == ("id", "name")
    for _ in range(2):
        assert good_records(reader) == [(1, ("1", "a")), (2, ("2", None))]
        assert not bad_records(reader)
    assert [place.number for place in places(reader)] == [1, 2]
    assert all(place.raw for place in places(reader))
    assert all(note.endswith(".") for note in reader.notes)


def test_only_formats_that_are_read_from_their_end_need_seeking() -> None:
    assert [name for name in FILES if needs_seeking(source(name))] == ["parquet", "excel"]


def test_a_csv_file_without_a_header_has_the_names_of_the_registry() -> None:
    columns = {"id": "bigint", "name": {"data_type": "text", "from": "Name"}}
    reader = reader_of(b"1,a\n2\n", source_of("csv", columns, dialect={"header": False}))
    assert reader.names == ("id", "Name")
    assert good_records(reader) == [(1, ("1", "a"))]
    assert [code for _, code, _ in verdicts(reader)] == ["ragged_row"]


def test_a_csv_file_with_a_broken_header_is_in_no_known_order() -> None:
    texts = source_of("csv", {"id": "text", "name": "text"}, dialect="auto")
    with pytest.raises(DeliveryError) as raised:
        reader_of(b'name,"id\na,1\nb,2\nc,3\n', texts)
    assert raised.value.code == "no_header"


def test_a_csv_file_in_a_dialect_that_is_looked_for() -> None:
    text = "Export of 1 May\n" + "id;name\n" + "".join(f"{n};n{n}\n" for n in range(1, 30))
    reader = reader_of(text.encode("utf-16"), source("csv", dialect="auto", encoding="auto"))
    assert reader.names == ("id", "name")
    assert good_records(reader)[-1] == (29, ("29", "n29"))
    assert any("UTF-16" in note for note in reader.notes)


def test_a_reader_brings_only_what_it_needs() -> None:
    """Arrow takes 40 MB, which a source of CSV files should not pay for."""
    program = "import sys, sluice.reading, sluice.reading.csv_records; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert not modules & {"pyarrow", "python_calamine", "ijson"}
