"""Many pairs on the Compare page, without a browser: what is opened, requested, counted, shown and saved."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.ui.compare import pair_list
from pages.ui.compare.verdict_table import rows, summary, table, thumbnails
from pages.ui.session import model_picker
from pages.ui.text import compare as text
from siamese_core.datasets.atlas import atlas_png
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.formats.images import ImageRejected
from siamese_core.formats.pair_lists import ListedPair, PairList, of_zip, to_csv
from siamese_core.runs.model import Model
from tests.pages.app import click, ran, words
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

COMPARE = "pages/4_Compare.py"
PNG = "image/png"
SIZE = (28, 28)


def png(seed: int) -> bytes:
    """An image that no other seed has."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, SIZE, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def zip_of(table: str, files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pairs.csv", table)
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def opened(given_as: str = "stacks") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(COMPARE)
    app.session_state["compare_source"] = "many"
    app.session_state["many_given_as"] = given_as
    ran(app)
    until(lambda: ran(app).get("file_uploader"), "the process that compares")
    return app


def with_zip(table: str, files: dict[str, bytes]) -> AppTest:
    app = opened("zip")
    app.get("file_uploader")[0].set_value(("pairs.zip", zip_of(table, files), "application/zip"))
    return ran(app)


def with_stacks(first: list[str], second: list[str]) -> AppTest:
    """Images by name, each its own."""
    app = opened()
    for side, names in enumerate((first, second)):
        app.get("file_uploader")[side].set_value([(name, png(100 * side + n), PNG) for n, name in enumerate(names)])
    return ran(app)


def judged(app: AppTest) -> AppTest:
    """Once all is known: the training images are embedded first."""

    def is_known() -> bool:
        ran(app)
        return len(app.dataframe) == 1 and {"verdict", "unlike"} <= set(app.dataframe[0].value.columns)

    until(is_known, "the verdicts")
    return app


