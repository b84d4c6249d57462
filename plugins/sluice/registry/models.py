"""What a source and a pipeline may say of themselves: the models behind ``registry/*.yml``.

The allowed words stand here once; validation, JSON Schema, docs and messages derive from them.
Key names are the field's own (dlt, dbt, Airflow) wherever it has one.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Literal, get_args

from pydantic import Field, StrictStr, field_validator, model_validator

from sluice.registry.bounds import check_bounds
from sluice.registry.encodings import Encoding
from sluice.registry.extract import Extract
from sluice.registry.formats import (
    LONGEST_NAME,
    ContractMode,
    CsvDialect,
    Dialect,
    ExcelLayout,
    Format,
    JsonLayout,
    RegistryModel,
    SchemaContract,
    ValueRules,
    check_count,
)
from sluice.registry.freshness import Freshness
from sluice.registry.notify import NotifyList
from sluice.registry.patterns import NamePattern, ValuePattern
from sluice.registry.schedule import PERCENTAGE, ApproveWhen, Schedule

DataType = Literal[
    "text", "bigint", "double", "bool", "decimal", "date", "time", "timestamp", "json"
]

NAME_PATTERN = rf"^[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

# The DAGs that are no pipeline's, such as sluice_replay.
OWN_PREFIX = "sluice_"

# Keys of a source that mean something for some formats only.
FORMAT_KEYS: dict[str, tuple[Format, ...]] = {
    "dialect": ("csv", "tsv"),
    "encoding": ("csv", "tsv", "jsonl", "json", "fixed_width"),
    "json_": ("json",),
    "excel": ("excel",),
}

# Every table has these columns already: a column of one's own cannot have the name.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

# A partition is named _<source>_2026_06_30.
LONGEST_PARTITIONED_NAME = LONGEST_NAME - len("__2026_06_30")


Bound = int | float | Decimal | datetime | date | time | StrictStr


class Column(RegistryModel):
    """One column of a source: its type and what must hold for each value."""

    data_type: DataType
    """The type of the values, by dlt's names."""
    nullable: bool = True
    """Whether a value may be missing (an empty field without quotes)."""
    description: str = ""
    """What the column means; shown in dbt's docs."""
    from_: StrictStr | None = Field(default=None, alias="from", min_length=1)
    """Its name in the files, where that is another: a header, or a dotted path into JSON."""
    from_file_name: NamePattern | None = None
    """A regular expression (Python's) with one group, searched for in the file's name: what the
    group matches is the value of the records that have none. A member of an archive has the value
    from its own name, or else from its archive's."""
    start: int | None = Field(default=None, ge=1)
    """Where it begins in a `fixed_width` line, in characters from 1."""
    width: int | None = Field(default=None, ge=1)
    """How many characters it takes in a `fixed_width` line."""
    values: ValueRules = ValueRules()
    """How its values are written, where that differs from the source's `values`."""
    mask: Literal["hash", "redact"] | None = None
    """Applied before a value reaches the database: `hash` keeps equal values equal (keyed with a
    secret of the installation), `redact` keeps nothing but whether there was a value."""
    unique: bool = False
    """Whether a value may stand only once in a file; the first record with it is kept."""
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
    pattern: ValuePattern | None = None
    """A regular expression (PostgreSQL's) that a `text` value must match as a whole; options such
    as `(?i)` stand at its start."""

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Column:
        text_rules = [name for name in ("accepted_values", "pattern") if getattr(self, name)]
        if text_rules and self.data_type != "text":
            raise ValueError(f"{text_rules[0]} is for data_type text, not {self.data_type}")
        check_bounds(self.data_type, minimum=self.minimum, maximum=self.maximum)
        if (self.precision or self.scale) is not None and self.data_type != "decimal":
            raise ValueError(f"precision and scale are for decimal, not for {self.data_type}")
        if self.scale is not None and self.precision is None:
            raise ValueError("scale needs a precision beside it")
        if not self.timezone and self.data_type != "timestamp":
            raise ValueError(f"timezone is for timestamp, not for {self.data_type}")
        if (self.start is None) != (self.width is None):
            raise ValueError("start and width belong together")
        if self.mask and self.data_type != "text":
            raise ValueError(f"mask is for data_type text, not {self.data_type}")
        if self.mask and self.from_file_name:
            raise ValueError("mask cannot hide what from_file_name takes: the ledger has the name")
        if self.mask and text_rules:
            raise ValueError(f"{text_rules[0]} would be held against the masked value")
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


