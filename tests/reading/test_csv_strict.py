"""The fast path's guard: valid files pass byte by byte, and nothing of a broken record does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import DeliveryError
from sluice.reading import csv_pass, csv_strict, csv_window, lines
from sluice.reading.csv_strict import strictly
from sluice.registry import CsvDialect
from tests.properties import tried
from tests.reading.csv_files import dialect_of, read, written_value

PLAIN = dialect_of(header=False)
ESCAPED = dialect_of(header=False, escape="\\")

TEXT = st.text(st.sampled_from('ab,"\\\n\r'), max_size=5)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def passed(data: bytes, size: int, dialect: CsvDialect = PLAIN) -> tuple[bytes, str | None]:
    """What comes through, and the code of the refusal."""
    out = b""
    try:
        for piece in strictly(chunks(data, size), dialect):
            out += piece
    except DeliveryError as error:
        return out, error.code
    return out, None


@given(
    st.lists(st.tuples(TEXT, TEXT, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))),
    st.integers(1, 20),
    st.sampled_from([PLAIN, ESCAPED]),
)
def test_a_valid_file_passes_as_it_is(
    rows: list[tuple[str, str, bool, str]], size: int, dialect: CsvDialect
) -> None:
    text = "".join(
        f"{written_value(one, dialect, is_quoted=is_quoted)},"
        f"{written_value(two, dialect, is_quoted=is_quoted)}{end}"
        for one, two, is_quoted, end in rows
    )
    assert passed(text.encode(), size, dialect) == (text.encode(), None)
    without_end = text.rstrip("\r\n").encode()
    assert passed(without_end, size, dialect) == (without_end, None)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("start", [b"", b"1,2\n", b'1,"x\n\ny"\r\n'])
@pytest.mark.parametrize(
    "broken",
    [b'x"y"z,1', b'1,x"y', b'"x"y,1', b'"x" ,1', b' "x",1', b'"x""y"z,1', b'"x",1"', b'1,"x', b'"'],
)
def test_a_broken_record_is_held_back(broken: bytes, start: bytes, size: int) -> None:
    for end in (b"", b"\n", b"\n3,4\n", b'\n3,"4"\n'):
        out, code = passed(start + broken + end, size)
        assert code == "bad_quotes"
        assert start.startswith(out)


@given(
    st.lists(st.sampled_from([b"x", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b"\\"])),
    st.integers(1, 20),
    st.sampled_from([PLAIN, ESCAPED]),
)
def test_it_refuses_what_the_tolerant_reader_does(
    parts: list[bytes], size: int, dialect: CsvDialect
) -> None:
    data = b"".join(parts)
    out, code = passed(data, size, dialect)
    verdicts = [one for _, one in read(data, names=("a",), header=False, escape=dialect.escape)]
    assert (code == "bad_quotes") == ("bad_quotes" in verdicts)
    assert out == data if code is None else data.startswith(out)


def test_without_a_quote_everything_passes() -> None:
    assert passed(b'a"b,"\n', 2, dialect_of(quote=None)) == (b'a"b,"\n', None)


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("after", [b"", b"1,2\n", b'1,"2"\n'])
@pytest.mark.parametrize(
    "data", [b"x" * 60 + b"\n", b'"' + b"x" * 60 + b'"\n', b'"x\n' + b"y\n" * 30 + b'"\n']
)
def test_a_record_that_is_too_long_is_refused(
    data: bytes, after: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_strict, "RECORD_BYTES", 50)
    out, code = passed(b"1,2\n" + data + after, size)
    assert code == "too_long"
    assert out in (b"", b"1,2\n")


# A record of up to 60 bytes, of one line or more.
RECORD = st.builds(
    lambda value, quote, end: quote + value + quote + end,
    st.text(st.sampled_from("x,"), max_size=58) | st.text(st.sampled_from("xy\n"), max_size=58),
    st.just('"'),
    st.sampled_from(["\n", "\r\n", "\r"]),
) | st.builds("{0}{1}".format, st.text("x", min_size=40, max_size=60), st.sampled_from("\n\r"))


@tried(200)
@given(st.lists(RECORD, max_size=6).map("".join), st.integers(1, 40), st.booleans())
def test_both_readers_find_the_same_records_too_long(
    text: str, size: int, is_without_end: bool
) -> None:
    data = (text.rstrip("\r\n") if is_without_end else text).encode()
    with pytest.MonkeyPatch.context() as patch:
        for module in (csv_strict, csv_pass, csv_window):
            patch.setattr(module, "RECORD_BYTES", 50)
        patch.setattr(csv_pass, "LONG_CHARACTERS", 12)
        patch.setattr(lines, "BATCH_BYTES", size)
        _, code = passed(data, size)
        verdicts = [one for _, one in read(data, names=("a",), header=False)]
    assert (code == "too_long") == ("too_long" in verdicts)
