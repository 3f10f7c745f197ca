"""The rows of several machines from the series of their exporters: the same words, from fewer figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gpumon.app.fleet.prometheus import Machine, Value
from gpumon.app.insight.health import Level
from gpumon.app.picture.heads import HEADS, OTHER_HEADS
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import HostRow

LEVELS: tuple[Level, ...] = ("bad", "watch", "ok", "unknown")
Key = tuple[str, str, str]


class _Model(NamedTuple):
    name: str
    verdict: str
    level: str
    spilled: float | None
    rate: float | None
    fitting: float | None


def machine_rows(found: Iterable[Machine]) -> tuple[HostRow, ...]:
    """Return a row for each machine; it is called by its host, with the port where two differ in no more."""
    known = tuple(found)
    hosts = [_host(one.instance) for one in known]
    return tuple(
        _row(one, one.instance if hosts.count(host) > 1 else host)
        for one, host in zip(known, hosts, strict=True)
    )


def _host(instance: str) -> str:
    host, _, port = instance.rpartition(":")
    return host if host and port.isdigit() else instance


def _row(machine: Machine, name: str) -> HostRow:
    shown = visible(name) or "no instance"
    if machine.is_old:
        age = machine.age_seconds
        words = "last seen within the hour" if age is None else f"last seen {units.duration(age)} ago"
        hint = "Prometheus gets no answer from its exporter"
        return HostRow(machine.instance, shown, sentence=words, cause=hint, age_seconds=age, is_old=True)
    models = tuple(_models(machine.values))
    level = _level(machine)
    head, subject, facts = _trouble(machine, level, models)
    rates = [model.rate for model in models if model.rate is not None]
    return HostRow(
        machine.instance,
        shown,
        level,
        head,
        subject,
        facts,
        _sentence(models, level),
        gpus=tuple(_gpus(machine.values)),
        tokens_per_second=sum(rates) if rates else None,
        models=len(models),
        loading=sum(
            one.name == "gpumon_model_state" and one.labels.get("state") == "loading" and one.value == 1
            for one in machine.values
        ),
        age_seconds=0.0,
    )


def _sentence(models: tuple[_Model, ...], level: Level) -> str:
    if level == "unknown":
        return "how it is cannot be told there"
    if not models:
        return "no model is loaded"
    return "1 model is loaded" if len(models) == 1 else f"{len(models)} models are loaded"


def _level(machine: Machine) -> Level:
    """Return the level that is 1; a word of a later version is not known."""
    told = {
        one.labels.get("level") for one in machine.values if one.name == "gpumon_level" and one.value == 1
    }
    for level in LEVELS:
        if level in told:
            return level
    return "unknown"


def _trouble(machine: Machine, level: Level, models: tuple[_Model, ...]) -> tuple[str, str, tuple[str, ...]]:
    """Return the head word of what is worst, what it is about, and what it costs."""
    if level not in OTHER_HEADS:
        return "", "", ()
    wrong = [model for model in models if model.level == level]
    worst = max(wrong, key=lambda model: model.spilled or 0.0, default=None)
    if worst is not None:
        return HEADS.get(worst.verdict, OTHER_HEADS[level]), visible(worst.name), tuple(_costs(worst))
    alert = next(
        (
            one.labels
            for one in machine.values
            if one.name == "gpumon_alert_active" and one.labels.get("level") == level
        ),
        {},
    )
    rule = alert.get("rule", "")
    return HEADS.get(rule, OTHER_HEADS[level]), visible(alert.get("subject", "")), ()


def _costs(model: _Model) -> Iterator[str]:
    if model.spilled:
        yield f"{units.percent(100 * model.spilled)} in RAM"
    if model.rate is not None:
        is_slower = model.fitting is not None and model.fitting > model.rate and model.spilled
        yield units.rate(model.rate) + (f", {model.fitting:.0f} if it fitted" if is_slower else "")


def _models(values: Iterable[Value]) -> Iterator[_Model]:
    """Yield the models that are loaded, each with what is said of it."""
    verdicts: dict[Key, Mapping[str, str]] = {}
    figures: dict[str, dict[Key, float]] = {}
    for one in values:
        if not one.name.startswith("gpumon_model_"):
            continue
        key = (one.labels.get("server", ""), one.labels.get("model", ""), one.labels.get("digest", ""))
        if one.name == "gpumon_model_verdict":
            verdicts[key] = one.labels
        else:
            figures.setdefault(one.name, {})[key] = one.value
    for key, labels in verdicts.items():
        yield _Model(
            key[1],
            labels.get("verdict", ""),
            labels.get("level", ""),
            figures.get("gpumon_model_spilled_ratio", {}).get(key),
            figures.get("gpumon_model_decode_tokens_per_second", {}).get(key),
            figures.get("gpumon_model_fitting_tokens_per_second", {}).get(key),
        )


def _gpus(values: Iterable[Value]) -> Iterator[tuple[int | None, int | None]]:
    """Yield of each GPU what is used and what there is, in their order."""
    used: dict[tuple[int, str], int] = {}
    total: dict[tuple[int, str], int] = {}
    for one in values:
        index = one.labels.get("gpu", "")
        key = (int(index) if index.isdigit() else 0, one.labels.get("gpu_uuid", ""))
        if one.name == "gpumon_gpu_memory_used_bytes":
            used[key] = round(one.value)
        elif one.name == "gpumon_gpu_memory_capacity_bytes":
            total[key] = round(one.value)
    for key in sorted(used.keys() | total.keys()):
        yield used.get(key), total.get(key)
