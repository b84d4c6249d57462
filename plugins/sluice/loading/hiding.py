"""Why a delivery is refused, without a word of it, where its source has masked columns.

A file without its header shows its first record where names should be; a masked value can stand
anywhere. So a reason may only say what it is known to say: any other is told by its code.
"""

from __future__ import annotations

from sluice.errors import DeliveryError
from sluice.loading.rejects import TooManyRejectsError
from sluice.reading.records import REJECT_CODES
from sluice.registry import Source
from sluice.registry.masking import has_masks

# Reasons of these codes say nothing of what is in a file, where they have no words of their own.
_SAYS_NOTHING = frozenset(
    {
        "bad_compression",
        "bad_encoding",
        "changed_file",
        "duplicate_file",
        "empty_archive",
        "known_in_part",
        "no_header",
        "refused_member",
        "reject_export",
        "too_large",
    }
)


def shown_reason(error: DeliveryError, source: Source) -> DeliveryError:
    """The error as it may be written into the ledger and the log."""
    # The records of a sample are masked, and so is what is said of the first of them.
    if not has_masks(source) or isinstance(error, TooManyRejectsError):
        return error
    message, remedy = error.where_masked, error.remedy
    if message is None and error.code in _SAYS_NOTHING:
        message = error.message
    if message is None:
        meaning = REJECT_CODES.get(error.code)
        message = f"The delivery is refused ({meaning or error.code}); what it has is not shown."
        remedy = (
            f"Columns of it are masked; `./sluice inspect FILE --source {source.name}` shows more"
            " to whoever has the file."
        )
    return DeliveryError(
        message,
        code=error.code,
        record=error.record,
        column=error.column if error.column in source.columns else None,
        remedy=remedy,
    )
