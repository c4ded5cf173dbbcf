"""The pipelines that come with Sluice: policy, one package a data set, found by name.

`etl.pipeline` says what each of them provides.
"""

USUAL = "deals"
"""The pipeline whose settings hold for commands that name none."""
