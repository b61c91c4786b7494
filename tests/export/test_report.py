"""The report of a run says what its recording says, asks nobody for anything, and runs nothing out of a recording."""

from __future__ import annotations

import io
import shlex
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.settings import FIELDS
from siamese_core.export.report import GRID_COLUMNS, MARKS, MOST_CLASSES, TEXT, report_html
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.runs.history import NO_FILM, RunHistory
from tests.export.test_tables import DAMAGED, HOSTILE, Page, assert_asks_nobody, numbers, plots, run_history

LINK = "https://play.example/Train?dataset=digits&loss=contrastive"
CREATED = 1_790_000_000.0
WAYS_TO_SEE = ("history", "picture-0", "picture-1", "picture-2", "picture-3", "pairs-0", "pairs-3")


def layouts(found: RunHistory, dim: int = 2) -> np.ndarray:
    return (
        np.random.default_rng(1).normal(size=(len(found.film), len(found.eval_images.labels), dim)).astype(np.float32)
    )


def report(found: RunHistory | None = None, xy: np.ndarray | None = None, **changes: Any) -> bytes:
    found = run_history() if found is None else found
    given: dict[str, Any] = {"title": "Cats and dogs", "link": LINK, "machine": Machine(), "created": CREATED}
    return report_html(found, layouts(found) if xy is None else xy, **given | changes)


def facts(page: Page) -> dict[str, list[str]]:
    """The terms of a page, each with its definition."""
    found: dict[str, list[str]] = {}
    for tag, text in page.texts:
        if tag == "dt":
            found[text.strip()] = definition = []
        elif tag == "dd":
            definition.append(text.strip())
    return found


def command(page: Page) -> list[str]:
    """The words that a shell makes of the command."""
    (line,) = page.all("pre")
    return shlex.split(line)


def marked(text: Any) -> Any:
    """The same words, so that each can be recognised."""
    if isinstance(text, Mapping):
        return {name: marked(words) for name, words in text.items()}
    return tuple(map(marked, text)) if isinstance(text, tuple) else f"¶{text}"


def test_a_report_is_one_page_that_asks_nobody_for_anything() -> None:
    content = report()
    page = Page(content)
    assert_asks_nobody(page)
    assert page.all("title") == page.all("h1") == ["Cats and dogs"]
    assert sum(len(script) > 1_000_000 for script in page.all("script")) == 1, "plotly.js is inside, once"
    assert tuple(plots(content)) == WAYS_TO_SEE


def test_the_link_leads_to_the_experiment() -> None:
    links = [attributes["href"] for tag, attributes in Page(report()).tags if tag == "a"]
    assert links == [LINK]


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", "data:text/html,x", "/Train?steps=1", " https://a"])
def test_what_is_no_address_of_a_server_is_no_link(link: str) -> None:
    assert Page(report(link=link)).count("a") == 0


def test_the_settings_are_named_in_words() -> None:
    found = facts(Page(report()))
    assert {name: found[name] for name in list(found)[4:12]} == {
        "Dataset": ["Digits, 8×8"],
        "Classes held out": ["hen"],
        "Loss": ["Contrastive (Hadsell 2006)"],
        "Margin m": ["1"],
        "Distance": ["Euclidean"],
        "Encoder": ["Fully connected (MLP)"],
        "Batch size": ["120 images"],
        "Steps": ["30"],
    }


def test_every_setting_that_says_something_is_shown() -> None:
    experiment = Experiment(dataset="digits", embedding_dim=2, augment=("crop", "rotate"), train_per_class=10)
    recorded = replace(run_history(), query=experiment.to_query(), scores=[])
    found = facts(Page(report(recorded)))
    assert found["Training images of each class"] == ["10 images"]
    assert found["Embedding dimension"] == ["2 numbers"]
    assert found["Augmentation"] == [", ".join(AUGMENTATIONS[key].title for key in ("crop", "rotate"))]
    assert list(found)[4:] == ["Margin m" if name == "margin" else FIELDS[name].title for name in recorded.settings], (
        "those of the experiment's query, which leaves out what says nothing"
    )
    assert "Classes held out" not in found


def test_what_this_version_cannot_read_is_shown_as_it_stands() -> None:
    page = Page(report(replace(run_history(), query="dataset=venus&zeal=3&learning_rate=fast&held_out=2,x")))
    found = facts(page)
    assert [found[name] for name in ("Dataset", "zeal", "Learning rate", "Classes held out")] == [
        ["venus"], ["3"], ["fast"], ["2,x"],
    ]  # fmt: skip
    assert any("cannot use all of them: dataset=venus" in note for note in page.all("p"))
    assert any("may be refused" in note for note in page.all("p"))


