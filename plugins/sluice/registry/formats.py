"""How the files of a source are written: format, dialect, encoding, and the words of its values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictStr,
    Tag,
    field_validator,
    model_validator,
)

Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "excel", "fixed_width"]

# As dlt names them. What each means for what can differ is in ``SchemaContract``.
ContractMode = Literal["evolve", "freeze", "discard_value", "discard_row"]

Character = Annotated[StrictStr, Field(min_length=1, max_length=1)]


class RegistryModel(BaseModel):
    """Frozen; refuses keys that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True
    )


class CsvDialect(RegistryModel):
    """How a delimited file is written; the defaults are RFC 4180's."""

    delimiter: Character | None = None
    """The character between two fields; a comma for `csv` and a tab for `tsv` where not given."""
    quote: Character | None = '"'
    """The character around a field that holds delimiters, quotes or line ends; null for none."""
    escape: Character | None = None
    """The character before a quote inside a quoted field; the quote itself where not given."""
    comment: Character | None = None
    """Lines that begin with it are no records."""
    skip_lines: int = Field(default=0, ge=0)
    """How many lines to pass over before the header."""
    header: bool = True
    """Whether the first record names the columns; without it they come in the registry's order."""
    trailing_delimiter: bool = False
    """Whether each record ends with a delimiter that no field follows."""
    space_after_delimiter: bool = False
    """Whether spaces after a delimiter belong to it and not to the field, as in `1, "a, b"`."""

    @field_validator("delimiter", "quote", "escape", "comment")
    @classmethod
    def _one_plain_byte(cls, value: str | None) -> str | None:
        # The limits of PostgreSQL's COPY, which reads the file's own bytes.
        if value is not None and (ord(value) > 126 or value in "\r\n\0"):
            raise ValueError("must be a single ASCII character other than a line end")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> CsvDialect:
        if self.delimiter is not None and self.delimiter in (self.quote, self.escape):
            raise ValueError("delimiter must differ from quote and escape")
        if self.comment is not None and self.comment in (self.delimiter, self.quote):
            raise ValueError("comment must differ from delimiter and quote")
        if self.space_after_delimiter and " " in (self.delimiter, self.quote, self.escape):
            raise ValueError("space_after_delimiter goes with signs other than the space")
        return self


# The tags are in brackets so that they do not show up in a problem's place.
Dialect = Annotated[
    Annotated[Literal["auto"], Tag("[word]")] | Annotated[CsvDialect, Tag("[keys]")],
    Discriminator(lambda value: "[word]" if isinstance(value, str) else "[keys]"),
]


class JsonLayout(RegistryModel):
    """Where the records of a `json` file are."""

    path: StrictStr = ""
    """The dotted path to the array of records, such as `data.items`; empty for the file itself."""


class ExcelLayout(RegistryModel):
    """Where the records of an `excel` file are."""

    sheet: StrictStr | Annotated[int, Field(ge=1)] = 1
    """The sheet, by its name or by its number from 1."""
    header_row: int = Field(default=1, ge=1)
    """The row, from 1, that names the columns; the records follow it."""


class ValueRules(RegistryModel):
    """How values are written, where PostgreSQL would not read them as they stand."""

    null_values: tuple[StrictStr, ...] = ()
    """Words that stand for a missing value, beside the empty field."""
    decimal_separator: Literal[".", ","] | None = None
    """The character before the fraction of a number."""
    thousands_separator: Literal[",", ".", " ", "'", "_"] | None = None
    """The character between groups of three digits; a space stands for no-break spaces too."""
    date_order: Literal["ymd", "dmy", "mdy"] | None = None
    """The order of day, month and year in a date written with digits, such as 31.12.2026."""
    time_format: StrictStr | None = None
    """How dates and times are written, in Python's strptime words, such as `%d.%m.%Y %H:%M`."""
    true_values: tuple[StrictStr, ...] = ()
    """The words for true, beside PostgreSQL's own."""
    false_values: tuple[StrictStr, ...] = ()
    """The words for false, beside PostgreSQL's own."""

    @field_validator("thousands_separator", mode="before")
    @classmethod
    def _any_space_is_a_space(cls, value: object) -> object:
        return " " if value in ("\u00a0", "\u202f") else value

    @model_validator(mode="after")
    def _separators_differ(self) -> ValueRules:
        if self.thousands_separator and self.thousands_separator == (self.decimal_separator or "."):
            raise ValueError("thousands_separator must differ from decimal_separator ('.')")
        both = sorted(set(self.true_values) & set(self.false_values))
        if both:
            raise ValueError(f"{both[0]!r} cannot be both true and false")
        if self.date_order and self.time_format:
            raise ValueError("time_format says the order already: drop date_order")
        return self

    def over(self, other: ValueRules) -> ValueRules:
        """These rules, with those of ``other`` where these say nothing."""
        return other.model_copy(update=self.model_dump(exclude_defaults=True))

    @property
    def says_nothing(self) -> bool:
        """Whether values can go to PostgreSQL as they stand."""
        return self == ValueRules()


# What a type does not take is kept in a column of this name beside its own, as dlt has it.
VARIANT_SUFFIX = "__v_text"

# PostgreSQL cuts identifiers at 63 bytes without an error, which would let two names meet.
LONGEST_NAME = 63

# Of a table of PostgreSQL, those that were dropped included.
MOST_COLUMNS = 1600

# _load_id, _source_row_number and, where the contract comes to want it, _rescued_data.
OWN_COLUMNS = 3


def check_count(columns: Collection[str]) -> None:
    """Whether a table has room for the columns.

    Raises:
        ValueError: it has not.
    """
    most = MOST_COLUMNS - OWN_COLUMNS
    if len(columns) > most:
        raise ValueError(
            f"{len(columns):,} columns are more than the {most:,} that a table has room for: let"
            " one of data_type json take several of them, or divide the source"
        )


class SchemaContract(RegistryModel):
    """What happens when a delivery has other columns or values than the registry says."""

    new_columns: ContractMode = "freeze"
    """A column that the registry lacks: `evolve` adds it to bronze as text and says so, `freeze`
    refuses the delivery, `discard_value` keeps its values in `_rescued_data`, `discard_row`
    rejects each record that has a value there."""
    missing_columns: Literal["evolve", "freeze"] = "freeze"
    """A declared column that the delivery lacks: `evolve` leaves it empty, `freeze` refuses the
    delivery. A column with `nullable: false` is always demanded, and at least one of all."""
    data_types: ContractMode = "discard_row"
    """A value that its column's type does not take: `evolve` keeps it in a text column beside it,
    `<column>__v_text`, which is added then, and leaves the column empty; `freeze` refuses the
    delivery, `discard_value` keeps it in `_rescued_data` and leaves the column empty,
    `discard_row` rejects the record."""

    def check_names(self, columns: Collection[str]) -> None:
        """Whether there is a name left for the bad values of each column.

        Raises:
            ValueError: there is none.
        """
        for name in columns if self.data_types == "evolve" else ():
            variant = f"{name}{VARIANT_SUFFIX}"
            if variant in columns or len(variant) > LONGEST_NAME:
                raise ValueError(
                    f"data_types: evolve keeps bad values of {name} in {variant}, which is a column"
                    " already, or too long a name"
                )

    @classmethod
    def of(cls, mode: ContractMode) -> SchemaContract:
        """The contract that one word stands for: everything that can take it gets it."""
        return cls(
            new_columns=mode,
            missing_columns="freeze" if mode == "freeze" else "evolve",
            data_types=mode,
        )
