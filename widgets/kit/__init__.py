"""The drawing kit: lines of spans, gauges, columns, and widgets that write only the cells that changed.

Knows Textual and Rich, and nothing of gpumon: docs/drawing.md says how to use it.
"""
