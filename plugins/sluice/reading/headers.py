"""The names that a file gives its fields, and which of them feeds which column.

A field feeds the column whose ``from`` is its name, exactly. Other columns are fed by the field
of their own name: exactly so, or by its ``snake_case`` where the source says ``column_names:
snake_case``. The order of the fields is free.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sluice.errors import DeliveryError
from sluice.reading.csv_grammar import LINE_END, Grammar, lack_of_lines, shown
from sluice.reading.encodings import declared_encoding
from sluice.reading.names import column_name, snake_case
from sluice.registry import CsvDialect, Source

HEAD_BYTES = 1 << 16  # a header is a few hundred bytes; this bounds what is read to find its end


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a delimited file.

    Attributes:
        names: the names, in the file's order.
        end: how many bytes stand before the first record, a byte order mark included.
        lines: how many lines stand before it.
        line_end: what ends the header's line; empty where the file ends with it.
    """

    names: tuple[str, ...]
    end: int
    lines: int
    line_end: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which field of a file feeds which column.

    Attributes:
        columns: the declared columns that the file has, in the file's order.
        positions: the index of the field that feeds each of ``columns``.
        new: fields that the registry lacks and bronze gains (``new_columns: evolve``): the index,
            and the name of the column.
        rescued: fields that the registry lacks and ``_rescued_data`` keeps (``discard_value``): the
            index, and the file's name for it.
        forbidden: fields that the registry lacks and that must be empty (``discard_row``): the
            index, and the file's name for it.
        missing: declared columns that the file lacks and that stay empty.
    """

    columns: tuple[str, ...]
    positions: tuple[int, ...]
    new: tuple[tuple[int, str], ...] = ()
    rescued: tuple[tuple[int, str], ...] = ()
    forbidden: tuple[tuple[int, str], ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether each field of the file feeds a declared column: COPY can read it as it is."""
        return not (self.new or self.rescued or self.forbidden)


def field_names(source: Source) -> tuple[str, ...]:
    """The names that the fields of a file without a header go by: the columns', in their order.

    What comes from the file's name is no field of it.
    """
    return tuple(
        column.from_ or name
        for name, column in source.columns.items()
        if column.from_file_name is None
    )


def read_header(
    head: bytes,
    dialect: CsvDialect,
    encoding: str,
    *,
    is_whole_file: bool,
    is_without_mark: bool = False,
) -> Header:
    """The header of a delimited file, from its first bytes.

    Of a dialect without a header, only the lines to pass over are looked at; there are no names.

    Args:
        head: the first bytes of the file.
        dialect: how the file is written.
        encoding: its encoding, one that extends ASCII.
        is_whole_file: whether that is all of it.
        is_without_mark: whether a byte order mark was taken off the head before.

    Raises:
        DeliveryError: there is no header, it cannot be read, or the file's byte order mark is that
            of another encoding.
    """
    mark_bytes = 0 if is_without_mark else declared_encoding(head, encoding).mark_bytes
    text = head[mark_bytes:].decode(encoding, errors="surrogateescape")
    start = _first_line(text, dialect, is_whole_file=is_whole_file)
    end, line_end = start, ""
    names: tuple[str, ...] = ()
    if dialect.header:
        match = Grammar(dialect, 1).any_record.match(text, start)
        if match is None or not (match[1] == "\n" or match.end() < len(text) or is_whole_file):
            raise _unreadable(text[start:], is_whole_file=is_whole_file)
        end, line_end = match.end(), match[1]
        if end - start == len(line_end):
            raise DeliveryError(
                lack_of_lines(text, dialect.skip_lines)
                if end == len(text)
                else "The line that should be the header is empty.",
                code="no_header",
                remedy="The first line must name the columns.",
            )
        names = _names(text[start:end], dialect)
    size = mark_bytes + len(text[:end].encode(encoding, errors="surrogateescape"))
    return Header(names, size, len(LINE_END.findall(text, 0, end)), line_end)


