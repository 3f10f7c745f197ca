"""``/api/ps``, ``/api/tags`` and ``/api/version``, row by row and field by field."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.collectors.ollama.support import JSON
from tests.fakes.ollama.catalog import FOREVER, FakeModel

from gpumon.collectors.samples import ModelClaim
from gpumon.collectors.servers.ollama.bodies import BodyError, parse_ps, parse_tags, parse_time, parse_version

GOOD = FakeModel("llama3:8b", forever=True).ps_row()


def body(*rows: object) -> bytes:
    return json.dumps({"models": rows}).encode()


def claim(**changes: object) -> ModelClaim:
    """Parse a list of one good row with some fields changed."""
    (model,) = parse_ps(body(GOOD | changes)).models
    return model


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def test_a_row_as_ollama_writes_it() -> None:
    row = {
        "name": "gemma3:4b",
        "model": "gemma3:4b",
        "size": 5137025024,
        "digest": "2ae6f6dd7a3dd734790bbbf58b8909a606e0e7e97e94b7604e0aa7ae4490e6d8",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "gemma3",
            "families": ["gemma3"],
            "parameter_size": "4.3B",
            "quantization_level": "Q4_K_M",
        },
        "expires_at": "2026-08-21T14:38:31.837531234-07:00",
        "size_vram": 5137025024,
        "context_length": 4096,
    }
    assert parse_ps(body(row)).models == (
        ModelClaim(
            name="gemma3:4b",
            digest="2ae6f6dd7a3dd734790bbbf58b8909a606e0e7e97e94b7604e0aa7ae4490e6d8",
            size_bytes=5137025024,
            size_vram_bytes=5137025024,
            context_length=4096,
            expires_at=1787348311.837531,
            format="gguf",
            family="gemma3",
            parameter_size="4.3B",
            quantization="Q4_K_M",
        ),
    )


@pytest.mark.parametrize("empty", [b'{"models":[]}', b'{"models":null}', b' {"models" : [ ] } \n'])
def test_an_empty_list_is_a_list(empty: bytes) -> None:
    listing = parse_ps(empty)
    assert (listing.models, listing.rejected_rows) == ((), 0)


@pytest.mark.parametrize(
    "name",
    [
        "hf.co/org/repo:Q4_K_M",
        "模型:最新",
        "[bold red]x[/]",
        "\x1b[31mred\x1b[0m",
        "a\nb",
        "%s{0}",
        "\u202egnp.exe",
        'quo"te\\back',
    ],
)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert claim(name=name).name == name


BAD_AMOUNTS = [-1, True, False, "5", "", None, [], {}, 1.5, 2**63, 10**30]


@pytest.mark.parametrize("value", BAD_AMOUNTS)
@pytest.mark.parametrize(
    ("key", "attribute"),
    [("size", "size_bytes"), ("size_vram", "size_vram_bytes"), ("context_length", "context_length")],
)
def test_a_bad_amount_is_unknown_and_costs_no_other_field(key: str, attribute: str, value: object) -> None:
    model = claim(**{key: value})
    assert msgspec.structs.asdict(model) == msgspec.structs.asdict(claim()) | {attribute: None}


@pytest.mark.parametrize("literal", ["9" * 5000, "1e999", "-1e999", "1e-999999"])
def test_a_number_that_no_machine_holds_is_unknown(literal: str) -> None:
    raw = body(GOOD | {"size": "HERE"}).replace(b'"HERE"', literal.encode())
    (model,) = parse_ps(raw).models
    assert model.size_bytes in {None, 0}
    assert model.size_vram_bytes == GOOD["size_vram"]


@pytest.mark.parametrize("value", [5, None, [], {}, True, "", "x" * 10_000])
@pytest.mark.parametrize("key", ["digest", "expires_at"])
def test_a_bad_text_is_unknown(key: str, value: object) -> None:
    assert getattr(claim(**{key: value}), key) is None


@pytest.mark.parametrize("details", [None, [], "x", 5, {}, {"family": None, "families": None}, {"format": 5}])
def test_bad_details_are_unknown(details: object) -> None:
    model = claim(details=details)
    assert (model.format, model.family, model.parameter_size, model.quantization) == (None,) * 4
    assert model.size_bytes == GOOD["size"]


@pytest.mark.parametrize("key", sorted(GOOD.keys() - {"name", "model"}))
def test_a_missing_field_is_unknown(key: str) -> None:
    (model,) = parse_ps(body(without(GOOD, key))).models
    assert model.name == GOOD["name"]


def test_an_unknown_field_is_ignored() -> None:
    assert claim(surprise={"deep": [1, 2, 3]}) == claim()


def test_sizes_that_contradict_each_other_are_passed_on() -> None:
    model = claim(size=0, size_vram=5)
    assert (model.size_bytes, model.size_vram_bytes) == (0, 5)


def test_a_context_of_zero_is_not_known_yet() -> None:
    assert claim(context_length=0).context_length is None


@pytest.mark.parametrize("key", ["name", "model"])
def test_one_of_the_two_names_is_enough(key: str) -> None:
    (model,) = parse_ps(body(without(GOOD, key))).models
    assert model.name == "llama3:8b"


@pytest.mark.parametrize("bad", [None, 5, "x", [], {}, {"name": 5}, {"name": ""}, {"name": "x" * 10_000}])
def test_a_row_without_a_name_is_counted_and_costs_no_other(bad: object) -> None:
    listing = parse_ps(body(bad, GOOD, bad))
    assert ([model.name for model in listing.models], listing.rejected_rows) == (["llama3:8b"], 2)


def test_a_row_with_bytes_that_are_no_text_costs_no_other() -> None:
    raw = body({"name": "HERE"}, GOOD).replace(b"HERE", b"\xff\xfe")
    listing = parse_ps(raw)
    assert (len(listing.models), listing.rejected_rows) == (1, 1)


def test_the_same_row_twice_is_one_model() -> None:
    assert len(parse_ps(body(GOOD, GOOD)).models) == 1


def test_the_same_name_with_another_digest_is_another_model() -> None:
    assert len(parse_ps(body(GOOD, GOOD | {"digest": "b" * 64})).models) == 2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b"<html>", "not valid JSON"),
        (b'{"models":[{"name":"x"', "not valid JSON"),
        (b'{"models":[]}{"models":[]}', "not valid JSON"),
        (b'{"models":[NaN]}', "not valid JSON"),
        (b"[" * 100_000, "not"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"models"', "not a JSON object"),
        (b"{}", "no list of models"),
        (b'{"models":{}}', "no list of models"),
        (b'{"models":5}', "no list of models"),
        (b'{"models":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not"),
        (b'{"models":[{}]}', "none of 1 models"),
    ],
)
def test_what_is_no_list_of_models_says_why(raw: bytes, words: str) -> None:
    with pytest.raises(BodyError, match=words):
        parse_ps(raw)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("2026-08-21T14:38:31.837531234-07:00", 1787348311.837531),
        (FOREVER, 11010778711.837531),
        ("2018-01-01T00:00:00Z", 1514764800.0),
    ],
)
def test_times_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-08-21T14:38:31",
        "soon",
        "",
        None,
        "12026-01-01Z",
    ],
)
def test_gos_zero_time_and_nonsense_are_unknown(text: str | None) -> None:
    assert parse_time(text) is None


@given(st.datetimes(datetime(1971, 1, 1), datetime(9990, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_every_time_survives_the_journey(moment: datetime, offset_minutes: int) -> None:
    written = moment.replace(tzinfo=UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    expected = (moment.replace(tzinfo=UTC) - timedelta(minutes=offset_minutes)).timestamp()
    assert parse_time(f"{written}789{sign}{hours:02d}:{minutes:02d}") == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (b'{"version":"0.32.15"}', "0.32.15"),
        (b'{"version":"0.0.0"}', "0.0.0"),
        (b'{"version":""}', None),
        (b'{"version":5}', None),
        (b"{}", None),
        (b"[]", None),
        (b"<html>", None),
        (b"", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_version(raw: bytes, version: str | None) -> None:
    assert parse_version(raw) == version


def test_an_installed_model() -> None:
    (model,) = parse_tags(body(FakeModel("llama3:8b", digest="d" * 64, size_bytes=7).tags_row())).models
    assert (model.name, model.digest, model.size_bytes, model.remote) == ("llama3:8b", "d" * 64, 7, False)


def test_a_cloud_model_is_remote() -> None:
    row = FakeModel("gpt-oss:120b-cloud", remote_host="https://ollama.com:443").tags_row()
    assert parse_tags(body(row)).models[0].remote


KEYS = st.sampled_from(sorted(GOOD))
ODD_ROWS = st.dictionaries(KEYS, JSON, max_size=8)


def is_kept(raw: bytes) -> bool:
    """Tell whether the good row is among those parsed; a document that is no JSON has none."""
    try:
        return ModelClaim(name="llama3:8b").name in {model.name for model in parse_ps(raw).models}
    except BodyError:
        return False


@given(st.binary())
@example(b'{"models":[{"name":"\\ud800"}]}')
def test_any_bytes_give_a_list_or_a_body_error(raw: bytes) -> None:
    is_kept(raw)
    parse_version(raw)


@given(st.binary())
def test_any_bytes_in_a_row_do_not_raise(raw: bytes) -> None:
    is_kept(b'{"models":[' + raw + b"]}")


@given(JSON)
def test_any_json_gives_a_list_or_a_body_error(value: object) -> None:
    is_kept(json.dumps(value).encode())
    is_kept(json.dumps({"models": value}).encode())


@given(
    st.lists(ODD_ROWS | JSON.filter(lambda value: not isinstance(value, float)), max_size=5),
    st.integers(0, 5),
)
def test_good_rows_are_kept_among_any_others(others: list[Any], position: int) -> None:
    # NaN and Infinity are no JSON; Python writes them all the same.
    rows = json.loads(json.dumps(others), parse_constant=lambda _name: None)
    rows.insert(position, GOOD)
    listing = parse_ps(body(*rows))
    assert claim() in listing.models
    assert len(listing.models) + listing.rejected_rows <= len(rows)


@given(st.lists(ODD_ROWS, max_size=5))
def test_whatever_is_parsed_can_be_recorded_and_read_again(others: list[Any]) -> None:
    rows = json.loads(json.dumps([*others, GOOD]), parse_constant=lambda _name: None)
    models = parse_ps(body(*rows)).models
    assert msgspec.json.decode(msgspec.json.encode(models), type=tuple[ModelClaim, ...]) == models
