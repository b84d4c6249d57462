"""YAML into models: every problem at once, with file, line, place and remedy."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from sluice.errors import ConfigError
from sluice.registry import load_registry, read_registry

SOURCE = """
description: Orders of the shop.
owner: shop
columns:
  order_id: {data_type: bigint, nullable: false}
"""

PIPELINE = """
description: What sells.
owner: shop
sources: [orders]
"""


def write(project: Path, **files: str) -> Path:
    for name, text in files.items():
        kind, _, stem = name.partition("__")
        path = project / "registry" / kind / f"{stem}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return project


def test_a_sound_registry_has_sources_and_pipelines(tmp_path: Path) -> None:
    registry = load_registry(write(tmp_path, sources__orders=SOURCE, pipelines__sales=PIPELINE))

    assert registry.source("orders").landing_path == "orders"
    assert registry.source("orders").columns["order_id"].postgres_type == "bigint"
    assert registry.pipeline("sales").sources == ("orders",)


@pytest.mark.parametrize(
    ("changed", "line", "place", "words"),
    [
        ("ownr: me", 5, "ownr", "Did you mean owner?"),
        ("format: xml", 5, "format", "'xml' is not allowed"),
        ("path: ../elsewhere", 5, "path", "without '..'"),
        ("path: /etc", 5, "path", "below the landing zone"),
        ("file_glob: a/b.csv", 5, "file_glob", "without '/'"),
        ("columns: {Id: {data_type: bigint}}", 5, "columns.Id", "is not a name"),
        ("columns: {ctid: {data_type: text}}", 5, "columns", "system column"),
        ("columns: {_load_id: {data_type: text}}", 5, "columns._load_id", "is not a name"),
        ("columns: {a: {data_type: integer}}", 5, "columns.a.data_type", "bigint"),
        ("columns: {a: {data_type: text, scale: 2}}", 5, "columns.a", "for decimal"),
        ("columns: {a: {data_type: text, minimum: 2}}", 5, "columns.a", "not for text"),
        ("columns: {a: {data_type: decimal, minimum: zero}}", 5, "columns.a", "is no decimal"),
        ("columns: {a: {data_type: date, maximum: 2026-13-45x}}", 5, "columns.a", "is no date"),
        ("columns: {a: {data_type: double, maximum: .inf}}", 5, "columns.a", "is no number"),
        ("columns: {a: {data_type: bigint, pattern: x}}", 5, "columns.a", "for data_type text"),
        ("columns: {a: {data_type: text, pattern: (?q)a}}", 5, "columns.a.pattern", "as a whole"),
        (
            "columns: {a: {data_type: text, accepted_values: [no, se]}}",
            5,
            "columns.a.accepted_values.0",
            "Put it in quotes",
        ),
        ("dialect: {delimiter: ';;'}", 5, "dialect.delimiter", "at most 1 character"),
        ("dialect: {delimiter: '\"'}", 5, "dialect", "must differ"),
        (
            "columns: {a: {data_type: date}, a__v_text: {}}\nschema_contract: evolve".replace(
                "{}", "{data_type: text}"
            ),
            1,
            "",
            "which is a column already",
        ),
        ("name: other", 5, "name", "the file's name says orders"),
        ("description: again", 5, "description", "stands twice"),
    ],
)
def test_a_problem_names_line_place_and_remedy(
    tmp_path: Path, changed: str, line: int, place: str, words: str
) -> None:
    first = "description: Orders.\nowner: shop\n"
    columns = "" if changed.startswith("columns") else "columns: {id: {data_type: bigint}}\n"
    text = f"\n\n{first}{changed}\n{columns}"
    registry = read_registry(write(tmp_path, sources__orders=text, pipelines__sales=PIPELINE))

    problems = [problem for problem in registry.problems if problem.place == place]
    assert problems, registry.problems
    assert problems[0].line == line
    assert str(problems[0].file) == "registry/sources/orders.yml"
    assert words in str(problems[0])
    assert "sales" in registry.broken_pipelines
    assert "orders" not in registry.sources


def test_a_table_has_room_for_its_columns(tmp_path: Path) -> None:
    columns = "".join(f"  c{n}: {{data_type: text}}\n" for n in range(1650))
    source = SOURCE.replace("  order_id: {data_type: bigint, nullable: false}\n", columns)
    (problem,) = read_registry(
        write(tmp_path, sources__orders=source, pipelines__sales=PIPELINE)
    ).problems[:1]
    assert (str(problem.file), problem.line) == ("registry/sources/orders.yml", 4)
    assert "1,650 columns are more than the 1,597" in str(problem)


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        sources__orders=SOURCE + "colour: red\nsize: 3\n",
        sources__returns=SOURCE,
        pipelines__sales=PIPELINE,
        pipelines__other="description: x\nowner: y\nsources: [ordrs]\n",
        pipelines__broken="sources: [",
    )
    with pytest.raises(ConfigError) as error:
        load_registry(project)

    message = str(error.value)
    assert "6 problems" in message or "5 problems" in message
    for words in ("colour", "size", "Did you mean orders?", "is not YAML", "no pipeline names"):
        assert words in message


def test_a_broken_entry_breaks_only_what_needs_it(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        sources__orders=SOURCE,
        sources__visits="description: [",
        pipelines__sales=PIPELINE,
        pipelines__web=PIPELINE.replace("orders", "visits"),
    )
    registry = read_registry(project)

    assert set(registry.pipelines) == {"sales"}
    assert set(registry.broken_pipelines) == {"web"}
    with pytest.raises(ConfigError, match="is not YAML"):
        registry.pipeline("web")
    with pytest.raises(ConfigError, match=r"1 problem:\n.*visits\.yml:2: is not YAML") as error:
        registry.source("visits")
    assert "Did you mean" not in str(error.value)
    assert set(registry.broken_sources) == {"visits"}
    assert registry.named_sources == {"sales": ("orders",), "web": ("visits",)}
    with pytest.raises(ConfigError, match="Did you mean sales"):
        registry.pipeline("sale")


def test_two_sources_may_not_take_the_same_files(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        sources__orders=SOURCE,
        sources__orders_too=SOURCE + "path: orders\n",
        pipelines__sales=PIPELINE.replace("[orders]", "[orders, orders_too]"),
    )
    problems = read_registry(project).problems

    assert [str(problem.file) for problem in problems] == ["registry/sources/orders_too.yml"]
    assert "takes the same files as source orders" in problems[0].message


@pytest.mark.parametrize(
    "line", ["owner: {{ team }}", "path: 2026-02-30", "? [a, b]", "tags: &tags [*tags]", "a: b: c"]
)
def test_odd_yaml_is_a_problem_of_its_file_alone(tmp_path: Path, line: str) -> None:
    project = write(
        tmp_path,
        sources__orders=SOURCE,
        sources__visits=SOURCE + line + "\n",
        pipelines__sales=PIPELINE,
        pipelines__web=PIPELINE.replace("orders", "visits"),
    )
    registry = read_registry(project)

    assert set(registry.pipelines) == {"sales"}
    assert set(registry.broken_pipelines) == {"web"}
    assert {str(problem.file) for problem in registry.problems} == {"registry/sources/visits.yml"}


def test_hostile_yaml_is_read_as_data(tmp_path: Path) -> None:
    text = "description: !!python/object/apply:os.system [exit 3]\n"
    registry = read_registry(write(tmp_path, sources__orders=text))

    assert "is not YAML" in registry.problems[0].message
