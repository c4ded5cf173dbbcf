"""Entry points are read as `importlib.metadata` reads them."""

from __future__ import annotations

import importlib.metadata

import pytest

from etl import plugins


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "etl.pipelines", "etl.commands", "none"])
def test_they_are_those_that_the_standard_library_finds(group: str) -> None:
    ours = {(each.name, each.value) for each in plugins.entry_points(group)}
    theirs = {
        (each.name, each.value.partition("[")[0].strip())
        for each in importlib.metadata.entry_points(group=group)
    }
    assert ours == theirs


def test_of_a_package_that_is_there_twice_the_first_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folders = [tmp_path_factory.mktemp("path") for _ in range(2)]
    for folder, name in zip(folders, ("My.Package-1.0.dist-info", "my_package.egg-info"), strict=True):
        (folder / name).mkdir()
        (folder / name / "entry_points.txt").write_text(f"[group]\n# none\nname = {folder.name}:X [more]\n")
    monkeypatch.setattr("sys.path", [str(folders[0] / "nowhere"), *map(str, folders)])
    plugins._installed.cache_clear()
    found = plugins.entry_points("group")
    plugins._installed.cache_clear()
    assert found == [plugins.EntryPoint("group", "name", f"{folders[0].name}:X", "My.Package")]
