"""Asking an API: at its pace, again where that may help, and never more than was agreed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from sluice import __version__
from sluice.errors import ConfigError, DeliveryError, RetriableError
from sluice.extracting.answers import Answer
from sluice.extracting.credentials import Credentials
from sluice.registry.extract import Extract

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
LONGEST_BACKOFF_SECONDS = 60.0
# An API that asks for a longer pause is left alone; the task's next attempt asks it again.
LONGEST_PAUSE_SECONDS = 300.0
# What may go over when the same is asked again: too early, too many, or a fault of the server.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# A megabyte of zstd may unpack to gigabytes at once; gzip to 64 MB for each piece that arrives.
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})


class PassingError(RetriableError):
    """A request failed in a way that may go over.

    Attributes:
        after_seconds: how long the API asks to wait; None where it does not say.
    """

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message, "The extraction can be repeated as it is.")
        self.after_seconds = after_seconds


class Pace:
    """When the next request may begin."""

    def __init__(self, per_second: float | None) -> None:
        self._gap_seconds = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._not_before = 0.0

    async def turn(self) -> None:
        """Wait for one's turn: in the order of asking, and after any pause."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + self._gap_seconds
        while (seconds := max(start, self._not_before) - time.monotonic()) > 0:
            await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Begin no request for a while."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)


class Api:
    """An API, open for requests; an asynchronous context manager.

    Attributes:
        requests: how many were sent, repetitions among them.
    """

    def __init__(self, extract: Extract, credentials: Credentials) -> None:
        self._extract = extract
        self._credentials = credentials
        self._pace = Pace(extract.requests_per_second)
        self.requests = 0
        # It tells of each request with its whole address, which may hold a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._http = httpx.AsyncClient(
            auth=credentials.auth,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": f"sluice/{__version__}",
                **credentials.headers,
            },
            timeout=extract.timeout_seconds,
            limits=httpx.Limits(max_connections=extract.requests_at_once),
            follow_redirects=False,
        )
        self._retrying = AsyncRetrying(
            stop=stop_after_attempt(extract.retries + 1),
            retry=retry_if_exception_type(PassingError),
            wait=self._pause_before_repetition,
            before_sleep=_log_repetition,
            reraise=True,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def get(self, url: str, params: Mapping[str, str]) -> Answer:
        """Ask once, and again where a failure may go over.

        Args:
            url: the address, with parameters or without.
            params: parameters that are added to it, beside a key for the API.

        Raises:
            RetriableError: it could not be had, however often it was asked for.
            ConfigError: the API does not know the address, or refuses the login; or it leads to
                another host.
            DeliveryError: the answer is too large, or packed in a way that is not taken.
        """
        try:
            whole = httpx.URL(url).copy_merge_params({**params, **self._credentials.params})
        except httpx.InvalidURL as error:
            raise ConfigError(f"{shown(url)} is no address: {error}.", "Mend it.") from None
        return await self._retrying(self._ask, whole)

    async def _ask(self, url: httpx.URL) -> Answer:
        await self._pace.turn()
        try:
            async with asyncio.timeout(self._extract.timeout_seconds):
                return await self._follow(url)
        except TimeoutError:
            seconds = self._extract.timeout_seconds
            raise PassingError(f"{shown(url)} took longer than {seconds:g} s.") from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise PassingError(f"{shown(url)} could not be asked: {reason}.") from None
        except httpx.DecodingError:
            raise PassingError(f"{shown(url)} answered with bytes that do not unpack.") from None

    async def _follow(self, url: httpx.URL) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            self.requests += 1
            async with self._http.stream("GET", url) as response:
                target = _redirection(url, response)
                if target is None:
                    self._judge(url, response)
                    return Answer(await self._body(url, response), shown(url))
                url = target
        raise ConfigError(f"{shown(url)} redirects again and again.", "Mend extract.url.")

    def _judge(self, url: httpx.URL, response: httpx.Response) -> None:
        """Refuse an answer that is none, by its status and its packing."""
        status = response.status_code
        if status in _PASSING:
            raise self._passing(url, response)
        if status in (401, 403):
            raise ConfigError(
                f"{shown(url)} refuses the login ({status}).",
                "Check extract.auth and its connection in Airflow.",
            )
        if status != httpx.codes.OK:
            raise ConfigError(
                f"{shown(url)} answered with {status} {response.reason_phrase}.",
                "Check extract.url and extract.params.",
            )
        packing = response.headers.get("content-encoding", "").strip().lower()
        if packing not in _ENCODINGS:
            raise DeliveryError(
                f"{shown(url)} packs its answer as {packing!r}, which was not asked for.",
                code="bad_compression",
            )

    def _passing(self, url: httpx.URL, response: httpx.Response) -> RetriableError:
        message = f"{shown(url)} answered with {response.status_code} {response.reason_phrase}."
        asked = retry_after_seconds(response.headers.get("retry-after"))
        if asked is not None and asked > LONGEST_PAUSE_SECONDS:
            return RetriableError(message, f"It asks to be left alone for {asked:.0f} s.")
        if asked is not None:
            self._pace.pause(asked)
        return PassingError(message, asked)

    async def _body(self, url: httpx.URL, response: httpx.Response) -> bytes:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > self._extract.max_answer_bytes:
                most = self._extract.max_answer_bytes
                raise DeliveryError(
                    f"{shown(url)} answers with more than {most:,} bytes.",
                    code="too_large",
                    remedy="Ask for smaller pages, or raise extract.max_answer_bytes.",
                )
        return bytes(body)

    def _pause_before_repetition(self, state: RetryCallState) -> float:
        """Exponential, with up to a quarter more by chance, and what the API asks for."""
        first = self._extract.backoff_seconds
        backoff = wait_exponential(multiplier=first, max=LONGEST_BACKOFF_SECONDS)
        seconds = backoff(state) + wait_random(0, first / 4)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.after_seconds if isinstance(error, PassingError) else None
        return max(seconds, asked or 0.0)


def shown(url: httpx.URL | str) -> str:
    """An address without its parameters, as one of them may be a key."""
    return str(url).partition("?")[0]


def retry_after_seconds(header: str | None) -> float | None:
    """How long a ``Retry-After`` asks to wait: it holds seconds, or a moment."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def is_same_host(url: httpx.URL, other: httpx.URL) -> bool:
    """Whether an address is of the host that another one is of, and no less safe."""
    is_same = (url.scheme, url.host, url.port) == (other.scheme, other.host, other.port)
    return is_same or (url.host == other.host and other.scheme == "http" and url.scheme == "https")


def _redirection(url: httpx.URL, response: httpx.Response) -> httpx.URL | None:
    if response.next_request is None:
        return None
    target = response.next_request.url
    if not is_same_host(target, url):
        raise ConfigError(
            f"{shown(url)} redirects to {shown(target)}, another host: nothing is sent there.",
            "If that is right, write the new address into extract.url.",
        )
    return target


def _log_repetition(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    message = error.message if isinstance(error, PassingError) else repr(error)
    seconds = state.next_action.sleep if state.next_action else 0.0
    logger.warning("%s It is asked again in %.1f s.", message, seconds)
