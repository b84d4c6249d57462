"""The marts of sales, computed another way than the models do: day by day, sale by sale.

It reads the delivered files themselves with Python's csv module. For each key it asks what was
known of it at each day of a sale, and begins a version where that is something else than before.
Rows have the columns of the mart in its order.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

Rows = list[tuple[Any, ...]]

MISSING = ("None", " None", "None ", "", " ", "  ")


@dataclass(frozen=True)
class Sale:
    sale_id: str
    product_id: str
    product_name: str | None
    brand: str | None
    category: str | None
    retailer_id: str
    retailer_name: str | None
    channel: str
    location: str | None
    quantity: int | None
    amount: Decimal | None
    sale_date: date

    @property
    def brand_id(self) -> str:
        return self.brand.lower() if self.brand else "unknown"

    @property
    def category_id(self) -> str:
        return self.category.lower() if self.category else "unknown"

    @property
    def month(self) -> date:
        return self.sale_date.replace(day=1)


@dataclass(frozen=True)
class Version:
    key: str
    attributes: tuple[str | None, ...]
    valid_from: date
    valid_to: date | None

    @property
    def surrogate(self) -> UUID:
        return UUID(md5(f"{self.key}/{self.valid_from}".encode()).hexdigest())

    @property
    def row(self) -> tuple[Any, ...]:
        is_current = self.valid_to is None
        return (
            self.surrogate,
            self.key,
            *self.attributes,
            is_current,
            self.valid_from,
            self.valid_to,
        )


class History:
    """The versions of everything of one kind.

    Args:
        sales: each sale once, in the order of their files and records.
        key: the name of the key.
        attributes: the names of what may change.
    """

    def __init__(self, sales: Sequence[Sale], key: str, *attributes: str) -> None:
        said: dict[str, dict[date, list[Sale]]] = defaultdict(lambda: defaultdict(list))
        for sale in sales:
            said[getattr(sale, key)][sale.sale_date].append(sale)
        self._key = key
        self._versions = {
            value: list(self._versions_of(value, days, attributes)) for value, days in said.items()
        }

    def _versions_of(
        self, key: str, days: Mapping[date, list[Sale]], attributes: Sequence[str]
    ) -> Rows | Any:
        dates = sorted(days)
        states = [
            tuple(
                None if key == "unknown" else known_on(day, dates, days, attribute)
                for attribute in attributes
            )
            for day in dates
        ]
        begins = [n for n in range(len(dates)) if n == 0 or states[n] != states[n - 1]]
        for n, following in zip(begins, [*begins[1:], None], strict=True):
            end = None if following is None else dates[following]
            yield Version(key, states[n], dates[n], end)

    def rows(self) -> Rows:
        return [version.row for versions in self._versions.values() for version in versions]

    def at(self, sale: Sale) -> Version:
        versions = self._versions[getattr(sale, self._key)]
        starts = [version.valid_from for version in versions]
        return versions[bisect_right(starts, sale.sale_date) - 1]

    def current(self, key: str) -> Version:
        return self._versions[key][-1]


def known_on(
    day: date, dates: Sequence[date], days: Mapping[date, list[Sale]], attribute: str
) -> str | None:
    """What was last said up to a day; where nothing was, what is said first after it."""
    before = [other for other in dates if other <= day]
    after = [other for other in dates if other > day]
    for other in [*reversed(before), *after]:
        words = [word for sale in days[other] if (word := getattr(sale, attribute)) is not None]
        if words:
            return str(words[-1])
    return None


def expected_marts(files: Mapping[str, Path]) -> dict[str, Rows]:
    """All marts.

    Args:
        files: by the path below the landing zone that it was delivered under, each file whose
            content counts: the latest of its name, and no copies.
    """
    last: dict[str, tuple[tuple[bytes, int], Sale]] = {}
    records: dict[str, int] = defaultdict(int)
    for path, file in files.items():
        for number, sale in enumerate(read_sales(file), start=1):
            records[sale.sale_id] += 1
            place = (Path(path).name.encode(), number)
            if sale.sale_id not in last or last[sale.sale_id][0] < place:
                last[sale.sale_id] = (place, sale)
    sales = [sale for _, sale in sorted(last.values(), key=lambda entry: entry[0])]
    products = History(sales, "product_id", "product_name", "brand", "category")
    brands = History(sales, "brand_id", "brand")
    categories = History(sales, "category_id", "category")
    retailers = History(sales, "retailer_id", "retailer_name", "location")
    histories = products, brands, categories, retailers
    return {
        "dim_product": products.rows(),
        "dim_brand": brands.rows(),
        "dim_category": categories.rows(),
        "dim_retailer": retailers.rows(),
        "fct_sales": [
            (
                sale.sale_id,
                *(history.at(sale).surrogate for history in histories),
                sale.channel,
                sale.quantity,
                sale.amount,
                records[sale.sale_id],
                sale.sale_date,
            )
            for sale in sales
        ],
        "monthly_product_sales": monthly_product_sales(sales, products, retailers),
    }


def monthly_product_sales(sales: Sequence[Sale], products: History, retailers: History) -> Rows:
    grouped: dict[tuple[date, str, str, str], list[Sale]] = defaultdict(list)
    for sale in sales:
        grouped[sale.month, sale.product_id, sale.retailer_id, sale.channel].append(sale)
    rows: Rows = []
    for (month, product_id, retailer_id, channel), sold in grouped.items():
        quantities = [sale.quantity for sale in sold if sale.quantity is not None]
        amounts = [sale.amount for sale in sold if sale.amount is not None]
        rows.append(
            (
                month,
                product_id,
                retailer_id,
                channel,
                products.current(product_id).attributes[0],
                retailers.current(retailer_id).attributes[0],
                len(sold),
                sum(quantities) if quantities else None,
                sum(amounts) if amounts else None,
                len(sold) - len(quantities),
                len(sold) - len(amounts),
            )
        )
    return rows


def read_sales(file: Path) -> list[Sale]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [read_sale(record.__getitem__) for record in csv.DictReader(lines)]


def read_sale(field: Callable[[str], str]) -> Sale:
    def words(name: str) -> str | None:
        value = field(name)
        return None if value in MISSING else " ".join(value.split()) or None

    price, quantity = words("Price"), words("Quantity")
    if price is not None and price.upper().endswith("USD"):
        price = price[:-3].strip()
    return Sale(
        sale_id=words("SaleID") or "",
        product_id=words("ProductID") or "unknown",
        product_name=words("ProductName"),
        brand=words("Brand"),
        category=words("Category"),
        retailer_id=words("RetailerID") or "unknown",
        retailer_name=words("RetailerName"),
        channel=words("Channel") or "unknown",
        location=words("Location"),
        quantity=None if quantity is None else int(quantity),
        amount=None if price is None else Decimal(price).quantize(Decimal("1e-6")),
        sale_date=date.fromisoformat(field("Date")),
    )
