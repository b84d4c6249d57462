"""An API's pages become one delivery, whatever the API does; or none at all."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sluice.errors import ConfigError, DeliveryError, RetriableError, SluiceError
from sluice.extracting import extract_source
from sluice.extracting.requests import retry_after_seconds
from sluice.landing.zone import list_deliveries
from sluice.registry import Source
from sluice.settings import StorageUrl
from tests.extracting.conftest import FILE_NAME, MOMENT, Fetching
from tests.http_api import Asked, Reply, records
from tests.object_storage import Bucket

THREE_PAGES = {"1": [{"id": 1}, {"id": 2}], "2": [{"id": 3}, {"id": 4}], "3": [{"id": 5}]}
PAGES = {"type": "page_number", "limit_param": "size", "limit": 2}


def numbered(asked: Asked) -> Reply:
    """Three pages, and empty ones after them."""
    return records(*THREE_PAGES.get(asked.params["page"], []))


def test_one_answer_is_one_delivery_named_by_source_and_moment(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1}, {"id": 2})
    extraction = fetching.extract(params={"nat": "de", "full": True, "since": 7})

    assert (extraction.file_name, extraction.records, extraction.requests) == (FILE_NAME, 2, 1)
    assert extraction.bytes == (fetching.folder / FILE_NAME).stat().st_size
    assert fetching.lines() == ['{"id": 1}', '{"id": 2}']
    assert fetching.landed() == [FILE_NAME]
    (asked,) = fetching.api.asked
    assert asked.params == {"nat": "de", "full": "true", "since": "7"}
    assert asked.headers["accept"] == "application/json"
    assert "authorization" not in asked.headers
    listing = list_deliveries(
        fetching.settings.model_copy(update={"settle_seconds": 0}), [fetching.source()]
    )
    assert [delivery.file_name for delivery in listing.deliveries] == [FILE_NAME]


def test_records_are_taken_byte_for_byte(fetching: Fetching) -> None:
    """Digits, escapes and the order of keys stay; only line ends between parts become blanks."""
    body = (
        '\ufeff{"results": [\n  {"price": 0.10000000000000000005,\r\n   "id": 12345678901234567890,'
        '"name": "Zo\\u00eb\\n", "Z": 1e400}\n]}'
    )
    fetching.api.answer = lambda _: Reply(body.encode())
    fetching.extract()
    (line,) = fetching.lines()
    assert line == (
        '{"price": 0.10000000000000000005,     "id": 12345678901234567890,'
        '"name": "Zo\\u00eb\\n", "Z": 1e400}'
    )


@pytest.mark.parametrize(
    ("selector", "body"),
    [("", [{"id": 1}]), ("data.items", {"data": {"items": [{"id": 1}], "more": 2}})],
)
def test_records_are_where_the_selector_says(
    selector: str, body: object, fetching: Fetching
) -> None:
    fetching.api.answer = lambda _: Reply(json.dumps(body).encode())
    fetching.extract(data_selector=selector)
    assert fetching.lines() == ['{"id": 1}']


@pytest.mark.parametrize("at_once", [1, 4])
def test_numbered_pages_come_in_order_up_to_the_first_empty_one(
    at_once: int, fetching: Fetching
) -> None:
    all_asked = threading.Barrier(at_once)

    def answer(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        if page > 4:  # asked for beyond the end: whatever comes is nobody's concern
            return Reply(status=404)
        if page <= at_once:
            all_asked.wait(20)
        found = THREE_PAGES.get(str(page), [])
        return Reply(json.dumps({"results": found}).encode(), delay_seconds=0.1 / page)

    fetching.api.answer = answer
    extraction = fetching.extract(paginator=PAGES, requests_at_once=at_once)
    assert [json.loads(line)["id"] for line in fetching.lines()] == [1, 2, 3, 4, 5]
    assert extraction.pages == 3
    assert all(asked.params["size"] == "2" for asked in fetching.api.asked)
    assert fetching.api.most_at_once == at_once


def test_pages_end_where_they_are_limited_or_counted(fetching: Fetching) -> None:
    fetching.api.answer = numbered
    assert fetching.extract(paginator={**PAGES, "max_pages": 2}).records == 4
    assert len(fetching.api.asked) == 2
    fetching.api.answer = lambda asked: records(*THREE_PAGES[asked.params["page"]], total=5)
    assert fetching.extract(paginator={**PAGES, "total_path": "total"}).records == 5
    assert len(fetching.api.asked) == 2 + 3


def test_offsets_cursors_and_links(fetching: Fetching) -> None:
    everything = [{"id": number} for number in range(5)]

    def by_offset(asked: Asked) -> Reply:
        offset = int(asked.params["offset"])
        return records(*everything[offset : offset + int(asked.params["limit"])])

    fetching.api.answer = by_offset
    assert fetching.extract(paginator={"type": "offset", "limit": 2}).records == 5

    def by_cursor(asked: Asked) -> Reply:
        start = int(asked.params.get("after", "0"))
        following = start + 2 if start + 2 < 5 else None
        assert asked.params["nat"] == "de"
        return records(*everything[start : start + 2], meta={"next": following})

    fetching.api.answer = by_cursor
    cursor = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"}
    assert fetching.extract(paginator=cursor, params={"nat": "de"}).records == 5

    def by_link(asked: Asked) -> Reply:
        # An empty page in the middle is not the end; links may be relative, or whole.
        if asked.path == "/users":
            return records(*everything[:2], next="/more?token=a%26b")
        if asked.params == {"token": "a&b"}:
            return records(next=f"{fetching.api.url}/last")
        return records(*everything[2:])

    fetching.api.answer = by_link
    link = {"type": "json_link", "next_url_path": "next"}
    assert fetching.extract(paginator=link, params={"nat": "de"}).records == 5


def test_requests_keep_their_pace(fetching: Fetching) -> None:
    fetching.api.answer = numbered
    started = time.monotonic()
    fetching.extract(paginator=PAGES, requests_at_once=4, requests_per_second=20)
    moments = sorted(asked.at for asked in fetching.api.asked)
    assert moments[3] - started >= 3 / 20


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_go_over_is_asked_again(status: int, fetching: Fetching) -> None:
    replies = iter([Reply(status=status), Reply(status=status), records({"id": 1})])
    fetching.api.answer = lambda _: next(replies)
    assert fetching.extract(retries=2).requests == 3
    assert fetching.lines() == ['{"id": 1}']


def test_a_broken_answer_is_asked_for_again(fetching: Fetching) -> None:
    """One that ends too early, one whose packing is broken, one that takes too long."""
    whole = records({"id": 1})
    replies = iter(
        [
            Reply(whole.body[:-3], headers={"Content-Length": str(len(whole.body))}),
            Reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}),
            Reply(whole.body, delay_seconds=0.5),
            Reply(gzip.compress(whole.body), headers={"Content-Encoding": "gzip"}),
        ]
    )
    fetching.api.answer = lambda _: next(replies)
    assert fetching.extract(retries=3, timeout_seconds=0.2).requests == 4
    assert fetching.lines() == ['{"id": 1}']


def test_an_api_that_drips_does_not_hold_the_task(fetching: Fetching) -> None:
    """Each byte comes in time; all of them never would."""
    fetching.api.answer = lambda _: Reply(b" " * 200, drip_seconds=0.05)
    started = time.monotonic()
    with pytest.raises(RetriableError, match="longer than"):
        fetching.extract(retries=1, timeout_seconds=0.3)
    assert time.monotonic() - started < 5


def test_a_pause_that_the_api_asks_for_is_kept(fetching: Fetching) -> None:
    replies = iter([Reply(status=429, headers={"Retry-After": "1"}), records({"id": 1})])
    fetching.api.answer = lambda _: next(replies)
    fetching.extract()
    first, second = fetching.api.asked
    assert second.at - first.at >= 0.95


def test_a_pause_that_is_too_long_is_left_to_the_next_attempt(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(status=503, headers={"Retry-After": "86400"})
    with pytest.raises(RetriableError, match="86400 s"):
        fetching.extract()
    assert len(fetching.api.asked) == 1


def test_retry_after_is_seconds_or_a_moment() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after_seconds("12") == 12
    assert 27 < (retry_after_seconds(soon) or 0) <= 30
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_seconds(None) is retry_after_seconds("soon") is None


def no_delivery(fetching: Fetching, expected: type[SluiceError], **extract: Any) -> SluiceError:
    """The error of an extraction that must leave nothing in the landing zone."""
    with pytest.raises(expected) as caught:
        fetching.extract(**extract)
    assert type(caught.value) is expected or expected is RetriableError
    assert fetching.landed() == []
    return caught.value


def test_failures_that_stay_leave_nothing(fetching: Fetching) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(status=503) if asked.params["page"] == "3" else numbered(asked)

    fetching.api.answer = answer
    error = no_delivery(fetching, RetriableError, paginator=PAGES, retries=1)
    assert "503" in error.message
    assert len(fetching.api.asked) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 400, 204, 206, 304])
def test_what_stays_wrong_is_not_asked_again(status: int, fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(status=status)
    error = no_delivery(fetching, ConfigError)
    assert str(status) in error.message
    assert len(fetching.api.asked) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>Sign in</html>", "no_json"),
        (b"", "no_json"),
        (b'{"results": [', "no_json"),
        (b'{"results": [{"id": 1}]} {}', "no_json"),
        (b'{"results": ' + b"[" * 100_000, "no_json"),
        (b'{"results": [{"id": "a\nb"}]}', "no_json"),
        (b'{"error": "Uh oh"}', "missing_records"),
        (b'{"results": {"id": 1}}', "missing_records"),
        (b'{"results": null}', "missing_records"),
        (b"[1]", "missing_records"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, code: str, fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(body)
    error = no_delivery(fetching, DeliveryError)
    assert isinstance(error, DeliveryError)
    assert error.code == code


def test_sizes_are_held(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(
        gzip.compress(b'{"results": [' + b" " * 10_000_000), headers={"Content-Encoding": "gzip"}
    )
    assert (
        "1,000,000 bytes"
        in no_delivery(fetching, DeliveryError, max_answer_bytes=1_000_000).message
    )
    fetching.api.answer = lambda asked: records({"id": int(asked.params["page"])})
    endless = {"type": "page_number"}
    assert (
        "pages" in no_delivery(fetching, DeliveryError, paginator=endless, max_requests=5).message
    )
    assert (
        "500 bytes"
        in no_delivery(fetching, DeliveryError, paginator=endless, max_delivery_bytes=500).message
    )


def test_a_packing_that_was_not_asked_for_is_not_unpacked(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(b"x", headers={"Content-Encoding": "zstd"})
    assert "zstd" in no_delivery(fetching, DeliveryError).message


def test_the_same_page_twice_is_refused(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1}, {"id": 2})
    error = no_delivery(fetching, DeliveryError, paginator=PAGES)
    assert "page 1 and as page 2" in error.message
    fetching.api.answer = lambda asked: records({"at": len(fetching.api.asked)}, next="/users")
    link = {"type": "json_link", "next_url_path": "next"}
    assert "before" in no_delivery(fetching, DeliveryError, paginator=link).message


def test_partial_pages_are_noticed(fetching: Fetching) -> None:
    short = {**THREE_PAGES, "2": [{"id": 3}]}
    fetching.api.answer = lambda asked: records(*short.get(asked.params["page"], []))
    assert "page 2" in no_delivery(fetching, RetriableError, paginator=PAGES).message
    fetching.api.answer = lambda asked: records(*short.get(asked.params["page"], []), total=9)
    any_size = {"type": "page_number", "total_path": "total"}
    assert "9 records" in no_delivery(fetching, RetriableError, paginator=any_size).message
    fetching.api.answer = lambda _: records({"id": 1}, {"id": 2}, {"id": 3})
    assert "page of 2" in no_delivery(fetching, DeliveryError, paginator=PAGES).message


def test_redirects_stay_on_the_host(fetching: Fetching) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/users":
            return Reply(status=302, headers={"Location": "/v2/users?nat=de"})
        return records({"id": 1})

    fetching.api.answer = answer
    fetching.extract()
    assert [asked.path for asked in fetching.api.asked] == ["/users", "/v2/users"]
    assert fetching.api.asked[1].params == {"nat": "de"}


@pytest.mark.parametrize(
    "target", ["http://localhost:1/users", "http://evil.example/users?key=1", "//evil.example/"]
)
def test_redirects_and_links_to_another_host_are_refused(target: str, fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(status=307, headers={"Location": target})
    assert "another host" in no_delivery(fetching, ConfigError).message
    fetching.api.answer = lambda _: records({"id": 1}, next=target)
    link = {"type": "json_link", "next_url_path": "next"}
    error = no_delivery(fetching, ConfigError, paginator=link)
    assert "another host" in error.message
    assert "key" not in str(error)


def test_endless_redirects_are_given_up(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: Reply(status=302, headers={"Location": "/users"})
    assert "again and again" in no_delivery(fetching, ConfigError).message


def test_a_server_that_is_away(fetching: Fetching) -> None:
    fetching.api.close()
    no_delivery(fetching, RetriableError, retries=1)


def test_no_records_are_no_delivery(fetching: Fetching) -> None:
    extraction = fetching.extract(paginator=PAGES)
    assert (extraction.file_name, extraction.records) == (None, 0)
    assert fetching.landed() == []


def test_the_same_moment_again_is_a_correction_in_place(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1})
    fetching.extract()
    fetching.api.answer = lambda _: records({"id": 2})
    fetching.extract()
    assert fetching.landed() == [FILE_NAME]
    assert fetching.lines() == ['{"id": 2}']


def test_a_delivery_that_cannot_be_written(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1})
    (fetching.folder / FILE_NAME).mkdir(parents=True)
    with pytest.raises(RetriableError, match="cannot be written"):
        fetching.extract()
    assert fetching.landed() == [FILE_NAME]


def test_a_source_that_is_not_fetched(fetching: Fetching) -> None:
    source = Source(name="users", description="", owner="", columns=fetching.source().columns)
    with pytest.raises(ConfigError, match="no extract block"):
        extract_source(fetching.settings, source, MOMENT)


def test_an_object_store_gets_the_whole_delivery_or_nothing(
    fetching: Fetching, bucket: Bucket
) -> None:
    landing = StorageUrl.parse(bucket.url("in"))
    settings = fetching.settings.model_copy(update={"landing": landing})
    fetching.api.answer = numbered
    extract_source(settings, fetching.source(paginator=PAGES), MOMENT)
    assert bucket.keys() == [f"in/users/{FILE_NAME}"]
    assert bucket.get(f"in/users/{FILE_NAME}").count(b"\n") == 5

    bucket.remove(f"in/users/{FILE_NAME}")
    fetching.api.answer = lambda asked: numbered(asked) if asked.params["page"] < "3" else Reply()
    with pytest.raises(DeliveryError):
        extract_source(settings, fetching.source(paginator=PAGES), MOMENT)
    assert bucket.keys() == []


def test_what_a_killed_extraction_left_goes_after_a_day(fetching: Fetching) -> None:
    fetching.api.answer = lambda _: records({"id": 1})
    fetching.folder.mkdir(parents=True)
    day = 24 * 3600
    for name, age in ((".sluice-new-a", 2 * day), (".sluice-new-b", 60), (".orders.part", 2 * day)):
        (fetching.folder / name).touch()
        os.utime(fetching.folder / name, (time.time() - age,) * 2)
    fetching.extract()
    assert fetching.landed() == [".orders.part", ".sluice-new-b", FILE_NAME]
