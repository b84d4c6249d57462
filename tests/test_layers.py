"""A package imports only from those below it in the engine: the design's list, held."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sluice

ENGINE = Path(sluice.__file__).parent
LAYERS = [
    {"errors", "settings"},
    {"registry"},
    {"warehouse"},
    {"landing"},
    {"extracting"},
    {"reading"},
    {"loading"},
    {"transforming"},
    {"publishing"},
    {"pipeline"},
    {"notifying"},
    {"local"},
    {"containers"},
    {"orchestration"},
    {"cli"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = sorted(ENGINE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The engine's packages that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    parts = [name.split(".") for name in names if name.startswith("sluice.")]
    return {part[1] for part in parts if part[1] in HEIGHT}


def test_every_package_has_its_place() -> None:
    found = {path.relative_to(ENGINE).parts[0].removesuffix(".py") for path in MODULES}
    assert found == HEIGHT.keys() | {"__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_imports_come_from_below(path: Path) -> None:
    own = path.relative_to(ENGINE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    above = {name for name in imported(path) if HEIGHT[name] > HEIGHT[own]}
    assert not above, f"{own} imports {sorted(above)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_a_module_has_one_subject(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
