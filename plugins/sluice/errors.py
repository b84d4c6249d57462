"""One family of errors, by what the reader can do about them.

The orchestration decides between a retry and a failure by class alone, never by matching text.
"""

from __future__ import annotations


class SluiceError(Exception):
    """What went wrong, and what to do about it.

    Attributes:
        message: what is wrong, and where, in a sentence.
        remedy: the next thing to do, often a command; empty where the message says it all.
    """

    retriable = False

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ConfigError(SluiceError):
    """The registry, a setting, the dbt project or the machine has to be changed."""


class DeliveryError(SluiceError):
    """A delivered file cannot be loaded as it is; its sender has to mend it.

    Attributes:
        code: a stable word for the reason, such as ``missing_column``.
        record: the number of the first record concerned (first after the header = 1), if known.
        column: the column concerned, if one is.
        where_masked: the message without anything that the file says, for a source with masked
            columns; None where there is no such message.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        record: int | None = None,
        column: str | None = None,
        remedy: str = "",
        where_masked: str | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.where_masked = where_masked
        self.code = code
        self.record = record
        self.column = column


class TransformError(SluiceError):
    """A model could not be built, or a test of severity ``error`` failed; gold is unchanged."""


class BuiltOverError(TransformError):
    """A newer build that did not pass has written over the candidate; built again, it may pass."""


class HeldError(SluiceError):
    """A publication waits until a person approves or refuses it; gold is unchanged."""


class OverdueError(SluiceError):
    """What should have arrived or been published by now was not; somebody has to be asked."""


class RetriableError(SluiceError):
    """Nothing is wrong with what was asked; the same again may succeed."""

    retriable = True


class InternalError(SluiceError):
    """Sluice broke a promise of its own; the reader can only report it."""


def counted(count: int, noun: str) -> str:
    """A count with its noun, as people write it: ``1 file``, ``2,000 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    r"""Text from a file or its name, fit for a terminal and a line of a log.

    Control characters, which could forge lines or move the cursor, become escapes such as ``\n``.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
