from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gpumon.app.snapshot import schema, schema_work

DOCUMENT = (Path(__file__).parents[3] / "docs" / "snapshot.md").read_text(encoding="utf-8")
SECTIONS = {
    schema.Snapshot: "## Document",
    schema.SourceEntry: "## `sources[]`",
    schema.GpuEntry: "## `gpus[]`",
    schema.XidEntry: "`gpus[].xid_errors[]`",
    schema.ProcessEntry: "`gpus[].processes[]`",
    schema.HolderEntry: "`gpus[].holders[]`",
    schema.MemoryEntry: "## `memory`",
    schema.ModelEntry: "## `models[]`",
    schema_work.CacheEntry: "`models[].cache`",
    schema.LoadEntry: "`models[].load`",
    schema.ForecastEntry: "`models[].load.forecast`",
    schema_work.RequestEntry: "`models[].requests[]`",
    schema_work.RereadEntry: "`models[].prompt_reread`",
    schema.PredictionEntry: "`models[].prediction`",
    schema_work.PictureEntry: "`models[].picture`",
    schema_work.LastRequestEntry: "`models[].last_request`",
    schema.RunnerEntry: "`models[].runner`",
    schema.VerdictEntry: "`models[].verdict`",
    schema.EvidenceEntry: "`models[].verdict.evidence[]`, `models[].cause.evidence[]`",
    schema.CauseEntry: "`models[].cause`",
    schema.TakerEntry: "`models[].cause.takers[]`",
    schema.RemedyEntry: "`models[].remedies[]`",
    schema.BandEntry: "`models[].expected_tokens_per_second`, `full_tokens_per_second`, that of each remedy",
    schema.AlertEntry: "## `alerts[]`",
    schema.EventEntry: "## `events[]`",
    schema.ReturnedEntry: "## `returned[]`",
    schema.LeftEntry: "## `left[]`",
}


@pytest.mark.parametrize("entry", SECTIONS, ids=lambda entry: entry.__name__)
def test_each_table_names_the_fields_of_the_schema_and_no_others(entry: type[msgspec.Struct]) -> None:
    section = DOCUMENT.split(f"\n{SECTIONS[entry]}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    documented = re.findall(r"^\| `(\w+)` \|", table.group(), re.MULTILINE)
    assert documented == [field.name for field in msgspec.structs.fields(entry)]


def test_every_struct_of_the_schema_is_documented() -> None:
    structs = {
        value
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    }
    assert structs == set(SECTIONS)
