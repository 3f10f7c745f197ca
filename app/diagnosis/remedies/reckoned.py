"""A remedy that loads the model otherwise: what it then needs, frees and gives."""

from __future__ import annotations

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.diagnosis import Remedy, RemedyAction
from gpumon.app.diagnosis.rates import expected_fitting
from gpumon.app.diagnosis.remedies.commands import Command
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import needs_words
from gpumon.app.physics.options import LoadOptions


def reckoned(
    action: RemedyAction,
    words: str,
    command: Command,
    subject: Subject,
    arithmetic: Arithmetic,
    options: LoadOptions | None = None,
) -> Remedy:
    """Return the remedy with its figures under ``options``; ``None`` leaves the options as they are."""
    need = arithmetic.need_bytes(options)
    tokens = min(subject.rates.usual_context_tokens, (options or arithmetic.options).context_length)
    return Remedy(
        action,
        words,
        command.line,
        needs_words(need, arithmetic.room.free_total_bytes),
        frees_bytes=arithmetic.need_bytes() - need if options else None,
        expected_tokens_per_second=expected_fitting(arithmetic, tokens, options),
        where=command.where,
    )
