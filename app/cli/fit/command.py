"""``gpumon fit``: does a model fit, where does each GiB go, how fast would it be; before it is loaded."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.fit.pictures import FLAGS, add_picture_flags, is_picture, refuse
from gpumon.app.cli.fit.wishes import add_wishes
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.cli.output import print_json, print_text
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumon.app.cli.fit.asked import Asked
    from gpumon.app.config.settings import Settings
    from gpumon.app.diagnosis.fit.listing import Answer, Here
    from gpumon.app.diagnosis.fit.report import FitReport
    from gpumon.app.diagnosis.fit.wishes import BestExperts
    from gpumon.app.physics.geometry import CacheType, NoGeometry
    from gpumon.app.physics.hardware import Band

EXIT_FITS = 0
EXIT_DOES_NOT_FIT = 1
EXIT_CANNOT_TELL = 2


class TokenRate(Struct, frozen=True):
    """An estimate: nine of ten measurements lie between ``low`` and ``high``."""

    low: float
    expected: float
    high: float


class BestNumber(Struct, frozen=True):
    """The fewest layers whose experts must be in RAM, so that all else fits."""

    layers: int
    gain_percent: int | None
    decode_tokens_per_second: TokenRate | None


class Unloaded(Struct, frozen=True):
    """A model that its server would unload."""

    name: str
    vram_bytes: int


class AfterUnloading(Struct, frozen=True):
    """How it is loaded when its server has made room, which it does by itself."""

    unloaded: tuple[Unloaded, ...]
    fits: bool | None
    available_vram_bytes: int | None
    layers_on_gpu: int | None
    spill_fraction: float | None
    decode_tokens_per_second: TokenRate | None


class FitDocument(Struct, frozen=True):
    """What ``gpumon fit --json`` prints; ``null`` is not known."""

    model: str | None = None
    """Its whole name."""
    fits: bool | None = None
    runs_from_ram: bool | None = None
    """Whether there is no GPU, so that ``fits`` speaks of RAM."""
    required_ram_bytes: int | None = None
    available_ram_bytes: int | None = None
    required_vram_bytes: int | None = None
    available_vram_bytes: int | None = None
    weights_bytes: int | None = None
    """A projector's included."""
    kv_cache_bytes: int | None = None
    overhead_bytes: int | None = None
    """Recurrent state, compute buffers, CUDA's own, and what earlier loads have taught."""
    max_context: dict[str, int | None] | None = None
    layers_on_gpu: int | None = None
    spill_fraction: float | None = None
    decode_tokens_per_second: TokenRate | None = None
    vram_bytes_by_gpu: tuple[int, ...] | None = None
    ram_bytes: int | None = None
    """As it would be placed."""
    kept_in_ram_bytes: int | None = None
    """Part of ``ram_bytes`` that was asked to be there."""
    best_n_cpu_moe: BestNumber | None = None
    runs: bool | None = None
    """Whether RAM and swap, whoever has it, are enough for what no GPU takes."""
    after_unloading: AfterUnloading | None = None
    source: str | None = None
    """``installed``, ``file``, ``catalog``, ``size``: an estimate by the number of parameters alone."""
    quant: str | None = None
    """Of a model that is not here."""
    trained_context: int | None = None


class ListedModel(Struct, frozen=True):
    """An installed model with its answer."""

    name: str
    server: str
    file_bytes: int | None
    here: Here
    reason: str | None
    """Why it is not known."""
    fit: FitDocument | None


