"""What to say of a mistake in a pipeline: what it is and where, in one line, without values of the feed."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from etl.declare.pipeline import Pipeline
from etl.errors import ConfigurationError, PipelineFailed, one_line

_HERE = str(Path(__file__).parents[1])


def not_loaded(what: str, error: BaseException) -> ConfigurationError:
    """Return what to say of what cannot be imported, such as “the pipeline deals”; no value is seen yet."""
    said = one_line(str(error)).removesuffix(".")
    return ConfigurationError(
        f"{one_line(what)} cannot be used: {type(error).__name__} at {_place(error)}"
        f"{f': {said}' if said else ''}"
    )


def wrong(name: str, what: str) -> ConfigurationError:
    """Return what to say of a pipeline that declares something that cannot be."""
    return ConfigurationError(f"the pipeline {one_line(name)} cannot be used: {what}")


def failed(pipeline: Pipeline, part: str, error: Exception) -> PipelineFailed:
    """Return what to say of a part of a pipeline, a function, that failed."""
    place = _place(error) if not _is_ours(error) else _definition(getattr(pipeline, part, None))
    return PipelineFailed(f"the pipeline {pipeline.name}: {part} failed: {type(error).__name__} at {place}")


def misfit(pipeline: Pipeline, what: str) -> PipelineFailed:
    """Return what to say of rows that do not fit where they go."""
    return PipelineFailed(f"{maker_of_rows(pipeline)} {what}")


def maker_of_rows(pipeline: Pipeline) -> str:
    """Return the beginning of a sentence about the rows of a pipeline."""
    return f"the pipeline {pipeline.name}: row, at {_definition(pipeline.row)},"


def _is_ours(error: BaseException) -> bool:
    """Say whether an error came up in this package: a function that cannot be called as it should be."""
    return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(_HERE)


def _place(error: BaseException) -> str:
    """Return the innermost place that is neither in this package nor in the import system."""
    frames = traceback.extract_tb(error.__traceback__)
    others = [
        frame
        for frame in frames
        if not frame.filename.startswith((_HERE, "<frozen")) and "importlib" not in frame.filename
    ]
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{_brief(error.filename)}:{error.lineno}"
    if not others:
        return "its own name"
    return f"{_brief(others[-1].filename)}:{others[-1].lineno}"


def _definition(part: Any) -> str:
    code = getattr(part, "__code__", None)
    return f"{_brief(code.co_filename)}:{code.co_firstlineno}" if code is not None else repr(type(part))


def _brief(file: str) -> str:
    """Return a file's name and that of its folder, which is most often the package."""
    return "/".join(Path(file).parts[-2:])
