"""Secrets whose value stands elsewhere: in a variable of the environment or in a file, as keys should.

In the settings file such a header is a table, which no value of a header can be taken for:
``Authorization = { env = "TABBY_KEY", prefix = "Bearer " }``. So may be the topic of ntfy and its token.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from gpumon.app.config.entries import ConfigError, Entries, Entry, dotted
from gpumon.app.config.schema import KeyPath

HEADERS = "headers"
DEPTH = 3
"""Of the path of a header: the table, the URL, its name."""
SECRETS = (("notify", "ntfy"), ("notify", "ntfy_token"))
"""Settings of one value that may stand elsewhere."""
WORDS = ("env", "file", "prefix")
MAX_BYTES = 64 * 2**10


def with_keys(entries: Entries, environ: Mapping[str, str], folder: Path) -> Entries:
    """Return the entries of a settings file with the values that its headers and secrets point to.

    A relative path starts at ``folder``, where the settings file is. Raise ``ConfigError`` where there is no
    such variable or file, or it holds nothing that can be sent; no value is repeated.
    """
    elsewhere: dict[KeyPath, dict[str, Entry]] = {}
    plain: Entries = {}
    for path, entry in entries.items():
        depth = _depth(path)
        if depth is not None and len(path) > depth:
            elsewhere.setdefault(path[:depth], {})[".".join(path[depth:])] = entry
        else:
            plain[path] = entry
    for path, told in elsewhere.items():
        origin = next(iter(told.values())).origin
        try:
            plain[path] = Entry(_value(told, environ, folder), origin)
        except ValueError as problem:
            raise ConfigError(f"{origin}: {dotted(path)}: {problem}") from None
    return plain


def _depth(path: KeyPath) -> int | None:
    """Return the length of the path of what may stand elsewhere and holds ``path``."""
    if path[0] == HEADERS:
        return DEPTH
    return next((len(secret) for secret in SECRETS if path[: len(secret)] == secret), None)


def _value(told: Mapping[str, Entry], environ: Mapping[str, str], folder: Path) -> str:
    """Return the value of a header; raise ``ValueError`` with what is wrong."""
    unknown = next((word for word in told if word not in WORDS), None)
    if unknown is not None:
        raise ValueError(f'"{unknown}" is none of {", ".join(WORDS)}')
    words = {word: entry.value for word, entry in told.items()}
    wrong = next((word for word, value in words.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise ValueError(f"{wrong} is text in quotes")
    texts = {word: str(value) for word, value in words.items()}
    if ("env" in texts) == ("file" in texts):
        raise ValueError('say where its value is: env = "VARIABLE", or file = "PATH"')
    value = _of_variable(texts["env"], environ) if "env" in texts else _of_file(texts["file"], folder)
    return f"{texts.get('prefix', '')}{value}"


def _of_variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ValueError(f"the variable {name} is not set")
    return _one_line(value, f"the variable {name}")


def _of_file(named: str, folder: Path) -> str:
    path = folder / Path(named).expanduser()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe without a writer is not waited for
            raise ValueError(f"{path} is no regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {str(error.strerror).lower()}") from None
    value = content.decode("utf-8", "replace").strip()
    if not value:
        raise ValueError(f"{path} is empty")
    return _one_line(value, str(path))


def _one_line(value: str, where: str) -> str:
    if len(value) > MAX_BYTES or not value.isprintable():
        raise ValueError(f"{where} holds more than one line, or what cannot be sent")
    return value