class FitListDocument(Struct, frozen=True):
    """What ``gpumon fit --json`` prints without a name: the most useful model first."""

    models: tuple[ListedModel, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "fit", "say which installed models fit on the GPUs, or how one does")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model's name, a .gguf file, or a size: 70b, 30b-a3b; every installed model if not given; "
        "an image model: sdxl, flux, qwen-image, or a .safetensors file",
    )
    load = parser.add_argument_group("how it would be loaded")
    load.add_argument("--num-ctx", metavar="TOKENS", help="context of each slot; Ollama's default if not set")
    load.add_argument("--kv-cache-type", metavar="TYPE", help="such as q8_0 or q4_0; f16 if not set")
    load.add_argument("--parallel", metavar="SLOTS", help="requests at a time; 1 if not set")
    load.add_argument("--params", metavar="SIZE", help="of a model nobody has described: 13b, 30b-a3b")
    add_wishes(parser.add_argument_group("where it should be"))
    add_picture_flags(parser.add_argument_group("what an image model should make"))
    hardware = parser.add_argument_group("hardware you do not have")
    hardware.add_argument(
        "--gpu", action="append", metavar="NAME", help='a card, as in "rtx 4090"; may be repeated'
    )
    hardware.add_argument(
        "--vram", action="append", metavar="SIZE", help="free memory of a card: 12GiB, 12; may be repeated"
    )
    hardware.add_argument("--bandwidth", metavar="RATE", help="of the card with --vram: 900GB/s")
    hardware.add_argument("--ram-bandwidth", metavar="RATE", help="nominal bandwidth of RAM: 60GB/s")
    parser.add_argument("--all", action="store_true", help="of the catalogue: every model, not a screenful")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Print the report, and return 0 if the model fits, 1 if it does not, 2 if that cannot be told.

    Of the list of all: 0 if one of them fits, or would after its server has unloaded others.
    """
    from gpumon.app.cli.fit.asked import asked_of

    asked = asked_of(options)  # before anything is asked of anyone: wrong values are found at once
    if asked.model and is_picture(asked.model):
        return _picture(options, asked)
    asked = _language_asked(options, asked)
    settings = load_settings(options).settings
    if not asked.model and not asked.parameters:
        return _list(asked, settings, as_json=options.json)
    from gpumon.app.cli.fit.answer import answer
    from gpumon.app.crash import run

    try:
        report = run(answer(asked, settings))
    except GpumonError as error:
        raise GpumonError(f"{error}{_as_picture(asked.model)}") from None
    if options.json:
        print_json(fit_document(report), "report")
    else:
        print_text(_words(asked.model, report), "report")
    return exit_code(report)


def _language_asked(options: Namespace, asked: Asked) -> Asked:
    """Return what is asked of a language model; raise where a flag means nothing to one."""
    from msgspec.structs import replace

    from gpumon.app.cli.fit.asked import quantisation
    from gpumon.app.cli.fit.model import is_file

    name = asked.model
    if not name and not asked.parameters:
        refuse(options, FLAGS, "name an image model: sdxl, flux")
        return asked
    refuse(options, tuple(flag for flag in FLAGS if flag != "quant"), f"{name or 'this'} is no image model")
    if is_file(name):
        refuse(options, ("quant", "params"), f"{name} is a file, which is as it is")
    return replace(asked, quant=quantisation(options.quant))


def _picture(options: Namespace, asked: Asked) -> int:
    from gpumon.app.cli.fit import pictures
    from gpumon.app.crash import run
    from gpumon.app.diagnosis.fit.picture_text import picture_lines

    report = run(pictures.picture_answer(pictures.picture_asked(options), asked))
    if options.json:
        print_json(pictures.picture_document(report), "report")
    else:
        print_text("\n".join(picture_lines(report)) + "\n", "report")
    return pictures.picture_exit_code(report)


def _as_picture(name: str) -> str:
    """Return what to type where the name looks like that of an image model."""
    from gpumon.app.physics.pictures.names import near_pictures

    near = near_pictures(name)
    return f"; or of image models: {' or '.join(f'gpumon fit {key}' for key in near)}" if near else ""


def _list(asked: Asked, settings: Settings, *, as_json: bool) -> int:
    from gpumon.app.cli.fit.installed import answers_here, any_fits, catalog_lines, list_lines
    from gpumon.app.crash import run

    found = run(answers_here(asked, settings))
    answers = found.answers
    if as_json:
        print_json(list_document(answers), "list")
    else:
        of_catalog = catalog_lines(answers, found.problem, shows_all=asked.shows_all)
        lines = of_catalog if found.is_catalog else list_lines(answers)
        print_text("\n".join(lines) + "\n", "list")
    fits = any_fits(answers)
    return EXIT_CANNOT_TELL if fits is None else EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def exit_code(report: FitReport | NoGeometry) -> int:
    """Return what a script sees."""
    fits = getattr(report, "fits", None)
    if fits is None and getattr(report, "runs_from_ram", False):
        return EXIT_FITS
    if fits is None:
        return EXIT_CANNOT_TELL
    return EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def _words(model: str, report: FitReport | NoGeometry) -> str:
    from gpumon.app.diagnosis.fit.text import fit_lines
    from gpumon.app.physics.geometry import NoGeometry
    from gpumon.text.safe import visible

    if isinstance(report, NoGeometry):
        return f"{visible(model, 80)}: cannot tell: {visible(report.reason)}\n"
    return "\n".join(fit_lines(report)) + "\n"


def fit_document(report: FitReport | NoGeometry) -> FitDocument:
    """Return the report as it is printed; without a geometry nothing is known."""
    from gpumon.app.physics.geometry import NoGeometry

    if isinstance(report, NoGeometry):
        return FitDocument()
    need, placement = report.need, report.placement
    weights = need.weights_bytes + need.projector_bytes
    return FitDocument(
        model=report.name,
        fits=report.fits,
        runs_from_ram=report.runs_from_ram,
        required_ram_bytes=report.required_ram_bytes,
        available_ram_bytes=report.available_ram_bytes,
        required_vram_bytes=report.required_vram_bytes,
        available_vram_bytes=report.available_vram_bytes,
        weights_bytes=weights,
        kv_cache_bytes=need.kv_cache_bytes,
        overhead_bytes=report.required_vram_bytes - weights - need.kv_cache_bytes,
        max_context=None if report.max_context is None else _by_name(report.max_context),
        layers_on_gpu=None if placement is None else placement.layers_on_gpu,
        spill_fraction=None if placement is None else placement.spill_fraction,
        decode_tokens_per_second=_rate(report.decode),
        vram_bytes_by_gpu=None if placement is None else placement.vram_bytes_by_gpu,
        ram_bytes=None if placement is None else placement.ram_bytes,
        kept_in_ram_bytes=report.geometry.kept_bytes,
        best_n_cpu_moe=_best(report.best_experts),
        runs=None if report.host is None or placement is None else not report.lacks_ram,
        after_unloading=_after(report),
        source=report.origin.kind,
        quant=report.origin.quant or None,
        trained_context=report.geometry.trained_context_length,
    )


def _best(best: BestExperts | None) -> BestNumber | None:
    return None if best is None else BestNumber(best.layers, best.gain_percent, _rate(best.decode))


def _after(report: FitReport) -> AfterUnloading | None:
    after = report.after
    if after is None or after.placement is None:
        return None
    return AfterUnloading(
        unloaded=tuple(Unloaded(model.name, model.vram_bytes) for model in report.evicted),
        fits=after.fits,
        available_vram_bytes=after.available_vram_bytes,
        layers_on_gpu=after.placement.layers_on_gpu,
        spill_fraction=after.placement.spill_fraction,
        decode_tokens_per_second=_rate(after.decode),
    )


def list_document(answers: Sequence[Answer]) -> FitListDocument:
    """Return the list as it is printed."""
    models = (
        ListedModel(
            name=one.model.name,
            server=one.model.key.source,
            file_bytes=one.model.size_bytes,
            here=one.here,
            reason=one.reason or None,
            fit=fit_document(one.report) if one.report else None,
        )
        for one in answers
    )
    return FitListDocument(tuple(models))


def _by_name(contexts: Mapping[CacheType, int | None]) -> dict[str, int | None]:
    return {str(kind): tokens for kind, tokens in contexts.items()}


def _rate(band: Band | None) -> TokenRate | None:
    return None if band is None else TokenRate(*(round(value, 2) for value in band))
