"""THE PLAN: the same things happen at the same steps, for any lengths of the chunks."""

from hypothesis import given
from hypothesis import strategies as st

from sparring.training.plan import Plan

small = st.integers(1, 40)
plans = st.builds(
    Plan,
    steps=st.integers(1, 200),
    grid_every=small,
    log_every=small,
    judge_every=st.just(0) | small,
    shuffle_every=st.none() | small,
)


def walk(plan: Plan, wanted: list[int], start: int = 0) -> tuple[list[int], list[int]]:
    """(ends of the chunks, points logged) of a training from `start` whose chunks want these lengths in turn."""
    ends: list[int] = []
    logged: list[int] = []
    step = start
    while step < plan.steps:
        end = plan.chunk_end(step, wanted[len(ends) % len(wanted)])
        assert step < end <= plan.barrier(step)
        logged += plan.log_points(step, end)
        ends.append(end)
        step = end
    return ends, logged


@given(plans, st.lists(st.integers(0, 100), min_size=1, max_size=5), st.lists(st.integers(0, 100), min_size=1))
def test_what_is_logged_does_not_depend_on_the_chunks(plan: Plan, some: list[int], others: list[int]) -> None:
    assert walk(plan, some)[1] == walk(plan, others)[1]


@given(plans, st.lists(st.integers(0, 100), min_size=1, max_size=5), st.data())
def test_a_resumed_training_logs_the_same(plan: Plan, wanted: list[int], data: st.DataObject) -> None:
    ends, logged = walk(plan, wanted)
    stop = data.draw(st.sampled_from(ends))
    assert [point for point in logged if point > stop] == walk(plan, wanted[::-1], stop)[1]


@given(plans, st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_chunks_end_at_grids_judgements_epochs_and_the_end(plan: Plan, wanted: list[int]) -> None:
    ends, logged = walk(plan, wanted)
    steps = range(1, plan.steps + 1)
    epoch = plan.shuffle_every or plan.steps
    barriers = {s for s in steps if plan.is_grid(s) or plan.is_judged(s) or s % epoch == 0}
    assert barriers <= set(ends)
    assert set(ends) <= set(logged)
    expected = barriers | set(range(plan.log_every, plan.steps + 1, plan.log_every))
    assert logged == sorted(expected)


def test_a_chunk_is_as_long_as_wanted_where_it_may_be() -> None:
    plan = Plan(steps=1000, grid_every=300, log_every=10, judge_every=0, shuffle_every=400)
    assert plan.chunk_end(0, 95) == 90
    assert plan.chunk_end(0, 1) == 10
    assert plan.chunk_end(0, 5000) == 300
    assert plan.chunk_end(300, 5000) == 400
    assert plan.chunk_end(990, 5000) == 1000
    assert [step for step in range(1, 1001) if plan.is_grid(step)] == [300, 600, 900, 1000]


def test_without_shuffling_there_is_one_epoch() -> None:
    plan = Plan(steps=1000, grid_every=300, log_every=10, judge_every=0, shuffle_every=None)
    assert plan.chunk_end(300, 5000) == 600


def test_judgements_are_due_at_their_steps_and_at_the_end() -> None:
    plan = Plan(steps=1000, grid_every=300, log_every=10, judge_every=400, shuffle_every=None)
    assert [step for step in range(1, 1001) if plan.is_judged(step)] == [400, 800, 1000]
    never = Plan(steps=1000, grid_every=300, log_every=10, judge_every=0, shuffle_every=None)
    assert not any(never.is_judged(step) for step in range(1, 1001))
