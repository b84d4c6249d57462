"""Make realistic deliveries for the seven sources of commission, as an affiliate gets them.

Marketing sources send visitors to operators. A network reports daily (routy), people type in what
it lacks (manual; not every day), a click tracker counts clicks (voluum), and scrapers read running
totals off operators' pages. Deals, the tracker's brands and the operators' standard names come as
files that replace the one before. With the dirt of real files: names in other spellings, spaces
that do not break, operators and brands that no mapping knows, formulas that are none, earnings
taken back, totals that fall, days that are missing, records that come twice, dates only in the
file's name. The same arguments make the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HEADERS: dict[str, tuple[str, ...]] = {
    "routy": (
        "date",
        "marketing_source",
        "operator",
        "country",
        "country_code",
        "raw_earnings",
        "visits",
        "signups",
    ),
    "manual": ("date", "marketing_source", "operator", "raw_earnings", "visits", "signups"),
    "voluum": ("date", "voluum_brand", "clicks"),
    "scrapers": ("date", "marketing_source", "operator", "country", "total_earnings", "visits"),
    "deals": ("marketing_source", "deal", "comments"),
    "voluum_mapper": ("voluum_brand", "marketing_source"),
    "central_mapping": ("variants", "std_operator", "country"),
}
# A fixed day: the same command makes the same files whenever it is run.
END_DATE = date(2026, 6, 30)

FIRST_WORDS = ("Fast", "Lucky", "Golden", "Daily", "Prime", "Royal", "Clever", "North", "Open")
SECOND_WORDS = ("Tips", "Odds", "Lane", "Review", "Guide", "Corner", "Insider", "Compass", "Club")
OPERATOR_WORDS = ("Bet", "Spin", "Win", "Play", "Jackpot", "Stake", "Ace", "Goal", "Vega", "Orbit")
COUNTRIES = {"DE": "Germany", "AT": "Austria", "SE": "Sweden", "GB": "United Kingdom"}
DEALS = (
    ("CPA", "+ 100"),
    ("CPC", "+ clicks*2"),
    ("CPC", "+ clicks*2 + 50"),
    ("CPC", "+ clicks * 0.15"),
    ("Hybrid", "- 12.50 + clicks*0.5"),
    ("Hybrid", "+25"),
    ("FIXED 0", "+ 100"),
    ("fixed 0", ""),
    ("CPA", ""),
    ("", "+ 10"),
    ("CPA", "+ 100 from May on"),
)
LATE_SHARE = 0.02
REPEATED_SHARE = 0.01

Record = tuple[str, ...]


@dataclass(frozen=True)
class Delivery:
    """One file: its source, its name, the names of its columns, its records."""

    source: str
    file_name: str
    columns: tuple[str, ...]
    records: tuple[Record, ...]

    def to_bytes(self) -> bytes:
        """The file as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.records)
        return text.getvalue().encode()


@dataclass(frozen=True)
class Business:
    """Who works with whom.

    Attributes:
        marketing_sources: by name, the tracker's brands.
        operators: by standard name, the variants that are met, with the country they are met in or
            an empty one for everywhere.
        pairs: who sends visitors to whom, where, and how much it brings a day on average.
        scraped_pairs: the same for operators whose pages are read.
    """

    marketing_sources: dict[str, tuple[str, ...]]
    operators: dict[str, tuple[tuple[str, str], ...]]
    pairs: tuple[tuple[str, str, str, float], ...]
    scraped_pairs: tuple[tuple[str, str, str, float], ...]


