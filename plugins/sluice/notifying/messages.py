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
LONGEST_BODY = 1_600
LONGEST_LINE = 160

# What makes a link, a mention or an image in any of the services.
_MARKUP = re.compile(r"[<>\[\]@`]|://")

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

    What a chat or a mail reader could take for markup becomes an escape such as ``\x40``, so that a
    file's name can neither link somewhere nor call anybody.
    """
    escaped = _MARKUP.sub(
        lambda found: "".join(f"\\x{ord(character):02x}" for character in found[0]),
        printable(text),
    )
    return escaped if len(escaped) <= LONGEST_LINE else f"{escaped[: LONGEST_LINE - 3]}..."


def compose(settings: Settings, event: Event, news: Sequence[News]) -> Message:
    """One message about one kind of event, of as many sources or pipelines as there are.

    Args:
        settings: the instance, for the links.
        event: which kind.
        news: at least one.
    """
    title = news[0].headline if len(news) == 1 else _TITLES[event].format(len(news))
    blocks: list[str] = []
    room = LONGEST_BODY
    for one in news:
        block = "\n".join([one.headline, *one.lines, page_address(settings, one.link)])
        room -= len(block) + 2
        if blocks and room < 0:
            more = page_address(settings, "" if event in ("rejected", "late") else "publications")
            blocks.append(f"And {len(news) - len(blocks)} more: {more}")
            break
        blocks.append(block)
    return Message(f"Sluice: {title}", "\n\n".join(blocks), _SEVERITIES[event])


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


def counted(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
