"""Cells of a workbook as the text that PostgreSQL reads, by the type of their column.

Excel has floats only. A whole number is written without a fraction, up to where floats stop telling
whole numbers apart; other numbers with the 15 digits that Excel itself shows and exports: 0.1 + 0.2
is 0.3 there, and 0.30000000000000004 in the file. A column of doubles takes the float as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sluice.reading.excel_binary import ERROR, FORMULA, WRAPPED
from sluice.reading.excel_program import MOMENT
from sluice.reading.headers import fed_columns
from sluice.reading.typed_values import (
    EXACT,
    TypedBoolean,
    TypedMoment,
    TypedNumber,
    converted_columns,
)
from sluice.registry import DataType, Source

# As ``excel_program`` writes it: what is no text, number or boolean says what it is.
Cell = str | bool | int | float | list[str] | None

# From here on, 15 digits have no place for what comes after the point.
LEAST_WITHOUT_PLACES = 10**14

NO_RESULT = "a formula whose result is not stored: open the file in Excel and save it"


@dataclass(frozen=True)
class CellColumn:
    """Turns the cells of one column into texts.

    Attributes:
        data_type: of the column; None where the registry does not know it.
        is_converted: whether it matters that a value is no text: see ``typed_values``.
    """

    data_type: DataType | None = None
    is_converted: bool = False

    def text(self, cell: Cell) -> str | None:
        """The value of a cell; None where it has none, or none that could be told."""
        if cell is None or isinstance(cell, str):
            return cell
        if isinstance(cell, float) and -EXACT < cell < EXACT:  # most of all
            text = _number(cell, is_double=self.data_type == "double")
        elif self.problem(cell) is not None and not _is_shown(cell):
            return None
        else:
            text = shown(cell)
        if not self.is_converted:
            return text
        if isinstance(cell, bool):
            return TypedBoolean(text)
        is_moment = isinstance(cell, list) and cell[0] == MOMENT
        return TypedMoment(text) if is_moment else TypedNumber(text)

    def problem(self, cell: Cell) -> tuple[str, str] | None:
        """The code and the end of a sentence on what is wrong with a cell; None for nothing."""
        if isinstance(cell, list):
            return _problem_of(*cell)
        if self.data_type != "double" and isinstance(cell, float | int) and abs(cell) >= EXACT:
            reason = f"{cell:.17g}, which may stand for another number: workbooks round whole"
            return "not_exact", f"{reason} numbers from 2^53 on; deliver it as a text"
        return None


def cell_columns(names: Sequence[str], source: Source) -> list[CellColumn]:
    """A column for each name in a header.

    Raises:
        DeliveryError: two names feed one column of the source.
    """
    fed = fed_columns(names, source)
    converted = converted_columns(source)
    return [
        CellColumn(source.columns[fed[at]].data_type, fed[at] in converted)
        if at in fed
        else CellColumn()
        for at in range(len(names))
    ]


def shown(cell: Cell) -> str:
    """The text of a cell, also of one that has no value."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list):
        return cell[1]
    return _number(cell) if abs(cell) < EXACT else repr(cell)


def _number(number: float, *, is_double: bool = False) -> str:
    whole = int(number)
    if whole == number:
        return str(whole)
    is_exact = is_double or abs(number) >= LEAST_WITHOUT_PLACES
    return repr(number) if is_exact else f"{number:.15g}"


def _problem_of(what: str, text: str) -> tuple[str, str] | None:
    if what == ERROR:
        return "wrong_type", f"the error {text}"
    if what == FORMULA:
        return "wrong_type", f"{NO_RESULT} ({text})"
    if what == WRAPPED:
        reason = f"{text} of a day, which is read as 00:00:00 of the day that has passed"
        return "not_exact", f"{reason}: round it in the workbook"
    return None


def _is_shown(cell: Cell) -> bool:
    """Whether what has no value is shown among the values of its record."""
    return isinstance(cell, list) and cell[0] in (ERROR, FORMULA)
