"""Processes of image generators, which are scripts with common names: known by folder, files or program."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpumon.collectors.servers.comfyui.kind import ComfyUiKind
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.collectors.servers.talk import FoundRunner, ProcessView


def process(line: str, directory: str | None = None, files: Sequence[str] = ()) -> ProcessView:
    return ProcessView(line.split(), dict, directory=lambda: directory, holds=lambda path: path in files)


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        pytest.param(
            process("python main.py --port 8190", "/home/ann/ComfyUI"), "comfyui", id="by its folder"
        ),
        pytest.param(process("python3 -u /opt/ComfyUI/main.py"), "comfyui", id="by its path"),
        pytest.param(
            process("/opt/py/bin/python -s main.py", "/srv/pictures", ["comfyui_version.py"]),
            "comfyui",
            id="by its files",
        ),
        pytest.param(process("/venv/bin/python3 /venv/bin/comfyui --port 1"), "comfyui", id="by its program"),
        pytest.param(process("python main.py", "/srv/my-bot"), None, id="any main.py"),
        pytest.param(
            process("python3 /venv/bin/comfy launch", "/home/ann/ComfyUI"), None, id="what starts it"
        ),
        pytest.param(process("python3 -m main.py", "/home/ann/ComfyUI"), None, id="a module"),
        pytest.param(process("python launch.py", "/home/ann/stable-diffusion-webui"), "sd_webui", id="A1111"),
        pytest.param(process("python launch.py", "/srv/sd", ["modules_forge"]), "sd_webui", id="Forge"),
        pytest.param(process("python launch.py", "/home/ann/sdnext"), "sdnext", id="SD.Next by its folder"),
        pytest.param(
            process("python launch.py", "/srv/sd", ["installer.py"]), "sdnext", id="SD.Next by its files"
        ),
        pytest.param(process("python launch.py", "/srv/rocket"), None, id="any launch.py"),
        pytest.param(process("python3 /venv/bin/invokeai-web"), "invokeai", id="InvokeAI"),
        pytest.param(process("/venv/bin/invokeai-web"), "invokeai", id="InvokeAI as a program"),
    ],
)
def test_its_process_is_known(view: ProcessView, kind: str | None) -> None:
    found = [one.recognise_process(view) for one in REGISTRY.known() if one.makes_pictures]
    kinds = [one.kind for one in found if isinstance(one, FoundRunner)]
    assert kinds == ([kind] if kind else [])


def test_its_command_line_tells_port_address_and_what_stays_in_ram() -> None:
    view = process("python main.py --listen 192.168.1.5 --port 8190 --lowvram", "/home/ann/ComfyUI")
    found = ComfyUiKind().recognise_process(view)
    assert isinstance(found, FoundRunner)
    settings = found.settings
    assert (settings.host, settings.port, settings.offload) == ("192.168.1.5", 8190, "--lowvram")
    everywhere = ComfyUiKind().recognise_process(process("python main.py --listen", "/home/ann/ComfyUI"))
    assert isinstance(everywhere, FoundRunner)
    assert (everywhere.settings.host, everywhere.settings.model_name) == (None, "ComfyUI")
