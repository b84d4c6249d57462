"""The marts of commission, computed another way than the models do: record by record, in Python.

It reads the delivered files themselves. Rows have the columns of the mart in its order.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

Rows = list[tuple[Any, ...]]
# By path below the landing zone, each file whose content counts.
Files = Mapping[str, Path]

ZERO = Decimal(0)
PRECISION = Decimal("0.000001")


@dataclass(frozen=True)
class Deal:
    """What is added to earnings."""

    amount: Decimal = ZERO
    multiplier: Decimal = ZERO


@dataclass(frozen=True)
class Event:
    """A record of routy or manual, with the names that count."""

    day: date
    source_key: str
    source: str
    operator: str
    earnings: Decimal
    visits: int
    signups: int


class Mappings:
    """The three mappings."""

    def __init__(self, files: Files) -> None:
        self.deals: dict[str, Deal] = {}
        self.listed: dict[str, str] = {}
        self.brands: dict[str, str] = {}
        for record in records(files, "voluum_mapper"):
            self.brands[key(record["voluum_brand"])] = key(record["marketing_source"])
        last = {
            key(r["voluum_brand"]): written(r["marketing_source"])
            for r in records(files, "voluum_mapper")
        }
        for name in sorted(last.values(), reverse=True):
            self.listed[key(name)] = name
        for record in records(files, "deals"):
            self.listed[key(record["marketing_source"])] = written(record["marketing_source"])
            self.deals[key(record["marketing_source"])] = deal_of(
                written(record["deal"]), record["comments"]
            )
        self.in_country: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.everywhere: dict[str, set[str]] = defaultdict(set)
        self.anywhere: dict[str, set[str]] = defaultdict(set)
        self.standard: dict[str, str] = {}
        rows = list(records(files, "central_mapping"))
        for record in rows:
            name = written(record["std_operator"])
            self.standard[key(name)] = min(name, self.standard.get(key(name), name))
        for record in rows:
            operator = self.standard[key(record["std_operator"])]
            for variant in {record["variants"], *re.split("[,;|]", record["variants"])}:
                if key(variant):
                    self.anywhere[key(variant)].add(operator)
                    if key(record["country"]):
                        self.in_country[key(variant), key(record["country"])].add(operator)
                    else:
                        self.everywhere[key(variant)].add(operator)

    def operator(self, name: str, *countries: str) -> str:
        for country in countries:
            if found := self.in_country.get((key(name), key(country))):
                return min(found)
        if key(name) in self.standard:
            return self.standard[key(name)]
        if key(name) in self.everywhere:
            return min(self.everywhere[key(name)])
        if len(self.anywhere.get(key(name), ())) == 1:
            return min(self.anywhere[key(name)])
        return written(name)

    def source(self, name: str) -> str:
        return self.listed.get(key(name), written(name))


def written(name: str) -> str:
    return " ".join(name.split())


def key(name: str) -> str:
    return written(name).lower()


def deal_of(kind: str, formula: str) -> Deal:
    """Read term by term, where the model has one expression for the whole."""
    if not kind or re.fullmatch(r"fixed ?0+(\.0+)?", kind.lower()):
        return Deal()
    rest, amount, multiplier = formula.lower().strip(), ZERO, ZERO
    is_first = True
    while rest:
        match = re.match(r"([+-])?\s*([\d.]+|clicks)\s*(?:\*\s*([\d.]+|clicks))?\s*", rest)
        if not match or (not is_first and not match[1]):
            return Deal()
        sign = -1 if match[1] == "-" else 1
        factors = [factor for factor in match.groups()[1:] if factor]
        numbers = [Decimal(factor) for factor in factors if factor != "clicks"]
        if factors.count("clicks") > 1 or len(numbers) > 1:
            return Deal()
        value = sign * (numbers[0] if numbers else Decimal(1))
        if "clicks" in factors:
            multiplier += value
        else:
            amount += value
        rest, is_first = rest[match.end() :], False
    return Deal(amount, multiplier)


def records(files: Files, source: str) -> Iterator[dict[str, str]]:
    """The records of a source, each with what it lacks as empty text."""
    for path in sorted(path for path in files if path.startswith(f"{source}/")):
        found = re.search(r"\d{4}-\d{2}-\d{2}", path)
        with files[path].open(encoding="utf-8", newline="") as file:
            for record in csv.DictReader(file):
                record.setdefault("date", "")
                record["date"] = record["date"] or (found[0] if found else "")
                yield {"country": "", "country_code": "", **record}


def expected_marts(files: Files) -> dict[str, Rows]:
    """All marts.

    Args:
        files: each file whose content counts: the latest of its name, no copies, and of the three
            mappings the newest.
    """
    mapping = Mappings(files)
    clicks: Counter[tuple[str, date]] = Counter()
    for record in records(files, "voluum"):
        brand = key(record["voluum_brand"])
        if brand in mapping.brands:
            clicks[mapping.brands[brand], day_of(record)] += int(record["clicks"])
    marts = web_traffic(files, mapping, clicks) | scrapers(files, mapping, clicks)
    for period in ("daily", "monthly"):
        sums: dict[tuple[Any, ...], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
        for position, pipeline in enumerate(("web_traffic", "scrapers")):
            for row in marts[f"{pipeline}_commission_{period}"]:
                sums[row[:2]][position] += row[-1]
        marts[f"combined_commission_{period}"] = [
            (*keys, money(web), money(scraped), money(web + scraped))
            for keys, (web, scraped) in sums.items()
        ]
    return marts


def web_traffic(
    files: Files, mapping: Mappings, clicks: Mapping[tuple[str, date], int]
) -> dict[str, Rows]:
    events_of: dict[tuple[str, date], list[Event]] = defaultdict(list)
    for source in ("routy", "manual"):
        for record in records(files, source):
            event = Event(
                day_of(record),
                key(record["marketing_source"]),
                mapping.source(record["marketing_source"]),
                mapping.operator(record["operator"], record["country"], record["country_code"]),
                Decimal(record["raw_earnings"]),
                int(record["visits"] or 0),
                int(record["signups"] or 0),
            )
            events_of[event.source_key, event.day].append(event)
    daily: dict[tuple[Any, ...], list[Any]] = {}
    monthly: dict[tuple[Any, ...], list[Any]] = {}
    for (source_key, day), events in events_of.items():
        deal = mapping.deals.get(source_key, Deal())
        day_clicks = clicks.get((source_key, day), 0)
        to_pay = day_clicks * deal.multiplier
        for event in sorted(events, key=lambda one: (-one.earnings, one.operator, one.source)):
            commission = max(ZERO, event.earnings + deal.amount + to_pay)
            to_pay = ZERO
            counts = [1, event.visits, event.signups]
            sums = [event.earnings, commission]
            day_row = daily.setdefault((event.source, day), [0, 0, 0, day_clicks, ZERO, ZERO])
            add(day_row, [*counts, 0, *sums])
            month_row = monthly.setdefault(
                (event.operator, day.replace(day=1)), [0, 0, 0, ZERO, ZERO]
            )
            add(month_row, [*counts, *sums])
    return {
        "web_traffic_commission_daily": as_rows(daily),
        "web_traffic_commission_monthly": as_rows(monthly),
    }


def scrapers(
    files: Files, mapping: Mappings, clicks: Mapping[tuple[str, date], int]
) -> dict[str, Rows]:
    readings: dict[tuple[date, str, str, str], list[dict[str, str]]] = defaultdict(list)
    for record in records(files, "scrapers"):
        place = (
            day_of(record),
            key(record["marketing_source"]),
            key(record["operator"]),
            key(record["country"]),
        )
        readings[place].append(record)
    totals: dict[tuple[str, str], dict[date, list[Any]]] = defaultdict(dict)
    for (day, source_key, _, country), same in readings.items():
        operator = mapping.operator(min(written(record["operator"]) for record in same), country)
        source = min(written(record["marketing_source"]) for record in same)
        of_day = totals[source_key, key(operator)].setdefault(day, [source, operator, 0, ZERO])
        of_day[0], of_day[1] = min(of_day[0], source), min(of_day[1], operator)
        of_day[2] += max(int(record["visits"] or 0) for record in same)
        of_day[3] += max(Decimal(record["total_earnings"]) for record in same)
    daily: dict[tuple[Any, ...], list[Any]] = {}
    monthly: dict[tuple[Any, ...], list[Any]] = {}
    for (source_key, _), by_day in totals.items():
        before = ZERO
        for day, (source, operator, visits, total) in sorted(by_day.items()):
            day_clicks = clicks.get((source_key, day), 0)
            day_row = daily.setdefault((mapping.source(source), day), [0, day_clicks, ZERO, ZERO])
            add(day_row, [visits, 0, total, total - before])
            month_row = monthly.setdefault((operator, day.replace(day=1)), [0, ZERO])
            add(month_row, [visits, total - before])
            before = total
    return {
        "scrapers_commission_daily": as_rows(daily),
        "scrapers_commission_monthly": as_rows(monthly),
    }


def add(row: list[Any], values: list[Any]) -> None:
    for position, value in enumerate(values):
        row[position] += value


def as_rows(rows: Mapping[tuple[Any, ...], list[Any]]) -> Rows:
    return [
        (*keys, *(money(value) if isinstance(value, Decimal) else value for value in values))
        for keys, values in rows.items()
    ]


def money(value: Decimal) -> Decimal:
    return value.quantize(PRECISION)


def day_of(record: Mapping[str, str]) -> date:
    return date.fromisoformat(record["date"])