class TestThePage:
    def test_two_stacks_are_paired_in_the_order_of_their_names_and_judged(self) -> None:
        app = judged(with_stacks(["10.png", "9.png"], ["b.png", "a.png"]))
        (shown,) = app.dataframe
        assert shown.value["first"].tolist() == ["9.png", "10.png"]
        assert shown.value["second"].tolist() == ["a.png", "b.png"]
        assert "Pairs: **2**." in words(app)
        assert "In truth known" not in words(app)
        assert "unlike" in shown.value.columns

    def test_what_a_list_says_is_held_against_the_verdicts(self) -> None:
        files = {f"{n}.png": png(n) for n in range(3)}
        app = judged(with_zip("first,second,same\n0.png,0.png,1\n0.png,0.png,0\n1.png,2.png,\n", files))
        (shown,) = app.dataframe
        assert shown.value["value"].tolist()[:2] == [0, 0]
        assert shown.value["right"].tolist() == ["right", "wrong", ""]
        assert "known: **2**, of which the verdict is right on **1**. False accepts: **1** of 1." in words(app)

    def test_the_distances_of_the_parts_are_those_of_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = [f"{n}.png" for n in range(5)]
        whole = judged(with_stacks(names, names)).dataframe[0].value
        monkeypatch.setattr(pair_list, "PART", 2)
        parts = judged(with_stacks(names, names)).dataframe[0].value
        np.testing.assert_allclose(parts["value"], whole["value"], rtol=1e-4)
        assert parts["unlike"].tolist() == whole["unlike"].tolist()

    def test_an_image_unlike_all_training_images_is_distinguished_from_one_of_them(self) -> None:
        known = atlas_png(model_picker.bundled("fashion_mnist").model.experiment.data.load().train_images[:1], 1)
        rows, columns = np.indices(SIZE) // 4
        chequered = atlas_png(((rows + columns) % 2 * 255).astype(np.uint8)[None, None], 1)
        app = judged(with_zip("first,second\na.png,b.png\nb.png,a.png\n", {"a.png": known, "b.png": chequered}))
        assert app.dataframe[0].value["unlike"].tolist() == ["second", "first"]

    def test_a_broken_image_takes_its_pairs_with_it_and_is_named_as_it_is_written(self) -> None:
        files = {"a.png": png(1), "b.png": png(2), "*b*.png": png(3)[:60]}
        app = with_zip("first,second\na.png,b.png\na.png,*b*.png\na.png,gone.png\n", files)
        assert "*b*.png: This image is damaged" in words(app)
        assert "\\*b\\*" in app.warning[0].value
        assert "Row 4: the zip has no picture “gone.png”" in words(app)
        until(lambda: ran(app).dataframe, "the table")
        assert app.dataframe[0].value["second"].tolist() == ["b.png"]

    def test_where_no_pair_is_left_that_is_shown(self) -> None:
        app = with_zip("first,second\na.png,b.png\n", {"a.png": png(1), "b.png": b"\x89PNG\r\n\x1a\n"})
        assert text.NONE_LEFT in words(app)
        assert not app.dataframe

    def test_stacks_of_unequal_length_are_one_message(self) -> None:
        app = with_stacks(["1.png", "2.png"], ["1.png"])
        assert [error.value.replace("\\", "") for error in app.error] == [
            "There are 2 first and 1 second pictures: choose equally many on both sides."
        ]

    def test_one_stack_asks_for_the_other(self) -> None:
        assert text.OTHER_STACK in words(with_stacks(["1.png"], []))

    def test_images_are_opened_once_whatever_is_asked_about_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rounds: list[int] = []

        def counted(files: tuple[bytes, ...], model: Model) -> Iterator[np.ndarray]:
            rounds.append(len(files))
            yield from (np.full(model.shape, 40 * n, np.uint8) for n in range(len(files)))

        monkeypatch.setattr(pair_list, "model_inputs", counted)
        app = judged(with_stacks(["1.png", "2.png"], ["3.png", "4.png"]))
        before = app.dataframe[0].value
        app.toggle(key="many_invert").set_value(True)
        inverted = judged(app).dataframe[0].value
        assert inverted["first_image"].tolist() != before["first_image"].tolist()
        assert inverted["value"].tolist() != before["value"].tolist()
        # Files stay chosen and brightness inverted while another model is got ready, which draws neither.
        app.selectbox(key=model_picker.CHOICE).set_value("mnist")
        judged(app)
        assert app.toggle(key="many_invert").value
        assert app.dataframe[0].value["value"].tolist() != inverted["value"].tolist()
        assert rounds == [4]

    def test_what_is_cancelled_begins_again_only_when_somebody_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened()
        rounds: list[int] = []
        real = pair_list.model_inputs

        def cancelled(files: tuple[bytes, ...], model: Model) -> Iterator[np.ndarray | ImageRejected]:
            """As a click on Cancel while the first image is opened."""
            rounds.append(len(files))
            if len(rounds) == 1:
                pair_list._cancel()
                pair_list.st.rerun()
            return real(files, model)

        monkeypatch.setattr(pair_list, "model_inputs", cancelled)
        for side in range(2):
            app.get("file_uploader")[side].set_value([("1.png", png(side), PNG)])
        ran(app)
        assert text.CANCELLED in words(app)
        assert "many_opened" not in app.session_state
        ran(app)
        assert rounds == [2]
        click(app, text.BEGIN_AGAIN)
        assert rounds == [2, 2]
        assert text.CANCELLED not in words(judged(app))

    def test_other_files_begin_after_a_cancel(self) -> None:
        app = judged(with_stacks(["1.png"], ["2.png"]))
        app.session_state["many_cancelled"] = app.session_state["many_list"][0]
        assert text.CANCELLED in words(ran(app))
        app.get("file_uploader")[0].set_value([("3.png", png(3), PNG)])
        assert judged(app).dataframe[0].value["first"].tolist() == ["3.png"]

    def test_files_stay_chosen_while_another_part_is_looked_at_until_they_are_removed(self) -> None:
        app = judged(with_zip("first,second\na.png,b.png\n", {"a.png": png(1), "b.png": png(2)}))
        app.session_state["compare_source"] = "upload"
        assert not ran(app).dataframe
        app.session_state["compare_source"] = "many"
        assert text.STILL_CHOSEN.format(count=1) in words(judged(app))
        click(app, text.REMOVE)
        assert not app.dataframe
        assert not [name for name in pair_list.ENTRIES if name in app.session_state]


