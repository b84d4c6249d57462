"""dbt, in this process: parse once, build what a pipeline needs, keep every node's result."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.errors import ConfigError, TransformError
from sluice.settings import Settings
from sluice.transforming.broken_models import broken_folders, copy_without, model_names
from sluice.warehouse.connections import connection_parameters, libpq_environment

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

logger = logging.getLogger(__name__)

# Each model is one transaction with one snapshot, so that the ledger and bronze agree in it.
SESSION_OPTIONS = r"-c default_transaction_isolation=repeatable\ read -c TimeZone=UTC"

GOOD_STATUSES = frozenset({"success", "pass", "warn", "no-op"})


@dataclass(frozen=True)
class Mart:
    """A gold model of a pipeline.

    Attributes:
        name: its table in ``gold_audit`` and ``gold``.
        key: the columns of its declared primary key.
    """

    name: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class NodeResult:
    """What became of one model or test; ``compiled_code`` is the query that asked."""

    unique_id: str
    resource_type: str
    status: str
    failures: int | None
    rows_affected: int | None
    message: str | None
    execution_seconds: float
    compiled_code: str | None = field(default=None, repr=False)

    @property
    def is_failure(self) -> bool:
        """Whether it keeps gold from being published."""
        return self.status not in GOOD_STATUSES


@dataclass(frozen=True)
class Project:
    """The parsed dbt project, seen from one pipeline.

    Attributes:
        pipeline: whose models are meant.
        manifest: what dbt knows of the project.
        folder: where it was parsed; not the project's own where models of others are left out.
        left_out: the names of the models that were left out.
    """

    pipeline: str
    manifest: Manifest
    folder: Path
    left_out: frozenset[str] = frozenset()

    def marts(self) -> list[Mart]:
        """The pipeline's gold models, by name.

        Raises:
            ConfigError: there are none, or one declares no primary key.
        """
        models = [node for node in self._models() if node.fqn[1:3] == ["gold", self.pipeline]]
        if not models:
            raise ConfigError(
                f"Pipeline {self.pipeline} has no gold models.",
                f"Add models to dbt/models/gold/{self.pipeline}/; see docs/first-source.md.",
            )
        return sorted((_mart(model) for model in models), key=lambda mart: mart.name)

    def marts_read(self, reads: Collection[str]) -> list[str]:
        """The names of the other pipelines' marts that its models read as published.

        Args:
            reads: the pipelines that its entry in the registry says it reads.

        Raises:
            ConfigError: a mart is of another pipeline than those; its changes would go unseen.
        """
        pipeline_of = {node.name: node.fqn[2] for node in self._models() if node.fqn[1] == "gold"}
        built = set(self.models_built())
        found: set[str] = set()
        for model in self._models():
            if model.name not in built:
                continue
            read = [self.manifest.sources.get(node) for node in model.depends_on.nodes]
            marts = {node.identifier for node in read if node and node.schema == "gold"}
            for mart in sorted(marts & pipeline_of.keys()):
                if pipeline_of[mart] not in reads:
                    raise ConfigError(
                        f"Model {model.name} reads {mart}, a mart of {pipeline_of[mart]}, which"
                        f" pipeline {self.pipeline} does not say it reads.",
                        f"In registry/pipelines/{self.pipeline}.yml: add {pipeline_of[mart]} to"
                        " reads.",
                    )
            found |= marts
        return sorted(found)

    def models_built(self) -> list[str]:
        """The names of all models that the pipeline's build writes: its own, and upstream.

        Raises:
            ConfigError: a mart of another pipeline is among them; its candidate would be built
                over while its own pipeline publishes it.
        """
        by_id = {node.unique_id: node for node in self._models()}
        waiting = [
            node.unique_id
            for node in by_id.values()
            if node.fqn[1] in ("silver", "gold") and node.fqn[2] == self.pipeline
        ]
        found: set[str] = set()
        while waiting:
            unique_id = waiting.pop()
            if unique_id in by_id and unique_id not in found:
                self._refuse_foreign_mart(by_id[unique_id])
                found.add(unique_id)
                waiting.extend(by_id[unique_id].depends_on.nodes)
        return sorted(by_id[unique_id].name for unique_id in found)

    def check_files_of(self) -> None:
        """Hold each model of the build that is incremental by file against what it reads.

        Raises:
            ConfigError: it names files that are not of what it reads: its rows would all go.
        """
        built = set(self.models_built())
        for model in self._models():
            if model.name not in built:
                continue
            files_of = model.config.meta.get("files_of", {})
            named = {files_of.get("source"), files_of.get("model"), *files_of.get("models", ())}
            # The last part of an id is the source's or the model's name.
            read = {node.rpartition(".")[2] for node in model.depends_on.nodes}
            if strange := sorted(named - read - {None}):
                known = ", ".join(sorted(read - {"files", "loads"}))
                raise ConfigError(
                    f"Model {model.name} says files_of {strange[0]}, which it does not read.",
                    f"In dbt/{model.original_file_path}: name what its rows come from. It reads:"
                    f" {known}.",
                )

    def _refuse_foreign_mart(self, model: Any) -> None:
        if model.fqn[1] == "gold" and model.fqn[2] != self.pipeline:
            raise ConfigError(
                f"Pipeline {self.pipeline} refers to {model.name}, a mart of {model.fqn[2]}.",
                f"Read it as published: declare gold.{model.name} as a dbt source and use"
                f" source('gold', '{model.name}') instead of ref('{model.name}').",
            )

    def _models(self) -> list[Any]:
        return [
            node
            for node in self.manifest.nodes.values()
            if node.resource_type.value == "model" and len(node.fqn) > 2
        ]


def _mart(model: Any) -> Mart:
    where = f"dbt/{(model.patch_path or model.original_file_path).rpartition('://')[2]}"
    if (
        model.schema != "gold_audit"
        or model.alias != model.name
        or model.config.materialized not in ("table", "incremental")
    ):
        raise ConfigError(
            f"Mart {model.name} is not built as a table gold_audit.{model.name}.",
            f"In {where}: take out schema and alias, and materialize it as table or incremental.",
        )
    keys = [tuple(constraint.columns) for constraint in model.constraints if _is_key(constraint)]
    for column in model.columns.values():
        keys += [(column.name,) for constraint in column.constraints if _is_key(constraint)]
    if len(keys) != 1 or not model.contract.enforced:
        raise ConfigError(
            f"Mart {model.name} declares no key that it is merged by.",
            f"In {where}: enforce its contract and add"
            " `constraints: [{type: primary_key, columns: [...]}]`.",
        )
    return Mart(model.alias, keys[0])


def _is_key(constraint: Any) -> bool:
    return str(getattr(constraint.type, "value", constraint.type)) == "primary_key"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """The variables that ``dbt/profiles.yml`` and libpq read."""
    parameters = connection_parameters(settings, "transformer")
    # What else a connection URI may carry, such as certificates, libpq takes from its variables.
    environment = libpq_environment(settings, "transformer")
    options = f"{environment.get('PGOPTIONS', '')} {SESSION_OPTIONS}".strip()
    environment |= {
        "SLUICE_DBT_HOST": str(parameters["host"]),
        "SLUICE_DBT_PORT": str(parameters["port"]),
        "SLUICE_DBT_USER": str(parameters["user"]),
        "SLUICE_DBT_PASSWORD": str(parameters["password"]),
        "SLUICE_DBT_DATABASE": str(parameters["dbname"]),
        "SLUICE_DBT_THREADS": str(settings.dbt_threads),
        "PGOPTIONS": options,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if "sslmode" in parameters:
        environment["SLUICE_DBT_SSLMODE"] = str(parameters["sslmode"])
    return environment


@contextmanager
def parsed(settings: Settings, pipeline: str) -> Iterator[Project]:
    """Parse the dbt project; quick when little changed since the last time.

    Where models of other pipelines cannot be parsed, it is parsed without those, in a copy that is
    there until the block ends.

    Raises:
        ConfigError: the models that the pipeline is built from cannot be parsed.
    """
    folder, excluded = settings.dbt, set[str]()
    messages: list[str] = []
    with ExitStack() as copies:
        while not (outcome := _invoke(settings, pipeline, ["parse"], folder)).success:
            messages.append(str(outcome.exception).strip())
            # A message may name the pipeline beside another: two models of one name.
            broken = broken_folders(messages[-1], settings.dbt) - excluded - {pipeline}
            if not broken:
                raise _unparsable(settings, messages, excluded)
            excluded |= broken
            parent = settings.home / "dbt" / pipeline
            folder = copies.enter_context(copy_without(settings.dbt, excluded, parent))
        if excluded:
            names = ", ".join(sorted(excluded))
            logger.warning(
                "%s is built without dbt's models of %s: %s", pipeline, names, messages[0]
            )
        left_out = model_names(settings.dbt, excluded)
        yield Project(pipeline, outcome.result, folder, left_out)


def _unparsable(
    settings: Settings, messages: Sequence[str], excluded: Collection[str]
) -> ConfigError:
    text = f"The dbt project cannot be parsed: {messages[0]}"
    if excluded:
        text += f"\nNor without the models of {', '.join(sorted(excluded))}: {messages[-1]}"
    return ConfigError(text, f"Mend it under {settings.dbt}, then run: ./sluice check")


def problems_of(settings: Settings, pipelines: Iterable[str]) -> list[ConfigError]:
    """What is wrong with the project as far as parsing tells, beside the first that stops dbt."""
    outcome = _invoke(settings, "check", ["parse"], settings.dbt)
    if not outcome.success:
        remedy = "Mend it; until then its own pipelines fail, and all others go on."
        return [ConfigError(str(outcome.exception).strip(), remedy)]
    found: dict[str, ConfigError] = {}  # once each, where pipelines share a model
    for name in pipelines:
        project = Project(name, outcome.result, settings.dbt)
        for check in (project.check_files_of, project.marts):
            try:
                check()
            except ConfigError as error:
                found.setdefault(error.message, error)
    return list(found.values())


def build(settings: Settings, project: Project, *, full_refresh: bool = False) -> list[NodeResult]:
    """Build a pipeline's silver and gold with their tests, in one dbt build.

    Raises:
        TransformError: dbt did not get as far as running a node.
    """
    pipeline = project.pipeline
    arguments = ["build", "--select"]
    arguments += [f"path:models/silver/{pipeline}", f"+path:models/gold/{pipeline}"]
    if (project.folder / "tests" / pipeline).is_dir():  # also tests that refer to no model
        arguments.append(f"path:tests/{pipeline}")
    # Of the tests that ask several models: those alone whose models are all there to be asked.
    arguments += ["--indirect-selection", "buildable"]
    # A unit test does not look at the data: it belongs to the project's checks, not to a run.
    arguments += ["--exclude-resource-type", "unit_test"]
    arguments += ["--full-refresh"] if full_refresh else []
    outcome = _invoke(settings, pipeline, arguments, project.folder, project.manifest)
    if outcome.result is None:
        raise TransformError(
            f"dbt could not build {pipeline}: {outcome.exception}",
            f"Its log is {log_folder(settings, pipeline) / 'dbt.log'}.",
        )
    return [_node_result(result) for result in outcome.result.results]


def _node_result(result: Any) -> NodeResult:
    response = result.adapter_response or {}
    affected = response.get("rows_affected")
    return NodeResult(
        unique_id=result.node.unique_id,
        resource_type=str(result.node.resource_type),
        status=str(getattr(result.status, "value", result.status)),
        failures=result.failures,
        rows_affected=affected if isinstance(affected, int) and affected >= 0 else None,
        message=result.message,
        execution_seconds=float(result.execution_time),
        compiled_code=getattr(result.node, "compiled_code", None),
    )


def log_folder(settings: Settings, pipeline: str) -> Path:
    """Where dbt's own log of a pipeline is."""
    return settings.home / "dbt" / pipeline / "logs"


def _invoke(
    settings: Settings,
    pipeline: str,
    arguments: Sequence[str],
    folder: Path,
    manifest: Manifest | None = None,
) -> Any:
    """Run one dbt command with target and log folders of the pipeline's own."""
    # Here and not above: the import takes 2 s, and most commands do without it.
    from dbt.cli.main import dbtRunner
    from dbt_common.behavior_flags import BehaviorFlagRendered

    # For each of 25 flags dbt asks the whole stack which module names it, to tell it in a log.
    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]

    target = settings.home / "dbt" / pipeline / "target"
    command = [
        *arguments,
        *("--project-dir", str(folder), "--profiles-dir", str(settings.dbt)),
        *("--target-path", str(target), "--log-path", str(log_folder(settings, pipeline))),
        *("--log-level", "none", "--log-level-file", "info", "--no-use-colors"),
        *("--no-version-check", "--no-send-anonymous-usage-stats"),
        # The results go to the ledger; to write the whole project down takes an eighth of a run.
        "--no-write-json",
    ]
    with _environment(dbt_environment(settings)):
        return dbtRunner(manifest=manifest).invoke(command)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the time of a call."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
