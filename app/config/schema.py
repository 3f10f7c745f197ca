"""How a setting is declared, and what is known of each: one declaration serves every place that names it.

A field of a ``Table`` is a setting. Its type, its bounds and its default are those of the field; ``about``
says the rest. From that come the key of the file, the flag, the environment variable, ``gpumon config show``,
the template, the shell completion, the manual page and the tables of ``docs/configuration.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, inspect

KeyPath = tuple[str, ...]
Form = Literal["switch", "words", "list", "table", "value"]
"""What stands in the file: true or false, one of some words, a list, a table with free keys, or a value."""
FlagGroup = Literal["sources", "screen", "history"]
Check = Callable[[str], str | None]
"""Returns what is wrong with a text, ``None`` where nothing is."""
Mask = Callable[[str], str]

MASK = "********"
"""Stands for a secret: a header's value, a password in a URL."""

_CREDENTIALS = re.compile(r"^(\w+://)?.*@")
_ABOUT = "about"
_FORMS: tuple[tuple[type[inspect.Type], Form], ...] = (
    (inspect.BoolType, "switch"),
    (inspect.LiteralType, "words"),
    (inspect.VarTupleType, "list"),
    (inspect.DictType, "table"),
)


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every TOML table whose keys are known."""


class Flag(NamedTuple):
    """How a setting is given on the command line.

    A switch can be taken back with ``--no-``, a list and a table grow with each flag, and words may have a
    flag each.
    """

    group: FlagGroup
    name: str = ""
    metavar: str | None = None
    words: Mapping[str, str] = {}
    """Words that have a flag of their own (``ascii`` is ``--ascii``), with what each does."""
    help: str = ""
    """What to say where the flag is explained, if one of several values is to be given there."""

    def spellings(self, form: Form) -> tuple[str, ...]:
        """Return the flags as they are typed."""
        off = (f"--no-{self.name.removeprefix('--')}",) if form == "switch" else ()
        return (*self.origins, *off)

    @property
    def origins(self) -> tuple[str, ...]:
        """Return what to name as the place where a value was given."""
        return tuple(f"--{word}" for word in self.words) or (self.name,)

    @property
    def attribute(self) -> str:
        """Return the name under which the parser keeps what was given."""
        return (self.name or "-".join(self.words)).removeprefix("--").replace("-", "_")


class About(NamedTuple):
    """What the type and the default of a setting do not say."""

    flag: Flag | None = None
    variable: str | None = None
    look: str | None = None
    """What a text must look like, where a pattern says it in a way that nobody wants to read."""
    check: Check | None = None
    """Finds in a text, or in each text of a list, what its pattern cannot tell."""
    secret: Mask | None = None
    """Masks what nobody else should see in a text."""


class Setting(NamedTuple):
    """One setting, as every place that names it needs it."""

    path: KeyPath
    default: object
    description: str
    """A sentence, with the bounds where there are any."""
    example: object
    """A value to show where the default is none."""
    form: Form
    words: tuple[str, ...]
    """The words that it may take, where it takes only some."""
    about: About


def about(
    description: str,
    *,
    example: object = None,
    flag: Flag | None = None,
    variable: str | None = None,
    look: str | None = None,
    check: Check | None = None,
    secret: Mask | None = None,
) -> Meta:
    """Declare what a setting is for, and what ``About`` holds."""
    examples = None if example is None else [example]
    return Meta(
        description=description,
        examples=examples,
        extra={_ABOUT: About(flag, variable, look, check, secret)},
    )


@cache
def settings_of(table: type[Struct], prefix: KeyPath = ()) -> tuple[Setting, ...]:
    """Return every setting of a table, those of the tables in it after its own."""
    own: list[Setting] = []
    below: list[Setting] = []
    for entry in _fields(table):
        kind, path = _bare(entry.type), (*prefix, entry.name)
        if isinstance(kind, inspect.StructType):
            below += settings_of(kind.cls, path)
        else:
            own.append(_setting(entry, kind, path))
    return (*own, *below)


def setting_at(root: type[Struct], path: KeyPath) -> Setting | None:
    """Return the setting that ``path`` names or, where keys are free, lies in."""
    return next((one for one in settings_of(root) if one.path == path[: len(one.path)]), None)


def table_keys(root: type[Struct], path: KeyPath) -> tuple[str, ...] | None:
    """Return the keys a table at ``path`` may have, or ``None`` where they are free or it is no table."""
    table = _table_at(root, path)
    return None if table is None else tuple(entry.name for entry in _fields(table))


def table_description(root: type[Struct], path: KeyPath) -> str:
    """Return what a table is for: the first line of its docstring."""
    table = _table_at(root, path)
    return ((table and table.__doc__) or "").partition("\n")[0]


def without_password(url: str) -> str:
    """Return a URL or host with all that stands before its last ``@`` masked."""
    return _CREDENTIALS.sub(rf"\1{MASK}@", url, count=1)


def masked(_secret: str) -> str:
    """Return what stands for a secret."""
    return MASK


def _setting(entry: inspect.Field, kind: inspect.Type, path: KeyPath) -> Setting:
    said = entry.type if isinstance(entry.type, inspect.Metadata) else inspect.Metadata(entry.type)
    schema: dict[str, Any] = said.extra_json_schema or {}
    return Setting(
        path=path,
        default=_default(entry),
        description=_with_bounds(schema.get("description", ""), kind),
        example=schema.get("examples", [None])[0],
        form=next((form for kinds, form in _FORMS if isinstance(kind, kinds)), "value"),
        words=tuple(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else (),
        about=(said.extra or {}).get(_ABOUT, About()),
    )


def _with_bounds(description: str, kind: inspect.Type) -> str:
    """Add the bounds of a number to the sentence."""
    if not isinstance(kind, inspect.FloatType | inspect.IntType) or kind.ge is None or kind.le is None:
        return description
    return f"{description.removesuffix('.')}, {kind.ge:g} to {kind.le:g}."


def _table_at(root: type[Struct], path: KeyPath) -> type[Struct] | None:
    table = root
    for name in path:
        kinds = (_bare(entry.type) for entry in _fields(table) if entry.name == name)
        kind = next(kinds, None)
        if not isinstance(kind, inspect.StructType):
            return None
        table = kind.cls
    return table


@cache
def _fields(table: type[Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(table)
    return info.fields if isinstance(info, inspect.StructType) else ()


def _bare(kind: inspect.Type) -> inspect.Type:
    """Return a type without what is said about it."""
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _default(entry: inspect.Field) -> object:
    if entry.default_factory is not msgspec.NODEFAULT:
        return entry.default_factory()
    return entry.default
