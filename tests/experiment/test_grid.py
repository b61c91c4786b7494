"""A grid of experiments: which runs it is of, and which combinations cannot be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.fields import FloatField, IntField
from siamese_core.experiment.grid import Grid, GridError, axis_field, axis_names, grid_of, numbers_of
from siamese_core.losses import LOSSES

BASE = Experiment(dataset="digits", encoder="mlp", steps=5)
MARGIN, BATCH = axis_field(BASE, "margin"), axis_field(BASE, "batch_size")
assert isinstance(MARGIN, FloatField)
assert isinstance(BATCH, IntField)


def test_every_combination_is_a_run_and_nothing_else_differs() -> None:
    cells = list(Grid(BASE, (("margin", (0.5, 1.0)), ("embedding_dim", (2, 8, 32))), (0, 1)).cells())
    assert len(cells) == 12
    assert {(*cell.at, cell.seed) for cell in cells} == {
        (m, d, s) for m in (0.5, 1.0) for d in (2, 8, 32) for s in (0, 1)
    }
    for cell in cells:
        margin, dim = cell.at
        assert cell.experiment == Experiment(
            dataset="digits", encoder="mlp", steps=5, params={"margin": margin}, embedding_dim=dim, seed=cell.seed
        )


def test_another_loss_begins_with_its_own_distance_and_numbers() -> None:
    cells = list(Grid(BASE, (("loss", tuple(LOSSES)),)).cells())
    for cell in cells:
        loss = LOSSES[cell.at[0]]
        assert cell.experiment is not None, cell.why
        assert cell.experiment.measure == loss.measures[0]
        assert cell.experiment.params == {p.name: p.default for p in loss.params}


def test_what_contradicts_is_named_in_its_cell_and_the_others_stay() -> None:
    cells = list(Grid(BASE, (("loss", ("contrastive", "softmax")), ("margin", (0.5, 1.0)))).cells())
    assert [cell.experiment is not None for cell in cells] == [True, True, False, False]
    assert "the loss softmax has no such parameter" in cells[2].why


def test_mining_is_let_go_for_losses_that_choose_for_themselves() -> None:
    mined = Experiment(dataset="digits", loss="triplet", miner="semi_hard")
    (cell,) = Grid(mined, (("loss", ("nt_xent",)),)).cells()
    assert cell.experiment is not None
    assert cell.experiment.miner == "all"


@pytest.mark.parametrize(
    ("axes", "seeds", "message"),
    [
        ((), (0,), "one or two different settings"),
        ((("margin", (1.0,)), ("margin", (2.0,))), (0,), "one or two different settings"),
        ((("margin", ()),), (0,), "margin: may have 1 to 20 different values"),
        ((("margin", (1.0, 1.0)),), (0,), "different values"),
        ((("margin", (1.0,)),), (), "seed: may have 1 to 5"),
        ((("margin", (1.0,)),), tuple(range(6)), "seed: may have 1 to 5"),
        ((("margin", tuple(range(1, 11))), ("embedding_dim", tuple(range(2, 13)))), (0,), "These are 110 runs"),
    ],
)
def test_a_grid_that_cannot_be_is_one_message(axes: object, seeds: tuple[int, ...], message: str) -> None:
    with pytest.raises(GridError, match=message):
        Grid(BASE, axes, seeds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "values"),
    [("0.5, 1,2", (0.5, 1.0, 2.0)), ("1;0.5;1", (1.0, 0.5)), ("0.5:1.1:0.2", (0.5, 0.7, 0.9, 1.1)), (" 2 ,", (2.0,))],
)
def test_numbers_are_read_as_people_write_them(text: str, values: tuple[float, ...]) -> None:
    assert numbers_of(MARGIN, text) == values


@pytest.mark.parametrize("text", ["", ",", "a", "1:2", "1:2:0", "2:1:0.5", "1e999", "nan", "-1", "0.5:3:0.001", "1::"])
def test_what_is_no_number_is_named_with_what_it_may_be(text: str) -> None:
    with pytest.raises(GridError, match=r"^margin=.*(may be numbers from|values; may give 1 to 20)"):
        numbers_of(MARGIN, text)


def test_whole_numbers_stay_whole() -> None:
    assert numbers_of(BATCH, "24:72:24") == (24, 48, 72)
    assert all(isinstance(value, int) for value in numbers_of(BATCH, "24:72:24"))
    for text in ("24.5", "24.5:30:1", "24:26:0.5"):
        with pytest.raises(GridError, match="batch_size"):
            numbers_of(BATCH, text)


def test_steps_without_end_are_refused_with_a_short_message() -> None:
    with pytest.raises(GridError, match="gives more than 20 values") as refused:
        numbers_of(MARGIN, "1:2:1e-300")
    assert len(str(refused.value)) < 100


@given(st.text(max_size=40))
def test_whatever_is_written_is_numbers_in_range_or_a_message(text: str) -> None:
    try:
        values = numbers_of(MARGIN, text)
    except GridError:
        return
    assert values
    assert all(MARGIN.problem(value) is None for value in values)


def test_a_grid_comes_back_from_its_table() -> None:
    grid = Grid(BASE, (("loss", ("contrastive", "triplet")), ("learning_rate", (1e-3, 3e-3))), (3, 4))
    assert grid_of(json.loads(json.dumps(grid.to_table()))) == grid


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"base": "", "axes": [], "seeds": [0]},
        {"base": "dataset=nothing", "axes": [["margin", ["1"]]], "seeds": [0]},
        {"base": "", "axes": [["dataset", ["mnist"]]], "seeds": [0]},
        {"base": "", "axes": [["margin", [1]]], "seeds": [0]},
        {"base": "", "axes": ["margin"], "seeds": [0]},
        {"base": "", "axes": [["margin", ["none"]]], "seeds": [0]},
        {"base": "", "axes": [["margin", ["1"]]], "seeds": ["0"]},
        {"base": "", "axes": [["margin", ["1"]]], "seeds": [[0]]},
    ],
)
def test_a_foreign_table_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        grid_of(table)


def test_every_axis_has_a_title_and_a_field() -> None:
    for name, title in axis_names(BASE).items():
        assert title and axis_field(BASE, name).name == name
