"""Servers that are known by their process alone: name, model, memory and activity, and never a rate.

Nothing is asked of them. Most answer ``/v1/models`` with the name that their command line has already told,
each answer is a line in their log, and many ask for a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import structs

from gpumon.collectors.samples import LoadFacts, ModelClaim, Orders, RunnerSettings
from gpumon.collectors.servers.by_process.names import NOT_CALLED, Called, called, folder_called, held
from gpumon.collectors.servers.by_process.programs import APP_SERVERS, PROGRAMS, Program
from gpumon.collectors.servers.command_line import Command, Flags, command_of, program_name, visible_devices
from gpumon.collectors.servers.kind import NO_LINE, Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import FoundRunner, ProcessView

CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"
ALL_LAYERS = 9999
"""What stands for all of them in the settings of a process."""
RAY_REPLICA = "ray::servereplica:"
NAMING = ("model", "alias", "file", "folder")
MEANINGS = (*NAMING, "port", "context", "layers", "threads", "quantization", "skipped")
VARIABLES = frozenset({CUDA_DEVICES}.union(*(one.environment for one in PROGRAMS)))
_NUMBERS = frozenset({"layers"})
"""May be negative: what follows is a value though it begins like a flag."""
NO_SERVERS = ("train", "finetune", "fine_tune", "sft", "lora", "dpo", "grpo", "ipykernel", "jupyter")
"""In the names of scripts and modules that may listen and hold a model, and serve none."""


class ByProcessKind(ServerKind):
    """One row of the table."""

    gives = "nothing: its process tells the name of its model, and the driver its memory"
    has_url = False
    is_last_resort = True

    def __init__(self, program: Program) -> None:
        self._program = program
        self.name, self.label = program.name, program.label  # type: ignore[misc]
        self._flag = {meaning: getattr(program, meaning).split()[:1] for meaning in MEANINGS}
        runner = RunnerKind(
            name=program.name,
            stands_alone=True,
            by_itself=True,
            has_workers=True,
            tells_rates=False,
            layers_are_asked=bool(program.layers),
            unasked_layers=program.unasked_layers,
        )
        self.runners = (runner,)  # type: ignore[misc]
        if program.layers:
            self.layers_setting = _spelt(program, self._flag["layers"]) or ""  # type: ignore[misc]

    def claim_of(self, name: str, settings: RunnerSettings | None, facts: LoadFacts | None) -> ModelClaim:
        """Return what its command line says."""
        told = settings or RunnerSettings()
        claim = super().claim_of(name, settings, facts)
        file_format = "gguf" if told.model_path is not None else None
        return structs.replace(claim, format=file_format, quantization=told.quantization)

    def told_words(self, settings: RunnerSettings) -> Sequence[tuple[str, str]]:
        """Return what is told: no default of another program is known."""
        layers = settings.gpu_layers
        words = "all" if layers == ALL_LAYERS else str(layers)
        return () if layers is None else (("GPU layers asked for", words),)

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag, where there is one; slots are not known."""
        del slots
        return self._line("context", tokens)

    def set_layers(self, layers: int) -> Line:
        """Return the flag, where there is one."""
        return self._line("layers", layers)

    def _line(self, meaning: str, value: int) -> Line:
        spelt = _spelt(self._program, self._flag[meaning])
        return Line(f"{spelt} {value}", f"on the command line of {self.label}") if spelt else NO_LINE


def _spelt(program: Program, flags: Sequence[str]) -> str | None:
    """Return a flag as its program has it: that of llama-cpp-python has underscores."""
    if not flags:
        return None
    return f"--{flags[0][2:].replace('-', '_')}" if program.name == "llama_cpp_python" else flags[0]


