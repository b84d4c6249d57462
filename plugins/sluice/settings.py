"""Every setting, its default and its meaning, once.

A setting is an environment variable; the table in the README is written from this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class StorageUrl:
    """A place in an object store, written ``s3://connection@bucket/prefix``.

    Attributes:
        protocol: which kind of store.
        connection: the name of Airflow's connection to it; empty for what the machine provides.
        root: bucket and prefix, without slashes at the ends. Of SFTP, a folder: below the one that
            the login begins in, or from the server's root where a slash comes first.
    """

    protocol: str
    connection: str
    root: str

    @classmethod
    def parse(cls, text: str) -> StorageUrl:
        """Read an address.

        Raises:
            ValueError: it is none; the message does not repeat it, as it may hold a password.
        """
        match = re.fullmatch(
            r"(s3|gs|abfs|sftp)://(?:([A-Za-z0-9_.-]+)@)?(/?[^@/]+(?:/[^@]*)?)", text
        )
        is_absolute = match is not None and match[3].startswith("/")
        if match is None or ":" in match[3] or (is_absolute and match[1] != "sftp"):
            raise ValueError(
                "is no address of an object store: write s3://connection@bucket/prefix (or gs,"
                " abfs, sftp); the login belongs into Airflow's connection of that name"
            )
        return cls(match[1], match[2] or "", match[3].rstrip("/"))

    def __str__(self) -> str:
        mark = f"{self.connection}@" if self.connection else ""
        return f"{self.protocol}://{mark}{self.root}"

    def __truediv__(self, part: str) -> StorageUrl:
        return StorageUrl(self.protocol, self.connection, f"{self.root}/{part}")


def _as_place(value: object) -> Path | StorageUrl:
    if isinstance(value, Path | StorageUrl):
        return value
    if value == "":
        raise ValueError("is empty; unset it for the default")
    text = str(value)
    return StorageUrl.parse(text) if "://" in text else Path(text)


# Where files are: a folder, or a place in an object store.
Place = Annotated[Path | StorageUrl, PlainValidator(_as_place), PlainSerializer(str)]


class Settings(BaseSettings):
    """The settings of one instance, read from ``SLUICE_*`` environment variables.

    Folders are absolute once the settings are made: relative ones count from ``project``. Where
    files are may be a place in an object store instead.
    """

    model_config = SettingsConfigDict(env_prefix="SLUICE_", frozen=True, extra="ignore")

    project: Path = Field(
        default=PROJECT, description="The checkout: holds `registry/`, `dbt/` and `dags/`."
    )
    home: Path = Field(
        default=Path(".sluice"),
        description="State of this instance: secrets, logs, PostgreSQL's data, Airflow's home.",
    )
    landing: Place = Field(
        default=Path("data/landing"),
        description="Where files arrive, a folder per source; or `s3://connection@bucket/prefix`.",
    )
    archive: Place = Field(
        default=Path("data/archive"),
        description="Where the bytes of loaded files are kept; or an object store.",
    )
    rejected: Place = Field(
        default=Path("data/rejected"),
        description="Where the bytes of rejected files are kept; or an object store.",
    )
    settle_seconds: float = Field(
        default=1.0,
        ge=0,
        description="How long a file must be unchanged before it counts as completely written.",
    )
    poll_seconds: float = Field(
        default=0.5, gt=0, description="How often the landing zone is listed while Airflow runs."
    )
    max_unpacked_bytes: int = Field(
        default=100_000_000_000,
        ge=1,
        description="How many bytes a compressed file, or a zip's members together, may unpack to.",
    )
    max_compression_ratio: int = Field(
        default=1000,
        ge=1,
        description="How many times its size a compressed file may unpack to, beyond 100 MB.",
    )
    max_archive_members: int = Field(
        default=10_000, ge=1, description="How many members a zip archive may have."
    )
    warehouse: SecretStr = Field(
        default=SecretStr(""),
        description="A PostgreSQL 17 or 18 of your own, `postgresql://...`; empty: the embedded.",
    )
    airflow_database: SecretStr = Field(
        default=SecretStr(""),
        description="A database of your own for Airflow's metadata; empty: on the embedded server.",
    )
    postgres_port: int = Field(
        default=5433, ge=1, le=65535, description="Port of the embedded PostgreSQL on 127.0.0.1."
    )
    postgres_user: str = Field(
        default="sluice-postgres",
        description="System user that runs the embedded PostgreSQL when you are root.",
    )
    airflow_port: int = Field(
        default=8080, ge=1, le=65535, description="Port of the Airflow UI on 127.0.0.1."
    )
    ui_url: str = Field(
        default="",
        description="Where people reach the Airflow UI, for logins and links in messages; empty:"
        " this machine's.",
    )
    parallelism: int = Field(
        default=4, ge=1, description="How many tasks of Airflow run at once on a machine."
    )
    load_slots: int = Field(
        default=3,
        ge=1,
        description="How many of them, on all machines, may load: the pool `sluice_load`.",
    )
    dbt_slots: int = Field(
        default=3,
        ge=1,
        description="How many of them, on all machines, may run dbt: the pool `sluice_dbt`.",
    )
    lock_timeout_seconds: int = Field(
        default=300, ge=1, description="How long a load waits for another one of its source."
    )
    dbt_threads: int = Field(default=4, ge=1, description="How many models dbt builds at once.")

    @field_validator("home", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("is empty; unset it for the default")
        return value

    @field_validator("ui_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError("is no address such as https://sluice.example.org")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        for name in ("project", "home", "landing", "archive", "rejected"):
            place = getattr(self, name)
            if isinstance(place, Path):
                folder = (self.project / place.expanduser()).absolute()
                object.__setattr__(self, name, folder)
        return self

    @property
    def airflow_ui(self) -> str:
        """Where people reach the Airflow UI, without a slash at the end."""
        return self.ui_url or f"http://127.0.0.1:{self.airflow_port}"

    @property
    def registry(self) -> Path:
        """The folder that holds ``sources/`` and ``pipelines/``."""
        return self.project / "registry"

    @property
    def dbt(self) -> Path:
        """The dbt project."""
        return self.project / "dbt"

    @property
    def secrets(self) -> Path:
        """The folder of generated passwords, mode 0700."""
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        """The folder of the logs of what runs in the background."""
        return self.home / "logs"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigError: a variable holds a value that its setting does not take.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"SLUICE_{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise ConfigError(
            f"These settings do not fit: {problems}.", "See the settings table in README.md."
        ) from None
