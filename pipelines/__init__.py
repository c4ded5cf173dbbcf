"""The pipelines: policy, one package a data set, found by name; those that come with Sluice are here.

`etl.declare.pipeline` says what each of them provides. Others may be in any folder `pipelines` on Python's
path.
"""

from contextlib import suppress
from pkgutil import extend_path

with suppress(OSError):  # the working directory is on the path, and is gone
    __path__ = extend_path(__path__, __name__)

USUAL = "deals"
"""The pipeline whose settings hold for commands that name none."""
