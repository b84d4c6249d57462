"""What a source and a pipeline may say of themselves: the models behind ``registry/*.yml``.

The allowed words stand here once; validation, JSON Schema, docs and messages derive from them.
Key names are the field's own (dlt, dbt, Airflow) wherever it has one.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator, model_validator

DataType = Literal[
    "text", "bigint", "double", "bool", "decimal", "date", "time", "timestamp", "json"
]

# PostgreSQL cuts identifiers at 63 bytes without an error, which would let two names meet.
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

# Every table has these columns already: a column of one's own cannot have the name.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

ORDERED_TYPES = frozenset({"bigint", "double", "decimal", "date", "time", "timestamp"})

Bound = int | float | Decimal | datetime | date | time | StrictStr


class RegistryModel(BaseModel):
    """Frozen; refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Column(RegistryModel):
    """One column of a source: its type and what must hold for each value."""

    data_type: DataType
    """The type of the values, by dlt's names."""
    nullable: bool = True
    """Whether a value may be missing (an empty field without quotes)."""
    description: str = ""
    """What the column means; shown in dbt's docs."""
    precision: int | None = Field(default=None, ge=1, le=1000)
    """Digits in all, for `decimal`; unlimited where not given."""
    scale: int | None = Field(default=None, ge=0, le=1000)
    """Digits after the decimal point, for `decimal`."""
    timezone: bool = True
    """Whether a `timestamp` is a moment in UTC (`timestamptz`) or a wall-clock time."""
    accepted_values: tuple[StrictStr, ...] | None = Field(default=None, min_length=1)
    """The only values that a `text` column may have."""
    minimum: Bound | None = None
    """The smallest value allowed."""
    maximum: Bound | None = None
    """The largest value allowed."""
    pattern: StrictStr | None = None
    """A regular expression (PostgreSQL's) that a `text` value must match as a whole."""

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Column:
        text_rules = [name for name in ("accepted_values", "pattern") if getattr(self, name)]
        if text_rules and self.data_type != "text":
            raise ValueError(f"{text_rules[0]} is for data_type text, not {self.data_type}")
        bounds = [name for name in ("minimum", "maximum") if getattr(self, name) is not None]
        if bounds and self.data_type not in ORDERED_TYPES:
            allowed = ", ".join(sorted(ORDERED_TYPES))
            raise ValueError(f"{bounds[0]} is for {allowed}; not for {self.data_type}")
        if (self.precision or self.scale) is not None and self.data_type != "decimal":
            raise ValueError(f"precision and scale are for decimal, not for {self.data_type}")
        if self.scale is not None and self.precision is None:
            raise ValueError("scale needs a precision beside it")
        if not self.timezone and self.data_type != "timestamp":
            raise ValueError(f"timezone is for timestamp, not for {self.data_type}")
        return self

    @property
    def postgres_type(self) -> str:
        """The PostgreSQL type of the column in bronze."""
        if self.data_type == "decimal" and self.precision is not None:
            return f"numeric({self.precision},{self.scale or 0})"
        if self.data_type == "timestamp" and not self.timezone:
            return "timestamp without time zone"
        return POSTGRES_TYPES[self.data_type]


# As PostgreSQL itself writes them (format_type), so that a table can be compared by text.
POSTGRES_TYPES: dict[DataType, str] = {
    "text": "text",
    "bigint": "bigint",
    "double": "double precision",
    "bool": "boolean",
    "decimal": "numeric",
    "date": "date",
    "time": "time without time zone",
    "timestamp": "timestamp with time zone",
    "json": "jsonb",
}


class CsvDialect(RegistryModel):
    """How a CSV file is written; the defaults are RFC 4180's."""

    delimiter: Annotated[StrictStr, Field(min_length=1, max_length=1)] = ","
    """The character between two fields."""
    quote: Annotated[StrictStr, Field(min_length=1, max_length=1)] = '"'
    """The character around a field that holds delimiters, quotes or line ends."""
    escape: Annotated[StrictStr, Field(min_length=1, max_length=1)] | None = None
    """The character before a quote inside a quoted field; the quote itself where not given."""
    encoding: Literal["utf-8", "latin-1", "windows-1252"] = "utf-8"
    """The encoding of the file's bytes."""

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _one_plain_byte(cls, value: str | None) -> str | None:
        # The limits of PostgreSQL's COPY, which reads the file's own bytes.
        if value is not None and (ord(value) > 126 or value in "\r\n\0"):
            raise ValueError("must be a single ASCII character other than a line end")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> CsvDialect:
        if self.delimiter in (self.quote, self.escape):
            raise ValueError("delimiter must differ from quote and escape")
        return self


class Source(RegistryModel):
    """One stream of files of one shape: one landing folder, one bronze table."""

    name: Name
    """The file's stem in registry/sources."""
    description: str
    """What arrives here, from whom."""
    owner: str
    """Who answers for it."""
    tags: tuple[str, ...] = ()
    """Words to find it by."""
    path: str = ""
    """Its folder below the landing zone; the source's name where not given."""
    file_glob: str = "*"
    """Which names in the folder are its files."""
    format: Literal["csv"] = "csv"
    """How the files are written."""
    csv: CsvDialect = CsvDialect()
    """The dialect of its CSV files."""
    columns: dict[Name, Column] = Field(min_length=1)
    """Its columns, by the names in the file's header."""
    after_load: Literal["archive", "delete"] = "archive"
    """What becomes of a loaded file: kept in the archive, or deleted."""

    @field_validator("path")
    @classmethod
    def _stays_below_the_landing_zone(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a folder below the landing zone, without '..'")
        return str(path) if value else ""

    @field_validator("file_glob")
    @classmethod
    def _names_only(cls, value: str) -> str:
        if not value or "/" in value:
            raise ValueError("matches names within the folder: without '/', and not empty")
        return value

    @field_validator("columns")
    @classmethod
    def _not_a_system_column(cls, value: dict[str, Column]) -> dict[str, Column]:
        taken = sorted(SYSTEM_COLUMNS & value.keys())
        if taken:
            raise ValueError(f"{taken[0]} is a system column of PostgreSQL; choose another name")
        return value

    @property
    def landing_path(self) -> str:
        """Its folder, relative to the landing zone."""
        return self.path or self.name


class Pipeline(RegistryModel):
    """A set of sources and the models built from them: one DAG."""

    name: Name
    """The file's stem in registry/pipelines."""
    description: str
    """Which question its marts answer."""
    owner: str
    """Who answers for it; the owner of its DAG."""
    tags: tuple[str, ...] = ()
    """Tags of its DAG."""
    sources: tuple[Name, ...] = Field(min_length=1)
    """The sources that it is built from."""

    @field_validator("sources")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is named more than once")
        return value


def is_name(text: str) -> bool:
    """Whether the text can name a source, a pipeline or a column."""
    return re.fullmatch(NAME_PATTERN, text) is not None
