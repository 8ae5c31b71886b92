"""Packing buffers by their lifetimes."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from gpudl.engine.plan.arena import ALIGNMENT, Block, pack

INSTRUCTIONS = 12


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    start = draw(st.integers(0, INSTRUCTIONS - 1))
    nbytes = draw(st.one_of(st.integers(0, 3), st.integers(0, 5000), st.sampled_from([ALIGNMENT, ALIGNMENT + 1])))
    return Block(nbytes, start, draw(st.integers(start, INSTRUCTIONS - 1)))


def padded(nbytes: int) -> int:
    return (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


everything = given(st.lists(blocks(), max_size=24))


@everything
@settings(max_examples=200, deadline=None)
def test_blocks_alive_together_do_not_overlap(chosen: list[Block]) -> None:
    size = pack(chosen)
    for at in range(INSTRUCTIONS):
        alive = sorted((b for b in chosen if b.start <= at <= b.end and b.nbytes), key=lambda b: b.offset)
        ends = [b.offset + b.nbytes for b in alive]
        assert all(end <= after.offset for end, after in zip(ends, alive[1:], strict=False))
        assert all(b.offset >= 0 and end <= size for b, end in zip(alive, ends, strict=True))
        assert size >= sum(padded(b.nbytes) for b in alive)
    assert all(b.offset % ALIGNMENT == 0 for b in chosen)
    assert size <= sum(padded(b.nbytes) for b in chosen)


@everything
@settings(max_examples=50, deadline=None)
def test_the_same_blocks_get_the_same_places(chosen: list[Block]) -> None:
    again = deepcopy(chosen)
    assert pack(chosen) == pack(again)
    assert chosen == again
    assert pack(chosen) == pack(again)  # whatever their offsets were before
    assert chosen == again


def test_a_chain_needs_two_buffers() -> None:
    chain = [Block(1000, n, n + 1) for n in range(10)]
    assert pack(chain) == 2 * padded(1000)


def test_nothing_needs_nothing() -> None:
    assert pack([]) == 0