class PythonKind(ByProcessKind):
    """Recognises the programs of the table; and a Python program of no table that serves a model.

    Such a one is on a GPU, listens on a TCP port, and has the file of a model open or mapped. A script that
    trains, and a notebook, may do the same and are left out by their names.
    """

    environment = VARIABLES

    def __init__(self) -> None:
        super().__init__(Program(name="python", label="Python"))

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return what the process is to one of the kinds that are known by it alone."""
        command = _unwrapped(command_of(process.argv), process.argv)
        program = program_of(command, process)
        if program is not None:
            return _found(program, command, process)
        return self._python(command, process) if command.interpreted and process.on_gpu else None

    def _python(self, command: Command, process: ProcessView) -> FoundRunner | None:
        path = command.path.lower()
        if not path or any(word in path.rpartition("/")[2] for word in NO_SERVERS):
            return None
        found = held(process.model_files())
        ports = process.ports() if found != NOT_CALLED else ()
        if not ports:
            return None
        settings = RunnerSettings(model_path=found.path, model_name=found.name, port=min(ports))
        return FoundRunner(self.name, settings, is_settled=False)


def program_of(command: Command, process: ProcessView) -> Program | None:
    """Return the program of the table that a command line runs; ``None`` for any other."""
    if program_name(process.argv[:1]).lower().startswith(RAY_REPLICA):
        return _RAY if "llm" in process.argv[0].lower() else None
    return next((one for one in _candidates(command) if _is_it(one, command, process)), None)


def _candidates(command: Command) -> Iterator[Program]:
    name = "llamafile" if command.name.endswith(".llamafile") else command.name
    name = "llamafile" if name.startswith("llamafile-") else name
    if name in APP_SERVERS:
        apps = (word.partition(":")[0].partition(".")[0] for word in command.words if ":" in word)
        yield from (program for app in apps for program in _BY_PACKAGE.get(app, ()))
    yield from _BY_NAME.get(name, ())


def _is_it(program: Program, command: Command, process: ProcessView) -> bool:
    if program.commands and _behind_command(program, command.words) is None:
        return False
    if command.name not in program.scripts:
        return True
    if not program.marks.isdisjoint(word.partition("=")[0] for word in command.words):
        return True
    return any(part in place for part in program.folders for place in _places(command, process))


def _places(command: Command, process: ProcessView) -> Iterator[str]:
    yield command.path.lower()
    yield process.argv[0].lower()
    yield (process.directory() or "").lower()


def _behind_command(program: Program, words: Sequence[str]) -> Sequence[str] | None:
    """Return what follows its subcommand; ``None`` where another one, or none, is given."""
    for told in program.commands or ("",):
        wanted = told.split()
        if list(words[: len(wanted)]) == wanted:
            return words[len(wanted) :]
    return None


def _found(program: Program, command: Command, process: ProcessView) -> FoundRunner:
    environ = process.environ()
    told = {meaning: environ[name] for name, meaning in program.environment.items() if environ.get(name)}
    flags = _flags(program, command.words, {**program.defaults, **told})
    name = _told(program, flags, command, process)
    is_settled = name != NOT_CALLED and not (name.name or "").endswith(".gguf")
    if name == NOT_CALLED and process.on_gpu:
        name = held(process.model_files())
    if name == NOT_CALLED and (folder := _value(flags, "folder")) is not None:
        name = folder_called(folder)
    settings = RunnerSettings(
        model_path=name.path,
        model_name=_value(flags, "alias") or name.name,
        port=flags.integer("port", 1, 65535),
        context_length=flags.integer("context", 1),
        gpu_layers=_layers(flags),
        threads=flags.integer("threads", 1),
        embedding=program.is_for_embeddings or None,
        quantization=_value(flags, "quantization"),
        orders=Orders(visible_devices=visible_devices(environ.get(CUDA_DEVICES))),
    )
    return FoundRunner(program.name, settings, is_settled=is_settled)


def _told(program: Program, flags: Flags, command: Command, process: ProcessView) -> Called:
    """Return the model that the command line names."""
    if program is _RAY:
        return Called(name=process.argv[0].strip().rpartition(":")[2] or None)
    value = _value(flags, "model")
    if value is None and program.takes_model:
        value = _positional(program, _behind_command(program, command.words) or ())
    if value is not None and program.folder and value.endswith(".gguf") and "/" not in value:
        return _within(_value(flags, "folder"), value, process)
    if value is not None:
        return called(value, _value(flags, "file"))
    is_own = command.name.endswith(".llamafile")
    return Called(name=program_name((command.path,))[: -len(".llamafile")]) if is_own else NOT_CALLED


def _within(folder: str | None, file: str, process: ProcessView) -> Called:
    """Return a file of the folder of models; where that is not told, the one that the process holds."""
    if folder is not None:
        return Called(path=f"{folder.rstrip('/')}/{file}")
    files = process.model_files() if process.on_gpu else ()
    path = next((one for one in files if one.endswith(f"/{file}")), None)
    return Called(path=path, name=None if path else file)


def _flags(program: Program, words: Sequence[str], defaults: Mapping[str, str]) -> Flags:
    spellings = _SPELLINGS[program]
    optional = frozenset(MEANINGS) - _NUMBERS
    return Flags(("", *words), spellings, optional=optional, defaults=defaults)


def _value(flags: Flags, meaning: str) -> str | None:
    value = flags.text(meaning)
    return None if value is None or value.startswith("-") else value


def _layers(flags: Flags) -> int | None:
    asked = flags.integer("layers", least=-1)
    return ALL_LAYERS if asked == -1 else asked


def _positional(program: Program, words: Sequence[str]) -> str | None:
    """Return the first word that is no flag and no flag's value.

    A flag that is not known ends the search: what follows it may be its value, and that a key.
    """
    spellings, at = _SPELLINGS[program], 0
    while at < len(words):
        written, equals, _ = words[at].partition("=")
        if not written.startswith("-"):
            return words[at] or None
        if written not in spellings:
            return None
        at += 1
        if not equals and at < len(words) and not words[at].startswith("-"):
            at += 1
    return None


def _unwrapped(command: Command, argv: Sequence[str]) -> Command:
    """Return a program behind the loader of portable executables, which runs llamafiles on Linux."""
    name = program_name(argv).lower()
    is_loader = name == "ape" or name.startswith(".ape-")
    return Command(argv[1], argv[2:]) if is_loader and len(argv) > 1 else command


def _spellings(program: Program) -> Mapping[str, str]:
    """Return what each flag means, in both spellings."""
    told = {flag: meaning for meaning in MEANINGS for flag in getattr(program, meaning).split()}
    other = {f"--{flag[2:].replace('-', '_')}": told[flag] for flag in told if flag.startswith("--")}
    return {**other, **told}


def _index(*fields: str) -> Mapping[str, tuple[Program, ...]]:
    found: dict[str, tuple[Program, ...]] = {}
    for program in PROGRAMS:
        for key in (key for field in fields for key in getattr(program, field)):
            found[key] = (*found.get(key, ()), program)
    return found


_SPELLINGS = {program: _spellings(program) for program in PROGRAMS}
_BY_NAME, _BY_PACKAGE = _index("names", "scripts"), _index("packages")
_RAY = PROGRAMS[-1]
"""Known by the name that its processes give themselves."""
KNOWN_BY_PROCESS: tuple[ServerKind, ...] = (
    *{program.name: ByProcessKind(program) for program in PROGRAMS}.values(),
    PythonKind(),
)
"""The last of them recognises the processes of all."""
