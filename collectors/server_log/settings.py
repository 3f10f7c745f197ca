"""Settings as Ollama logs them when it starts: ``msg="server config" env="map[OLLAMA_DEBUG:INFO …]"``."""

from __future__ import annotations

import re

_SETTING_LIMIT = 64
_LONGEST_VALUE = 512
_KEPT = ("OLLAMA_", "LLAMA_ARG_")
_NAME = re.compile(r"(?:^| )([A-Z][A-Z0-9]*_[A-Z0-9_]+|https?_proxy|no_proxy):", re.ASCII)
_SECRET_WORDS = frozenset(
    {"AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "KEYS", "PASS", "PASSWORD", "SECRET", "TOKEN"}
)
_SECRET_VALUE = re.compile(
    r"""
    ://[^/\s]*@                        # user:password@ in an address
    | \b(?:sk|hf|ghp|gho|nvapi|xox.)[-_]\w   # tokens with a maker's mark
    | \b(?:Bearer|Basic)\s
    | (?<![\w/.])[A-Za-z0-9+_=-]{32,}(?![\w/.])  # long and without a dot or slash: no path, no address
    """,
    re.ASCII | re.VERBOSE,
)


def parse_settings(text: str) -> dict[str, str]:
    """Return the settings of Ollama and llama.cpp in a printed Go map, without what looks secret."""
    body = text.removeprefix("map[").removesuffix("]")
    names = list(_NAME.finditer(body))
    ends = [name.start() for name in names[1:]] + [len(body)]
    settings = {name[1]: body[name.end() : end] for name, end in zip(names, ends, strict=False)}
    kept = [(name, value) for name, value in settings.items() if _may_be_kept(name, value)]
    return dict(kept[:_SETTING_LIMIT])


def _may_be_kept(name: str, value: str) -> bool:
    return (
        name.startswith(_KEPT)
        and len(value) <= _LONGEST_VALUE
        and not _SECRET_WORDS.intersection(name.split("_"))
        and not _SECRET_VALUE.search(value)
    )
