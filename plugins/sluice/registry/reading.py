"""YAML into models: every problem of every file at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from sluice.errors import ConfigError, counted
from sluice.registry.formats import RegistryModel
from sluice.registry.models import Pipeline, Source, is_name
from sluice.registry.problems import Problem, explain, suggestion

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 1,000 files in < 1 s

Entry = TypeVar("Entry", Source, Pipeline)


@dataclass(frozen=True)
class Registry:
    """Everything that the registry says, and everything that is wrong with it.

    Attributes:
        sources: the sound sources, by name.
        pipelines: the sound pipelines, by name; all of their sources are sound.
        problems: what is wrong, in the order of files and lines.
        broken_pipelines: for each pipeline that cannot run, the problems that stop it.
        broken_sources: for each source whose entry is not sound, what is wrong with it.
        named_sources: for each pipeline, sound or broken, the sources that its entry names, as far
            as that can be read.
    """

    sources: Mapping[str, Source]
    pipelines: Mapping[str, Pipeline]
    problems: tuple[Problem, ...] = ()
    broken_pipelines: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    broken_sources: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    named_sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of that name.

        Raises:
            ConfigError: there is none, or it is broken.
        """
        if name in self.broken_pipelines:
            raise registry_error(self.broken_pipelines[name])
        if name not in self.pipelines:
            raise ConfigError(
                f"There is no pipeline {name!r}.",
                suggestion(name, self.pipelines, kind="pipelines"),
            )
        return self.pipelines[name]

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            ConfigError: there is none, or its entry is broken.
        """
        if name in self.broken_sources:
            raise registry_error(self.broken_sources[name])
        if name not in self.sources:
            raise ConfigError(
                f"There is no source {name!r}.",
                suggestion(name, self.sources, kind="sources"),
            )
        return self.sources[name]

    def sources_beside(self, names: Iterable[str]) -> list[Source]:
        """The named sources, and those that share a landing folder with one of them."""
        folders = {self.source(name).landing_path for name in names}
        return [source for source in self.sources.values() if source.landing_path in folders]

    def pipelines_of(self, source: str) -> list[str]:
        """The names of the sound pipelines that are built from a source."""
        return sorted(name for name, known in self.pipelines.items() if source in known.sources)


def registry_error(problems: tuple[Problem, ...]) -> ConfigError:
    """One error that holds all the problems."""
    listed = "\n".join(str(problem) for problem in problems)
    return ConfigError(
        f"The registry has {counted(len(problems), 'problem')}:\n{listed}",
        f"Mend {'it' if len(problems) == 1 else 'them'}, then: ./sluice check",
    )


def read_registry(project: Path) -> Registry:
    """Read ``registry/sources/*.yml`` and ``registry/pipelines/*.yml`` of a project.

    Never raises for what the files say: see ``Registry.problems``.
    """
    problems: list[Problem] = []
    sources = _read_folder(project, "sources", Source, problems)
    pipelines = _read_folder(project, "pipelines", Pipeline, problems)
    sound_sources = {name: read.model for name, read in sources.items() if read.model}
    problems += _shared_folders(sources)
    problems += _unused_sources(sources, pipelines)
    problems += _taken_names(sources, pipelines)
    sound, broken = _judge_pipelines(pipelines, sources, problems)
    return Registry(
        MappingProxyType(dict(sorted(sound_sources.items()))),
        MappingProxyType(sound),
        tuple(sorted(problems)),
        MappingProxyType(broken),
        MappingProxyType({name: read.problems for name, read in sources.items() if not read.model}),
        MappingProxyType({name: _named_sources(read) for name, read in pipelines.items()}),
    )


@dataclass(frozen=True)
class _ReadFile:
    """One file as read: its model where it is sound, else its problems."""

    file: Path
    lines: dict[tuple[Any, ...], int]
    data: Any
    model: Any
    problems: tuple[Problem, ...]

    def problem(self, place: tuple[Any, ...], message: str, remedy: str) -> Problem:
        return _problem(self.file, self.lines, place, message, remedy)


def _problem(
    file: Path, lines: dict[tuple[Any, ...], int], place: tuple[Any, ...], message: str, remedy: str
) -> Problem:
    known = place
    while known and known not in lines:
        known = known[:-1]
    return Problem(file, lines.get(known, 1), ".".join(map(str, place)), message, remedy)


def _read_folder(
    project: Path, kind: str, model: type[Entry], problems: list[Problem]
) -> dict[str, _ReadFile]:
    """Every entry of one folder by name; adds what is wrong with the files to ``problems``."""
    folder = project / "registry" / kind
    found: dict[str, _ReadFile] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        file = path.relative_to(project)
        if path.suffix == ".yaml":
            problems.append(Problem(file, 1, "", "ends in .yaml", f"Rename it to {path.stem}.yml."))
        if path.suffix != ".yml" or path.name.startswith("."):
            continue
        read = _read_file(path, file, model)
        problems.extend(read.problems)
        found[path.stem] = read
    return found


def _read_file(path: Path, file: Path, model: type[Entry]) -> _ReadFile:
    lines: dict[tuple[Any, ...], int] = {}
    problems: list[Problem] = []
    data: Any = None
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        for place, line, key in _walk(node, ()):
            if place in lines and key:
                problems.append(
                    Problem(file, line, ".".join(map(str, place)), "stands twice", "Delete one.")
                )
            lines[place] = line
        data = loader.construct_document(node) if node else None
    # What PyYAML makes of dates that do not exist, keys that are mappings and aliases of themselves
    # are errors of several kinds; each is this file's problem and no other's.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or str(error)
        problems.append(Problem(file, line, "", f"is not YAML: {reason}", "Mend the syntax."))
        return _ReadFile(file, lines, None, None, tuple(problems))

    def add(place: tuple[Any, ...], message: str, remedy: str) -> None:
        problems.append(_problem(file, lines, place, message, remedy))

    if not is_name(path.stem):
        add((), f"{path.stem!r} is not a name", "Name the file with a-z, 0-9 and _ only.")
        return _ReadFile(file, lines, data, None, tuple(problems))
    if not isinstance(data, dict):
        add((), "holds no keys", "Write the entry's keys; see docs/registry.md.")
        return _ReadFile(file, lines, data, None, tuple(problems))
    if "name" in data:
        add(("name",), "name is not a key here", f"Delete it: the file's name says {path.stem}.")
    entry = None
    try:
        entry = model.model_validate({**data, "name": path.stem})
    except ValidationError as error:
        for place, message, remedy in explain(error, model):
            add(place, message, remedy)
    return _ReadFile(file, lines, data, None if problems else entry, tuple(problems))


def _walk(node: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], int, bool]]:
    """Every (path, line, is a key) of a YAML node; aliases are visited where they stand."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a key is no plain word; put text with braces in quotes",
                    problem_mark=key.start_mark,
                )
            inner = (*place, key.value)
            yield inner, key.start_mark.line + 1, key.value != "<<"
            yield from _walk(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1, False
            yield from _walk(value, (*place, index))


def _shared_folders(sources: Mapping[str, _ReadFile]) -> Iterator[Problem]:
    """Two sources that would both take the same file."""
    seen: dict[tuple[str, str], str] = {}
    for name, read in sources.items():
        if not read.model:
            continue
        where = (read.model.landing_path, read.model.file_glob)
        if where in seen:
            yield read.problem(
                ("path",),
                f"takes the same files as source {seen[where]}: {where[1]} in {where[0]}",
                "Give one of them another path or file_glob.",
            )
        seen.setdefault(where, name)


def _taken_names(
    sources: Mapping[str, _ReadFile], pipelines: Mapping[str, _ReadFile]
) -> Iterator[Problem]:
    """Pipelines that are named as the DAG that fetches a source."""
    for name, read in sources.items():
        dag_id = f"extract_{name}"
        if read.model and read.model.extract and dag_id in pipelines:
            yield pipelines[dag_id].problem(
                (),
                f"{dag_id} is the DAG that fetches source {name}",
                "Give the pipeline another name.",
            )


def _unused_sources(
    sources: Mapping[str, _ReadFile], pipelines: Mapping[str, _ReadFile]
) -> Iterator[Problem]:
    named = {name for read in pipelines.values() for name in _named_sources(read)}
    for name, read in sources.items():
        if name not in named:
            yield read.problem(
                (),
                "no pipeline names this source, so nothing would load its files",
                f"Add {name} to the sources of a pipeline in registry/pipelines/.",
            )


def _named_sources(pipeline: _ReadFile) -> tuple[str, ...]:
    """The sources that a pipeline's entry names, whatever else is wrong with it."""
    listed = pipeline.data.get("sources") if isinstance(pipeline.data, dict) else None
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _judge_pipelines(
    pipelines: Mapping[str, _ReadFile],
    sources: Mapping[str, _ReadFile],
    problems: list[Problem],
) -> tuple[dict[str, Pipeline], dict[str, tuple[Problem, ...]]]:
    """The pipelines that can run, and why the others cannot."""
    sound: dict[str, Pipeline] = {}
    broken: dict[str, tuple[Problem, ...]] = {}
    for name, read in pipelines.items():
        if not is_name(name):
            continue
        stops = list(read.problems)
        for index, source in enumerate(read.model.sources if read.model else ()):
            if source not in sources:
                problem = read.problem(
                    ("sources", index),
                    f"there is no source {source!r}",
                    suggestion(source, sources, kind="sources"),
                )
                problems.append(problem)
                stops.append(problem)
            elif not sources[source].model:
                stops.extend(sources[source].problems)
        misread = list(_misread(name, pipelines))
        problems += misread
        stops += misread
        if stops:
            broken[name] = tuple(stops)
        else:
            sound[name] = read.model
    return sound, broken


def _misread(name: str, pipelines: Mapping[str, _ReadFile]) -> Iterator[Problem]:
    """What is wrong with the pipelines that a pipeline reads.

    One that is broken is no reason to stop: what it has published is still there.
    """
    read = pipelines[name]
    for index, other in enumerate(read.model.reads if read.model else ()):
        place = ("reads", index)
        if other not in pipelines:
            remedy = suggestion(other, pipelines.keys() - {name}, kind="pipelines")
            yield read.problem(place, f"there is no pipeline {other!r}", remedy)
        elif name in _read_from(other, pipelines):
            yield read.problem(
                place,
                f"{name} would read what is built from itself, and wake itself without end",
                "Take out one of the pipelines that lead back to it.",
            )


def _read_from(name: str, pipelines: Mapping[str, _ReadFile]) -> set[str]:
    """A pipeline and all those that it reads, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in pipelines and current not in found:
            found.add(current)
            model = pipelines[current].model
            waiting.extend(model.reads if model else ())
    return found


def load_registry(project: Path) -> Registry:
    """Read the registry, which must be sound.

    Raises:
        ConfigError: it is not; the message holds every problem.
    """
    registry = read_registry(project)
    if registry.problems:
        raise registry_error(registry.problems)
    return registry


def json_schema(model: type[RegistryModel]) -> dict[str, Any]:
    """The JSON Schema of an entry's file, for editors; the name is the file's, not a key."""
    schema = model.model_json_schema()
    schema["properties"].pop("name")
    schema["required"].remove("name")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
