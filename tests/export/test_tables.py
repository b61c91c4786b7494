"""What is taken away of a recorded run says what the recording says, in formats that others read, and runs nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamese_core.export import tables
from siamese_core.export.figures.base import class_style
from siamese_core.export.tables import (
    embedding_figure,
    embeddings_csv,
    embeddings_npz,
    figure_html,
    frames_npz,
    tensorboard_zip,
)
from siamese_core.runs.history import NO_FILM, EvalImages, Film, RunHistory, cut

QUERY = "dataset=digits&held_out=2&loss=contrastive&margin=1.0&measure=euclidean&encoder=mlp&batch_size=120&steps=30"
HOSTILE = ("=HYPERLINK(1)", '</script><script>alert("1")</script>', "<img src=https://evil.example/x>&amp;")
TEXT = {
    "embedding": "Step {step}",
    "image": "image",
    "second": "second input",
    "held_out": "held out",
    "no_layout": "nothing here",
}
BYTES = (embeddings_csv, embeddings_npz, frames_npz, tensorboard_zip)


def run_history(branches: int = 1, classes: tuple[str, ...] = ("cat", "dog", "hen"), size: tuple[int, int] = (4, 4)):
    """Five images, classes 0 0 1 1 2, of which class 2 was held out; four frames of three numbers each."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.int32([0, 0, 1, 1, 2]), branches)
    thumbnails = rng.integers(0, 256, (len(labels), 1, *size), np.uint8)
    film = Film(
        np.array([1, 10, 20, 30]),
        rng.normal(size=(4, len(labels), 3)).astype(np.float32),
        rng.random((4, 6), np.float32),
        rng.random((4, 7), np.float32),
    )
    loss, active = rng.random((2, 30), np.float32)
    scores = [
        (step, {"map_at_r": {"seen": step / 100, "held_out": None}, "loss": {"seen": 0.5, "held_out": 0.25}})
        for step in (10, 30)
    ]
    eval_images = EvalImages(classes, labels, thumbnails, branches)
    pixels = {"seen": 0.125, "held_out": None}
    return RunHistory(QUERY, 30, 30, 3600, 1.5, eval_images, film, loss, active, scores, pixels)


def with_nan(found: RunHistory, *rows: int) -> RunHistory:
    embeddings = found.film.embeddings.copy()
    embeddings[:, list(rows), 1] = [np.nan]
    embeddings[-1, list(rows), 2] = [np.inf]
    return replace(found, film=replace(found.film, embeddings=embeddings))


