"""What is written from the argument parser and the settings: the manual page and the tables of the guide.

``make man`` writes both again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from unittest.mock import patch

from argparse_manpage.manpage import Manpage

from gpumon.app.cli.parser import build_parser
from gpumon.app.config.load import CONFIG_VARIABLE
from gpumon.app.config.printed import toml_value
from gpumon.app.config.schema import Setting, settings_of, table_description
from gpumon.app.config.settings import Settings

HERE = Path(__file__).parent
PAGE, GUIDE = HERE / "gpumon.1", HERE / "configuration.md"

# Where a usage line breaks differs between versions of Python; man fills the lines itself.
_ENVIRONMENT = {"COLUMNS": "10000", "NO_COLOR": "1"}
_SUMMARY = "which model holds which GPU memory, live"


def manual() -> str:
    """Return ``gpumon.1``, the same on every machine and on every day."""
    with patch.dict(os.environ, _ENVIRONMENT):
        page = Manpage(build_parser())
        page.description = _SUMMARY
        _, _, body = str(page).partition("\n")
    return f'.TH GPUMON "1" "" "gpumon {version("gpumon-llm")}" "User Commands"\n{body.rstrip()}\n'


def guide(text: str, root: type[Settings] = Settings) -> str:
    """Return the guide to the settings with its tables written again; its other words stay."""
    for name, written in (("keys", key_tables(root)), ("variables", variable_table(root))):
        block = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text = block.sub(lambda found, written=written: f"{found[1]}\n{written}\n{found[2]}", text)  # type: ignore[misc]
    return text


def key_tables(root: type[Settings] = Settings) -> str:
    """Return every key, a table of Markdown for each table of the file."""
    tables = groupby(settings_of(root), key=lambda setting: setting.path[:-1])
    return "\n".join(_section(root, ".".join(path), path, settings) for path, settings in tables)


def variable_table(root: type[Settings] = Settings) -> str:
    """Return every setting that has a variable or a flag."""
    rows = [
        f"| `{CONFIG_VARIABLE}` | the settings file itself | `--config FILE` |",
        *map(_variable_row, settings_of(root)),
    ]
    return "\n".join(["| variable | key | flag |", "| --- | --- | --- |", *filter(None, rows), ""])


def _section(root: type[Settings], name: str, path: tuple[str, ...], settings: Iterable[Setting]) -> str:
    heading = f"### `[{name}]`\n\n{table_description(root, path)}" if path else "### At the top"
    return "\n".join(
        [heading, "", "| key | default | what it does |", "| --- | --- | --- |", *map(_key_row, settings), ""]
    )


def _key_row(setting: Setting) -> str:
    if setting.form == "table":
        default = "none"
    else:
        default = "not set" if setting.default is None else f"`{toml_value(setting.default)}`"
    return f"| `{setting.path[-1]}` | {default} | {setting.description} |"


def _variable_row(setting: Setting) -> str:
    flag, variable = setting.about.flag, setting.about.variable
    if flag is None and variable is None:
        return ""
    spelled = (
        []
        if flag is None
        else [f"`{one} {flag.metavar or ''}".strip() + "`" for one in flag.spellings(setting.form)]
    )
    repeatable = ", repeatable" if spelled and setting.form in {"list", "table"} else ""
    key = f"`{'.'.join(setting.path)}`{_WRITTEN.get(setting.form, '')}"
    return (
        f"| {f'`{variable}`' if variable else 'none'} | {key} | {', '.join(spelled) or 'none'}{repeatable} |"
    )


_WRITTEN = {
    "switch": ": `1` or `0`",
    "list": ", apart by spaces or commas",
    "table": ", one a line: `Name: value`, or `URL Name: value`",
}
"""How a variable spells what the file does not hold as text."""


if __name__ == "__main__":
    PAGE.write_text(manual(), encoding="utf-8")
    GUIDE.write_text(guide(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
