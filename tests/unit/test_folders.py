"""Imports go one way between the folders of `etl`, and in no circle there or in `pipelines`."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

import etl
import pipelines

PACKAGE = Path(etl.__file__).parent
PIPELINES = Path(pipelines.__file__).parent
ORDER = ("", "declare", "source", "shape", "records", "database", "sink", "ledger", "engine", "command")
"""Each may import from itself and those before it; the first are the files beside the folders."""

ENTRANCES = {"__init__", "__main__"}
"""They hand on what is in the folders, and nobody imports from them but the version."""


def name_of(file: Path) -> str:
    """Return a file's name within the package, such as `shape.layout`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def names_imported(file: Path, package: str) -> Iterator[str]:
    """Yield the names in a package that a file imports, wherever in it, or names to be imported."""
    for node in ast.walk(ast.parse(file.read_text())):
        named: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = [node.value.replace(":", ".")]
        yield from (name for name in named if name.startswith(f"{package}."))


def imported(file: Path, package: str, files: Collection[str]) -> Iterator[str]:
    """Yield which files of a package a file imports."""
    for name in names_imported(file, package):
        within = name.removeprefix(f"{package}.")
        for candidate in (within, within.rpartition(".")[0]):
            if candidate in files:
                yield candidate
                break


ARROWS = {
    name: set(imported(file, "etl", FILES)) - {name}
    for name, file in FILES.items()
    if name not in ENTRANCES
}


def folder_of(name: str) -> str:
    return name.rpartition(".")[0]


def test_there_are_no_other_folders() -> None:
    assert {folder_of(name) for name in FILES} == set(ORDER)


@pytest.mark.parametrize("name", ARROWS)
def test_a_file_imports_from_its_own_folder_and_those_before_it(name: str) -> None:
    later = ORDER[ORDER.index(folder_of(name)) + 1 :]
    assert sorted(other for other in ARROWS[name] if folder_of(other) in later) == []


def circles(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The files that import each other in a circle, and those between two circles."""
    left = {name: others & arrows.keys() for name, others in arrows.items()}
    while ground := [name for name, others in left.items() if not others]:
        for name in ground:
            del left[name]
        for others in left.values():
            others.difference_update(ground)
    # Whatever is above a circle is left too: what nobody left imports is none of it.
    while tops := left.keys() - set().union(*left.values()):
        for name in tops:
            del left[name]
    return left


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(ARROWS) == {}


def test_no_files_of_the_pipelines_do() -> None:
    files = {
        ".".join(file.relative_to(PIPELINES).with_suffix("").parts): file
        for file in sorted(PIPELINES.rglob("*.py"))
    }
    arrows = {name: set(imported(file, "pipelines", files)) - {name} for name, file in files.items()}
    assert circles(arrows) == {}


def test_nothing_in_the_package_names_a_pipeline() -> None:
    for name, file in FILES.items():
        assert [each for each in names_imported(file, "pipelines")] == [], name
