"""What Arrow makes of the values that a pipeline's rows hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from etl.sink.arrow import batch_of

SCHEMA = pa.schema([pa.field("ok", pa.bool_())])


@pytest.mark.parametrize(
    "values", [[True, False, None], [1, 0, None], [True, 0, 1, None, False], [None], [0], [True]]
)
def test_zero_and_one_are_taken_as_booleans(values: list[Any]) -> None:
    taken = batch_of([(place, value) for place, value in enumerate(values)], SCHEMA)
    assert taken.column("ok").to_pylist() == [None if value is None else bool(value) for value in values]
    assert all(value is None or type(value) is bool for value in taken.column("ok").to_pylist())


@pytest.mark.parametrize("value", [2, -1, "true", 0.5, [1]])
def test_no_other_value_is(value: Any) -> None:
    with pytest.raises((pa.ArrowInvalid, TypeError)):
        batch_of([(0, True), (1, value)], SCHEMA)
