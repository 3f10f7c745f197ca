"""What names a person or a thing of theirs, replaced in words that are to be shown to others.

As in a redacted recording, but for names that say nothing of their owner: of public models and programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gpumon.app.insight.wording import address
from gpumon.app.recording.pseudonyms import Pseudonyms
from gpumon.app.recording.redaction import SHORTEST_KNOWN
from gpumon.app.state.records import is_server
from gpumon.app.state.state import State
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.text.safe import visible

_WORD = re.compile(r"[^\W\d_]+")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"(),;]+", re.IGNORECASE)
_PATH = re.compile(
    r"(?<![\w./:~-])(?:~|\.{1,2})?/[^\s'\"(),;/]+/[^\s'\"(),;]*|~/[^\s'\"(),;]+|\b[A-Z]:\\[^\s'\"]+"
)
_ADDRESS = re.compile(r"(?<![\w.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_SAID_BY_A_SERVER = re.compile(r"\b(HTTP \d{3}): .*", re.DOTALL)
_OF_THE_SYSTEM = ("/etc/systemd/", "/proc/", "/sys/", "/dev/")

_PUBLIC_MODELS = """
    alpaca apertus arctic athene aya bagel baichuan bakllava bge bloom chatglm chroma codegemma codegeex
    codellama codeqwen codestral cogito cohere command dbrx deepcoder deepscaler deepseek devstral dolphin
    embeddinggemma ernie everythinglm exaone falcon firefunction flux functiongemma gemini gemma glm goliath
    gpt granite grok hermes hidream hunyuan internlm jamba kimi kolors krea lfm llama llamaguard llava ltx
    lumina magicoder magistral mathstral medgemma medllama meditron minicpm minilm minimax ministral mistral
    mistrallite mixtral moondream mxbai nemo nemotron nexusraven nomic notus nous olmo openchat opencoder
    openhermes openthinker orca paraphrase phi phind pixtral pixart qwen qwq reflection rnj sailor sana sdxl
    seed shieldgemma smallthinker smollm snowflake solar sqlcoder stable stablelm starcoder starling sd svd
    tinydolphin tinyllama translategemma tulu vicuna wan whisper wizard wizardcoder wizardlm wizardmath xwin
    yarn yi zephyr
"""
_PUBLIC_WORDS = """
    abliterated ai alpha asr audio base beta bf bit bnb chat code coder community diffusion dev distill
    distilled dynamic edit embed embedding embeddings en exl exp experimental fast fp function gguf ggml
    gptq awq guard hf co huggingface hybrid image imatrix inpainting instruct instruction int iq it kontext
    large latest library lightning lite llm long math max medium micro mini minilm mlx moe multilingual mxfp
    nano nf next nl nvfp omni oss plus preview pro qat rc reasoning refiner registry rerank reranker
    safetensors schnell small sft text think thinking tiny tts turbo ud ultra uncensored v version video
    vision vl vlm xl xs xxl xxs a b d e f g h i k l m n o p q r s t w x z
"""
_PUBLISHERS = """
    allenai baai baidu bartowski bigcode black forest labs casperhansen cognitivecomputations comfy deci
    google huihui ibm intel jinaai lmstudio maziyarpanahi meta microsoft mistralai moonshotai mradermacher
    neuralmagic nousresearch nvidia ollama openai org quantfactory qwenlm redhatai stability stabilityai
    tencent thebloke thudm tiiuae turboderp unsloth zai
"""
PUBLIC = frozenset(f"{_PUBLIC_MODELS} {_PUBLIC_WORDS} {_PUBLISHERS}".split())
"""Words of which names of public models are made, in lower case; numbers stand between them."""
_PROGRAMS = """
    xorg xwayland gnome-shell mutter kwin_wayland kwin_x11 plasmashell cinnamon sway hyprland river weston
    xfwm4 picom compton firefox firefox-bin chrome chromium brave msedge vivaldi-bin opera code electron
    discord slack steam steamwebhelper obs vlc mpv blender python python3 ollama llama-server koboldcpp vllm
    comfyui nvidia-smi nvtop java node gamescope kitty alacritty wezterm-gui ghostty zed-editor
"""
PROGRAMS = frozenset(_PROGRAMS.split())
"""Programs that anybody may have."""


def is_public(name: str) -> bool:
    """Return whether every word of a name is one of which names of public models are made."""
    words = _WORD.findall(name.lower())
    return bool(words) and any(len(word) > 1 for word in words) and all(word in PUBLIC for word in words)


class Cover:
    """Replaces names in sentences, each by the same stand-in within one run."""

    def __init__(self, state: State) -> None:
        self._names = Pseudonyms()
        self._private: dict[str, str] = {}
        for name in _model_names(state):
            if not is_public(name):
                self._hide(name, self._names.of_model(name))
        for name in _program_names(state):
            if name.lower() not in PROGRAMS and not is_public(name):
                self._hide(name, self._names.of("program", name))
        for host in _hosts(state):
            if not is_public(host):
                self._hide(host, self._names.of_host(host))
        for user in _users(state):
            self._hide(user, self._names.of("user", user))
        self._longest_first = sorted(self._private, key=len, reverse=True)

    def words(self, text: str) -> str:
        """Return a sentence, harmless to draw, with stand-ins for what it names."""
        text = _SAID_BY_A_SERVER.sub(r"\1", text)
        text = _URL.sub(lambda found: self._names.of_url(found[0]), text)
        for name in self._longest_first:
            if name in text:
                stand_in = self._private[name].replace("\\", "")
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", stand_in, text)
        text = _PATH.sub(lambda found: self._path(found[0]), text)
        return _ADDRESS.sub(lambda found: self._names.of_host(found[0]), text)

    def _hide(self, name: str, stand_in: str) -> None:
        for written in {name, visible(name), visible(name).removesuffix(":latest")}:
            if len(written) >= SHORTEST_KNOWN and written != stand_in:
                self._private[written] = stand_in

    def _path(self, path: str) -> str:
        is_own = path.startswith(_OF_THE_SYSTEM) or any(path in kind.paths for kind in REGISTRY.kinds())
        return path if is_own else self._names.of("path", path)


def _model_names(state: State) -> Iterator[str]:
    for record in state.models.values():
        yield record.claim.name
    yield from (load.name for load in state.loads.values())
    yield from (load.name for load in state.finished_loads)
    yield from (left.claim.name for left in state.departed)
    for runner in state.runners.values():
        settings = runner.process.settings
        yield from filter(None, (settings.model_name, _last(settings.model_path)))


def _last(path: str | None) -> str:
    return (path or "").replace("\\", "/").rsplit("/", 1)[-1]


def _program_names(state: State) -> Iterator[str]:
    processes = (one for gpu in state.gpus.values() for one in gpu.reading.processes or ())
    yield from (one.name for one in processes if one.name)
    yield from (holder.name for holder in state.holders.values() if holder.name)


def _hosts(state: State) -> Iterator[str]:
    """Yield what this machine and those of the servers are called; loopback is nobody's."""
    if state.system is not None:
        yield state.system.sample.host
    for name in filter(is_server, state.sources):
        host = address(name).split("/", 1)[0].rpartition(":")[0].strip("[]")
        if host and host not in {"localhost", "127.0.0.1", "::1"}:
            yield host


def _users(state: State) -> Iterable[str]:
    runners = (runner.process.user for runner in state.runners.values())
    return {user for user in runners if user and user not in {"root", "ollama", "nobody"}}