DAMAGED: dict[str, Callable[[], RunHistory]] = {
    "no frames": lambda: replace(run_history(), film=NO_FILM),
    "one frame": lambda: replace(run_history(), film=Film(*(array[:1] for array in vars(run_history().film).values()))),
    "nothing finite": lambda: with_nan(run_history(), 0, 1, 2, 3, 4),
    "no scores": lambda: replace(run_history(), scores=[], pixel_baseline=None),
    "numbers without end": lambda: replace(
        run_history(), total=10**400, seconds=float("nan"), scores=[(-(10**400), {"map_at_r": {"seen": 10**400}})]
    ),
    "foreign scores": lambda: replace(run_history(), scores=[(3, {"../x": {}})], pixel_baseline={"seen": {"a": 1}}),
    "another version": lambda: replace(run_history(), query="dataset=venus&loss=zeal&held_out=x&measure=<b>&<i>=%ff"),
    "half a character": lambda: replace(run_history(), query="dataset=\ud800&held_out=2"),
    "no experiment": lambda: replace(run_history(), query=""),
    "odd branches": lambda: replace(run_history(), eval_images=replace(run_history().eval_images, branches=2)),
    "many held out": lambda: replace(run_history(), query="held_out=2,7,99999999999999999999"),
}  # fmt: skip


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def lines_of(table: bytes) -> list[list[str]]:
    return [line.split("\t") for line in table.decode().removesuffix("\n").split("\n")]


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text in each kind of tag."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append((tag, ""))

    def handle_data(self, data: str) -> None:
        if self.texts:
            tag, before = self.texts[-1]
            self.texts[-1] = (tag, before + data)

    def all(self, tag: str) -> list[str]:
        return [text.strip() for found, text in self.texts if found == tag]

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def assert_asks_nobody(page: Page) -> None:
    """What a browser would fetch by itself is in the page; its policy lets it fetch nothing else."""
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "action", "poster", "background"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    assert not any("url(" in style or "@import" in style for style in page.all("style"))
    policies = [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert [policy.split(";")[0] for policy in policies if policy] == ["default-src 'none'"]


def plots(content: bytes) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Traces and layout of each chart of a page, by the name of its place."""
    found = {}
    text, decoder = content.decode(), json.JSONDecoder()
    for call in re.finditer(r'Plotly\.newPlot\(\s*"([\w-]+)",\s*(?=\[)', text):
        data, end = decoder.raw_decode(text, call.end())
        layout, _ = decoder.raw_decode(text, re.compile(r"\s*,\s*").match(text, end).end())
        found[call[1]] = (data, layout)
    return found


def up_to(found: RunHistory, frame: int) -> RunHistory:
    """The same run, stopped at this frame."""
    return replace(found, film=cut(found.film, int(found.film.steps[frame])))


def numbers(values: Any) -> np.ndarray:
    """An array of a chart, as plotly packs it."""
    if isinstance(values, dict):
        return np.frombuffer(b64decode(values["bdata"]), values["dtype"])
    return np.array(values)


def test_a_spreadsheet_holds_the_embeddings_of_a_frame() -> None:
    found = run_history()
    rows = rows_of(embeddings_csv(up_to(found, 1)))
    assert list(rows[0]) == ["index", "class", "e0", "e1", "e2"]
    assert [row["index"] for row in rows] == list("01234")
    assert [row["class"] for row in rows] == ["cat", "cat", "dog", "dog", "hen"]
    numbers_ = np.float32([[row[f"e{d}"] for d in range(3)] for row in rows])
    np.testing.assert_array_equal(numbers_, found.film.embeddings[1])


def test_with_two_branches_a_row_says_as_which_input_an_image_is_seen() -> None:
    rows = rows_of(embeddings_csv(run_history(branches=2)))
    assert list(rows[0])[:3] == ["index", "class", "input"]
    assert [row["index"] for row in rows] == list("0123401234")
    assert [row["input"] for row in rows] == ["first"] * 5 + ["second"] * 5


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", " =1", "a;=1", "\t=1", "＝1"])
def test_a_class_name_is_no_formula(name: str) -> None:
    found = run_history(classes=(name, "dog", "hen"))
    (cell,) = {row["class"] for row in rows_of(embeddings_csv(found))} - {"dog", "hen"}
    table = lines_of(files_of(tensorboard_zip(found))["metadata.tsv"])
    for shown in (cell, table[1][1]):
        assert all(part.strip()[:1] in ("'", "a") for part in shown.split(";")), shown


def test_a_number_that_is_not_finite_is_an_empty_cell() -> None:
    row = rows_of(embeddings_csv(with_nan(run_history(), 2)))[2]
    assert (row["e1"], row["e2"]) == ("", "")
    assert row["e0"]


def test_numpy_reads_the_embeddings_of_a_frame_without_pickle() -> None:
    found = run_history()
    with np.load(io.BytesIO(embeddings_npz(up_to(found, 2))), allow_pickle=False) as arrays:
        assert set(arrays) == {"embeddings", "labels", "classes", "steps"}
        np.testing.assert_array_equal(arrays["embeddings"], found.film.embeddings[2])
        assert arrays["labels"].tolist() == [0, 0, 1, 1, 2]
        assert arrays["classes"].tolist() == ["cat", "dog", "hen"]
        assert arrays["steps"].tolist() == [20]


def test_numpy_reads_all_frames_and_the_history() -> None:
    found = run_history()
    with np.load(io.BytesIO(frames_npz(found)), allow_pickle=False) as arrays:
        for name, array in {
            "steps": found.film.steps,
            "embeddings": found.film.embeddings,
            "same_distances": found.film.same,
            "different_distances": found.film.different,
            "loss": found.loss,
            "active": found.active,
        }.items():
            np.testing.assert_array_equal(arrays[name], array)
        assert arrays["metrics"].tolist() == ["map_at_r", "loss"]
        assert arrays["groups"].tolist() == ["seen", "held_out"]
        assert arrays["score_steps"].tolist() == [10, 30]
        np.testing.assert_array_equal(arrays["scores"][1], [[0.3, np.nan], [0.5, 0.25]])
        np.testing.assert_array_equal(arrays["pixels"], [0.125, np.nan])
        assert arrays["query"].item() == QUERY
        assert arrays["branches"].item() == 1


def test_a_foreign_metric_names_no_file() -> None:
    content = frames_npz(DAMAGED["foreign scores"]())
    assert not [name for name in files_of(content) if "/" in name or ".." in name]
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert arrays["metrics"].tolist() == ["../x"]


@pytest.mark.parametrize("branches", [1, 2])
def test_the_projector_gets_a_line_and_an_image_for_each_point(branches: int) -> None:
    found = run_history(branches)
    files = files_of(tensorboard_zip(up_to(found, 1)))
    np.testing.assert_array_equal(np.float32(lines_of(files["vectors.tsv"])), found.film.embeddings[1])
    header, *rows = lines_of(files["metadata.tsv"])
    assert header == ["index", "class", "input"][: branches + 1]
    named = [["0", "cat"], ["1", "cat"], ["2", "dog"], ["3", "dog"], ["4", "hen"]]
    assert [row[:2] for row in rows] == named * branches
    assert [row[2:] for row in rows] == ([[]] * 5 if branches == 1 else [["first"]] * 5 + [["second"]] * 5)
    assert f"{5 * branches} points, 3 numbers each, at step 10." in files["README.txt"].decode()


@pytest.mark.parametrize(("branches", "size"), [(1, (4, 4)), (2, (4, 4)), (1, (2, 4)), (1, (4, 1))])
def test_the_sprite_has_as_many_columns_as_rows_of_square_images(branches: int, size: tuple[int, int]) -> None:
    found = run_history(branches, size=size)
    files = files_of(tensorboard_zip(found))
    with Image.open(io.BytesIO(files["sprite.png"])) as sprite:
        pixels = np.array(sprite)
    columns = 3 if branches == 1 else 4
    assert pixels.shape == (4 * columns, 4 * columns)
    assert files["projector_config.pbtxt"].decode().count("single_image_dim: 4\n") == 2
    for i, image in enumerate(found.eval_images.thumbnails[:, 0]):
        tile = pixels[i // columns * 4 :, i % columns * 4 :][:4, :4]
        top, left = (4 - size[0]) // 2, (4 - size[1]) // 2
        np.testing.assert_array_equal(tile[top : top + size[0], left : left + size[1]], image)
        assert tile.sum() == image.sum()


def test_a_sprite_is_never_larger_than_the_projector_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST_SPRITE", 6)
    files = files_of(tensorboard_zip(run_history()))
    with Image.open(io.BytesIO(files["sprite.png"])) as sprite:
        assert sprite.size == (6, 6)
    assert files["projector_config.pbtxt"].decode().count("single_image_dim: 2\n") == 2


def test_the_config_names_files_that_are_there() -> None:
    files = files_of(tensorboard_zip(run_history()))
    config = files["projector_config.pbtxt"].decode()
    named = dict(re.findall(r'(\w+_path): "(.+)"', config))
    assert set(named) == {"tensor_path", "metadata_path", "image_path"}
    assert {*named.values(), "projector_config.pbtxt", "README.txt"} == set(files)
    assert config.count("{") == config.count("}") == 2


def test_points_without_numbers_are_left_out_of_every_file_of_the_projector() -> None:
    found = with_nan(run_history(), 0, 3)
    files = files_of(tensorboard_zip(found))
    assert [row[0] for row in lines_of(files["metadata.tsv"])] == ["index", "1", "2", "4"]
    np.testing.assert_array_equal(np.float32(lines_of(files["vectors.tsv"])), found.film.embeddings[-1][[1, 2, 4]])
    with Image.open(io.BytesIO(files["sprite.png"])) as sprite:
        np.testing.assert_array_equal(np.array(sprite)[:4, 4:8], found.eval_images.thumbnails[2, 0])
    assert "2 more have no finite embedding" in files["README.txt"].decode()


def test_a_name_with_tabs_stays_in_its_cell() -> None:
    found = run_history(classes=("a\tb\nc\u2028d", "dog", "hen"))
    rows = lines_of(files_of(tensorboard_zip(found))["metadata.tsv"])
    assert {len(row) for row in rows} == {2}
    assert rows[1] == ["0", "a b c d"]


@pytest.mark.parametrize("name", ["no frames", "nothing finite"])
def test_without_an_embedding_the_projector_gets_a_message(name: str) -> None:
    files = files_of(tensorboard_zip(DAMAGED[name]()))
    assert list(files) == ["README.txt"]
    assert tables.NOTHING in files["README.txt"].decode()


@pytest.mark.parametrize("dim", [2, 3])
def test_a_figure_draws_each_class_in_its_own_way(dim: int) -> None:
    xy = np.arange(5 * dim, dtype=np.float32).reshape(5, dim)
    figure = embedding_figure(run_history(), xy, 1, text=TEXT)
    assert figure.layout.title.text == "Step 10"
    assert [trace.name for trace in figure.data] == ["cat", "dog", "hen (held out)"]
    for c, (trace, places) in enumerate(zip(figure.data, (xy[:2], xy[2:4], xy[4:]), strict=True)):
        np.testing.assert_array_equal(np.stack([trace[axis] for axis in "xyz"[:dim]], axis=1), places)
        assert trace.marker.color == class_style(c)[0]
        assert trace.marker.line.width == (1.5 if c == 2 else 0)
    assert [list(trace.customdata) for trace in figure.data] == [[0, 1], [2, 3], [4]]
    assert figure.data[1].marker.symbol == class_style(1)[1]
    assert figure.data[2].marker.symbol == (class_style(2)[1] if dim == 2 else "circle")


@pytest.mark.parametrize("dim", [2, 3])
def test_second_inputs_are_hollow_and_labelled_so(dim: int) -> None:
    figure = embedding_figure(run_history(branches=2), np.ones((10, dim), np.float32), text=TEXT)
    hollow = [trace for trace in figure.data if trace.marker.symbol.endswith("-open")]
    assert len(hollow) == 3
    assert all("second input" in trace.hovertemplate and not trace.showlegend for trace in hollow)
    assert sorted(i for trace in hollow for i in trace.customdata) == [0, 1, 2, 3, 4]


def test_axes_are_equally_long_and_hold_every_finite_point() -> None:
    xy = np.float32([[0, 0], [10, 1], [4, 2], [np.nan, 50], [np.inf, 0]])
    figure = embedding_figure(run_history(), xy, text=TEXT)
    (left, right), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    assert right - left == pytest.approx(top - bottom)
    assert left < 0 < 10 < right < 20
    assert bottom < 0 < 2 < top
    assert sorted(i for trace in figure.data for i in trace.customdata) == [0, 1, 2]


@pytest.mark.parametrize(
    "xy",
    [None, np.zeros((4, 2)), np.zeros((5, 4)), np.zeros(5), np.full((5, 2), np.nan), np.full((5, 3), np.inf)],
    ids=["none", "other points", "four axes", "flat", "not a number", "without end"],
)
def test_what_cannot_be_drawn_is_a_message(xy: np.ndarray | None) -> None:
    figure = embedding_figure(run_history(), xy, text=TEXT)
    assert [note.text for note in figure.layout.annotations] == ["nothing here"]
    assert figure_html(figure)


def test_a_figure_is_a_page_of_its_own() -> None:
    content = figure_html(embedding_figure(run_history(), np.ones((5, 2), np.float32), text=TEXT))
    page = Page(content)
    assert_asks_nobody(page)
    assert page.all("title") == ["Step 30"]
    assert any(len(script) > 1_000_000 for script in page.all("script")), "plotly.js is inside"
    ((data, _),) = plots(content).values()
    assert [trace["name"] for trace in data] == ["cat", "dog", "hen (held out)"]


def test_a_figure_that_was_written_is_as_it_was() -> None:
    figure = embedding_figure(run_history(), np.ones((5, 2), np.float32), text=TEXT)
    before = figure.to_json()
    figure_html(figure)
    assert figure.to_json() == before


def test_a_class_name_brings_nothing_into_a_page() -> None:
    xy = np.ones((5, 2), np.float32)
    plain, hostile = (
        figure_html(embedding_figure(run_history(classes=classes), xy, text=TEXT))
        for classes in (("cat", "dog", "hen"), HOSTILE)
    )
    assert_asks_nobody(Page(hostile))
    assert [tag for tag, _ in Page(hostile).tags] == [tag for tag, _ in Page(plain).tags]
    ((data, _),) = plots(hostile).values()
    # Plotly reads a little HTML, so what it is given is escaped once more.
    assert data[1]["name"] == '&lt;/script&gt;&lt;script&gt;alert("1")&lt;/script&gt;'


@pytest.mark.parametrize("export", BYTES, ids=lambda export: export.__name__)
def test_the_same_recording_gives_the_same_bytes(export: Callable[[RunHistory], bytes]) -> None:
    assert export(run_history(branches=2)) == export(run_history(branches=2))


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_recording_still_gives_files(name: str) -> None:
    found = DAMAGED[name]()
    rows = rows_of(embeddings_csv(found))
    assert [row["class"] for row in rows] == ["cat", "cat", "dog", "dog", "hen"]
    for packed in (embeddings_npz(found), frames_npz(found)):
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            assert arrays["labels"].tolist() == [0, 0, 1, 1, 2]
            assert arrays["steps"].tolist() in ([], [1], [30], [1, 10, 20, 30])
    assert "README.txt" in files_of(tensorboard_zip(found))
    assert embedding_figure(found, np.ones((5, 2), np.float32), text=TEXT).data
