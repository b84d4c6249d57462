"""Pipelines that read other pipelines: what may be said, and what is broken by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.registry import load_registry, read_registry

SOURCE = "description: x\nowner: y\ncolumns: {id: {data_type: bigint}}\n"


def write(project: Path, **pipelines: str) -> Path:
    """One source, and the pipelines by what their entries say beside description and owner."""
    texts = {"sources/orders.yml": SOURCE}
    for name, line in pipelines.items():
        texts[f"pipelines/{name}.yml"] = f"description: x\nowner: y\n{line}\n"
    for name, text in texts.items():
        path = project / "registry" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


def test_a_pipeline_may_read_others_and_have_no_source(tmp_path: Path) -> None:
    project = write(
        tmp_path, web="sources: [orders]", shop="sources: [orders]", both="reads: [web, shop]"
    )
    pipeline = load_registry(project).pipeline("both")
    assert (pipeline.sources, pipeline.reads) == ((), ("web", "shop"))


@pytest.mark.parametrize(
    ("both", "words"),
    [
        ("reads: [wb]", "pipelines/both.yml:3: reads.0: there is no pipeline 'wb'\n"),
        ("reads: [wb]", "Did you mean web?"),
        ("reads: [both]", "reads.0: both would read what is built from itself"),
        ("reads: [web, web]", "web is named more than once"),
        ("tags: [a]", "names neither sources nor, in reads, pipelines"),
        ("reads: []", "names neither sources nor, in reads, pipelines"),
    ],
)
def test_what_cannot_be_read_is_a_problem_of_its_entry(
    tmp_path: Path, both: str, words: str
) -> None:
    registry = read_registry(write(tmp_path, web="sources: [orders]", both=both))
    assert set(registry.pipelines) == {"web"}
    assert words in "\n".join(map(str, registry.broken_pipelines["both"]))
    assert registry.problems == registry.broken_pipelines["both"]


def test_pipelines_may_not_wake_each_other_in_a_circle(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        web="sources: [orders]\nreads: [last]",
        middle="reads: [web]",
        last="reads: [middle]",
        beside="reads: [last]",
    )
    registry = read_registry(project)
    assert set(registry.broken_pipelines) == {"web", "middle", "last"}
    assert "without end" in str(registry.problems[0])
    assert registry.pipeline("beside").reads == ("last",)


def test_a_broken_pipeline_does_not_stop_one_that_reads_it(tmp_path: Path) -> None:
    registry = read_registry(write(tmp_path, web="sources: [ordrs]", both="reads: [web]"))
    assert set(registry.broken_pipelines) == {"web"}
    assert registry.pipeline("both").reads == ("web",)
