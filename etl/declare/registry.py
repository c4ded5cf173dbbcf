"""The pipelines there are, and how one is found: by its name, as a file, or as a module.

Those that are installed are entry points of the group `etl.pipelines`: their names, and where the
`Pipeline` is (`package.module:NAME`). Packages may also add commands (`etl.commands`) and makers of
synthetic feeds (`etl.samples`), both `click.Command`s. Nothing of a package is imported before it is used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigurationError, EtlError, one_line
from etl.plugins import entry_points

if TYPE_CHECKING:
    from etl.declare.pipeline import Pipeline

PIPELINES = "etl.pipelines"
COMMANDS = "etl.commands"
SAMPLES = "etl.samples"

DEFAULT = "etl.default"
"""The group whose one entry point is the pipeline whose settings hold for commands that name none."""


def names(group: str = PIPELINES) -> list[str]:
    """Return the names of the pipelines, or of what else a group has, that are installed."""
    return sorted({each.name for each in entry_points(group)})


def default_name() -> str | None:
    """Return the name of the pipeline whose settings hold where none is named, if there is one."""
    return next(iter(names(DEFAULT)), None)


def is_one(named: str) -> bool:
    """Say whether a text can be what a pipeline is named by: a name, a file, or a module in a package."""
    return named in names() or _is_file(named) or _is_module(named)


def load(named: str) -> Pipeline:
    """Return a pipeline, as `is_one` says how it is named, with a fingerprint of the code that it has now.

    Raises:
        ConfigurationError: it cannot be used; the text says why.
    """
    pipeline = find(named)
    _ = pipeline.fingerprint  # of the code as it was loaded: a service may outlive an upgrade
    return pipeline


def find(named: str) -> Pipeline:
    """Return a pipeline, whose code is imported and checked.

    Raises:
        ConfigurationError: it cannot be used; the text says why.
    """
    from etl.declare.checks import checked
    from etl.declare.mistakes import wrong
    from etl.declare.pipeline import Pipeline

    if named in names():
        found = resolve_entry(PIPELINES, named)
        usual = named
    else:
        with mistakes_named(f"the pipeline {named}"):
            module = _module_of_file(named) if _is_file(named) else _module(named)
        found = _only_pipeline(named, module)
        usual = Path(named).stem if _is_file(named) else named.rpartition(".")[2]
    if isinstance(found, Pipeline) and not found.name:
        found = replace(found, name=usual)
    pipeline = checked(named, found)
    if named in names() and pipeline.name != named:
        raise wrong(named, f"it names itself {one_line(pipeline.name)}, and its entry point {named}")
    return pipeline


def resolve_entry(group: str, name: str) -> Any:
    """Return the object of the entry point of a name.

    Raises:
        ConfigurationError: it cannot be imported, or several packages have one of this name.
    """
    what = f"the {'pipeline' if group == PIPELINES else 'command'} {name}"
    found = [each for each in entry_points(group) if each.name == name]
    if len(found) > 1:
        where = " and ".join(f"{each.distribution} ({each.value})" for each in found)
        raise ConfigurationError(
            f"{one_line(what)} cannot be used: more than one package has it: {one_line(where)};"
            " uninstall all but one"
        )
    return resolve(found[0].value, what)


def resolve(reference: str, what: str | None = None) -> Any:
    """Return the object that `package.module:name` names; `what` is how a message calls it.

    Raises:
        ConfigurationError: there is none, or what it is in cannot be imported.
    """
    module, _, attribute = reference.partition(":")
    with mistakes_named(what or reference):
        found: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
        return found


@contextmanager
def mistakes_named(what: str) -> Iterator[None]:
    """Say of whatever goes wrong within that it is the mistake of `what`, such as a pipeline.

    Raises:
        ConfigurationError: with the kind of error and its place.
    """
    try:
        yield
    except EtlError:
        raise
    except (Exception, SystemExit) as error:
        from etl.declare.mistakes import not_loaded

        raise not_loaded(what, error) from None


# Files and modules -------------------------------------------------------------------------------------


def _is_file(named: str) -> bool:
    return os.sep in named or named.endswith(".py")


def _is_module(named: str) -> bool:
    """Say whether a text names a module within a package: one alone would be a mistyped name."""
    return "." in named and all(part.isidentifier() for part in named.split("."))


def _module_of_file(named: str) -> ModuleType:
    """Import a file; what lies beside it can be imported too, if nothing else has the name."""
    from importlib.util import module_from_spec, spec_from_file_location

    from etl.declare.mistakes import wrong

    path = Path(named).absolute()
    if path.suffix != ".py":
        raise wrong(named, "it is no pipeline that is installed, and no file whose name ends with .py")
    if not path.is_file():
        raise wrong(named, "there is no such file")
    _also_from(path.parent)
    # Under a name of its own: that of the file may be a package's too.
    spec = spec_from_file_location(f"etl_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _module(named: str) -> ModuleType:
    """Import a module from Python's path, or else from the working directory."""
    _also_from(Path.cwd())
    return importlib.import_module(named)


def _also_from(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _only_pipeline(named: str, module: ModuleType) -> object:
    """Return what a module holds as PIPELINE, or else its only pipeline.

    Raises:
        ConfigurationError: it has none, or several.
    """
    from etl.declare.mistakes import wrong
    from etl.declare.pipeline import Pipeline

    if hasattr(module, "PIPELINE"):
        return module.PIPELINE
    found = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    if len({id(value) for value in found.values()}) == 1:
        return next(iter(found.values()))
    if not found:
        raise wrong(named, "it holds no pipeline, such as PIPELINE = etl.pipeline(...)")
    raise wrong(named, f"it holds several pipelines ({', '.join(found)}): call one of them PIPELINE")
