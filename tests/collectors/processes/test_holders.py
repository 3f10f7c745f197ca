"""Who else is on a GPU."""

from __future__ import annotations

import shlex

import pytest
from tests.fakes.processes.tree import BOOT_TIME, FakeProc

from gpumon.collectors.processes.holders import RENAME_SECONDS, HolderReader, holder_group, holder_name
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import HolderGroup, HolderProcess


@pytest.mark.parametrize(
    ("name", "group"),
    [
        *(
            (name, "desktop")
            for name in ["Xorg", "Xwayland", "gnome-shell", "kwin_x11", "kwin_wayland", "plasmashell"]
        ),
        *(
            (name, "desktop")
            for name in ["sway", "Hyprland", "mutter", "cinnamon", "xfwm4", "picom", "gjs", "niri"]
        ),
        *((name, "browser") for name in ["firefox", "firefox-bin", "chrome", "chromium", "brave", "msedge"]),
        ("Isolated Web Co", "browser"),
        *((name, "runtime") for name in ["ollama", "llama-server", "llama-swap", "koboldcpp", "lm-studio"]),
        ("VLLM::EngineCore", "runtime"),
        ("sglang::scheduler_TP0", "runtime"),
        ("invokeai-web", "runtime"),
        ("blender", "other"),
        ("", "other"),
    ],
)
def test_a_program_is_known_by_name(name: str, group: HolderGroup) -> None:
    assert holder_group(name, [name], None, contained=False) == group


@pytest.mark.parametrize(
    ("line", "directory", "group"),
    [
        ("python3 -m vllm.entrypoints.openai.api_server --model x", None, "runtime"),
        ("/venv/bin/python /venv/bin/vllm serve x", None, "runtime"),
        ("python -m sglang.launch_server", None, "runtime"),
        ("python -u -X utf8 koboldcpp.py --model a", None, "runtime"),
        ("python main.py --listen", "/home/me/ComfyUI", "runtime"),
        ("/opt/ComfyUI/venv/bin/python main.py", None, "runtime"),
        ("python3 server.py", "/srv/text-generation-webui", "runtime"),
        ("python3 main.py", "/srv/tabbyAPI", "runtime"),
        ("python3 train.py --baseline vllm", "/home/me", "other"),
        ("python3", None, "other"),
        ("python3 -m", None, "other"),
    ],
)
def test_a_python_program_is_known_by_what_it_runs(
    line: str, directory: str | None, group: HolderGroup
) -> None:
    assert holder_group("python3", shlex.split(line), directory, contained=False) == group


def test_an_unknown_program_in_a_container_is_the_containers() -> None:
    assert holder_group("python3", ["python3", "x.py"], None, contained=True) == "container"
    assert holder_group("firefox", ["firefox"], None, contained=True) == "browser"


def test_a_name_that_the_kernel_cut_is_completed() -> None:
    assert holder_name("gnome-control-c", ["/usr/bin/gnome-control-center"]) == "gnome-control-center"
    assert holder_name("short", ["/usr/bin/shorter"]) == "short"


def test_a_holder_has_an_identity_a_name_and_a_group(tree: FakeProc) -> None:
    tree.add(50, ("/usr/lib/xorg/Xorg", ":0"))
    assert HolderReader(Proc(tree.root)).read([50], 0.0) == (
        HolderProcess(pid=50, started=BOOT_TIME + 50.0, name="Xorg", group="desktop"),
    )


def test_a_pid_that_is_not_here_is_a_containers(tree: FakeProc) -> None:
    assert HolderReader(Proc(tree.root)).read([99_999], 0.0) == (
        HolderProcess(pid=99_999, started=None, name=None, group="container"),
    )


def test_a_process_of_another_pid_namespace_is_a_containers(tree: FakeProc) -> None:
    tree.add(50, ("/app/server",), namespace_pids=[1])
    (holder,) = HolderReader(Proc(tree.root)).read([50], 0.0)
    assert (holder.name, holder.group) == ("server", "container")


def test_a_program_that_renames_itself_is_named_again(tree: FakeProc) -> None:
    tree.add(50, ("python3", "x.py"), start_ticks=1)
    reader = HolderReader(Proc(tree.root))
    assert reader.read([50], 0.0)[0].group == "other"
    tree.stat(50, "VLLM::EngineCor", 1, start_ticks=1)
    assert reader.read([50], RENAME_SECONDS - 1)[0].group == "other"
    assert reader.read([50], RENAME_SECONDS)[0].group == "runtime"
