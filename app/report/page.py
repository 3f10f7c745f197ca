"""A report as one HTML file: its pictures are SVG inside it, and nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from gpumon.app.report.document import LEGEND, Bars, Block, Document, Finding, Grid, Section, Trend, Words
from gpumon.text import units

CHART_WIDTH, BAR_HEIGHT, TREND_HEIGHT = 860.0, 190.0, 96.0
LEFT, BOTTOM, TOP = 58.0, 22.0, 8.0
LABEL_WIDTH = 64.0
"""What a label below a bar takes."""

STYLE = """
:root{--ground:#fbfbf9;--text:#1c1d1f;--dim:#63676d;--line:#dcddd9;--panel:#fff;--bad:#b3261e;
--watch:#8a5a00;--c0:#2a6fbb;--c1:#c2571a;--c2:#2f855a;--c3:#8250a5;--c4:#a3801a;--c5:#6b7280}
@media (prefers-color-scheme:dark){:root{--ground:#15171a;--text:#e4e5e7;--dim:#9aa0a8;--line:#31353b;
--panel:#1c1f23;--bad:#ff8a80;--watch:#f2b866;--c0:#6cb0ff;--c1:#ff9d5c;--c2:#6fcf97;--c3:#c79bf0;
--c4:#e3c34f;--c5:#9aa0a8}}
@media print{:root{--ground:#fff;--text:#000;--dim:#444;--line:#bbb;--panel:#fff;--bad:#b3261e;
--watch:#8a5a00;--c0:#2a6fbb;--c1:#c2571a;--c2:#2f855a;--c3:#8250a5;--c4:#a3801a;--c5:#6b7280}
tr,.finding,figure{break-inside:avoid}h2{break-after:avoid}}
*{box-sizing:border-box}
body{margin:0 auto;padding:28px 20px 48px;max-width:920px;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,sans-serif;print-color-adjust:exact;-webkit-print-color-adjust:exact}
h1{font-size:24px;margin:0 0 4px}
h2{font-size:17px;margin:34px 0 10px;padding-bottom:4px;border-bottom:1px solid var(--line)}
p{margin:8px 0}.of{color:var(--dim);margin:2px 0}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{color:var(--dim);font-weight:500;font-size:13px}
th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
.figure{text-align:right;white-space:nowrap}
.finding{background:var(--panel);border:1px solid var(--line);border-left:4px solid var(--watch);
border-radius:4px;padding:10px 14px;margin:10px 0}
.finding.bad{border-left-color:var(--bad)}.finding b{display:block}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:6px 0 0}
dt{color:var(--dim)}dd{margin:0}
code{display:block;margin-top:8px;padding:6px 10px;background:var(--ground);border:1px solid var(--line);
border-radius:4px;font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
figure{margin:14px 0}figcaption{color:var(--dim);font-size:13px;margin-bottom:4px}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 14px}
footer{color:var(--dim);font-size:13px;margin-top:40px}
""".replace("\n", "")


def page(document: Document, made: float) -> str:
    """Return the file; ``made`` is when."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(document.title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(document.title)}</h1>",
        *(f'<p class="of">{escape(line)}</p>' for line in document.lines),
        *(_section(section) for section in document.sections),
        f"<footer>made {units.clock(made, '%Y-%m-%d %H:%M')}; {LEGEND}</footer>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section) -> str:
    return f"<section><h2>{escape(section.title)}</h2>{''.join(map(_block, section.blocks))}</section>"


def _block(block: Block) -> str:
    match block:
        case Grid():
            return _table(block)
        case Finding():
            return _finding(block)
        case Bars():
            return _bars(block)
        case Trend():
            return _trend(block)
        case Words():
            return f"<p>{escape(block.text)}</p>"


def _table(grid: Grid) -> str:
    classes = ['class="figure"' if column.is_figure else "" for column in grid.columns]
    titles = zip(grid.columns, classes, strict=True)
    head = "".join(f"<th {kind}>{escape(column.title)}</th>" for column, kind in titles)
    rows = (
        "".join(f"<td {kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        for row in grid.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _finding(finding: Finding) -> str:
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(words)}</dd>" for label, words in finding.facts)
    command = f"<code>{escape(finding.command)}</code>" if finding.command else ""
    kind = "bad" if finding.level == "bad" else "watch"
    return f'<div class="finding {kind}"><b>{escape(finding.head)}</b><dl>{facts}</dl>{command}</div>'


def _bars(bars: Bars) -> str:
    totals = [sum(values) for values in zip(*(values for _, values in bars.series), strict=True)]
    top = max(totals, default=0.0) or 1.0
    high, wide = BAR_HEIGHT - BOTTOM - TOP, (CHART_WIDTH - LEFT) / max(1, len(totals))
    below = [0.0] * len(totals)
    drawn = []
    for number, (name, values) in enumerate(bars.series):
        for at, value in enumerate(values):
            height = value / top * high
            below[at] += height
            if height:
                x, y = LEFT + at * wide + wide * 0.1, BAR_HEIGHT - BOTTOM - below[at]
                title = f"{bars.steps[at]}, {name}: {value:,.0f} {bars.unit}"
                drawn.append(_rect(x, y, wide * 0.8, height, f"var(--c{number})", title))
    keys = "".join(
        f'<span class="key" style="background:var(--c{number})"></span>{escape(name)}'
        for number, (name, _) in enumerate(bars.series)
    )
    frame = "".join((*_scale(top, BAR_HEIGHT, ""), *_step_labels(bars.steps, wide)))
    caption = f"<figcaption>{escape(bars.unit)}{keys}</figcaption>"
    return f"<figure>{caption}{_svg(BAR_HEIGHT, frame + ''.join(drawn))}</figure>"


def _step_labels(steps: Sequence[str], wide: float) -> Iterator[str]:
    every = max(1, -(-int(LABEL_WIDTH) // max(1, int(wide))))
    for at in range(0, len(steps), every):
        x = LEFT + (at + 0.5) * wide
        yield _text(x, BAR_HEIGHT - 6, steps[at], "middle")


def _trend(trend: Trend) -> str:
    high, wide = TREND_HEIGHT - BOTTOM - TOP, (CHART_WIDTH - LEFT) / max(1, len(trend.points))
    base = TREND_HEIGHT - BOTTOM

    def y(value: float) -> float:
        return base - min(value / trend.top, 1.0) * high

    marked = (
        _rect(LEFT + at * wide, TOP, wide, high, "var(--bad)", trend.mark, opacity=0.18)
        for at, is_marked in enumerate(trend.marked)
        if is_marked
    )
    peaks = (
        _rect(LEFT + at * wide, y(peak), wide, max(1.0, y(mean) - y(peak)), "var(--c0)", "", opacity=0.35)
        for at, (mean, peak) in enumerate(trend.points)
        if mean is not None and peak is not None and peak > mean
    )
    lines = (
        f'<polyline fill="none" stroke="var(--c0)" stroke-width="1.5" points="{points}"/>'
        for points in _runs(trend.points, wide, y)
    )
    ends = (
        _text(LEFT, TREND_HEIGHT - 6, trend.starts[0], "start"),
        _text(CHART_WIDTH, TREND_HEIGHT - 6, trend.starts[1], "end"),
    )
    drawn = "".join((*_scale(trend.top, TREND_HEIGHT, trend.unit), *ends, *marked, *peaks, *lines))
    note = f"; shaded: {trend.mark}" if any(trend.marked) else ""
    caption = f"<figcaption>{escape(f'{trend.title}, mean and peak{note}')}</figcaption>"
    return f"<figure>{caption}{_svg(TREND_HEIGHT, drawn)}</figure>"


def _runs(
    points: Sequence[tuple[float | None, float | None]], wide: float, y: Callable[[float], float]
) -> Iterator[str]:
    """Yield the lines that the means make: where one is not known there is a gap."""
    run: list[str] = []
    for at, (mean, _) in enumerate((*points, (None, None))):
        if mean is not None:
            run += (f"{LEFT + at * wide:.1f},{y(mean):.1f}", f"{LEFT + (at + 1) * wide:.1f},{y(mean):.1f}")
        elif run:
            yield " ".join(run)
            run = []


def _scale(top: float, height: float, unit: str) -> Iterator[str]:
    """Yield the lines and labels of nothing, the half and the top."""
    for share in (0.0, 0.5, 1.0):
        y = height - BOTTOM - share * (height - BOTTOM - TOP)
        yield (
            f'<line x1="{LEFT:g}" x2="{CHART_WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="var(--line)" stroke-width="1"/>'
        )
        value = top * share
        words = (
            f"{value / 1e6:.3g}M"
            if value >= 1e6
            else f"{value / 1e3:.3g}k"
            if value >= 1e4
            else f"{value:.3g}"
        )
        yield _text(LEFT - 6, y + 4, f"{words} {unit}".strip(), "end")


def _rect(
    x: float, y: float, width: float, height: float, fill: str, title: str, opacity: float = 1.0
) -> str:
    told = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}" fill-opacity="{opacity:g}">{told}</rect>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, drawn: str) -> str:
    return f'<svg viewBox="0 0 {CHART_WIDTH:g} {height:g}" role="img">{drawn}</svg>'
