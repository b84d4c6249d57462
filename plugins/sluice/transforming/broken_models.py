"""A dbt project without the folders that dbt cannot parse, so that those stop nobody else.

dbt parses a project whole: one model with a typing error would stop every pipeline. Where parsing
fails, the message names a file; a copy of the project without that file's folder is parsed then.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

# What is divided by pipeline, in a dbt project's folder.
DIVIDED = ("models/silver", "models/gold", "tests", "seeds")

_FOLDER = re.compile(r"\b(?:silver|gold|tests|seeds)/([a-z0-9_]+)/")


def broken_folders(message: str, project: Path) -> set[str]:
    """The names of the folders of which dbt's message speaks: pipelines, or what they share.

    Args:
        message: why the project cannot be parsed.
        project: the project's folder.
    """
    known = {path.name for part in DIVIDED for path in (project / part).glob("*/")}
    return known & set(_FOLDER.findall(message))


def copy_without(project: Path, excluded: Collection[str], target: Path) -> Path:
    """Copy a project without some folders of its divided parts.

    Args:
        project: the project's folder.
        excluded: the names of the folders to leave out.
        target: the folder to make; what is there is replaced.

    Returns:
        ``target``.
    """
    divided = {str(project / part) for part in DIVIDED}

    def left_out(folder: str, names: list[str]) -> set[str]:
        return set(excluded).intersection(names) if folder in divided else set()

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(project, target, ignore=left_out)
    return target
