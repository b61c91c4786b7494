"""A sweep as a map: each field the mean of its seeds, where a click finds it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.grid import CellView, Grid, SweepView
from siamese_core.export.figures.sweeps import heat_map, height_of, tile_at, tiles

TEXT = {"no_score": "none yet", "waiting": "waits", "left out": "left out"}
TITLES, NAMES = ["Margin <b>", "Dimension"], [["0.5", "1", "2"], ["2", "8"]]
GRID = Grid(Experiment(), (("margin", (0.5, 1.0, 2.0)), ("embedding_dim", (2, 8))), (0, 1))


def view(grid: Grid = GRID, **scores: dict[tuple[object, ...], float]) -> SweepView:
    """`scores`: metric → (margin, dimension, seed) → value; the others wait."""
    cells = []
    for cell in grid.cells():
        found = {
            m: {"seen": by[*cell.at, cell.seed], "held_out": None}
            for m, by in scores.items()
            if (*cell.at, cell.seed) in by
        }
        cells.append(CellView(cell, "finished" if found else "waiting", "run", 5, found, ""))
    return SweepView("id", "name", grid, 0.0, tuple(cells))


def drawn(
    shown: SweepView, metric: str = "map_at_r", names: list[list[str]] = NAMES
) -> tuple[np.ndarray, dict[tuple[int, int], str], dict[str, Any]]:
    """The colours (rows, columns), what stands where, and all of it as the browser gets it."""
    figure = heat_map(shown, metric, "seen", titles=TITLES[: len(names)], names=names, text=TEXT)
    heat, words = figure.data
    labels = {(x, y): text for x, y, text in zip(words.x, words.y, words.text, strict=True)}
    whole = figure.to_dict()
    json.dumps(whole)
    return np.asarray(heat.z), labels, whole


def test_a_field_shows_the_mean_and_the_spread_of_its_seeds() -> None:
    z, labels, _ = drawn(view(map_at_r={(0.5, 8, 0): 0.4, (0.5, 8, 1): 0.6, (2.0, 2, 1): 0.9}))
    assert z[1, 0] == pytest.approx(0.5)
    assert labels[0, 1] == "0.500 ± 0.141"
    assert labels[2, 0] == "0.900 (1/2)", "one of its two seeds"
    assert labels[1, 0] == "waits" and np.isnan(z[0, 1])


def test_lower_is_better_for_error_rates() -> None:
    z, _, _ = drawn(view(eer={(0.5, 2, 0): 0.1, (1.0, 2, 0): 0.3}), "eer")
    assert z[0, 0] > z[0, 1]


def test_a_click_finds_the_field_that_is_drawn_there() -> None:
    shown = view()
    for tile in tiles(shown):
        found = tile_at(shown, tile.column + 0.4, tile.row - 0.4)
        assert found is not None
        assert (found.column, found.row) == (tile.column, tile.row)
        assert [cell.cell.seed for cell in found.cells] == [0, 1]
        assert {cell.cell.at for cell in found.cells} == {((0.5, 1.0, 2.0)[tile.column], (2, 8)[tile.row])}
    assert tile_at(shown, 3.2, 0) is None


def test_one_setting_is_one_row() -> None:
    grid = Grid(Experiment(), (("margin", (0.5, 1.0)),))
    z, labels, _ = drawn(view(grid, map_at_r={(1.0, 0): 0.7}), names=[["0.5", "1"]])
    assert z.shape == (1, 2)
    assert labels[1, 0] == "0.700"
    assert height_of(view(grid)) < height_of(view())


def test_words_of_others_are_no_html_and_without_a_score_it_says_so() -> None:
    _, _, figure = drawn(view())
    assert figure["layout"]["xaxis"]["title"]["text"] == "Margin &lt;b&gt;"
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["none yet"]
