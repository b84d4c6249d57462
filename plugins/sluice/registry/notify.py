"""Who is told of what: the connections that a pipeline's messages go to."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StrictStr, field_validator
from pydantic_core import PydanticCustomError

from sluice.registry.formats import RegistryModel

Event = Literal["rejected", "late", "missing", "failed", "warned", "held", "published"]
EVENTS: tuple[Event, ...] = get_args(Event)

# What is as it should be is told to those who ask for it.
TROUBLE: tuple[Event, ...] = tuple(event for event in EVENTS if event != "published")

# What Pydantic says of a value that no message may repeat; see problems.py.
UNREPEATABLE = "unrepeatable"


class Notify(RegistryModel):
    """One place that messages of a pipeline go to."""

    connection: StrictStr
    """The Airflow connection that holds the address, in Apprise's form."""
    events: tuple[Event, ...] = Field(default=TROUBLE, min_length=1)
    """What is told there; all but `published` where not given."""

    @field_validator("connection")
    @classmethod
    def _names_a_connection(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", value):
            raise PydanticCustomError(
                UNREPEATABLE,
                "is no name of an Airflow connection; an address belongs into the connection",
            )
        return value


def _each_once(value: tuple[Notify, ...]) -> tuple[Notify, ...]:
    names = [notify.connection for notify in value]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice[0]} is named more than once")
    return value


NotifyList = Annotated[tuple[Notify, ...], AfterValidator(_each_once)]