def generate(
    seed: int = 7,
    marketing_sources: int = 12,
    operators: int = 20,
    days: int = 60,
    end_date: date = END_DATE,
) -> Iterator[Delivery]:
    """Make the deliveries of some days, in the order of their arrival.

    Args:
        seed: another seed makes another business and other figures.
        marketing_sources: how many there are.
        operators: how many there are.
        days: for how many days there are files.
        end_date: the last day.

    Yields:
        The files. The three mappings come first, and once more, changed, in the middle.
    """
    random_numbers = random.Random(seed)
    business = _make_business(random_numbers, marketing_sources, operators)
    totals = dict.fromkeys(business.scraped_pairs, 0.0)
    first_date = end_date - timedelta(days=days - 1)
    for day in range(days):
        today = first_date + timedelta(days=day)
        if day in (0, days // 2):
            yield from _mappings(random_numbers, business, today)
        yield _routy(random_numbers, business, today)
        if random_numbers.random() < 0.4:
            yield _manual(random_numbers, business, today)
        yield _voluum(random_numbers, business, today)
        if random_numbers.random() > 0.05:
            yield _scrapers(random_numbers, totals, today)


def write_delivery(landing: Path, delivery: Delivery) -> None:
    """Write a delivery under a hidden name and rename it, so that nobody reads half a file."""
    folder = landing / delivery.source
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{delivery.file_name}.part"
    hidden.write_bytes(delivery.to_bytes())
    hidden.replace(folder / delivery.file_name)


def _make_business(random_numbers: random.Random, sources: int, operators: int) -> Business:
    names = [
        f"{first} {second}" + (f" {number}" if number else "")
        for number in range(1 + sources // (len(FIRST_WORDS) * len(SECOND_WORDS)))
        for first in FIRST_WORDS
        for second in SECOND_WORDS
    ]
    marketing_sources: dict[str, tuple[str, ...]] = {}
    for name in random_numbers.sample(names, sources):
        brands = [name.lower().replace(" ", "-"), name.replace(" ", "").upper()]
        marketing_sources[name] = tuple(brands[: random_numbers.choice((1, 1, 2))])
    words = [
        f"{first}{second.lower()}" + (str(number) if number else "")
        for number in range(1 + operators // (len(OPERATOR_WORDS) ** 2))
        for first in OPERATOR_WORDS
        for second in OPERATOR_WORDS
    ]
    known: dict[str, tuple[tuple[str, str], ...]] = {
        operator: (
            (f"{operator} Casino", ""),
            (f"{operator}.com", ""),
            (f"{operator[:3]}-{index}", random_numbers.choice(("", *COUNTRIES.values()))),
        )
        for index, operator in enumerate(random_numbers.sample(words, operators))
    }
    pairs = [
        (name, operator, code, random_numbers.lognormvariate(3.5, 1.0))
        for name in marketing_sources
        for operator in known
        for code in COUNTRIES
        if random_numbers.random() < 0.25
    ]
    scraped = [pair for pair in pairs if random_numbers.random() < 0.25]
    return Business(marketing_sources, known, tuple(pairs), tuple(scraped))


def _mappings(random_numbers: random.Random, business: Business, today: date) -> Iterator[Delivery]:
    name = f"{today.isoformat()}.csv"
    deals: list[Record] = [
        (source, *random_numbers.choice(DEALS)) for source in business.marketing_sources
    ]
    # One has no deal, and of one there are two.
    deals = [*deals[1:], (deals[-1][0].upper(), "CPA", "+ 5")]
    yield Delivery("deals", name, HEADERS["deals"], tuple(deals))
    brands = [
        (brand, source)
        for source, brands_of in business.marketing_sources.items()
        for brand in brands_of
    ]
    yield Delivery("voluum_mapper", name, HEADERS["voluum_mapper"], tuple(brands[:-1]))
    variants: list[Record] = []
    for operator, met in list(business.operators.items())[:-1]:  # one is unknown
        everywhere = [variant for variant, country in met if not country]
        variants.append(("; ".join(everywhere), operator, ""))
        variants += [(variant, operator, country) for variant, country in met if country]
    yield Delivery("central_mapping", name, HEADERS["central_mapping"], tuple(variants))


def _routy(random_numbers: random.Random, business: Business, today: date) -> Delivery:
    records: list[Record] = []
    for source, operator, code, typical in business.pairs:
        if random_numbers.random() < 0.3:
            continue
        earnings = typical * random_numbers.lognormvariate(0, 0.6)
        if random_numbers.random() < 0.03:
            earnings = -earnings  # taken back
        day = today - timedelta(days=int(random_numbers.random() < LATE_SHARE))
        visits = int(abs(earnings) * random_numbers.uniform(0.5, 2))
        records.append(
            (
                day.isoformat(),
                _in_another_spelling(random_numbers, source),
                _as_met(random_numbers, business, operator),
                COUNTRIES[code],
                code if random_numbers.random() < 0.9 else "",
                f"{earnings:.2f}",
                str(visits) if random_numbers.random() < 0.97 else "",
                str(visits // 20),
            )
        )
    records += [record for record in records if random_numbers.random() < REPEATED_SHARE]
    return _dated("routy", random_numbers, today, records)


def _manual(random_numbers: random.Random, business: Business, today: date) -> Delivery:
    records: list[Record] = [
        (
            today.isoformat(),
            _in_another_spelling(random_numbers, source),
            _as_met(random_numbers, business, operator),
            f"{typical * random_numbers.lognormvariate(0, 0.4):.0f}",
            "",
            str(random_numbers.randrange(4)),
        )
        for source, operator, _, typical in random_numbers.sample(
            business.pairs, min(3, len(business.pairs))
        )
    ]
    return _dated("manual", random_numbers, today, records)


def _voluum(random_numbers: random.Random, business: Business, today: date) -> Delivery:
    records: list[Record] = [
        (today.isoformat(), brand, str(int(random_numbers.lognormvariate(3, 1))))
        for brands in business.marketing_sources.values()
        for brand in brands
        if random_numbers.random() < 0.95
    ]
    records += [record for record in records if random_numbers.random() < REPEATED_SHARE]
    return _dated("voluum", random_numbers, today, records)


def _scrapers(
    random_numbers: random.Random,
    totals: dict[tuple[str, str, str, float], float],
    today: date,
) -> Delivery:
    records: list[Record] = []
    for pair in totals:
        source, operator, code, typical = pair
        totals[pair] += typical * random_numbers.lognormvariate(0, 0.5)
        if random_numbers.random() < 0.005:
            totals[pair] *= 0.9  # corrected by the operator
        if random_numbers.random() < 0.03:
            continue  # the page could not be read
        visits = str(int(typical * random_numbers.random()))
        records.append(
            (
                today.isoformat(),
                source,
                _in_another_spelling(random_numbers, operator),
                COUNTRIES[code],
                f"{totals[pair]:.2f}",
                visits,
            )
        )
    records += [record for record in records if random_numbers.random() < REPEATED_SHARE]
    return _dated("scrapers", random_numbers, today, records)


def _dated(
    source: str, random_numbers: random.Random, today: date, records: list[Record]
) -> Delivery:
    """A delivery; in one of eight the date is in the file's name only."""
    columns = HEADERS[source]
    if random_numbers.random() < 1 / 8:
        records, columns = [record[1:] for record in records], columns[1:]
        return Delivery(source, f"{today.isoformat()}.csv", columns, tuple(records))
    return Delivery(source, f"{source}_{today.isoformat()}.csv", columns, tuple(records))


def _as_met(random_numbers: random.Random, business: Business, operator: str) -> str:
    if random_numbers.random() < 0.7:
        return operator
    variant, _ = random_numbers.choice(business.operators[operator])
    return _in_another_spelling(random_numbers, variant)


def _in_another_spelling(random_numbers: random.Random, name: str) -> str:
    if random_numbers.random() < 0.95:
        return name
    spellings = (name.upper(), name.lower(), f" {name} ", name.replace(" ", "  "), f"{name}\u00a0")
    return random_numbers.choice(spellings)


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--landing",
        type=Path,
        required=True,
        metavar="DIR",
        help="the landing zone; the files go into a folder for each source, made if missing",
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed, other figures")
    parser.add_argument("--marketing-sources", type=int, default=12, help="how many (default: 12)")
    parser.add_argument("--operators", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--days", type=int, default=60, help="how many days (default: 60)")
    parser.add_argument(
        "--end-date",
        type=date.fromisoformat,
        default=END_DATE,
        metavar="YYYY-MM-DD",
        help=f"the last day (default: {END_DATE})",
    )
    options = parser.parse_args(arguments)
    for name, least in (("marketing_sources", 2), ("operators", 2), ("days", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be {least} or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the deliveries and say how many."""
    options = _parse_arguments(arguments)
    started, files, records = time.perf_counter(), 0, 0
    for delivery in generate(
        options.seed,
        options.marketing_sources,
        options.operators,
        options.days,
        options.end_date,
    ):
        write_delivery(options.landing, delivery)
        files += 1
        records += len(delivery.records)
    seconds = time.perf_counter() - started
    print(f"{records:,} records in {files} files in {options.landing} ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
