import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import SequenceGap
from tradeul.gateway.list_copy import ListCopy
from tradeul.records.messages import Add, Delta, Remove, Rerank, Update


@given(seed=st.integers(0, 10_000), steps=st.integers(0, 12))
def test_a_snapshot_with_every_delta_since_is_the_snapshot_of_the_end(scanner, seed, steps):
    flow = scanner.Flow("winners", seed)
    flow.step()
    copy = ListCopy.of("winners", flow.frame)
    for _ in range(steps):
        copy.apply(flow.step())
    assert copy.snapshot() == flow.snapshot


def test_a_copy_does_not_share_rows_with_the_frame_it_came_from(scanner):
    flow = scanner.Flow("winners", 3)
    flow.step()
    frame = flow.frame
    before = [dict(row) for row in frame.rows]
    copy = ListCopy.of("winners", frame)
    for _ in range(5):
        copy.apply(flow.step())
    assert frame.rows == before


@pytest.mark.parametrize("skew", [{"epoch": 2}, {"base": 1}, {"session": "2026-03-10"}])
def test_a_delta_of_another_state_is_a_gap(scanner, skew):
    flow = scanner.Flow("winners", 1)
    copy = ListCopy.of("winners", flow.frame)
    delta = flow.step()
    fields = {name: getattr(delta, name) for name in delta.__struct_fields__} | skew
    with pytest.raises(SequenceGap, match="take a snapshot"):
        copy.apply(Delta(**fields))


@pytest.mark.parametrize(
    "steps", [[Remove("ABSENT")], [Rerank("ABSENT", 0)], [Update("ABSENT", {"price": 1.0})], [Add("NEW", 5, {})], [Add("NEW", 0, {})]]
)
def test_a_delta_that_contradicts_the_rows_is_a_gap(scanner, steps):
    flow = scanner.Flow("winners", 1)
    while not flow.rows:
        flow.step()
    copy = ListCopy.of("winners", flow.frame)
    with pytest.raises(SequenceGap):
        copy.apply(Delta("winners", flow.session, "LIVE", flow.epoch, flow.sequence + 1, flow.sequence, steps, 0))