def _first_line(text: str, dialect: CsvDialect, *, is_whole_file: bool) -> int:
    """Where the first line begins that is neither to be passed over nor a comment."""
    start = 0
    for _ in range(dialect.skip_lines):
        match = LINE_END.search(text, start)
        if match is None and not is_whole_file:
            raise DeliveryError(
                f"The {dialect.skip_lines} lines to pass over do not end within {HEAD_BYTES}"
                " bytes.",
                code="no_header",
            )
        start = match.end() if match else len(text)
    while dialect.header and dialect.comment and text.startswith(dialect.comment, start):
        match = LINE_END.search(text, start)
        start = match.end() if match else len(text)
    return start


def _names(header: str, dialect: CsvDialect) -> tuple[str, ...]:
    """The names in a header's text, line end included."""
    try:
        header.encode()
    except UnicodeEncodeError:
        raise DeliveryError(
            f"The header is no text in the file's encoding: {shown(header.strip())}.",
            code="bad_encoding",
            remedy="Deliver it in the declared encoding, or correct encoding in the registry.",
            where_masked="The header is no text in the file's encoding.",
        ) from None
    if "\0" in header:
        raise DeliveryError(
            f"The header has a NUL byte: {shown(header.strip())}.",
            code="nul_byte",
            remedy="Deliver the file without it; if it is in UTF-16 or UTF-32, declare encoding.",
        )
    fields = Grammar(dialect, 1).fields(header, 0)
    names = [field or "" for field in fields]
    if not any(map(str.strip, names)):
        raise DeliveryError(
            "The line that should be the header names no column.",
            code="no_header",
            remedy="The first line must name the columns.",
        )
    if dialect.trailing_delimiter and not names[-1]:
        names.pop()
    return tuple(names)


def _unreadable(text: str, *, is_whole_file: bool) -> DeliveryError:
    line = LINE_END.split(text, maxsplit=1)
    if len(line) == 1 and not is_whole_file:
        return DeliveryError(
            f"The first line cannot be read as a header: it does not end within {HEAD_BYTES}"
            " bytes.",
            code="no_header",
        )
    return DeliveryError(
        f"The first line cannot be read as a header: its quotes are broken: {shown(line[0])}.",
        code="no_header",
        where_masked="The first line cannot be read as a header: its quotes are broken.",
    )


def map_columns(names: Sequence[str], source: Source) -> Mapping:
    """Which field of a file feeds which column of its source.

    Args:
        names: the names of the file's fields, in its order; ``field_names(source)``, or the
            columns' own names in the registry's order, where the file names none.
        source: whose file it is.

    Raises:
        DeliveryError: two fields have one name or feed one column, or a column is missing or new
            that ``schema_contract`` does not let be so, or a masked column may have another name.
    """
    if tuple(names) == tuple(source.columns):
        return Mapping(tuple(source.columns), tuple(range(len(source.columns))))
    _refuse_duplicates(names)
    fed = fed_columns(names, source)
    absent = [name for name in source.columns if name not in fed.values()]
    _refuse_missing(absent, names, source)
    unknown = [index for index in range(len(names)) if index not in fed]
    _refuse_bare(absent if unknown else [], source)
    return Mapping(
        columns=tuple(fed.values()),
        positions=tuple(fed),
        missing=tuple(absent),
        **_unknown_fields(unknown, names, source),
    )


