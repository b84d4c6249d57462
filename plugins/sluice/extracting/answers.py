"""What an API answered: JSON, of which the records are taken byte for byte.

The records are cut out and never written anew: a number keeps all of its digits, and what the
reader finds wrong with a record is what the API sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sluice.errors import DeliveryError

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT_OR_NUMBER = msgspec.json.Decoder(str | int | None)
_WHOLE_NUMBER = msgspec.json.Decoder(int)

# JSON has line ends between its parts only, never within a text: a blank in their place changes
# nothing, and gives the record a line of its own.
_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Answer:
    """One answer of an API.

    Attributes:
        body: its bytes.
        shown: where it comes from, for messages, without what may be secret in an address.
    """

    body: bytes
    shown: str

    def records(self, path: str) -> list[bytes]:
        """The records in the array at a dotted path, each on one line.

        Raises:
            DeliveryError: the answer is no JSON, or has no array there.
        """
        raw = self._at(path)
        place = f"at {path!r}" if path else "in its place"
        if raw is None:
            raise DeliveryError(
                f"{self.shown} answered without anything {place}.",
                code="missing_records",
                remedy="Look at what it answers, and mend data_selector where the records moved.",
            )
        try:
            found = _ARRAY.decode(raw)
        except msgspec.ValidationError:
            raise DeliveryError(
                f"{self.shown} answered with something else than an array {place}.",
                code="missing_records",
                remedy="data_selector is the dotted path to the array of records.",
            ) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._no_json(error) from None
        return [bytes(record).translate(_ON_ONE_LINE) for record in found]

    def total(self, path: str) -> int:
        """The whole number at a dotted path.

        Raises:
            DeliveryError: there is none.
        """
        raw = self._at(path)
        try:
            return _WHOLE_NUMBER.decode(raw if raw is not None else b"null")
        except msgspec.ValidationError:
            raise DeliveryError(
                f"{self.shown} answered without a whole number at {path!r}.",
                code="missing_total",
                remedy="Mend total_path, or take it out.",
            ) from None

    def next_page(self, path: str) -> str | None:
        """The cursor or address of the next page at a dotted path; None where there is none.

        Raises:
            DeliveryError: there is something else than a text or a whole number.
        """
        raw = self._at(path)
        try:
            found = _TEXT_OR_NUMBER.decode(raw if raw is not None else b"null")
        except msgspec.ValidationError:
            raise DeliveryError(
                f"{self.shown} answered with something else than text or a number at {path!r}.",
                code="bad_cursor",
            ) from None
        return None if found in (None, "") else str(found)

    def _at(self, path: str) -> bytes | msgspec.Raw | None:
        """The JSON at a dotted path; None where something on the way is missing or no object."""
        raw: bytes | msgspec.Raw = self.body.removeprefix(_BYTE_ORDER_MARK)
        for key in path.split(".") if path else ():
            try:
                members = _OBJECT.decode(raw)
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError) as error:
                raise self._no_json(error) from None
            if key not in members:
                return None
            raw = members[key]
        return raw

    def _no_json(self, error: Exception) -> DeliveryError:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return DeliveryError(
            f"{self.shown} answered with something that is no JSON: {detail}.",
            code="no_json",
            remedy="Open the address in a browser: an error page, or another address?",
        )
