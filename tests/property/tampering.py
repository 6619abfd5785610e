"""How credentials are tampered with, and how often: `PDP_FUZZ=N`, then anew every time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ASKED = os.environ.get("PDP_FUZZ")
fuzzed = settings(
    max_examples=int(ASKED or 60),
    derandomize=ASKED is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


BYTE = st.integers(0, 255).filter(lambda byte: byte not in b"\r\n")  # which would end the field
BYTES = st.lists(BYTE, max_size=12).map(bytes)
PLACE = st.floats(0, 1, exclude_max=True)


@st.composite
def tampered(draw: st.DrawFn, value: bytes) -> bytes:
    """`value` with one to three changes, one of which may undo another."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(int(draw(PLACE) * (len(value) + 1)) for _ in "ab")
        inner = value[start:end]
        changed = draw(
            st.one_of(
                BYTES,
                st.just(b""),
                st.just(inner * 2),
                st.just(inner.swapcase()),
                st.just(inner[::-1]),
                st.tuples(st.just(inner), BYTES).map(b"".join),
                st.tuples(BYTES, st.just(inner[1:])).map(b"".join),
            )
        )
        value = value[:start] + changed + value[end:]
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