def test_the_scores_are_those_of_the_last_step() -> None:
    found = facts(Page(report()))
    assert found["MAP@R"][0] == "0.300"
    assert found["MAP@R on raw pixels"][0] == "0.125"
    assert found["Test loss"][:2] == ["0.500", "classes held out: 0.250"]
    assert [len(found[name]) for name in ("MAP@R", "Test loss")] == [2, 3], "a number, and what it says"
    assert "AUC" not in found


def test_the_history_is_that_of_the_recording() -> None:
    found = run_history()
    data, layout = plots(report(found))["history"]
    by_name = {trace["name"]: trace for trace in data}
    np.testing.assert_array_equal(numbers(by_name["Loss of the batch"]["y"]), found.loss)
    np.testing.assert_array_equal(numbers(by_name["Active pairs"]["y"]), found.active)
    np.testing.assert_array_equal(numbers(by_name["MAP@R"]["x"]), [10, 30])
    np.testing.assert_array_equal(numbers(by_name["MAP@R"]["y"]), np.float32([0.1, 0.3]))
    np.testing.assert_array_equal(numbers(by_name["Test loss"]["y"]), [0.5, 0.5])
    np.testing.assert_array_equal(numbers(by_name["MAP@R on raw pixels"]["y"]), [0.125, 0.125])
    assert layout["xaxis"]["range"] == [0, 30]


def test_the_scores_of_classes_held_out_are_dotted() -> None:
    scores = [(step, {"map_at_r": {"seen": 0.5, "held_out": step / 40}}) for step in (10, 30)]
    data, _ = plots(report(replace(run_history(), scores=scores)))["history"]
    dotted = [trace for trace in data if trace["name"] == "MAP@R" and trace["line"]["dash"] == "dot"]
    assert [numbers(trace["y"]).tolist() for trace in dotted] == [[0.25, 0.75]]


@pytest.mark.parametrize(("frames", "shown"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3])])
def test_few_frames_are_all_shown(frames: int, shown: list[int]) -> None:
    found = run_history()
    found = replace(found, film=type(found.film)(*(array[:frames] for array in vars(found.film).values())))
    drawn = [name for name in plots(report(found)) if name.startswith("picture")]
    assert drawn == [f"picture-{at}" for at in shown]


def test_of_many_frames_four_are_shown_on_the_same_axes() -> None:
    found = run_history()
    film = type(found.film)(*(np.repeat(array, 5, axis=0) for array in vars(found.film).values()))
    found = replace(found, film=replace(film, steps=np.arange(1, 21)))
    xy = layouts(found)
    content = report(found, xy)
    drawn = {name: plot for name, plot in plots(content).items() if name.startswith("picture")}
    assert list(drawn) == ["picture-0", "picture-6", "picture-13", "picture-19"]
    assert Page(content).all("figcaption") == ["Step 1", "Step 7", "Step 14", "Step 20"]
    assert len({str([layout[axis]["range"] for axis in ("xaxis", "yaxis")]) for _, layout in drawn.values()}) == 1
    for at, (data, layout) in zip((0, 6, 13, 19), drawn.values(), strict=True):
        places = np.concatenate([[numbers(trace["x"]), numbers(trace["y"])] for trace in data], axis=1)
        np.testing.assert_array_equal(places.T, xy[at])
        assert layout["xaxis"]["range"][0] < places[0].min() <= places[0].max() < layout["xaxis"]["range"][1]


