"""Small wrong changes to a module, found with the operators of cosmic-ray and two of our own.

Left out is what no test can notice or every import does: annotations, decorators, class headers, imports,
and how strict a ``zip`` is.
"""

from __future__ import annotations

import ast
import importlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Position = tuple[int, int]
"""Line, from 1, and column, from 0."""

COMPARISONS = (
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
ARITHMETIC = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul")
OPERATORS = (
    *(f"ReplaceComparisonOperator_{pair}" for pair in COMPARISONS),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ARITHMETIC),
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "ZeroIterationForLoop",
)


class Mutant(NamedTuple):
    """One change to one file, by the number of its occurrence in it."""

    path: str
    operator: str
    occurrence: int
    start: Position


class FieldLeftOut:
    """Hands ``None`` to a keyword in place of its value: a field that is not wired."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        if node.type == "argument" and len(node.children) == 3 and node.children[1] == "=":
            value = node.children[2]
            if value.get_code().strip() != "None":
                yield value.start_pos, value.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[2] = importlib.import_module("parso").parse("None")
        return node


class NumberShifted:
    """Shifts a number as far as a threshold may lie from its test: whole ones by 1, others by a tenth."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        if node.type == "number":
            yield from 2 * [(node.start_pos, node.end_pos)]

    def mutate(self, node: Any, index: int) -> Any:
        number = ast.literal_eval(node.value)
        step = 1 if isinstance(number, int) else number / 10 or 0.1
        node.value = f"({number + (step, -step)[index]!r})"
        return node


OWN = {"FieldLeftOut": FieldLeftOut, "NumberShifted": NumberShifted}


def operator_named(name: str) -> Any:
    """Return an operator: one of ours, or of cosmic-ray's core."""
    if name in OWN:
        return OWN[name]()
    return importlib.import_module("cosmic_ray.plugins").get_operator(f"core/{name}")()


def mutated(source: str, mutant: Mutant) -> str:
    """Return ``source`` with the change."""
    mutating = importlib.import_module("cosmic_ray.mutating")
    code = mutating.mutate_code(source, operator_named(mutant.operator), mutant.occurrence)
    assert isinstance(code, str), f"nothing to change: {mutant}"
    return code


def sample(root: Path, files: Iterable[Path], size: int, seed: int) -> list[Mutant]:
    """Return up to ``size`` mutants, one a place, drawn by chance: the same for the same seed and code."""
    places: dict[tuple[str, Position], list[Mutant]] = defaultdict(list)
    for path in sorted(files):
        for mutant in mutants(path.read_text(encoding="utf-8"), str(path.relative_to(root))):
            places[mutant.path, mutant.start].append(mutant)
    chance = random.Random(seed)
    drawn = chance.sample(sorted(places), min(size, len(places)))
    return [chance.choice(places[place]) for place in drawn]


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Return every change that can be made to a module."""
    nodes = list(
        importlib.import_module("cosmic_ray.ast").ast_nodes(importlib.import_module("parso").parse(source))
    )
    tree = ast.parse(source)
    left_out, between = list(_left_out(tree)), list(_between_operands(tree))
    for name in (*OPERATORS, *OWN):
        operator = operator_named(name)
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(starts):
            if name == "ExceptionReplacer" and not _can_be_made(
                source, Mutant(path, name, occurrence, start)
            ):
                continue  # cosmic-ray replaces a plain name only
            if name.startswith("ReplaceBinary") and not _within(start, between):
                continue  # a star that is no product
            if not _within(start, left_out):
                yield Mutant(path, name, occurrence, start)


def _can_be_made(source: str, mutant: Mutant) -> bool:
    try:
        mutated(source, mutant)
    except AttributeError:
        return False
    return True


def _within(place: Position, parts: Iterable[tuple[Position, Position]]) -> bool:
    return any(first <= place < last for first, last in parts)


def _between_operands(tree: ast.Module) -> Iterator[tuple[Position, Position]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            left, right = node.left, node.right
            yield (left.end_lineno or 0, left.end_col_offset or 0), (right.lineno, right.col_offset)


def _left_out(tree: ast.Module) -> Iterator[tuple[Position, Position]]:
    """Return from where to where nothing is changed."""
    for node in ast.walk(tree):
        for part in _silent_parts(node):
            yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def _silent_parts(node: ast.AST) -> Iterator[Any]:
    match node:
        case ast.ClassDef():
            yield from (*node.bases, *node.keywords, *node.decorator_list)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.decorator_list
            if node.returns:
                yield node.returns
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.keyword(arg="strict"):
            yield node.value
        case ast.Import() | ast.ImportFrom() | ast.Assert():
            yield node