class PartitionBy(RegistryModel):
    """How a bronze table is divided: by the days, months or years of a column."""

    column: Name
    """A `date` or `timestamp` column; records without a value are in a partition of their own."""
    every: Literal["day", "month", "year"] = "month"
    """How long the time of a partition is."""


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
    format: Format = "csv"
    """How the files are written. Compression (gzip, bzip2, xz, zstd, zip) is seen by content."""
    encoding: Encoding = "utf-8"
    """The encoding of text files; `auto` looks for a byte order mark, UTF-16 and UTF-8, and takes
    windows-1252 only where no other encoding makes another text of the file."""
    dialect: Dialect = CsvDialect()
    """The dialect of `csv` and `tsv` files; `auto` looks at each file and says what it took."""
    json_: JsonLayout = Field(default=JsonLayout(), alias="json")
    """Where the records of a `json` file are."""
    excel: ExcelLayout = ExcelLayout()
    """Where the records of an `excel` file are."""
    values: ValueRules = ValueRules()
    """How values are written, for every column that does not say otherwise."""
    column_names: Literal["exact", "snake_case"] = "exact"
    """How names in the files are matched with columns: as they are, or as snake_case."""
    columns: dict[Name, Column] = Field(min_length=1)
    """Its columns, by their names in bronze and, without `from`, in the files."""
    write_disposition: Literal["append", "replace"] = "append"
    """`append`: each file adds its rows. `replace`: the newest file is the whole truth."""
    partition_by: PartitionBy | None = None
    """Divides the bronze table into ranges of time; the partitions are made as data arrives."""
    schema_contract: SchemaContract = SchemaContract()
    """What happens when a delivery has other columns or types: one word, or one for each."""
    on_row_error: Literal["quarantine", "fail"] = "quarantine"
    """A record that cannot be loaded: kept in `ops.rejected_rows`, or the delivery is refused."""
    max_row_errors: int | StrictStr = 100
    """How many records of a delivery may be quarantined, as a count or as a percentage (`"1%"`);
    with more, the whole delivery is rejected."""
    on_changed_file: Literal["replace", "append", "fail"] = "replace"
    """A known name with new bytes: the new rows replace the old ones, come beside them, or the
    delivery is rejected."""
    on_duplicate_file: Literal["skip", "load", "fail"] = "skip"
    """Known bytes under a new name: skipped, loaded beside the others, or rejected."""
    after_load: Literal["archive", "keep", "delete"] = "archive"
    """What becomes of a loaded file: it moves to the archive, stays where it is, or is deleted."""
    extract: Extract | None = None
    """The HTTP API that its deliveries are fetched from; where not given, somebody drops them."""

    freshness: Freshness | None = None
    """How long ago its last new delivery may have been."""

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
    def _can_be_a_tables(cls, value: dict[str, Column]) -> dict[str, Column]:
        check_count(value)
        taken = sorted(SYSTEM_COLUMNS & value.keys())
        if taken:
            raise ValueError(f"{taken[0]} is a system column of PostgreSQL; choose another name")
        return value

    @field_validator("max_row_errors")
    @classmethod
    def _count_or_percentage(cls, value: int | str) -> int | str:
        if value < 0 if isinstance(value, int) else not re.match(PERCENTAGE, value):
            raise ValueError('must be a count such as 100, or a percentage such as "1%"')
        return value

    @field_validator("schema_contract", mode="before")
    @classmethod
    def _one_word_for_all(cls, value: object) -> object:
        modes = get_args(ContractMode)
        return SchemaContract.of(value) if value in modes else value  # type: ignore[arg-type]

    @model_validator(mode="after")
    def _keys_fit_the_format(self) -> Source:
        for key, formats in FORMAT_KEYS.items():
            is_said = getattr(self, key) != type(self).model_fields[key].default
            if is_said and self.format not in formats:
                name = key.rstrip("_")
                raise ValueError(f"{name} is for format {' and '.join(formats)}, not {self.format}")
        placed = [name for name, column in self.columns.items() if column.start is not None]
        if self.format == "fixed_width" and len(placed) < len(self.columns):
            missing = next(name for name in self.columns if name not in placed)
            raise ValueError(f"fixed_width needs start and width for each column: see {missing}")
        if self.format != "fixed_width" and placed:
            raise ValueError(f"start and width are for fixed_width, not {self.format}")
        return self

    @model_validator(mode="after")
    def _takes_what_it_extracts(self) -> Source:
        if self.extract is None:
            return self
        if self.format != "jsonl" or self.encoding not in ("auto", "utf-8"):
            raise ValueError("extract writes JSON lines: it needs format jsonl, in UTF-8")
        example = f"{self.name}_20260630T060000Z.jsonl"
        if not fnmatchcase(example, self.file_glob):
            raise ValueError(f"extract writes files such as {example}, which file_glob refuses")
        return self

    @model_validator(mode="after")
    def _has_room_for_bad_values(self) -> Source:
        self.schema_contract.check_names(self.columns)
        return self

    @model_validator(mode="after")
    def _can_be_partitioned(self) -> Source:
        if self.partition_by is None:
            return self
        column = self.columns.get(self.partition_by.column)
        if column is None or column.data_type not in ("date", "timestamp"):
            raise ValueError(
                f"partition_by needs a column of type date or timestamp, and"
                f" {self.partition_by.column} is {column.data_type if column else 'no column'}"
            )
        if len(self.name) > LONGEST_PARTITIONED_NAME:
            raise ValueError(
                f"partition_by needs a name of {LONGEST_PARTITIONED_NAME} characters at most:"
                " partitions are named after the source and their time"
            )
        return self

    @property
    def csv_dialect(self) -> CsvDialect:
        """The declared dialect with its delimiter; RFC 4180's where the file is to be looked at."""
        dialect = self.dialect if isinstance(self.dialect, CsvDialect) else CsvDialect()
        if dialect.delimiter is not None:
            return dialect
        return dialect.model_copy(update={"delimiter": "\t" if self.format == "tsv" else ","})

    @property
    def rescues(self) -> bool:
        """Whether its bronze table has `_rescued_data`."""
        contract = self.schema_contract
        return contract.new_columns == "discard_value" or self.keeps_bad_values

    @property
    def keeps_bad_values(self) -> bool:
        """Whether a value that its type does not take leaves its column empty and is kept aside."""
        return self.schema_contract.data_types in ("discard_value", "evolve")

    def values_of(self, column: str) -> ValueRules:
        """How the values of a column are written."""
        return self.columns[column].values.over(self.values)

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
    sources: tuple[Name, ...] = ()
    """The sources that it is built from."""
    reads: tuple[Name, ...] = ()
    """The pipelines whose marts it reads, as published; it runs when one of them has published."""

    schedule: Schedule = Schedule()
    """When it runs; without it, as soon as anything has arrived."""
    freshness: Freshness | None = None
    """How long ago its marts may have been published."""
    approve_when: ApproveWhen | None = None
    """How much a publication may change in a mart before a person has to approve it."""
    notify: NotifyList = ()
    """Who is told of what goes wrong, and of what is published."""

    @field_validator("sources", "reads")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is named more than once")
        return value

    @model_validator(mode="after")
    def _is_built_from_something(self) -> Pipeline:
        if not self.sources and not self.reads:
            raise ValueError("names neither sources nor, in reads, pipelines that it is built from")
        return self

    @field_validator("name")
    @classmethod
    def _is_not_ours(cls, value: str) -> str:
        if value.startswith(OWN_PREFIX):
            raise ValueError(f"names that begin with {OWN_PREFIX} are those of Sluice's own DAGs")
        return value

    @model_validator(mode="after")
    def _schedules_its_own_sources(self) -> Pipeline:
        for name in self.schedule.sources:
            if name not in self.sources:
                raise ValueError(f"schedule names {name}, which is not among the sources")
        optional = [name for name in self.sources if self.schedule.of_source(name).optional]
        if self.schedule.when == "all" and not self.reads and len(optional) == len(self.sources):
            raise ValueError("schedule has when: all, and every source is optional")
        return self


def is_name(text: str) -> bool:
    """Whether the text can name a source, a pipeline or a column."""
    return re.fullmatch(NAME_PATTERN, text) is not None
