"""What a mask makes of a value before it reaches the database.

Bronze has the masked value. The fields of a rejected record have it with a mark around it, so that
an export of them can come back: it says that the value is masked, and that this installation did
it, which only the secret can tell (docs/adr/0021).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from sluice.reading.records import REJECT_CODES
from sluice.reading.reject_exports import MASKED
from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse.passwords import password

REDACTED = "[redacted]"

# What stands in an export where a value was redacted, and where it is not known what was masked.
MARKED_REDACTED = "[masked:redact]"
MARKED_UNKNOWN = "[masked:unknown]"

# What stands in the place of a record, where nobody knows where its masked values are.
HIDDEN_RECORD = "[masked: the record could not be taken apart, and some columns are masked]"


def hidden_reason(code: str) -> str:
    """Why a record is rejected, without a word of it."""
    return f"{REJECT_CODES.get(code, code)}.".capitalize()


class Mask(Protocol):
    """What is done with the values of one column."""

    def __call__(self, value: str, /) -> str:
        """The value as bronze has it."""
        ...

    def marked(self, value: str, /) -> str:
        """The value as the fields of a rejected record have it."""
        ...


class Redaction:
    """Nothing is kept but that there was a value."""

    def __call__(self, _value: str, /) -> str:
        """The same for every value."""
        return REDACTED

    def marked(self, _value: str, /) -> str:
        """The same for every value."""
        return MARKED_REDACTED


class KeyedHash:
    """HMAC-SHA256 in hexadecimal: equal values stay equal, and nobody can try values out."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, value: str) -> str:
        """The hash; what was masked here before, and marked so, stays what it is."""
        if MASKED.fullmatch(value) and self.is_own(value):
            return value.split(":")[2]
        return self._digest(value)

    def marked(self, value: str) -> str:
        """The hash with its mark."""
        if MASKED.fullmatch(value):
            return value if self.is_own(value) else MARKED_UNKNOWN
        digest = self._digest(value)
        return f"[masked:hash:{digest}:{self._seal(digest)}]"

    def is_own(self, marked: str) -> bool:
        """Whether a marked value was masked with this secret."""
        kind, *rest = marked.strip("[]").split(":")[1:]
        return kind == "hash" and hmac.compare_digest(rest[1], self._seal(rest[0]))

    def _digest(self, value: str) -> str:
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()

    def _seal(self, digest: str) -> str:
        # Another function than that of the values, so that no value's hash is a seal.
        return hmac.new(self._key, digest.encode(), hashlib.sha3_256).hexdigest()[:32]


def masks_of(settings: Settings, source: Source) -> dict[str, Mask]:
    """What to do with the values of the masked columns, by column.

    ``hash`` is keyed with a secret that is generated once for each installation. ``redact`` keeps
    nothing but that there was a value, and needs no secret.
    """
    kinds = {name: column.mask for name, column in source.columns.items() if column.mask}
    redaction = Redaction()
    if "hash" not in kinds.values():
        return dict.fromkeys(kinds, redaction)
    keyed = _keyed_hash(settings)
    return {name: keyed if kind == "hash" else redaction for name, kind in kinds.items()}


def is_own_mask(settings: Settings, marked: str) -> bool:
    """Whether a marked hash was made by this installation."""
    return _keyed_hash(settings).is_own(marked)


def _keyed_hash(settings: Settings) -> KeyedHash:
    return KeyedHash(password(settings, "mask-key").encode())
