"""One whole run of a pipeline in this process: sense, load, transform, publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sluice.errors import BuiltOverError, SluiceError
from sluice.loading import SourceReport, load_source, rejection_error
from sluice.loading.progress import Progress
from sluice.pipeline.steps import publish, transform, warned
from sluice.publishing import Publication
from sluice.registry import Registry
from sluice.registry.filters import RecordFilter
from sluice.settings import Settings
from sluice.transforming import TestWarning

# Of a candidate that was built over by another run's build, which did not pass.
_MOST_BUILDS = 3


def _say_progress(say: Callable[[str], None], source: str, progress: Progress) -> None:
    say(f"loading {source}: {progress}")


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes:
        reports: what was loaded, a report for each source.
        publication: what was published; None where the transformation or publication failed.
        errors: what went wrong: rejected files, failed tests, in the order that they were met.
        warnings: tests that found something and let gold be published all the same.
    """

    reports: tuple[SourceReport, ...]
    publication: Publication | None
    errors: tuple[SluiceError, ...]
    warnings: tuple[TestWarning, ...] = ()


def run_pipeline(
    settings: Settings,
    registry: Registry,
    pipeline_name: str,
    run_id: str,
    *,
    full_refresh: bool = False,
    record_filter: RecordFilter | None = None,
    tell: Callable[[str], None] | None = None,
) -> RunReport:
    """Run a pipeline once, whether or not anything has arrived.

    A rejected file or a source that fails does not keep the others from being published. Another
    run of the pipeline may build at the same time: what is published in the end contains the loads
    of both.

    Args:
        settings: the instance.
        registry: its registry.
        pipeline_name: which pipeline.
        run_id: what the run is called in the ledger.
        full_refresh: whether dbt builds incremental models anew.
        record_filter: of the files of one source, only the records that it wants are loaded.
        tell: called with a few words at each step, for progress.

    Raises:
        ConfigError: there is no such pipeline, or it is broken.
    """
    pipeline = registry.pipeline(pipeline_name)
    say = tell or (lambda _: None)
    reports: list[SourceReport] = []
    failures: list[SluiceError] = []
    for name in pipeline.sources:
        say(f"loading {name}")
        try:
            report = load_source(
                settings,
                registry.source(name),
                registry.sources_beside([name]),
                tell=partial(_say_progress, say, name),
                record_filter=record_filter,
            )
        except SluiceError as error:
            failures.append(error)
            continue
        reports.append(report)
        if report.rejected:
            failures.append(rejection_error(report.rejected))
    publication = None
    warnings: list[TestWarning] = []
    builds = 0
    try:
        while publication is None:
            builds += 1
            say(f"transforming {pipeline_name}")
            build = transform(settings, registry, pipeline_name, run_id, full_refresh=full_refresh)
            warnings = warned(settings, pipeline_name, build)
            say(f"publishing {pipeline_name}")
            try:
                publication = publish(settings, pipeline_name, build, pipeline.approve_when)
            except BuiltOverError:
                if builds == _MOST_BUILDS:
                    raise
    except SluiceError as error:
        failures.append(error)
    return RunReport(tuple(reports), publication, tuple(failures), tuple(warnings))
