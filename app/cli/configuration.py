"""``gpumon config``: which settings are in effect, and where they live."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.flags import Commands, add_command, add_config_flag, add_screen_flags, add_source_flags
from gpumon.app.errors import GpumonError


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "config", "show the settings, or start a settings file")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = add_command(actions, "show", "print the settings in effect and where each comes from")
    show.set_defaults(execute=execute_show)
    add_source_flags(show)
    add_screen_flags(show)
    path = add_command(actions, "path", "print where the settings file is looked for")
    path.set_defaults(execute=execute_path)
    add_config_flag(path)
    init = add_command(actions, "init", "write a settings file to start from")
    init.set_defaults(execute=execute_init)
    init.add_argument("--force", action="store_true", help="replace the file that is there")
    add_config_flag(init)


def execute_show(options: Namespace) -> int:
    """Print the settings in effect as TOML, without secrets."""
    from gpumon.app.config.printed import shown

    sys.stdout.write(shown(load_settings(options)))
    return 0


def execute_path(options: Namespace) -> int:
    """Print the path of the settings file."""
    sys.stdout.write(f"{_path(options)}\n")
    return 0


def execute_init(options: Namespace) -> int:
    """Write the template, readable by its owner only as it may come to hold a password."""
    from gpumon.app.config.printed import template

    path = _path(options)
    _write(path, template(), replace=options.force)
    sys.stdout.write(f"{path}\n")
    return 0


def _path(options: Namespace) -> Path:
    from gpumon.app.config.load import config_path

    return config_path(os.environ, getattr(options, "config", None))[0]


def _write(path: Path, text: str, *, replace: bool) -> None:
    exists = os.O_TRUNC if replace else os.O_EXCL
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | exists, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
    except FileExistsError:
        raise GpumonError(f"{path} is there already; --force replaces it") from None
    except OSError as error:
        raise GpumonError(f"{path}: {str(error.strerror).lower()}") from None
