"""Values as TOML text."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.config.printed import toml_key, toml_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    st.lists,
    max_leaves=4,
)


@given(TEXT, VALUES)
def test_what_is_written_is_read_back(key: str, value: object) -> None:
    assert tomllib.loads(f"{toml_key(key)} = {toml_value(value)}") == {key: value}


@given(TEXT)
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    assert toml_value(text).isprintable()
