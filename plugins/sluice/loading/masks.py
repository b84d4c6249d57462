"""What a mask makes of a value before it reaches the database."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from sluice.registry import Source
from sluice.settings import Settings
from sluice.warehouse.passwords import password

REDACTED = "[redacted]"


def masks_of(settings: Settings, source: Source) -> dict[str, Callable[[str], str]]:
    """What to do with the values of the masked columns, by column.

    ``hash`` is HMAC-SHA256 in hexadecimal, keyed with a secret that is generated once for each
    installation: equal values stay equal, and nobody without the secret can try values out.
    ``redact`` keeps nothing but that there was a value, and needs no secret.
    """
    kinds = {name: column.mask for name, column in source.columns.items() if column.mask}
    if "hash" not in kinds.values():
        return dict.fromkeys(kinds, _redacted)
    key = password(settings, "mask-key").encode()

    def keyed(value: str) -> str:
        return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()

    return {name: keyed if kind == "hash" else _redacted for name, kind in kinds.items()}


def _redacted(_value: str) -> str:
    return REDACTED
