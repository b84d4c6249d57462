"""Files that are broken in known ways, each with its clean target: what robustness.py reads.

The kinds of damage and the names of the files are those of the public corpus Pollock, for a table
of our own; the kinds from ``further_files`` on are ours.
"""

from __future__ import annotations

import codecs
import csv
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

HEADER = ("DATE", "TIME", "Qty", "CODE", "Price", "Product", "Description", "URL", "Comments")

# Columns whose fields stand within quotes in every file, needed or not.
QUOTED_COLUMNS = (6, 7)

PRODUCTS = ("Lamp", "Boots, Waterproof", "Men's Down Vest", 'Bike, 24"', "Tee", "Wool Hat")

WORDS = (
    "warm",
    "dry",
    "light",
    "made",
    "for",
    "long",
    "walks",
    "in",
    "rain,",
    "snow",
    "and",
    "wind",
)

Row = tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """How a table is written."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    line_end: str = "\r\n"

    def field(self, value: str, column: int) -> str:
        """A field, within quotes where it needs them."""
        needs = any(sign in value for sign in (self.delimiter, self.quote, "\r", "\n"))
        if not needs and column not in QUOTED_COLUMNS:
            return value
        if self.escape and self.escape != self.quote:
            value = value.replace(self.escape, self.escape * 2)
        return self.quote + value.replace(self.quote, self.escape + self.quote) + self.quote

    def record(self, row: Sequence[str]) -> str:
        """A record without its line end."""
        return self.delimiter.join(self.field(value, column) for column, value in enumerate(row))

    def text(self, rows: Sequence[Sequence[str]]) -> str:
        """A whole file."""
        return "".join(self.record(row) + self.line_end for row in rows)


PLAIN = Way()


@dataclass(frozen=True)
class BrokenFile:
    """A file, what it should be read as, and how it is declared.

    Attributes:
        name: its name.
        content: its bytes, or text that is UTF-8.
        clean: the names and the records that are in it.
        way: how it is written, for ``parameters/``.
        encoding: its encoding.
        preamble_lines: how many lines stand above the header.
        header_lines: how many lines the header has.
        more: what else the registry can declare of it, by its keys.
    """

    name: str
    content: str | bytes
    clean: Sequence[Sequence[str]]
    way: Way = PLAIN
    encoding: str = "ascii"
    preamble_lines: int = 0
    header_lines: int = 1
    more: dict[str, object] = field(default_factory=dict)


def make_corpus(folder: Path, rows: int) -> int:
    """Write the files into ``csv/``, ``clean/`` and ``parameters/``; returns how many."""
    for name in ("csv", "clean", "parameters"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    table = make_table(rows)
    count = 0
    for count, file in enumerate(all_files(table), 1):  # noqa: B007, it is the number of files
        content = file.content.encode() if isinstance(file.content, str) else file.content
        (folder / "csv" / file.name).write_bytes(content)
        with (folder / "clean" / file.name).open("w", encoding="utf-8", newline="") as target:
            csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(file.clean)
        path = folder / "parameters" / f"{file.name}_parameters.json"
        path.write_text(json.dumps(_parameters(file), indent=4), encoding="utf-8")
    return count


def _parameters(file: BrokenFile) -> dict[str, object]:
    return {
        "encoding": file.encoding,
        "delimiter": file.way.delimiter,
        "quotechar": file.way.quote,
        "escapechar": file.way.escape,
        "row_delimiter": file.way.line_end,
        "header_lines": file.header_lines,
        "preamble_lines": file.preamble_lines,
        "footnote_lines": 0,
        "column_names": list(file.clean[0]) if file.clean else [],
        "n_columns": len(file.clean[0]) if file.clean else 0,
        **file.more,
    }


def make_table(rows: int) -> list[Row]:
    """A header and records of sales: dates, times, numbers, codes, prices, prose, nothing."""
    numbers = random.Random(1)  # the same files each time
    table: list[Row] = [HEADER]
    for number in range(rows):
        product = PRODUCTS[number % len(PRODUCTS)]
        prose = " ".join(numbers.choices(WORDS, k=14)).capitalize()
        if number % 12 == 11:
            prose += ", 8'9\" in length"
        table.append(
            (
                f"{date(2024, 1, 28) + timedelta(days=number):%d/%m/%Y}",
                f"{number // 4 % 24:02}:{number % 4 * 15:02}",
                str(numbers.randrange(30)),
                f"{numbers.choice('ABGHRY') * 2}-{numbers.randrange(1000, 10000)}",
                f"${numbers.randrange(100, 10000) / 100}",
                product,
                prose + ".",
                f"https://www.example.com/product/{number}.html",
                "",
            )
        )
    return table


def all_files(table: list[Row]) -> Iterator[BrokenFile]:
    """Every file."""
    yield BrokenFile("source.csv", PLAIN.text(table), table)
    yield from file_damage(table)
    yield from ways_of_writing(table)
    yield from row_damage(table)
    yield from further_files(table)
    yield from further_rows(table)


def file_damage(table: list[Row]) -> Iterator[BrokenFile]:
    """Damage to a file as a whole."""
    text, header = PLAIN.text(table), table[0]
    yield BrokenFile("file_no_payload.csv", "", [], header_lines=0)
    yield BrokenFile("file_no_trailing_newline.csv", text.removesuffix("\r\n"), table)
    yield BrokenFile("file_double_trailing_newline.csv", text + "\r\n", table)
    yield BrokenFile("file_header_only.csv", PLAIN.text(table[:1]), table[:1])
    yield BrokenFile("file_one_data_row.csv", PLAIN.text(table[:2]), table[:2])
    yield BrokenFile("file_no_header.csv", PLAIN.text(table[1:]), table, header_lines=0)
    for count in (2, 3):
        names = [" ".join([name] * count) for name in header]
        content = PLAIN.text([header] * (count - 1) + table)
        name = f"file_header_multirow_{count}.csv"
        yield BrokenFile(name, content, [names, *table[1:]], header_lines=count)
    preamble = "PREAMBLE,,,,,,,,\r\n,,,,,,,,\r\n"
    yield BrokenFile("file_preamble.csv", preamble + text, table, preamble_lines=2)
    for name, second in (
        ("less", [row[:-1] for row in table]),
        ("more", [(*row, "x") for row in table]),
        ("same", table),
    ):
        # A second table below the first: only what has the first one's fields can be loaded; its
        # header is no record.
        loaded = [*table, *second[1:]] if name == "same" else table
        content = text + PLAIN.text(second)
        yield BrokenFile(f"file_multitable_{name}.csv", content, loaded)


def ways_of_writing(table: list[Row]) -> Iterator[BrokenFile]:
    """Other delimiters, quotes, escapes and line ends."""
    for delimiter, name in ((" ", "0x20"), (", ", "0x2C_0x20"), (";", "0x3B"), ("\t", "0x9")):
        way = Way(delimiter=delimiter)
        yield BrokenFile(f"file_field_delimiter_{name}.csv", way.text(table), table, way)
    way = Way(quote="'", escape="'")
    yield BrokenFile("file_quotation_char_0x27.csv", way.text(table), table, way)
    for escape, name in (("\\", "0x5C"), ("", "0x00")):
        way = Way(escape=escape)
        yield BrokenFile(f"file_escape_char_{name}.csv", way.text(table), table, way)
    for line_end, name in (("\n", "0xA"), ("\r", "0xD")):
        way = Way(line_end=line_end)
        yield BrokenFile(f"file_record_delimiter_{name}.csv", way.text(table), table, way)


def row_damage(table: list[Row]) -> Iterator[BrokenFile]:
    """Damage to one record, for each record and each field of it."""
    space = Way(delimiter=" ")
    for number, row in enumerate(table):
        fields = [PLAIN.field(value, column) for column, value in enumerate(row)]
        for column in range(len(row)):
            more = [*fields[:column], "", *fields[column:]]
            clean = (*row[:column], "", *row[column:])
            name = f"row_more_sep_row{number}_col{column}.csv"
            yield _with_record(name, table, number, ",".join(more), clean)
            quoted = list(fields)
            quoted[column] = (
                f'"{fields[column]}' if fields[column][:1] != '"' else (f'""{fields[column][1:]}')
            )
            clean = (*row[:column], f'"{row[column]}', *row[column + 1 :])
            name = f"row_extra_quote{number}_col{column}.csv"
            yield _with_record(name, table, number, ",".join(quoted), clean)
        for column in range(1, len(row)):
            less = [
                *fields[: column - 1],
                fields[column - 1] + fields[column],
                *fields[column + 1 :],
            ]
            clean = (*row[: column - 1], row[column - 1] + row[column], *row[column + 1 :])
            name = f"row_less_sep_row{number}_col{column}.csv"
            yield _with_record(name, table, number, ",".join(less), clean)
        name = f"row_field_delimiter_{number}_0x20.csv"
        yield _with_record(name, table, number, space.record(row), row)


def _with_record(
    name: str, table: list[Row], number: int, record: str, clean: Sequence[str]
) -> BrokenFile:
    """The table with one of its records written in another way."""
    above, below = PLAIN.text(table[:number]), PLAIN.text(table[number + 1 :])
    target = [*table[:number], clean, *table[number + 1 :]]
    return BrokenFile(name, f"{above}{record}\r\n{below}", target)


def further_files(table: list[Row]) -> Iterator[BrokenFile]:
    """Encodings, and what senders put around a table."""
    text, header = PLAIN.text(table), table[0]
    accented = [
        header,
        *((*row[:8], "café" if number % 9 == 0 else "") for number, row in enumerate(table[1:])),
    ]
    letters = PLAIN.text(accented)
    yield BrokenFile("file_mark_utf8.csv", codecs.BOM_UTF8 + text.encode(), table, encoding="utf_8")
    for encoding in ("utf_8", "utf_16", "cp1252", "utf_16_le", "utf_16_be"):
        content = letters.encode(encoding)
        yield BrokenFile(f"file_encoding_{encoding}.csv", content, accented, encoding=encoding)
    open_end = text.replace("\r\n", ",\r\n")
    ends = {"trailing_delimiter": True}
    yield BrokenFile("file_open_end.csv", open_end, table, more=ends)
    below = _open_end_below_header(text)
    yield BrokenFile("file_open_end_records_only.csv", below, table, more=ends)
    titles = "Sales of the year\r\nmade by hand, for you\r\n\r\n"
    yield BrokenFile("file_titles.csv", titles + text, table, preamble_lines=3)
    yield BrokenFile("file_titles_no_blank.csv", "Sales\r\n" + text, table, preamble_lines=1)
    yield BrokenFile("file_notes_below.csv", text + "\r\nSource: the till\r\n", table)
    lines = text.splitlines(keepends=True)
    signs = "".join(f"# part {n}\r\n{line}" if n % 9 == 0 else line for n, line in enumerate(lines))
    comments = {"comment": "#"}
    yield BrokenFile("file_comments.csv", signs, table, preamble_lines=1, more=comments)
    mixed = "".join(line.replace("\r\n", "\n") if n % 2 else line for n, line in enumerate(lines))
    yield BrokenFile("file_mixed_line_ends.csv", mixed, table)
    blank = lines[0] + "\r\n" + "".join(lines[1:])
    yield BrokenFile("file_blank_below_header.csv", blank, table)
    yield BrokenFile("file_cut.csv", text[: -len(lines[-1]) // 2], table)
    folded = [header, *((*row[:6], row[6].replace(" ", "\n", 2), *row[7:]) for row in table[1:])]
    yield BrokenFile("file_line_ends_in_fields.csv", PLAIN.text(folded), folded)
    years = [("Country", "2019", "2020"), ("Chile", "1", "2"), ("Peru", "3", "4")]
    yield BrokenFile("file_years_as_names.csv", PLAIN.text(years), years)
    words = [("name", "town"), *((f"A{'b' * n}", "Ulm" if n % 2 else "Bonn") for n in range(20))]
    yield BrokenFile("file_words_only.csv", PLAIN.text(words), words)
    comma = replace(PLAIN, delimiter=";")
    prices = [("name", "low", "high"), *((f"P{n}", f"{n},5", f"{n},75") for n in range(20))]
    yield BrokenFile("file_decimal_comma.csv", comma.text(prices), prices, comma)
    single = [("remark",), *((f"good, {n}" if n % 5 == 0 else f"fine {n}",) for n in range(40))]
    content = "".join(f"{row[0]}\n" for row in single)
    yield BrokenFile("file_single_column.csv", content, single, replace(PLAIN, delimiter="|"))


def _open_end_below_header(text: str) -> str:
    header, line_end, below = text.partition("\r\n")
    return header + line_end + below.replace("\r\n", ",\r\n")


def further_rows(table: list[Row]) -> Iterator[BrokenFile]:
    """Damage to one record that may spill over into those below it."""
    damages: dict[str, Callable[[str], str]] = {
        "open_quote_first": lambda record: f'"{record}',
        "open_quote_last": lambda record: f'{record}"lost',
        "line_end_within": lambda record: record.replace(",", ",\r\n", 1),
        "nul": lambda record: record.replace(",", ",\0", 1),
        "cut": lambda record: record[: len(record) // 2],
        "semicolons": lambda record: record.replace(",", ";"),
        "tab_before": lambda record: f"\t,{record}",
    }
    for number, row in enumerate(table[1:], 1):
        record = PLAIN.record(row)
        for name, damage in damages.items():
            file = _with_record(f"row_{name}_{number}.csv", table, number, damage(record), row)
            yield file
        content = _with_record("", table, number, f"\xff{record}", row).content
        assert isinstance(content, str)
        yield BrokenFile(f"row_bad_encoding_{number}.csv", content.encode("latin-1"), table)
