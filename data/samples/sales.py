"""Make realistic deliveries for the source sales: a CSV file a day of what retailers have sold.

Products are renamed, brands spell themselves anew, retailers move. The files have what real ones
have: values that are missing, as blanks or as None, prices with their currency, product ids that
are blank, sales that arrive days late, SaleIDs that come again, the same or with other values. The
same arguments make the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

HEADER = (
    "SaleID",
    "ProductID",
    "ProductName",
    "Brand",
    "Category",
    "RetailerID",
    "RetailerName",
    "Channel",
    "Location",
    "Quantity",
    "Price",
    "Date",
)
# A fixed day: the same command makes the same files whenever it is run.
END_DATE = date(2026, 6, 30)

BRANDS = ("Alva", "Borealis", "Corda", "Delphi", "Estrel", "Fjord", "Gamma", "Halden")
CATEGORIES = ("Laptop", "Phone", "Tablet", "Camera", "Audio", "Home Office")
CITIES = ("Oslo", "Lyon", "Porto", "Graz", "Turku", "Gdansk", "Leeds", "Cork")
CHANNELS = {"Online": 6, "Store": 4, "Phone": 1}
MISSING = ("None", "", " ", "  ")

LATE_SHARE = 0.03
REPEATED_SHARE = 0.005
MISSING_SHARE = 0.01
CURRENCY_SHARE = 0.05
ODD_SPACES_SHARE = 0.02
CHANGING_SHARE = 0.3


@dataclass(frozen=True)
class Thing:
    """A product, a brand or a retailer: what it is called until a day, and from then on.

    Attributes:
        identifier: its id; of a brand nothing but its name.
        before: its attributes before that day.
        after: its attributes since.
        changes_on: the day, counted from the first of the period.
    """

    identifier: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    changes_on: int

    def on(self, day: int) -> tuple[str, ...]:
        """Its attributes on a day."""
        return self.before if day < self.changes_on else self.after


# A sale before it is written: the day it arrives, the day it was made, the fields of its record.
Sale = tuple[int, int, list[str]]


def generate(
    seed: int = 7,
    products: int = 120,
    days: int = 60,
    rows: int | None = None,
    end_date: date = END_DATE,
    broken: int = 0,
) -> Iterator[tuple[str, list[str]]]:
    """Make the deliveries of some days, in the order of their arrival.

    Args:
        seed: another seed makes other products and other sales.
        products: how many products there are; for ten of them there is a retailer.
        days: for how many days there are files.
        rows: how many records there are in all; 250 a day, if not given.
        end_date: the last day.
        broken: how many more records there are that cannot be loaded: without a SaleID, with a
            price that is none, sold on no day, with a field too many.

    Yields:
        The path of a file below the landing zone, such as ``sales/sales_2026-06-30.csv``, and its
        rows: lines of CSV with the columns of ``HEADER``, without line ends. A day without a row
        has no file.
    """
    random_numbers = random.Random(seed)
    brands = [_brand(random_numbers, name, days) for name in BRANDS]
    catalogue = [_product(random_numbers, number, days) for number in range(products)]
    retailers = [
        _retailer(random_numbers, number, days) for number in range(max(2, products // 10))
    ]
    wanted = 250 * days if rows is None else rows
    start = end_date - timedelta(days=days - 1)
    sales = [
        _sale(random_numbers, number, days, (catalogue, brands, retailers), start)
        for number in range(wanted - int(wanted * REPEATED_SHARE))
    ]
    while len(sales) < wanted:
        sales.append(_repeated(random_numbers, random_numbers.choice(sales), days))
    arriving: list[list[str]] = [[] for _ in range(days)]
    for arrives_on, _, fields in sales:
        arriving[arrives_on].append(_line(random_numbers, fields))
    days_with_sales = [day for day in range(days) if arriving[day]]
    broken_on = random_numbers.choices(days_with_sales, k=broken) if days_with_sales else []
    for day in days_with_sales:
        for _ in range(broken_on.count(day)):
            _add_broken_record(random_numbers, arriving[day])
        yield f"sales/sales_{start + timedelta(days=day)}.csv", arriving[day]


def write_delivery(path: Path, rows: Iterable[str]) -> None:
    """Write a delivery under a hidden name and rename it, so that nobody reads half a file.

    Args:
        path: the file as it shall be named, in its source's folder, which is made where missing.
        rows: lines of CSV with the columns of ``HEADER``, without line ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.part")
    lines = chain((",".join(HEADER),), rows, ("",))
    hidden.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    hidden.replace(path)


def _brand(random_numbers: random.Random, name: str, days: int) -> Thing:
    changes_on = _day_of_change(random_numbers, days)
    return Thing(name, (name,), (name.upper(),), changes_on)


def _product(random_numbers: random.Random, number: int, days: int) -> Thing:
    category = random_numbers.choice(CATEGORIES)
    name = f"{category} {random_numbers.choice('ABCDEFGH')}{number}"
    renamed = random_numbers.choice(
        ((f"{name} Plus", category), (name, random_numbers.choice(CATEGORIES)))
    )
    changes_on = _day_of_change(random_numbers, days)
    return Thing(f"P{number:04d}", (name, category), renamed, changes_on)


