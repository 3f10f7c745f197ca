"""A settings file to start from: every key with its description, all of them commented out."""

from __future__ import annotations

from itertools import groupby

from gpumon.app.config.keys import HEADERS, Key, keys
from gpumon.app.config.toml import toml_value

_HEADER_TABLES = """
# {description}
#[headers."*"]
#X-Team = "research"
#[headers."http://127.0.0.1:11434"]
#Authorization = "Bearer ..."
"""


def template() -> str:
    """Return the file's text."""
    known = [key for key in keys() if key.path != HEADERS]
    headers = next(key for key in keys() if key.path == HEADERS)
    tables = groupby(known, key=lambda key: key.path[:-1])
    body = "\n".join(_table(path, list(table)) for path, table in tables)
    return "# Settings of gpumon. Remove the # before a key to set it.\n\n" + body + _headers(headers)


def _table(path: tuple[str, ...], table: list[Key]) -> str:
    heading = f"#[{'.'.join(path)}]\n" if path else ""
    return heading + "".join(map(_key, table))


def _key(key: Key) -> str:
    value = key.default if key.example is None else key.example
    return f"# {key.description}\n#{key.path[-1]} = {toml_value(value)}\n"


def _headers(key: Key) -> str:
    return _HEADER_TABLES.format(description=key.description)
