"""What messages say: plain text, short, each thing with its link; nothing of it is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sluice.errors import printable
from sluice.registry.notify import Event
from sluice.settings import Settings

Severity = Literal["info", "success", "warning", "failure"]

# Where the page is in Airflow's UI: docs/page.md.
PAGE = "plugin/sluice/sluice/"

# Discord takes 2,000 characters in all, which is the least of what is widely used.
LONGEST_TITLE = 150
LONGEST_BODY = 1_800
LONGEST_LINE = 160
# What is said of one source or pipeline, without its link.
LONGEST_BLOCK = 1_400
# For the line that says how many others there are, and where.
_ROOM_FOR_MORE = 200

# What makes a link, a mention or an image in any of the services. Most make a link of a host's name
# alone, and know one by the end of its name: of file names those that end in no country or domain
# are left as they are; zip, py and sh are domains. Of four numbers, the first dot.
_MARKUP = re.compile(
    r"""
    [<>\[\]@`] | ://
    | (?<=\d) \. (?=\d{1,3}\.\d{1,3}\.\d{1,3}\b)
    | (?<=\S) [.\u3002\uff0e\uff61] (?=[^\W\d_])
        (?!(?:csv|tsv|txt|dat|jsonl?|ndjson|parquet|xlsx?|xml|gz|bz2|xz|zst|sql|ya?ml)\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)

_TITLES: dict[Event, str] = {
    "rejected": "files or records were rejected in {} sources",
    "late": "{} sources or pipelines are late",
    "missing": "{} pipelines miss what they wait for",
    "failed": "{} pipelines failed",
    "warned": "tests of {} pipelines warn",
    "held": "{} publications wait for approval",
    "published": "{} pipelines were published",
}
_SEVERITIES: dict[Event, Severity] = {
    "rejected": "failure",
    "late": "warning",
    "missing": "warning",
    "failed": "failure",
    "warned": "warning",
    "held": "warning",
    "published": "success",
}


@dataclass(frozen=True)
class News:
    """What is to be told of one source or pipeline.

    Attributes:
        subject: of what, such as ``source orders``.
        marker: up to where this tells; see ``ops.notifications``.
        headline: the news in a sentence.
        lines: what belongs to it; may hold text of files, by ``shown``.
        link: the view of the page that has all of it, such as ``loads/4711``.
    """

    subject: str
    marker: str
    headline: str
    lines: Sequence[str]
    link: str


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        title: one line.
        body: plain text.
        severity: what it is shown as, where a service shows that.
    """

    title: str
    body: str
    severity: Severity


def shown(text: str) -> str:
    r"""Text of a file, of its name or of a model, as a message may show it: printable, short.

    What a chat or a mail reader could take for markup or for a host becomes an escape such as
    ``\x40`` or ``\x2e``, so that a file's name can neither link somewhere nor call anybody.
    """
    escaped = _MARKUP.sub(
        lambda found: "".join(
            f"\\x{ord(character):02x}" if character.isascii() else f"\\u{ord(character):04x}"
            for character in found[0]
        ),
        printable(text),
    )
    return _cut(escaped, LONGEST_LINE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def compose(settings: Settings, event: Event, news: Sequence[News]) -> Message:
    """One message about one kind of event, of as many sources or pipelines as it has room for.

    Its title and its body are never longer than ``LONGEST_TITLE`` and ``LONGEST_BODY``, whatever
    the news are: a message that a service refuses is refused at every look again.

    Args:
        settings: the instance, for the links.
        event: which kind.
        news: at least one.
    """
    title = news[0].headline if len(news) == 1 else _TITLES[event].format(len(news))
    blocks: list[str] = []
    room = LONGEST_BODY - _ROOM_FOR_MORE
    for one in news:
        said = _cut("\n".join([one.headline, *one.lines]), LONGEST_BLOCK)
        block = f"{said}\n{page_address(settings, one.link)}"
        room -= len(block) + 2
        if blocks and room < 0:
            more = page_address(settings, "" if event in ("rejected", "late") else "publications")
            blocks.append(f"And {len(news) - len(blocks)} more: {more}")
            break
        blocks.append(block)
    return Message(
        _cut(f"Sluice: {title}", LONGEST_TITLE),
        _cut("\n\n".join(blocks), LONGEST_BODY),
        _SEVERITIES[event],
    )


def test_message(settings: Settings, pipeline: str, events: Sequence[Event]) -> Message:
    """What is sent to see whether it arrives."""
    told = ", ".join(events)
    return Message(
        f"Sluice: a test message of pipeline {pipeline}",
        f"This address is told of pipeline {pipeline}: {told}.\n"
        + page_address(settings, f"pipelines/{pipeline}"),
        "info",
    )


def page_address(settings: Settings, view: str) -> str:
    """The address of a view of the page."""
    return f"{settings.airflow_ui}/{PAGE}{view}"
