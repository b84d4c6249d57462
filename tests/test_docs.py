"""What the docs say is what the code does: settings, keys, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from sluice.registry import Column, CsvDialect, Pipeline, SchemaContract, Source, ValueRules
from sluice.registry.extract import Auth, Extract, Paginator
from sluice.registry.formats import ExcelLayout, JsonLayout
from sluice.registry.freshness import Freshness, Span
from sluice.registry.notify import Notify
from sluice.registry.schedule import ApproveWhen, Schedule, ScheduledSource
from sluice.settings import PROJECT, Settings

PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted(PROJECT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_readme_lists_each_setting_with_default_and_meaning(name: str) -> None:
    field = Settings.model_fields[name]
    row = next(
        (
            line
            for line in (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
            if line.startswith(f"| `SLUICE_{name.upper()}` |")
        ),
        "",
    )
    assert row.endswith(f"| {field.description} |")
    if name != "project" and not isinstance(field.default, SecretStr):
        assert f"| {f'`{field.default}`' if field.default != '' else 'empty'} |" in row


@pytest.mark.parametrize(
    "model",
    [
        *(Source, Column, CsvDialect, JsonLayout, ExcelLayout, ValueRules, SchemaContract),
        *(Extract, Paginator, Auth),
        *(Pipeline, Schedule, ScheduledSource, Freshness, Span, ApproveWhen, Notify),
    ],
)
def test_the_registry_page_lists_each_key_with_its_meaning(model: type[BaseModel]) -> None:
    text = (PROJECT / "docs" / "registry.md").read_text(encoding="utf-8")
    for name, field in model.model_fields.items():
        if name != "name":
            meaning = re.escape(" ".join((field.description or "?").split()))
            assert re.search(rf"^\| `{field.alias or name}` \|.*\| {meaning} \|$", text, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_requirements_are_locked_with_hashes_and_name_no_index() -> None:
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9].*$", text, re.M)
    assert packages
    assert all("==" in package for package in packages)
    assert len(re.findall(r"--hash=sha256:", text)) >= len(packages)
    assert "://" not in text
