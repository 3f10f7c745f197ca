"""Settings from the environment."""

from __future__ import annotations

from collections.abc import Mapping

from gpumon.app.config.entries import Entries, Entry
from gpumon.app.config.headers import header_entries
from gpumon.app.config.keys import KeyPath

CONFIG_VARIABLE = "GPUMON_CONFIG"
"""Path of the settings file."""
HEADER_VARIABLE = "GPUMON_HEADER"
"""Headers, one a line: out of the reach of ``ps``, unlike a flag."""
URL_VARIABLE = "GPUMON_URL"
"""URLs, apart by spaces or commas."""
OLLAMA_VARIABLE = "OLLAMA_HOST"
"""Ollama's own variable: the server to ask where neither file, environment nor flag names one."""

VARIABLES: dict[str, KeyPath] = {
    "GPUMON_INTERVAL": ("interval_seconds",),
    "GPUMON_CA_FILE": ("ca_file",),
    "GPUMON_INSECURE": ("insecure",),
    "GPUMON_THEME": ("theme",),
    "GPUMON_GLYPHS": ("glyphs",),
    "GPUMON_MOUSE": ("mouse",),
    "GPUMON_BELL": ("bell",),
}
"""Variables that hold one value, each with its key; one that is empty counts as not set."""


def ollama_entries(environ: Mapping[str, str]) -> Entries:
    """Return the server that Ollama's own programs would ask, if one is named."""
    text = environ.get(OLLAMA_VARIABLE, "").strip().strip("\"'").strip()
    return {("urls",): Entry([text], OLLAMA_VARIABLE)} if text else {}


def environment_entries(environ: Mapping[str, str]) -> Entries:
    """Return what the environment says.

    Raises:
        ConfigError: a header is not written as one.
    """
    entries: Entries = {
        path: Entry(environ[name], name, is_text=True)
        for name, path in VARIABLES.items()
        if environ.get(name)
    }
    if urls := environ.get(URL_VARIABLE, "").replace(",", " ").split():
        entries["urls",] = Entry(urls, URL_VARIABLE)
    entries |= header_entries(environ.get(HEADER_VARIABLE, "").splitlines(), HEADER_VARIABLE)
    return entries
