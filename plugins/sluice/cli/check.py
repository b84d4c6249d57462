"""``sluice check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sluice.cli.output import console, errors_console, failures_explained, print_json
from sluice.errors import counted
from sluice.registry import Pipeline, Problem, Registry, Source, json_schema, read_registry
from sluice.settings import Settings, load_settings
from sluice.transforming.bronze_sources import SOURCES_FILE, bronze_sources_yaml
from sluice.transforming.dbt import problems_of


def check(
    fix: Annotated[
        bool, typer.Option("--fix", help="Write what is generated from the registry.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Check the registry, what is generated from it, and that dbt can parse the models.

    Shows every problem at once; the exit code is 1 where there is one. `--fix` writes the dbt
    sources of bronze and the JSON Schemas for editors; it changes nothing that a person writes.
    """
    with failures_explained():
        settings = load_settings()
        registry = read_registry(settings.project)
        written = write_generated(settings, registry) if fix else []
        problems = [*registry.problems, *missing_models(settings, registry)]
        problems += outdated_files(settings, registry)
        if not problems:  # what dbt would say of them follows from those
            problems += broken_models(settings, registry)
    if json_output:
        print_json(problems)
    else:
        for path in written:
            console.print(f"written: {path}")
        for problem in problems:
            errors_console.print(escape(str(problem)))
        read = (
            f"{counted(len(registry.sources), 'source')},"
            f" {counted(len(registry.pipelines), 'pipeline')}"
        )
        console.print(f"{read}: {counted(len(problems), 'problem') if problems else 'no problems'}")
    if problems:
        raise typer.Exit(1)


def generated_files(settings: Settings, registry: Registry) -> dict[Path, str]:
    """Every file that is written from the registry and its models, with its text."""
    schemas: dict[str, type[Source | Pipeline]] = {"source": Source, "pipeline": Pipeline}
    files = {
        settings.project / "docs" / "schemas" / f"{name}.json": _document(json_schema(model))
        for name, model in schemas.items()
    }
    if not registry.problems:  # a broken source must not vanish from what dbt knows
        files[settings.dbt / SOURCES_FILE] = bronze_sources_yaml(registry)
    return files


def _document(schema: dict[str, object]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_generated(settings: Settings, registry: Registry) -> list[Path]:
    """Write the generated files that differ; returns which."""
    written = []
    for path, text in generated_files(settings, registry).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path.relative_to(settings.project))
    return written


def outdated_files(settings: Settings, registry: Registry) -> list[Problem]:
    """A problem for each generated file that is not what the registry makes of it."""
    problems = []
    for path, text in generated_files(settings, registry).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            file = path.relative_to(settings.project)
            problems.append(
                Problem(file, 1, "", "is not what the registry makes of it", "./sluice check --fix")
            )
    return problems


def missing_models(settings: Settings, registry: Registry) -> list[Problem]:
    """A problem for each pipeline without a gold model."""
    return [
        Problem(
            Path("registry") / "pipelines" / f"{name}.yml",
            1,
            "",
            f"dbt/models/gold/{name}/ holds no model, so there is nothing to publish",
            "Write its marts there; see docs/first-source.md.",
        )
        for name in registry.pipelines
        if not list((settings.dbt / "models" / "gold" / name).glob("**/*.sql"))
    ]


def broken_models(settings: Settings, registry: Registry) -> list[Problem]:
    """What is wrong with the models, as far as dbt's parsing tells."""
    place = settings.dbt.relative_to(settings.project)
    return [
        Problem(place, 1, "", error.message, error.remedy)
        for error in problems_of(settings, sorted(registry.pipelines))
    ]