def test_an_example_is_a_list_that_the_page_reads() -> None:
    model = model_picker.bundled("fashion_mnist").model
    images = model.experiment.data.load()
    listed = of_zip(io.BytesIO(pair_list.example(images, model.classes)))
    assert [pair.same for pair in listed.pairs] == [True] * 4 + [False] * 4
    assert (len(listed.files), listed.problems) == (12, ())
    assert listed.pairs[0].first_name == "T_shirt_top_0_1.png"


A, B, C = (ListedPair("a", "b", 0, 1, True), ListedPair("=a", "c", 0, 2, False), ListedPair("b", "c", 1, 2, None))
COMPARED = {"value": np.array([0.5, 0.4, 0.6], np.float32), "unlike": np.array([[0, 0], [1, 0], [1, 1]], bool)}


class TestSortedOut:
    def test_an_image_is_named_once_however_many_pairs_it_is_in(self) -> None:
        image = np.zeros((1, 2, 2), np.uint8)
        listed = PairList((b"0", b"1", b"2"), (A, B, C), ("Row 9: no.",))
        usable, problems = pair_list.sorted_out(listed, [image, image, ImageRejected("empty")])
        assert usable == (A,)
        assert problems == ["Row 9: no.", f"c: {ImageRejected('empty')}"]

    def test_after_twenty_it_says_how_many_more(self) -> None:
        pairs = tuple(ListedPair(f"{2 * n}", f"{2 * n + 1}", 2 * n, 2 * n + 1, None) for n in range(11))
        listed = PairList(tuple(bytes([n]) for n in range(22)), pairs)
        usable, problems = pair_list.sorted_out(listed, [ImageRejected("empty")] * 22)
        assert usable == ()
        assert len(problems) == 21
        assert problems[-1] == "and 2 more"


class TestJudged:
    model = model_picker.bundled("fashion_mnist").model

    def test_false_accepts_and_false_rejects_are_counted_where_the_truth_is_known(self) -> None:
        shown = summary(rows(self.model, (A, B, C), COMPARED, 0.45))
        assert "Pairs: **3**. By the threshold 0.45, **1** the same and **2** different." in shown
        assert "known: **2**, of which the verdict is right on **0**" in shown
        assert "False accepts: **1** of 1. False rejects: **1** of 1." in shown

    def test_a_pair_at_the_threshold_is_the_same(self) -> None:
        assert rows(self.model, (A, B, C), COMPARED, 0.5)[0]["verdict"] == "same"

    def test_the_csv_has_a_row_for_each_pair_and_begins_no_formula(self) -> None:
        lines = to_csv(rows(self.model, (A, B, C), COMPARED, 0.5)).splitlines()
        assert lines[0] == "first,second,value,threshold,verdict,same,unlike"
        assert lines[1] == "a,b,0.5,0.5,same,1,"
        assert lines[2].startswith("'=a,c,0.4")
        assert lines[3].endswith(",0.5,different,,both")

    def test_without_a_threshold_there_is_no_verdict_and_nothing_is_right_or_wrong(self) -> None:
        found = rows(self.model, (A, B, C), COMPARED, None)
        assert to_csv(found).splitlines()[1] == "a,b,0.5,,,1,"
        columns = table((A, B, C), found, {0: "x", 1: "y", 2: "z"})
        assert set(columns) == {"first_image", "second_image", "value", "same", "unlike", "first", "second"}
        assert columns["second_image"] == ["y", "z", "z"]

    def test_columns_that_say_nothing_are_left_out(self) -> None:
        found = rows(self.model, (C,), {"value": np.array([0.5], np.float32)}, 0.5)
        columns = table((C,), found, {1: "y", 2: "z"})
        assert set(columns) == {"first_image", "second_image", "value", "verdict", "first", "second"}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_thousand_thumbnails_of_noise_are_little_more_than_a_kilobyte_each(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (channels, 96, 96), dtype=np.uint8)
    kind, _, data = thumbnails({7: image}, 1_000)[7].partition(",")
    assert kind == "data:image/png;base64"
    content = base64.b64decode(data)
    assert len(content) < 1_200
    assert max(Image.open(io.BytesIO(content)).size) <= 32
