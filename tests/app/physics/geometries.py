"""Endless geometries and ways to load them."""

from __future__ import annotations

from hypothesis import strategies as st

from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, Geometry, Layer, LoadOptions

CACHE_TYPES: list[CacheType] = sorted(BYTES_PER_ELEMENT, key=lambda name: BYTES_PER_ELEMENT[name])

WEIGHTS = st.integers(0, 2**31)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    kind = draw(st.sampled_from(["full", "sliding_window", "mla", "recurrent", "stateless"]))
    weights, heads, length = (
        draw(WEIGHTS),
        draw(st.integers(1, 32)),
        draw(st.sampled_from([64, 128, 256, 512])),
    )
    attends = kind in {"full", "sliding_window", "mla"}
    return Layer(
        kind=kind,  # type: ignore[arg-type]
        weights_bytes=weights,
        expert_bytes=draw(st.integers(0, weights)),
        k_elements_per_token=heads * length if attends else 0,
        v_elements_per_token=heads * length if attends and kind != "mla" else 0,
        kv_head_count=heads if attends else 0,
        head_dimension=length if attends else 0,
        window_tokens=draw(st.integers(1, 8192)) if kind == "sliding_window" else None,
        state_bytes=draw(st.integers(1, 2**24)) if kind == "recurrent" else 0,
    )


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    return Geometry(
        architecture="any",
        layers=tuple(draw(st.lists(layers(), min_size=1, max_size=12))),
        token_embedding_bytes=draw(WEIGHTS),
        output_bytes=draw(st.none() | WEIGHTS),
        other_bytes=draw(st.integers(0, 2**20)),
        embedding_length=4096,
        vocabulary_size=None,
        head_count=draw(st.integers(1, 64)),
        trained_context_length=draw(st.none() | st.integers(256, 2**20)),
        projector_bytes=draw(st.just(0) | WEIGHTS),
        expert_count=8,
        expert_used_count=draw(st.sampled_from([0, 2])),
        host_bytes=draw(st.just(0) | WEIGHTS),
        weights_measured=draw(st.booleans()),
    )


@st.composite
def loads(draw: st.DrawFn) -> LoadOptions:
    return LoadOptions(
        context_length=draw(st.integers(1, 2**18)),
        parallel=draw(st.integers(1, 8)),
        cache_type_k=draw(st.sampled_from(CACHE_TYPES)),
        cache_type_v=draw(st.sampled_from(CACHE_TYPES)),
        micro_batch_size=draw(st.sampled_from([128, 512, 2048])),
        flash_attention=draw(st.booleans()),
        gpu_layers=draw(st.none() | st.integers(0, 14)),
        unified_cache=draw(st.booleans()),
    )


FREE = st.lists(st.integers(0, 2**35), max_size=4)