def test_three_axes_are_drawn_on_paper_as_seen_from_a_corner() -> None:
    """Each axis as long as the others, and a third of a turn from them."""
    found = replace(
        run_history(), film=type(run_history().film)(*(array[:1] for array in vars(run_history().film).values()))
    )
    xy = np.float32([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]]])
    content = report(found, xy)
    (data, _) = plots(content)["picture-0"]
    places = np.concatenate([[numbers(trace["x"]), numbers(trace["y"])] for trace in data], axis=1).T
    np.testing.assert_allclose(np.linalg.norm(places[:3], axis=1), np.sqrt(2 / 3), atol=0.02)
    np.testing.assert_allclose(places[:3].sum(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(places[3:], 0, atol=0.02)
    assert any("from a corner" in note for note in Page(content).all("p"))


def test_pairs_are_shown_at_the_first_and_at_the_last_frame() -> None:
    """Of six same pairs each is a sixth of the height."""
    found = run_history()
    same = np.zeros((4, 6), np.float32)
    same[-1] = [0.5, 0.5, 0.5, 1, 1, 1]
    drawn = plots(report(replace(found, film=replace(found.film, same=same, different=np.ones((4, 7), np.float32)))))
    first, last = (numbers(drawn[name][0][0]["y"])[:-1] for name in ("pairs-0", "pairs-3"))
    assert first[0] == pytest.approx(1)
    assert sorted(last[last > 0]) == pytest.approx([0.5, 0.5])
    titles = [drawn[name][1]["annotations"][0]["text"] for name in ("pairs-0", "pairs-3")]
    assert titles == ["Share of the pairs at step 1", "Share of the pairs at step 30"]
    assert drawn["pairs-0"][1]["xaxis"]["range"] == drawn["pairs-3"][1]["xaxis"]["range"] == [0, 1]
    assert drawn["pairs-0"][1]["xaxis"]["title"]["text"] == "Euclidean distance"


@pytest.mark.parametrize("branches", [1, 2])
def test_the_grid_shows_the_images_of_each_class(branches: int) -> None:
    found = run_history(branches)
    images = [attributes for tag, attributes in Page(report(found)).tags if tag == "img"]
    places = [[0, 1], [2, 3], [4]] if branches == 1 else [[0, 1], [5, 6], [2, 3], [7, 8], [4], [9]]
    assert len(images) == len(places)
    for attributes, rows in zip(images, places, strict=True):
        with Image.open(io.BytesIO(b64decode(attributes["src"].removeprefix("data:image/png;base64,")))) as strip:
            np.testing.assert_array_equal(np.array(strip), np.hstack(found.eval_images.thumbnails[rows, 0]))
    assert images[0]["alt"] == "2 test images of the class cat"


def test_many_classes_and_images_are_shown_by_their_number() -> None:
    found, classes = run_history(), MOST_CLASSES + 3
    labels = np.repeat(np.arange(classes, dtype=np.int32), GRID_COLUMNS + 2)
    eval_images = replace(
        found.eval_images,
        classes=tuple(f"kind {c}" for c in range(classes)),
        labels=labels,
        thumbnails=np.zeros((len(labels), 1, 2, 2), np.uint8),
    )
    page = Page(report(replace(found, eval_images=eval_images, film=NO_FILM)))
    assert page.count("img") == MOST_CLASSES
    assert "And 3 more classes." in page.all("p")
    with Image.open(io.BytesIO(b64decode(page.tags[[t for t, _ in page.tags].index("img")][1]["src"][22:]))) as strip:
        assert strip.size == (2 * GRID_COLUMNS, 2)


def test_the_command_repeats_the_experiment() -> None:
    experiment = Experiment(dataset="digits", held_out=(1, 2), loss="triplet", params={"margin": 0.3})
    words = command(Page(report(replace(run_history(), query=experiment.to_query()))))
    assert words[:4] == ["python", "-m", "siamese_core", "train"]
    assert Experiment.from_query(words[4]) == (experiment, [])
    assert len(words) == 5


def test_the_command_names_the_machine_where_it_is_not_the_usual_one() -> None:
    machine = Machine("cuda", 4, "bf16")
    expected = ["--device", "cuda", "--threads", "4", "--precision", "bf16"]
    assert command(Page(report(machine=machine)))[5:] == expected
    assert facts(Page(report(machine=machine)))["Machine"] == ["cuda, threads: 4, bfloat16 where it helps"]


@pytest.mark.parametrize(
    "query", ['"; rm -rf ~; "', "$(reboot)=`reboot`", "a='&b=!x&c=\\", "%PATH%=%24%28x%29", "x\ny=1"]
)
def test_a_hostile_experiment_means_nothing_to_a_shell(query: str) -> None:
    (line,) = Page(report(replace(run_history(), query=query), machine=Machine("; reboot", precision="$(x)"))).all(
        "pre"
    )
    inside = line.removeprefix('python -m siamese_core train "').removesuffix('"')
    assert len(line) - len(inside) == 31
    assert set(inside) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%+=&,")


def test_uploaded_images_are_named_so() -> None:
    page = Page(report(replace(run_history(), query=f"dataset=own-{'0' * 24}&steps=30")))
    assert facts(page)["Dataset"] == ["somebody’s own pictures"]
    assert any("only where these are" in note for note in page.all("p"))


def test_date_machine_and_versions_are_shown() -> None:
    found = facts(Page(report()))
    assert found["Date"] == ["2026-09-21 14:13 UTC"]
    assert found["Machine"] == ["cpu, threads: 1, 32-bit (exact)"]
    (versions,) = found["Versions where this report was made"]
    assert f"torch {version('torch')}, numpy {version('numpy')}" in versions


@pytest.mark.parametrize("created", [1e300, float("nan"), float("inf"), -1e18])
def test_a_date_that_is_none_is_not_known(created: float) -> None:
    assert facts(Page(report(created=created)))["Date"] == ["not known"]


def test_what_a_recording_says_brings_nothing_into_the_page() -> None:
    title = '<script>alert("t")</script>&amp;'
    link = LINK + '"><script>alert(2)</script>'
    query = run_history().query + "&" + "<script>=<img%20src=https://evil.example>"
    hostile = report(replace(run_history(classes=HOSTILE), query=query), title=title, link=link)
    plain = report(replace(run_history(), query=run_history().query + "&zeal=1"))
    page = Page(hostile)
    assert_asks_nobody(page)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page(plain).tags]
    assert page.all("h1") == page.all("title") == [title]
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == [link]
    assert {f"{name} (held out)" if name == HOSTILE[2] else name for name in HOSTILE} <= {
        text.removeprefix(text[0]).strip() for text in page.all("span") if text[0] in MARKS.values()
    }
    assert facts(page)["<script>"] == ["<img src=https://evil.example>"]
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert [alt.partition(" of the class ")[2] for alt in alts] == list(HOSTILE)


def test_every_word_stands_in_the_one_table_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_core.export.report.TEXT", marked(TEXT))
    page = Page(report(run_history(branches=2)))
    for tag in ("h2", "p", "figcaption", "a"):
        assert page.all(tag)
        assert all(words.startswith("¶") for words in page.all(tag) if words), tag


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("with_layouts", [True, False])
def test_a_damaged_recording_still_gives_a_report(name: str, with_layouts: bool) -> None:
    found = DAMAGED[name]()
    xy = layouts(found) if with_layouts else np.full((len(found.film), 5, 2), np.nan)
    content = report(found, xy)
    page = Page(content)
    assert_asks_nobody(page)
    assert len(page.all("h2")) == 7
    drawn = sum(chart.startswith("picture") for chart in plots(content))
    assert drawn == len(found.film)
    if not drawn:
        assert TEXT["no_layouts"] in page.all("p")
        assert TEXT["no_pairs"] in page.all("p")
    if not found.scores or name == "foreign scores":
        assert TEXT["no_scores"] in page.all("p")


@pytest.mark.parametrize("shape", [(3, 5, 2), (4, 6, 2), (4, 5, 7), (4, 5), (0, 5, 2)])
def test_layouts_of_another_run_are_not_drawn(shape: tuple[int, ...]) -> None:
    content = report(xy=np.ones(shape, np.float32))
    for name, (_, layout) in plots(content).items():
        if name.startswith("picture"):
            assert [note["text"] for note in layout["annotations"]] == [TEXT["embedding"]["no_layout"]]
    assert TEXT["no_layouts"] in Page(content).all("p") or shape[0] == 4


def test_without_layouts_there_is_a_message() -> None:
    content = report_html(run_history(), None, title="x", link=LINK, machine=Machine(), created=CREATED)
    assert TEXT["no_layouts"] in Page(content).all("p")
    assert "pairs-3" in plots(content)


def test_distances_that_are_not_finite_are_left_out() -> None:
    found = run_history()
    same = np.full((4, 6), np.nan, np.float32)
    same[-1, :2] = [0.25, np.inf]
    film = replace(found.film, same=same, different=np.full((4, 7), np.inf, np.float32))
    drawn = plots(report(replace(found, film=film)))
    assert numbers(drawn["pairs-3"][0][0]["y"]).max() == pytest.approx(1)
    assert drawn["pairs-3"][1]["xaxis"]["range"][1] == pytest.approx(0.25, rel=0.1)


def test_the_same_run_gives_the_same_report() -> None:
    assert report(run_history(branches=2)) == report(run_history(branches=2))
