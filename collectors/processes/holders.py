"""Who else is on a GPU, and in which group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpumon.collectors.processes.owners import is_contained
from gpumon.collectors.processes.proc import Proc, Stat
from gpumon.collectors.samples import HolderGroup, HolderProcess
from gpumon.collectors.servers.command_line import command_of, program_name
from gpumon.collectors.servers.registry import REGISTRY

_COMM_LENGTH = 15
"""The kernel cuts names to this (``TASK_COMM_LEN`` less the final zero)."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DESKTOP = _words(
    """
    xorg xwayland x xvfb gnome-shell gnome-session-binary gnome-remote-desktop-daemon gjs mutter
    mutter-x11-frames gsd-xsettings gdm-x-session xdg-desktop-portal xdg-desktop-portal-gnome
    xdg-desktop-portal-gtk nautilus gnome-control-center gnome-terminal-server gnome-text-editor
    gnome-system-monitor kwin kwin_x11 kwin_wayland plasmashell ksmserver krunner systemsettings
    dolphin konsole kded5 kded6 ksplashqml sddm sddm-greeter sddm-greeter-qt6 lightdm
    lightdm-gtk-greeter sway hyprland hyprpaper wayfire river labwc weston niri cosmic-comp
    cosmic-panel gamescope waybar swaybg cinnamon muffin nemo-desktop budgie-wm budgie-panel gala
    marco mate-panel xfwm4 xfdesktop xfce4-panel picom compton i3 bspwm awesome openbox kitty
    alacritty wezterm-gui foot ghostty ibus-x11 variety conky sunshine xfreerdp
    """
)
_DESKTOP_STARTS = ("kwin_", "gnome-", "xdg-desktop-po", "plasma", "cosmic-", "gsd-", "budgie-")

_BROWSERS = _words(
    """
    firefox firefox-bin firefox-esr librewolf waterfox zen zen-bin floorp chrome chromium
    chromium-browser google-chrome google-chrome-stable brave brave-browser vivaldi vivaldi-bin
    opera msedge microsoft-edge thorium epiphany falkon qutebrowser qtwebengineprocess
    webkitwebprocess palemoon
    """
)
_BROWSER_STARTS = (
    "web content",
    "isolated web co",
    "webextensions",
    "privileged cont",
    "gpu process",
    "rdd process",
)

_RUNTIMES = _words(
    """
    ollama ollama_llama_server llama-server llama-cli llama-bench llama-swap lemond lemonade-server
    lemonade-router koboldcpp lm-studio lmstudio lms llmster local-ai localai gpt4all jan cortex
    text-generation-launcher text-generation-server text-generation-router tritonserver tabbyapi
    tabby sd sd-server stable-diffusion whisper-server whisper-cli invokeai invokeai-web
    mlx_lm.server vllm sglang ramalama docker-model trtllm-serve aphrodite exllamav2
    comfyui
    """
)
_RUNTIME_STARTS = ("vllm::", "vllm", "sglang::", "lm studio", "lm-studio")
"""Beside the programs of the kinds that are known (``ServerKind.program_starts``)."""

_PYTHON_RUNTIMES = (
    "vllm",
    "sglang",
    "comfyui",
    "koboldcpp",
    "tabbyapi",
    "text-generation",
    "text_generation",
    "invokeai",
    "stable-diffusion",
    "sd.next",
    "sdnext",
    "forge",
    "llama_cpp",
    "llama-cpp",
    "exllama",
    "lmdeploy",
    "aphrodite",
    "tensorrt_llm",
    "mlx_lm",
    "fastchat",
    "infinity_emb",
    "open-webui",
    "open_webui",
    "faster-whisper",
    "xinference",
)
"""In the interpreter's path, the script, the module or the working directory of a Python program."""

_TEXT_LIMIT = 512


def holder_name(comm: str, argv: Sequence[str]) -> str:
    """Return the kernel's name of a process, completed from its command line where the kernel cut it."""
    program = program_name(argv)
    cut = len(comm) >= _COMM_LENGTH and program.startswith(comm)
    return program if cut else comm


def holder_group(name: str, argv: Sequence[str], directory: str | None, contained: bool) -> HolderGroup:
    """Return the group: what is known by its name first, then containers, then the rest.

    ``directory`` is the working directory, ``None`` where it may not be read.
    """
    known = name.lower()
    if known in _DESKTOP or known.startswith(_DESKTOP_STARTS):
        return "desktop"
    if known in _BROWSERS or known.startswith(_BROWSER_STARTS):
        return "browser"
    if known in _RUNTIMES or _starts_as_a_runtime(known) or _is_python_runtime(argv, directory):
        return "runtime"
    return "container" if contained else "other"


def _starts_as_a_runtime(name: str) -> bool:
    own = (start for kind in REGISTRY.kinds() for start in kind.program_starts)
    return name.startswith((*_RUNTIME_STARTS, *own))


def _is_python_runtime(argv: Sequence[str], directory: str | None) -> bool:
    command = command_of(argv)
    if not command.interpreted:
        return False
    places = [argv[0], command.path, directory or ""]
    return any(mark in place[:_TEXT_LIMIT].lower() for place in places for mark in _PYTHON_RUNTIMES)


RENAME_SECONDS = 30.0
"""Between looks at a name: some programs (vLLM) change theirs once they are up."""


class _Label(NamedTuple):
    name: str
    group: HolderGroup
    due_at: float


class HolderReader:
    """Names each holder, and looks at its name again seldom."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._labels: dict[tuple[int, int], _Label] = {}

    def read(self, pids: Iterable[int], now: float) -> tuple[HolderProcess, ...]:
        """Return what holds GPU memory as of ``now`` (seconds), in order of PID."""
        before, self._labels = self._labels, {}
        return tuple(self._holder(pid, before, now) for pid in sorted(pids))

    def _holder(self, pid: int, before: dict[tuple[int, int], _Label], now: float) -> HolderProcess:
        """Name one; a PID that is not to be seen here is the host's, seen by the driver from a container."""
        try:
            stat = self._proc.stat(pid)
        except (OSError, ValueError):
            return HolderProcess(pid=pid, group="container")
        key = (pid, stat.start_ticks)
        label = before.get(key)
        if label is None or now >= label.due_at:
            label = self._label(pid, stat, now)
        self._labels[key] = label
        started = self._proc.started(stat.start_ticks)
        return HolderProcess(pid=pid, started=started, name=label.name, group=label.group)

    def _label(self, pid: int, stat: Stat, now: float) -> _Label:
        try:
            argv = self._proc.command_line(pid)
            contained = is_contained(self._proc, pid, self._proc.table(pid, "status"))
        except OSError:
            argv, contained = (), False
        name = holder_name(stat.name, argv)
        group = holder_group(name, argv, self._directory(pid), contained)
        return _Label(name, group, now + RENAME_SECONDS)

    def _directory(self, pid: int) -> str | None:
        try:
            return self._proc.link(pid, "cwd")
        except OSError:
            return None
