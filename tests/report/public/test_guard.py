"""Nothing that is not shown can be had by difference from what is shown beside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_report.public.guard import guarded, rounded


@st.composite
def divided(draw: st.DrawFn) -> tuple[int, list[list[int]], int]:
    """A number of installations, its parts in some ways, each of which has all of them at least once, and k."""
    k = draw(st.integers(3, 25))
    counts = st.integers(0, 3 * k) | st.sampled_from([1, k - 1, k, 2 * k - 1])
    ways = draw(st.lists(st.lists(counts, min_size=1, max_size=40), min_size=1, max_size=3))
    least, most = max(max(parts) for parts in ways), min(sum(parts) for parts in ways)
    if least > most:
        ways, least, most = ways[:1], max(ways[0]), sum(ways[0])
    return draw(st.integers(least, most) | st.just(most)), ways, k


@given(divided())
def test_what_is_not_shown_may_be_of_at_least_half_of_the_sizes_it_could_have(
    world: tuple[int, list[list[int]], int],
) -> None:
    whole, ways, k = world
    shown = guarded(whole, ways, k)
    assert shown % k == 0
    assert 0 <= shown <= whole
    for parts in ways:
        there = [part for part in parts if part]
        for number, part in enumerate(there):
            if part < k:
                others = [other for place, other in enumerate(there) if place != number]
                most = sum(rounded(other, k) + k - 1 for other in others)
                at_least = max(1, shown - most)
                assert at_least <= part
                assert k - at_least >= k / 2 - 1
                assert k - at_least >= 2


def test_a_whole_of_shown_parts_alone_is_only_rounded() -> None:
    assert guarded(119, [[60, 59]], 20) == 100
    assert rounded(39, 20) == 20


def test_a_whole_that_would_tell_is_lowered() -> None:
    assert guarded(19 * 39 + 19, [[39] * 19 + [19]], 20) < rounded(19 * 39 + 19, 20)
