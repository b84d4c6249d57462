"""The pages of an API, one after the other, however it divides its records."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import httpx

from sluice.errors import ConfigError, DeliveryError, RetriableError
from sluice.extracting.answers import Answer
from sluice.extracting.requests import is_same_host, shown
from sluice.registry.extract import Extract


class Asking(Protocol):
    """What asks for an answer: ``requests.Api``."""

    async def get(self, url: str, params: Mapping[str, str]) -> Answer:
        """The answer at an address with these parameters."""
        ...


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        number: how many came before it.
        answer: the answer that it is.
        records: its records, each on one line.
    """

    number: int
    answer: Answer
    records: list[bytes]


async def read_pages(extract: Extract, api: Asking) -> AsyncGenerator[Page, None]:
    """Every page that has records, in order, each looked at for what speaks against it.

    Pages that are known beforehand are asked for side by side; those asked for beyond the last one
    are given up, whatever became of them.

    Raises:
        DeliveryError: an answer is not what was agreed, or the same page comes twice.
        RetriableError: an answer could not be had; or pages are missing, as the records may have
            changed meanwhile.
        ConfigError: the API does not know the address, refuses the login, or leads elsewhere.
    """
    paginator = extract.paginator
    is_linked = paginator.type in ("cursor", "json_link")
    answers = _linked(extract, api) if is_linked else _counted(extract, api)
    checks = _Checks(extract)
    async with aclosing(answers):
        async for answer in answers:
            page = Page(checks.pages, answer, answer.records(extract.data_selector))
            if checks.is_after_the_last(page):
                break
            if page.records:
                yield page
            if checks.is_complete:
                break
    checks.conclude()


class _Checks:
    """Whether the pages are all there, and each once."""

    def __init__(self, extract: Extract) -> None:
        self._extract = extract
        self._paginator = extract.paginator
        self._seen: dict[bytes, int] = {}
        self._short: int | None = None
        self._total: int | None = None
        self._records = 0
        self.pages = 0

    @property
    def is_complete(self) -> bool:
        """Whether all records that the API says it has have come."""
        return self._total is not None and self._records >= self._total

    def is_after_the_last(self, page: Page) -> bool:
        """Look at a page; whether it says that there are none any more.

        Where each page names the next one, an empty one is not the end.
        """
        self.pages += 1
        if self._paginator.total_path:
            self._total = page.answer.total(self._paginator.total_path)
        if not page.records:
            return self._paginator.type in ("page_number", "offset", "single_page")
        self._refuse_repeated(page)
        self._refuse_partial(page)
        self._records += len(page.records)
        return False

    def _refuse_repeated(self, page: Page) -> None:
        digest = hashlib.sha256(b"\n".join(page.records)).digest()
        before = self._seen.setdefault(digest, page.number)
        if before != page.number:
            raise DeliveryError(
                f"{page.answer.shown} gave the same records as page {before + 1} and as page"
                f" {page.number + 1}.",
                code="repeated_page",
                remedy="Does it know the parameters that extract.paginator names?",
            )

    def _refuse_partial(self, page: Page) -> None:
        limit = self._paginator.limit
        if limit is None:
            return
        if len(page.records) > limit:
            raise DeliveryError(
                f"{page.answer.shown} gave {len(page.records)} records on a page of {limit}.",
                code="oversized_page",
                remedy="Is limit_param the name that it knows?",
            )
        if self._short is not None and self._paginator.type != "cursor":
            raise RetriableError(
                f"{page.answer.shown} gave too few records on page {self._short + 1}, and more on"
                " the pages after it.",
                "Did its records change meanwhile? Is limit more than it gives at once?",
            )
        if len(page.records) < limit:
            self._short = page.number

    def conclude(self) -> None:
        """Refuse an end before all is there."""
        is_limited = self.pages == self._paginator.max_pages
        if self._total is not None and self._records < self._total and not is_limited:
            raise RetriableError(
                f"{shown(self._extract.url)} says that it has {self._total} records, and gave"
                f" {self._records}.",
                "Did its records change meanwhile?",
            )


def _steps(extract: Extract) -> Iterator[dict[str, str]]:
    """The parameters of each page, where they can be counted."""
    paginator = extract.paginator
    limit = {} if paginator.limit is None else {paginator.limit_param: str(paginator.limit)}
    if paginator.type == "single_page":
        yield {}
        return
    for number in count() if paginator.max_pages is None else range(paginator.max_pages):
        if paginator.type == "page_number":
            yield {paginator.page_param: str(paginator.base_page + number), **limit}
        else:
            yield {paginator.offset_param: str(number * (paginator.limit or 0)), **limit}


async def _counted(extract: Extract, api: Asking) -> AsyncGenerator[Answer, None]:
    """Answers in their order, as many asked for at once as may be."""
    steps = enumerate(_steps(extract))
    waiting: deque[asyncio.Task[Answer]] = deque()
    try:
        while True:
            while len(waiting) < extract.requests_at_once:
                step = next(steps, None)
                if step is None:
                    break
                waiting.append(asyncio.create_task(_numbered(extract, api, *step)))
            if not waiting:
                return
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _numbered(extract: Extract, api: Asking, number: int, step: Mapping[str, str]) -> Answer:
    _refuse_too_many(extract, number)
    return await api.get(extract.url, {**_params(extract), **step})


async def _linked(extract: Extract, api: Asking) -> AsyncGenerator[Answer, None]:
    """Answers of which each says where the next one is."""
    paginator = extract.paginator
    path = paginator.cursor_path or paginator.next_url_path
    limit = {} if paginator.limit is None else {paginator.limit_param: str(paginator.limit)}
    url, params = extract.url, {**_params(extract), **limit}
    seen: set[str] = set()
    for number in count() if paginator.max_pages is None else range(paginator.max_pages):
        _refuse_too_many(extract, number)
        answer = await api.get(url, params)
        yield answer
        found = answer.next_page(path)
        if found is None:
            return
        if found in seen:
            raise DeliveryError(
                f"{answer.shown} names a page as the next one that it has named before.",
                code="repeated_page",
            )
        seen.add(found)
        if paginator.type == "cursor":
            params = {**params, paginator.cursor_param: found}
        else:
            url, params = _next_url(url, found), {}


def _next_url(url: str, link: str) -> str:
    """The address that a link leads to, which may be relative."""
    try:
        target = httpx.URL(url).join(link)
    except httpx.InvalidURL as error:
        raise DeliveryError(
            f"{shown(url)} names a next page that is no address: {error}.", code="bad_cursor"
        ) from None
    if not is_same_host(target, httpx.URL(url)):
        raise ConfigError(
            f"{shown(url)} names a next page on another host, {shown(target)}: nothing is sent"
            " there."
        )
    return str(target)


def _params(extract: Extract) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in extract.params.items()
    }


def _refuse_too_many(extract: Extract, number: int) -> None:
    if number >= extract.max_requests:
        raise DeliveryError(
            f"{shown(extract.url)} has more than {extract.max_requests:,} pages.",
            code="too_many_pages",
            remedy="Ask for larger pages, or raise extract.max_requests.",
        )
