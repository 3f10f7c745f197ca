"""``gpumon notify``: who is told, tried without waiting for trouble; and no secret anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpumon.app.cli.main import main
from gpumon.app.config.entries import ConfigError
from gpumon.app.config.load import load
from gpumon.app.config.printed import shown

TOPIC = "https://me:pa55word@ntfy.example/my-secret-topic"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("GPUMON_CONFIG", str(path))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    path.write_text("", encoding="utf-8")
    return path


def write(config: Path, text: str) -> None:
    config.write_text(f"[notify]\n{text}\n", encoding="utf-8")


def test_where_nobody_is_to_be_told_it_says_what_to_set(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["notify", "--test"]) == 2
    assert capsys.readouterr().err == (
        "gpumon: nobody is to be told: set notify.ntfy, notify.terminal or alerts.hook; "
        "see gpumon config init\n"
    )


def test_it_says_of_each_way_what_became_of_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = f'[alerts]\nhook = ["{sys.executable}", "-c", "import sys; sys.exit(3)"]'
    write(config, f'terminal = "auto"\n{hook}')
    assert main(["notify", "--test"]) == 1
    terminal, hooked = capsys.readouterr().out.splitlines()
    assert terminal == "terminal: this terminal is not known to take any"
    assert hooked == f"hook: alert command {sys.executable} ended with status 3"


def test_a_hook_that_runs_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text('[alerts]\nhook = ["true"]\n', encoding="utf-8")
    assert main(["notify", "--test"]) == 0
    assert capsys.readouterr().out == "hook: has run\n"


def test_neither_topic_nor_token_is_ever_printed(config: Path) -> None:
    write(config, f'ntfy = "{TOPIC}"\nntfy_token = {{ env = "TOKEN", prefix = "" }}')
    loaded = load({}, {"TOKEN": "tk_s3cret"}, config)
    assert (loaded.settings.notify.ntfy, loaded.settings.notify.ntfy_token) == (TOPIC, "tk_s3cret")
    text = shown(loaded)
    assert 'ntfy = "https://ntfy.example/********"' in text
    assert 'ntfy_token = "********"' in text
    assert not any(secret in text for secret in ("me:", "pa55word", "my-secret-topic", "tk_s3cret"))


def test_the_topic_may_stand_in_a_file(config: Path) -> None:
    (config.parent / "topic").write_text(f"{TOPIC}\n", encoding="utf-8")
    write(config, 'ntfy = { file = "topic" }')
    assert load({}, {}, config).settings.notify.ntfy == TOPIC


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("topic", "expected the whole address of a topic, such as https://ntfy.sh/topic"),
        ("https://ntfy.sh", "names no topic: it is what stands behind the host"),
        ("https://ntfy.sh/", "names no topic: it is what stands behind the host"),
        ("https://ntfy.sh:99999/t", "port 99999 is not between 1 and 65535"),
    ],
)
def test_what_is_no_topic_is_one_line_that_names_its_place(config: Path, value: str, words: str) -> None:
    write(config, f'ntfy = "{value}"')
    with pytest.raises(ConfigError) as raised:
        load({}, {}, config)
    assert str(raised.value) == f"{config}:2: notify.ntfy: {words}"
