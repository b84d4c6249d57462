"""Every setting, its default and its meaning, once.

A setting is an environment variable; the table in the README is written from this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """The settings of one instance, read from ``SLUICE_*`` environment variables.

    Folders are absolute once the settings are made: relative ones count from ``project``.
    """

    model_config = SettingsConfigDict(env_prefix="SLUICE_", frozen=True, extra="ignore")

    project: Path = Field(
        default=PROJECT, description="The checkout: holds `registry/`, `dbt/` and `dags/`."
    )
    home: Path = Field(
        default=Path(".sluice"),
        description="State of this instance: secrets, logs, PostgreSQL's data, Airflow's home.",
    )
    landing: Path = Field(
        default=Path("data/landing"), description="Where files arrive, a folder per source."
    )
    archive: Path = Field(
        default=Path("data/archive"), description="Where the bytes of loaded files are kept."
    )
    rejected: Path = Field(
        default=Path("data/rejected"), description="Where the bytes of rejected files are kept."
    )
    settle_seconds: float = Field(
        default=1.0,
        ge=0,
        description="How long a file must be unchanged before it counts as completely written.",
    )
    poll_seconds: float = Field(
        default=0.5, gt=0, description="How often the landing zone is listed while Airflow runs."
    )
    warehouse: SecretStr = Field(
        default=SecretStr(""),
        description="A PostgreSQL 17 or 18 of your own, `postgresql://...`; empty: the embedded.",
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
    lock_timeout_seconds: int = Field(
        default=300, ge=1, description="How long a load waits for another one of its source."
    )
    dbt_threads: int = Field(default=4, ge=1, description="How many models dbt builds at once.")

    @field_validator("home", "landing", "archive", "rejected", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("is empty; unset it for the default")
        return value

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        for name in ("project", "home", "landing", "archive", "rejected"):
            folder = (self.project / getattr(self, name).expanduser()).absolute()
            object.__setattr__(self, name, folder)
        return self

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
