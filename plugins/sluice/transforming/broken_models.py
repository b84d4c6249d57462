"""A dbt project without the folders that dbt cannot parse, so that those stop nobody else.

dbt parses a project whole: one model with a typing error would stop every pipeline. Where parsing
fails, the message names a file; a copy of the project without that file's folder is parsed then.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What is divided by pipeline, in a dbt project's folder.
MODELS = ("models/silver", "models/gold")
DIVIDED = (*MODELS, "tests", "seeds")

_FOLDER = re.compile(r"\b(?:silver|gold|tests|seeds)/([a-z0-9_]+)/")
_PREFIX = "without-"
# A copy that is older belongs to a run that was killed: no build takes so long.
_LEFTOVER_SECONDS = 7 * 86400


def broken_folders(message: str, project: Path) -> set[str]:
    """The names of the folders of which dbt's message speaks: pipelines, or models they share.

    A folder of tests or seeds that is named after no models may be anybody's: without it, gold
    would be published untested.

    Args:
        message: why the project cannot be parsed.
        project: the project's folder.
    """
    known = {path.name for part in MODELS for path in (project / part).glob("*/")}
    return known & set(_FOLDER.findall(message))


def model_names(project: Path, folders: Collection[str]) -> frozenset[str]:
    """The names of the models in some of a project's folders."""
    paths = (
        path
        for part in MODELS
        for name in folders
        for path in (project / part / name).rglob("*.sql")
    )
    return frozenset(path.stem for path in paths)


@contextmanager
def copy_without(project: Path, excluded: Collection[str], parent: Path) -> Iterator[Path]:
    """Copy a project without some folders of its divided parts, for the time of a block.

    Each copy is a folder of its own: two runs of a pipeline may begin at the same time.

    Args:
        project: the project's folder.
        excluded: the names of the folders to leave out.
        parent: where to make the copy; what killed runs left there goes.

    Yields:
        The copy.
    """
    divided = {str(project / part) for part in DIVIDED}

    def left_out(folder: str, names: list[str]) -> set[str]:
        return set(excluded).intersection(names) if folder in divided else set()

    for path in parent.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # its run has just ended
            if path.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True
    ) as folder:
        # Below it: a copied folder has the age of the project's.
        yield Path(shutil.copytree(project, Path(folder) / "project", ignore=left_out))
