"""The Data page without a browser: what it says, and that nothing raises."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.ui.session.engine import downloads, engine, uploads
from pages.ui.text import data as text
from siamese_core.datasets import DATASETS, DOWNLOADS
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

DATA = "pages/3_Data.py"


def opened(section: str = "", experiment: Experiment | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(DATA)
    if section:
        app.query_params["section"] = section
    if experiment is not None:
        app.session_state["experiment"] = experiment
    app.run()
    assert not app.exception
    return app


def address(app: AppTest, name: str) -> str:
    """A list where the page has written it."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def words(app: AppTest) -> str:
    shown = (app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(element.value for elements in shown for element in elements)


def button(app: AppTest, label: str) -> AppTest:
    (found,) = [b for b in app.button if b.label == label]
    done: AppTest = found.click().run()
    assert not done.exception
    return done


def zip_of(classes: dict[str, int], extra: dict[str, bytes] | None = None) -> bytes:
    """Class folders with so many PNGs of 40×30, every one of its own colour."""
    random = np.random.default_rng(0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, count in classes.items():
            for number in range(count):
                png = io.BytesIO()
                Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(png, "PNG")
                archive.writestr(f"{name}/{number}.png", png.getvalue())
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return packed.getvalue()


def uploaded(content: bytes) -> AppTest:
    app = opened("own")
    app.get("file_uploader")[0].set_value(("pictures.zip", content, "application/zip"))
    app.run()
    assert not app.exception
    token = app.session_state["owner"]

    def is_read() -> bool:
        upload = uploads().poll(token)
        return upload is not None and upload.status != "reading"

    until(is_read, "the upload")
    app.run()
    assert not app.exception
    return app


def test_the_page_opens_on_the_images_of_the_current_experiment() -> None:
    app = opened(experiment=Experiment(dataset="mnist"))
    assert app.selectbox(key="data_dataset").value == "mnist"
    assert "4,000 training and 1,000 test images in 10 classes, 28 × 28 pixels, grey" in words(app)
    assert DATASETS["mnist"].licence in words(app)


def test_a_set_that_is_not_here_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
    app = opened()
    app.selectbox(key="data_dataset").set_value("olivetti").run()
    assert not app.exception
    assert "press Download on the Data page" in words(app)
    assert "until then there is the bundled digits" in words(app)


def test_train_with_these_images_opens_the_train_page_on_them() -> None:
    app = opened(experiment=Experiment(dataset="digits", held_out=(3,), seed=5))
    app.selectbox(key="data_dataset").set_value("shapes").run()
    app = button(app, text.TRAIN_WITH)
    experiment = app.session_state["experiment"]
    assert (experiment.dataset, experiment.held_out, experiment.seed) == ("shapes", (), 5)
    assert address(app, "dataset") == "shapes"


def test_a_part_that_does_not_exist_is_named() -> None:
    app = opened("cellar")
    assert "There is no part “cellar” of this page" in words(app)
    assert "browse, pairs, inputs, own, get" in words(app)


class TestPairs:
    def test_before_a_run_the_first_step_is_shown_without_distances(self) -> None:
        app = opened("pairs", Experiment(dataset="digits"))
        until(lambda: bool(engine().devices), "the worker")
        app.run()
        assert "What step **1** of a run on Digits, 8×8" in words(app)
        assert "The 1,437 training images make 1,031,766 pairs" in words(app)
        assert len(app.image) == 24
        assert "d = " not in words(app)

    def test_the_next_batch_is_the_one_of_the_step_after(self) -> None:
        app = button(opened("pairs", Experiment(dataset="digits")), text.NEXT_BATCH)
        assert "What step **2** of a run" in words(app)

    def test_two_miners_need_a_network_that_was_trained(self) -> None:
        app = opened("pairs", Experiment(dataset="digits"))
        app.session_state["pairs_shown"] = "triplets"
        app.run()
        assert text.NOT_TRAINED in words(app)
        (miner,) = [control for control in app.get("button_group") if control.key == "pairs_miner"]
        assert miner.options == ["All triplets (142,560)", "Random (1,320)"]

    def test_random_triplets_are_shown_as_they_are_drawn(self) -> None:
        app = opened("pairs", Experiment(dataset="digits", loss="triplet", sampling="random_pairs"))
        app.session_state["pairs_shown"] = "triplets"
        app.run()
        assert not app.exception
        assert text.ANCHOR_POSITIVE_NEGATIVE in words(app)
        assert len(app.image) == 12

    def test_of_a_run_there_are_distances_and_what_every_miner_picks(self) -> None:
        app = opened("pairs", Experiment(dataset="digits"))
        token = app.session_state["owner"]
        run = engine().start(token, Experiment(dataset="digits", steps=20, projection="pca"))
        until(lambda: (view := engine().poll(token, run)) is not None and view.status == "finished", "the run")
        app.session_state["run"] = run
        app.run()
        assert not app.exception
        assert "What step **21** of your run on Digits" in words(app)
        assert "of the pairs are easy now" in words(app)
        app.session_state["pairs_shown"] = "triplets"
        app.run()
        (miner,) = [control for control in app.get("button_group") if control.key == "pairs_miner"]
        assert miner.options == [
            "All triplets (142,560)", "Semi-hard (1,320)", "Hardest (120)", "Random (1,320)",
        ]  # fmt: skip


class TestInputs:
    def test_every_input_transform_has_its_words_and_its_button(self) -> None:
        app = opened("inputs", Experiment(dataset="digits"))
        until(lambda: bool(engine().devices), "the worker")
        app.run()
        assert not app.exception
        assert all(transform.help in words(app) for transform in INPUT_TRANSFORMS.values())
        app = button(app, text.USE_INPUT_TRANSFORM.format(input_transform="edges"))
        assert app.session_state["experiment"].view == "edges"
        assert address(app, "view") == "edges"


class TestOwn:
    def test_a_zip_becomes_a_set_that_is_trained_on(self) -> None:
        app = uploaded(zip_of({"Anna": 4, "Ben": 3, "Cleo": 5}, {"__MACOSX/Anna/x.png": b"junk"}))
        assert text.READY.format(count=12, classes=3) in words(app)
        assert "1 hidden or system file" in words(app)
        app.multiselect(key="upload_held_out").set_value([2]).run()
        assert text.TOO_MANY_HELD_OUT not in words(app)
        app = button(app, text.USE)
        experiment = app.session_state["experiment"]
        assert experiment.data.classes == ("Anna", "Ben", "Cleo")
        assert experiment.held_out == (2,)
        assert experiment.data.shape == (3, 64, 64)
        assert address(app, "dataset") == experiment.dataset

    def test_another_browser_gets_the_settings_but_not_the_images(self) -> None:
        app = button(uploaded(zip_of({"a": 2, "b": 2})), text.USE)
        key = app.session_state["experiment"].dataset
        other = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
        other.switch_page("pages/1_Train.py")
        other.query_params["dataset"], other.query_params["seed"] = key, "9"
        other.run()
        assert not other.exception
        assert "these are the pictures of another browser" in words(other).replace("\\", "")
        assert (other.session_state["experiment"].dataset, other.session_state["experiment"].seed) == (
            "fashion_mnist", 9,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"no zip at all", "This file is no zip archive"),
            (zip_of({"only": 4}), "Pairs need at least 2 classes with 2 pictures each"),
            (zip_of({"a": 1, "b": 1}), "Pairs need at least 2 classes with 2 pictures each"),
            (zip_of({"a": 2, "b": 2})[:-30], "This zip is damaged or cut short"),
        ],
        ids=["no zip", "one class", "one picture each", "cut"],
    )
    def test_what_cannot_be_used_is_one_message_and_the_next_upload_works(self, content: bytes, message: str) -> None:
        assert message in words(uploaded(content))
        assert text.READY.format(count=4, classes=2) in words(uploaded(zip_of({"a": 2, "b": 2})))

    def test_two_classes_must_be_left(self) -> None:
        app = uploaded(zip_of({"a": 2, "b": 2}))
        app.multiselect(key="upload_held_out").set_value([0]).run()
        assert text.TOO_MANY_HELD_OUT in words(app)
        (use,) = [b for b in app.button if b.label == text.USE]
        assert use.disabled

    def test_a_deleted_set_can_be_had_back(self) -> None:
        app = button(uploaded(zip_of({"a": 2, "b": 3})), text.USE)
        app.switch_page(DATA)
        app.query_params["section"] = "own"
        app.run()
        token = app.session_state["owner"]
        (key,) = uploads().sets(token)
        app.button(key=f"delete_{key}").click().run()
        assert uploads().sets(token) == {}
        assert "It is gone for good in half a minute" in words(app)
        app.button(key=f"undo_{key}").click().run()
        assert list(uploads().sets(token)) == [key]

    def test_faces_are_reported_missing_where_people_look_for_them(self) -> None:
        assert text.NO_FACES in words(opened("own"))

    def test_a_folder_of_the_server_is_offered_only_where_the_operator_allowed_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert not [b for b in opened("own").button if b.label == text.READ_FOLDER]
        with zipfile.ZipFile(io.BytesIO(zip_of({"animals/cat": 2, "animals/dog": 2}))) as archive:
            archive.extractall(tmp_path)
        monkeypatch.setenv("SIAMESE_IMAGE_ROOT", str(tmp_path))
        app = opened("own")
        (folder,) = [box for box in app.selectbox if box.label == text.FOLDER]
        assert folder.options == ["animals"]
        folder.set_value("animals").run()
        app = button(app, text.READ_FOLDER)
        token = app.session_state["owner"]
        until(lambda: (r := uploads().poll(token)) is not None and r.status == "ready", "the folder")
        app.run()
        assert text.READY.format(count=4, classes=2) in words(app)


class TestGet:
    def test_size_and_licence_are_shown_before_a_download(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
        app = opened("get")
        for key in DOWNLOADS:
            assert DATASETS[key].title in words(app)
            assert DATASETS[key].licence in words(app)
        assert "170 MB" in words(app)
        assert [b.key for b in app.button if b.label == text.DOWNLOAD] == [
            f"get_{key}" for key in DOWNLOADS if not DATASETS[key].find()
        ]

    def test_without_internet_a_download_is_one_message_and_the_page_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        app = opened("get")
        app.button(key="get_kmnist").click().run()
        until(lambda: not downloads().is_busy(), "the download")
        app.run()
        assert not app.exception
        assert "until then there is the bundled mnist" in words(app)