def _retailer(random_numbers: random.Random, number: int, days: int) -> Thing:
    city, other_city = random_numbers.sample(CITIES, k=2)
    name = f"{city} Trading {number}"
    changes_on = _day_of_change(random_numbers, days)
    return Thing(f"R{number:03d}", (name, city), (name, other_city), changes_on)


def _day_of_change(random_numbers: random.Random, days: int) -> int:
    """Within the period for some, after it for the others."""
    return (
        random_numbers.randrange(1, days + 1) if random_numbers.random() < CHANGING_SHARE else days
    )


def _sale(
    random_numbers: random.Random,
    number: int,
    days: int,
    things: tuple[list[Thing], list[Thing], list[Thing]],
    start: date,
) -> Sale:
    products, brands, retailers = things
    day = random_numbers.randrange(days)
    place = int(len(products) * random_numbers.random() ** 2)  # the first sell best
    product, brand = products[place], brands[place % len(brands)]
    retailer = random_numbers.choice(retailers)
    quantity = min(int(random_numbers.expovariate(0.7)) + 1, 20)
    cents = (place * 7919 % 90_000 + 999) * quantity
    fields = [
        str(10_000 + number),
        product.identifier,
        product.on(day)[0],
        brand.on(day)[0],
        product.on(day)[1],
        retailer.identifier,
        retailer.on(day)[0],
        random_numbers.choices(tuple(CHANNELS), tuple(CHANNELS.values()))[0],
        retailer.on(day)[1],
        str(quantity),
        f"{cents // 100}.{cents % 100:02d}",
        (start + timedelta(days=day)).isoformat(),
    ]
    arrives_on = day
    if random_numbers.random() < LATE_SHARE:
        arrives_on = min(day + random_numbers.randint(1, 9), days - 1)
    return arrives_on, day, fields


def _repeated(random_numbers: random.Random, sale: Sale, days: int) -> Sale:
    """The same SaleID once more: as it was, or with another quantity and amount."""
    arrives_on, day, fields = sale
    again = list(fields)
    if random_numbers.random() < 0.5:
        again[9], again[10] = "1", "19.99"
    return min(arrives_on + random_numbers.randint(0, 5), days - 1), day, again


def _line(random_numbers: random.Random, fields: Sequence[str]) -> str:
    """The record as exports write it."""
    written = list(fields)
    if random_numbers.random() < CURRENCY_SHARE:
        written[10] += random_numbers.choice(("USD", " USD", "usd"))
    for place in range(1, len(HEADER) - 1):
        if random_numbers.random() < MISSING_SHARE:
            written[place] = random_numbers.choice(MISSING)
    if random_numbers.random() < ODD_SPACES_SHARE:
        place = random_numbers.randrange(1, 9)
        written[place] = f" {written[place]}"
    return ",".join(written)


def _add_broken_record(random_numbers: random.Random, lines: list[str]) -> None:
    fields = random_numbers.choice(lines).split(",")
    broken = random_numbers.choice(
        (
            ["None", *fields[1:]],
            [*fields[:10], "a lot", fields[11]],
            [*fields[:10], "100EUR", fields[11]],
            [*fields[:9], "0", *fields[10:]],
            [*fields[:11], "None"],
            [*fields, "more"],
        )
    )
    lines.insert(random_numbers.randrange(len(lines) + 1), ",".join(broken))


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n"
            "  python data/samples/sales.py --landing data/landing\n"
            "      the deliveries of the demo: 60 days, 15,000 sales of 120 products\n"
            "  python data/samples/sales.py --landing /tmp/one --days 1 --rows 10000\n"
            "      one delivery of exactly 10,000 sales\n"
        ),
    )
    parser.add_argument(
        "--landing",
        type=Path,
        required=True,
        metavar="DIR",
        help="the landing zone; the files go into its folder sales",
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="another seed, other sales (default: 7)"
    )
    parser.add_argument(
        "--products", type=int, default=120, help="how many products there are (default: 120)"
    )
    parser.add_argument("--days", type=int, default=60, help="how many days (default: 60)")
    parser.add_argument(
        "--rows", type=int, help="how many sales in all files together (default: 250 a day)"
    )
    parser.add_argument(
        "--end-date",
        type=date.fromisoformat,
        default=END_DATE,
        metavar="YYYY-MM-DD",
        help=f"the last day (default: {END_DATE})",
    )
    parser.add_argument(
        "--broken",
        type=int,
        default=0,
        help="how many records more that cannot be loaded (default: 0)",
    )
    options = parser.parse_args(arguments)
    for name in ("products", "days"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    if options.rows is not None and options.rows < 0:
        parser.error("--rows must be 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the deliveries and say how many."""
    options = _parse_arguments(arguments)
    started, files, rows_written = time.perf_counter(), 0, 0
    for name, rows in generate(
        options.seed,
        options.products,
        options.days,
        options.rows,
        options.end_date,
        options.broken,
    ):
        write_delivery(options.landing / name, rows)
        files += 1
        rows_written += len(rows)
    seconds = time.perf_counter() - started
    print(f"{rows_written:,} rows in {files} files in {options.landing}{os.sep} ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