def _refuse_duplicates(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise DeliveryError(
                f"The header names {name!r} more than once.",
                code="duplicate_column",
                column=name,
                where_masked="The header has a name more than once.",
            )


def fed_columns(names: Sequence[str], source: Source) -> dict[int, str]:
    """The column that each field feeds, by the field's index, in the file's order.

    Raises:
        DeliveryError: two fields feed one column.
    """
    if tuple(names) == tuple(source.columns):
        return dict(enumerate(source.columns))
    by_from = {column.from_: name for name, column in source.columns.items() if column.from_}
    by_name = {name for name, column in source.columns.items() if not column.from_}
    fed: dict[int, str] = {}
    for index, name in enumerate(names):
        own = snake_case(name) if source.column_names == "snake_case" else name
        column = by_from.get(name) or (own if own in by_name else None)
        if column is None:
            continue
        if column in fed.values():
            other = next(names[place] for place, fed_one in fed.items() if fed_one == column)
            raise DeliveryError(
                f"The header names {column} more than once: as {other!r} and as {name!r}.",
                code="duplicate_column",
                column=column,
                where_masked=f"The header names {column} more than once.",
            )
        fed[index] = column
    return fed


def _refuse_missing(absent: Sequence[str], names: Sequence[str], source: Source) -> None:
    may_lack = source.schema_contract.missing_columns == "evolve"
    expected = [name for name, column in source.columns.items() if column.from_file_name is None]
    lacking = [name for name in absent if name in expected]
    # Where all may be missing, a file of which none is known is another source's all the same.
    if may_lack and lacking != expected:
        lacking = [name for name in lacking if not source.columns[name].nullable]
    if lacking:
        written = ", ".join(repr(source.columns[name].from_ or name) for name in lacking)
        entry = f"registry/sources/{source.name}.yml"
        raise DeliveryError(
            f"The header lacks {written}; it has {list(names)}.",
            code="missing_column",
            column=lacking[0],
            remedy=_other_dialect(lacking, names, source, entry)
            or f"Deliver the columns, or take them out of {entry}.",
            where_masked=f"The header lacks {written}; it has {len(names)} names.",
        )


def _refuse_bare(absent: Sequence[str], source: Source) -> None:
    """Refuse what may have a masked column under a name that no mask is known for."""
    masked = next((name for name in absent if source.columns[name].mask), None)
    if masked is not None:
        written = source.columns[masked].from_ or masked
        message = (
            f"The header lacks {written!r}, which is masked, and has columns that the registry does"
            " not: one of them may be it."
        )
        raise DeliveryError(
            message,
            code="missing_column",
            column=masked,
            remedy="Deliver it under its name, or without the others.",
            where_masked=message,
        )


def _other_dialect(
    lacking: Sequence[str], names: Sequence[str], source: Source, entry: str
) -> str | None:
    """What to do about a header that is one field only because it is written in another way."""
    if len(names) != 1 or source.format not in ("csv", "tsv"):
        return None
    wanted = {source.columns[name].from_ or name for name in lacking}
    for delimiter in ",;\t|":
        fields = [field.strip(' "') for field in names[0].split(delimiter)]
        if source.column_names == "snake_case":
            fields += [snake_case(field) for field in fields]
        if len(fields) < 2 or not wanted.intersection(fields):
            continue
        if delimiter == source.csv_dialect.delimiter:
            return "The line is quoted as a whole: deliver each field by itself."
        dialect = f"`dialect: {{delimiter: {json.dumps(delimiter)}}}`"
        return (
            f"It is one field, and would be several with the delimiter {delimiter!r}: declare"
            f" {dialect} or `dialect: auto` in {entry}."
        )
    return None


def _unknown_fields(
    unknown: Sequence[int], names: Sequence[str], source: Source
) -> dict[str, tuple[tuple[int, str], ...]]:
    """What becomes of the fields that the registry lacks, as ``Mapping`` calls it."""
    if not unknown:
        return {}
    shown_names = {index: names[index] or f"column_{index + 1}" for index in unknown}
    mode = source.schema_contract.new_columns
    if mode == "freeze":
        listed = ", ".join(repr(name) for name in shown_names.values())
        nameless = next((index for index in unknown if not names[index]), None)
        detail = "" if nameless is None else f" Field {nameless + 1} of the header has no name."
        raise DeliveryError(
            f"The header has columns that the registry does not: {listed}.{detail}",
            code="unknown_column",
            column=shown_names[unknown[0]],
            remedy=f"Add them to registry/sources/{source.name}.yml, or deliver the file without"
            " them.",
            where_masked="The header has columns that the registry does not: number"
            f" {', '.join(str(index + 1) for index in unknown)}.{detail}",
        )
    if mode == "evolve":
        return {"new": _new_columns(shown_names, source)}
    return {"rescued" if mode == "discard_value" else "forbidden": tuple(shown_names.items())}


def _new_columns(names: dict[int, str], source: Source) -> tuple[tuple[int, str], ...]:
    """The names in bronze of the fields that it gains."""
    new: dict[str, str] = {}
    for name in names.values():
        column = column_name(name)
        other = column if column in source.columns else new.get(column)
        if other is not None:
            raise DeliveryError(
                f"The header's {name!r} would be the column {column}, as {other!r} is already.",
                code="duplicate_column",
                column=name,
                remedy=f"Declare its column in registry/sources/{source.name}.yml, with `from`.",
                where_masked="Two names of the header would be one column.",
            )
        new[column] = name
    return tuple(zip(names, new, strict=True))
