"""Where a source's deliveries are fetched from: an HTTP API that answers with JSON.

Key names are those of dlt's REST source (``params``, ``data_selector``, ``paginator``, ``auth``)
wherever it has one.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from croniter import croniter  # type: ignore[import-untyped] # Airflow's own reader of schedules
from pydantic import Field, StrictStr, field_validator, model_validator

from sluice.registry.formats import RegistryModel

PaginatorType = Literal["single_page", "page_number", "offset", "cursor", "json_link"]
AuthType = Literal["http_basic", "bearer", "api_key"]

# Keys of a paginator that mean something for some types only.
PAGINATOR_KEYS: dict[str, tuple[PaginatorType, ...]] = {
    "page_param": ("page_number",),
    "base_page": ("page_number",),
    "offset_param": ("offset",),
    "limit_param": ("page_number", "offset", "cursor"),
    "limit": ("page_number", "offset", "cursor"),
    "max_pages": ("page_number", "offset", "cursor", "json_link"),
    "total_path": ("page_number", "offset", "cursor", "json_link"),
    "cursor_path": ("cursor",),
    "cursor_param": ("cursor",),
    "next_url_path": ("json_link",),
}
NEEDED_KEYS: dict[PaginatorType, str] = {
    "offset": "limit",
    "cursor": "cursor_path",
    "json_link": "next_url_path",
}

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Paginator(RegistryModel):
    """How an API divides its records into pages, or batches."""

    type: PaginatorType = "single_page"
    """`single_page`: one answer has them all. `page_number` and `offset` count; `cursor` hands on
    what the answer says; `json_link` follows the address that it says."""
    page_param: StrictStr = "page"
    """The parameter with the page's number."""
    base_page: int = Field(default=1, ge=0)
    """The number of the first page."""
    offset_param: StrictStr = "offset"
    """The parameter with how many records to pass over."""
    limit_param: StrictStr = "limit"
    """The parameter with how many records a page shall have."""
    limit: int | None = Field(default=None, ge=1)
    """How many records a page has, but for the last one; not asked for where not given."""
    max_pages: int | None = Field(default=None, ge=1)
    """How many pages to fetch; where not given, all up to the first one that is empty."""
    total_path: StrictStr = ""
    """The dotted path to how many records there are in all; fewer than that are an error."""
    cursor_path: StrictStr = ""
    """The dotted path to the next page's cursor; the last page has none."""
    cursor_param: StrictStr = "cursor"
    """The parameter that it is handed on by."""
    next_url_path: StrictStr = ""
    """The dotted path to the next page's address; the last page has none."""

    @model_validator(mode="after")
    def _keys_fit_the_type(self) -> Paginator:
        for key, types in PAGINATOR_KEYS.items():
            if key in self.model_fields_set and self.type not in types:
                raise ValueError(f"{key} is for type {' and '.join(types)}, not {self.type}")
        needed = NEEDED_KEYS.get(self.type)
        if needed and not getattr(self, needed):
            raise ValueError(f"type {self.type} needs {needed}")
        return self


class Auth(RegistryModel):
    """How to log in; what is secret is in an Airflow connection."""

    connection: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
    """The Airflow connection that holds the login; its host, if it has one, must be the API's."""
    type: AuthType = "http_basic"
    """`http_basic` sends its login and password, `bearer` its password as a token, `api_key` its
    password under a name."""
    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] = "X-API-Key"
    """The name of an `api_key`."""
    location: Literal["header", "query"] = "header"
    """Where an `api_key` is sent."""

    @model_validator(mode="after")
    def _keys_fit_the_type(self) -> Auth:
        for key in ("name", "location"):
            if key in self.model_fields_set and self.type != "api_key":
                raise ValueError(f"{key} is for type api_key, not {self.type}")
        return self


class Extract(RegistryModel):
    """An HTTP API from which a source's deliveries are fetched; the answers are JSON."""

    url: StrictStr
    """The address that is asked, by GET; redirects to another host are refused."""
    params: dict[StrictStr, StrictStr | bool | int | float] = Field(default={})
    """Parameters of each request; no secrets, those belong into a connection."""
    data_selector: StrictStr = ""
    """The dotted path to the array of records, such as `results`; empty for the answer itself."""
    paginator: Paginator = Paginator()
    """How the records are divided into pages."""
    auth: Auth | None = None
    """How to log in, where that is needed."""
    schedule: StrictStr | None = "@daily"
    """When to fetch, in UTC: as cron has it, or `@hourly`, `@daily`, `@weekly`, `@monthly`; null
    for by hand only."""
    requests_at_once: int = Field(default=1, ge=1, le=32)
    """How many requests run side by side; pages that name the next one come one by one."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """How many requests begin in a second at most; as many as come where not given."""
    retries: int = Field(default=5, ge=0, le=20)
    """How often a request that fails is repeated, before the extraction fails."""
    backoff_seconds: float = Field(default=1.0, ge=0, le=60)
    """How long to wait before the first repetition; twice as long before each further one, up to a
    minute, and at least as long as the API's `Retry-After` says."""
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    """How long an answer may take, from the request to its last byte."""
    max_answer_bytes: int = Field(default=64_000_000, ge=1, le=1_000_000_000)
    """How large an answer may be, unpacked."""
    max_delivery_bytes: int = Field(default=10_000_000_000, ge=1)
    """How large all records together may be."""
    max_requests: int = Field(default=10_000, ge=1)
    """How many pages may be asked for, whatever the API says."""

    @field_validator("schedule")
    @classmethod
    def _is_a_schedule(cls, value: str | None) -> str | None:
        if value is not None and not croniter.is_valid(value):
            raise ValueError('must be a cron expression such as "30 5 * * *", or @daily')
        return value

    @model_validator(mode="after")
    def _is_an_address_without_secrets(self) -> Extract:
        # Here and not at the field: a message about a field repeats its value, with its password.
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ValueError("url must be an address such as https://api.example.org/users")
        if " " in self.url or not self.url.isprintable():
            raise ValueError("url must be an address without blanks")
        if "@" in parts.netloc:
            raise ValueError("url holds a login; that belongs into an Airflow connection, see auth")
        if self.auth and parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
            raise ValueError("url would send a login unencrypted: auth needs an https address")
        return self
