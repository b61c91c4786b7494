"""The Runs page without a browser: whose runs it shows, and what can be done with them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.ui.session import model_picker
from pages.ui.session.engine import engine, sweeps, uploads
from pages.ui.text import models as models_text
from pages.ui.text import runs as text
from pages.ui.text import train as train_text
from pages.ui.text.shared import UNDO
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.engine.storage.store import hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.archive import zipped_run
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts
from tests.pages.app import click, ran, words
from tests.support.uploads import until_read
from tests.support.waiting import PATIENCE, until
from tests.support.zip_maker import File, zipped

pytestmark = pytest.mark.usefixtures("patient")

RUNS, TRAIN = "pages/6_Runs.py", "pages/1_Train.py"
ANN, BEN = "ann of the runs page", "ben of the runs page"
SHORT = Experiment(dataset="digits", encoder="mlp", steps=30, projection="pca", seed=3)


def finished(owner: str, experiment: Experiment = SHORT) -> str:
    """A saved run, with its film laid out."""
    run = engine().start(owner, experiment)
    until(lambda: (view := engine().poll(owner, run)) is not None and view.status == "finished", "the run")
    until(lambda: not engine().store.is_busy(run), "its last save")
    until(lambda: isinstance(engine().replays.poll(hashed(owner), run), Layouts), "its film")
    return run


def interrupted(owner: str) -> str:
    """A run that went on for a while, and was then forgotten by the server."""
    run = engine().start(owner, Experiment(dataset="digits", encoder="mlp", steps=100_000, projection="pca"))
    until(lambda: engine().store.find(hashed(owner), run), "its first save")
    engine().discard(owner, run)
    until(lambda: not engine().store.is_busy(run), "its last save")
    return run


@pytest.fixture(scope="module")
def run() -> str:
    return finished(ANN)


@pytest.fixture(autouse=True)
def _ben_has_nothing() -> Iterator[None]:
    yield
    for info in engine().store.infos(hashed(BEN)):
        engine().store.delete(hashed(BEN), info.id)


def opened(owner: str, page: str = RUNS, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE)
    app.session_state["owner"] = owner
    ran(app).switch_page(page)
    for name, value in query.items():
        app.query_params[name] = value
    return ran(app)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_a_browser_sees_its_own_runs_and_nobody_elses(run: str) -> None:
    hers, others = opened(ANN), opened(BEN)
    assert len(hers.dataframe[0].value) == 1
    assert not others.dataframe and text.NONE_YET in words(others)


def test_the_table_says_what_a_run_was_and_how_it_went(run: str) -> None:
    row = opened(ANN).dataframe[0].value.iloc[0]
    info = engine().store.find(hashed(ANN), run)
    assert info is not None
    assert row[text.COLUMNS["loss"]] == "Contrastive (Hadsell 2006)"
    assert row[text.COLUMNS["params"]] == "margin 1.0"
    assert row[text.COLUMNS["map_at_r"]] == info.score("map_at_r")
    assert row[text.COLUMNS["step"]] == "30 of 30"
    assert row[text.COLUMNS["thumbnail"]].startswith("data:image/png;base64,")


def test_a_guessed_id_is_like_an_unknown_one(run: str) -> None:
    guessed, unknown = opened(BEN, run=run), opened(BEN, run="x" * len(run))
    assert text.NO_RUN.format(asked=run) in words(guessed)
    assert text.NO_RUN.format(asked="x" * len(run)) in words(unknown)
    assert text.DELETE not in labels(guessed)


def test_a_link_with_anything_in_it_is_a_message() -> None:
    app = opened(BEN, run="../../etc/passwd,<b>*x*,,", section="nothing")
    assert "../../etc/passwd" in words(app) and "<b>*x*" in words(app)
    assert "no part “nothing”" in words(app)


def test_the_owner_of_a_run_looks_at_it_and_may_change_it(run: str) -> None:
    app = opened(ANN, run=run)
    assert {text.OPEN, text.PIN, text.DELETE} <= set(labels(app))
    assert text.RESUME not in labels(app), "it is at its end"
    assert text.DOWNLOAD in words(app)
    click(app, text.PIN)
    assert text.UNPIN in labels(app)
    info = engine().store.find(hashed(ANN), run)
    assert info is not None and info.pinned
    click(app, text.UNPIN)


def test_a_name_is_given_and_found_by_the_filter(run: str) -> None:
    app = opened(ANN, run=run)
    app.text_input(key=f"runs_name_{run}").set_value("  Lesson\t*one*  ")
    click(app, text.SAVE_NAME)
    info = engine().store.find(hashed(ANN), run)
    assert info is not None and info.name == "Lesson *one*"
    app.text_input(key="runs_filter").set_value("lesson contrastive")
    assert len(ran(app).dataframe[0].value) == 1
    app.text_input(key="runs_filter").set_value("lesson triplet")
    assert "No run fits “lesson triplet”" in words(ran(app))


def test_a_deleted_run_can_be_had_back() -> None:
    run = finished(BEN)
    app = click(opened(BEN, run=run), text.DELETE)
    assert engine().store.find(hashed(BEN), run) is None
    assert text.NONE_YET in words(app) and "Deleted:" in words(app)
    click(app, UNDO)
    assert engine().store.find(hashed(BEN), run) is not None
    assert "Deleted:" not in words(app)


def test_a_published_run_is_looked_at_by_others_and_changed_by_none_of_them() -> None:
    run = finished(BEN)
    app = opened(BEN, run=run)
    app.text_input(key=f"runs_publish_name_{run}").set_value("For everybody")
    click(app, text.DO_PUBLISH)
    theirs = opened("somebody who was given the link", run=run)
    assert text.NO_RUN.format(asked=run) not in words(theirs)
    assert text.OPEN in labels(theirs)
    assert not {text.DELETE, text.PIN, text.RESUME} & set(labels(theirs))
    ran(theirs).toggle(key="runs_everybody").set_value(True)
    names = ran(theirs).dataframe[0].value[text.COLUMNS["name"]]
    assert list(names) == ["For everybody"]
    click(opened(BEN, run=run), text.UNPUBLISH)
    assert text.NO_RUN.format(asked=run) in words(opened("somebody who was given the link", run=run))


def test_two_runs_side_by_side_differ_where_they_differ(run: str) -> None:
    other = finished(ANN, Experiment(dataset="digits", encoder="mlp", steps=30, projection="pca", seed=4))
    app = opened(ANN, run=f"{run},{other}")
    table = app.dataframe[1].value
    assert table[text.SETTING][0] == "Seed"
    assert list(table.iloc[0])[1:] == ["3", "4"]
    assert text.SEEDS_DIFFER in words(app)
    assert "MAP@R" in list(table[text.SETTING])
    engine().store.delete(hashed(ANN), other)


def test_an_interrupted_run_is_resumed_from_the_runs_page() -> None:
    run = interrupted(BEN)
    app = opened(BEN, run=run)
    (button,) = [b for b in app.button if b.label == text.RESUME]
    info = engine().store.find(hashed(BEN), run)
    assert info is not None and info.step > 0
    button.click()
    ran(app)
    until(lambda: (view := engine().poll(BEN, run)) is not None and view.step > info.step, "a further step")
    engine().discard(BEN, run)
    until(lambda: not engine().store.is_busy(run), "its last save")


def test_the_train_page_offers_what_was_interrupted() -> None:
    carl = "carl who has no other run"
    run = interrupted(carl)
    app = opened(carl, TRAIN)
    info = engine().store.find(hashed(carl), run)
    assert info is not None
    assert f"Interrupted at step {info.step:,} of 100,000" in words(app)
    click(app, train_text.RESUME)
    view = engine().poll(carl, run)
    assert view is not None and view.status == "running"
    engine().discard(carl, run)
    until(lambda: not engine().store.is_busy(run), "its last save")


def test_the_settings_of_a_run_open_on_train(run: str) -> None:
    app = opened(ANN, run=run)
    (button,) = [b for b in app.button if b.label == text.OPEN]
    button.click()
    ran(app)
    experiment: Experiment = app.session_state["experiment"]
    assert experiment == SHORT


def test_a_damaged_run_is_named_and_the_page_stands() -> None:
    run = finished(BEN)
    (engine().store.folder(run) / "probe.safetensors").write_bytes(b"torn")
    engine().store.change(hashed(BEN), run, name="Torn")
    engine().replays.forget(run)
    app = opened(BEN, run=run)
    assert "its pictures are damaged" in words(app)
    assert text.DELETE in labels(app)


def test_a_run_that_is_still_written_says_so_and_is_not_deleted() -> None:
    run = engine().start(BEN, Experiment(dataset="digits", encoder="mlp", steps=100_000, projection="pca"))
    until(lambda: engine().store.find(hashed(BEN), run), "its first save")
    app = opened(BEN, run=run)
    assert "is still running" in words(app)
    click(app, text.DELETE)
    assert text.WRITTEN in words(app)
    info: RunInfo | None = engine().store.find(hashed(BEN), run)
    assert info is not None
    engine().discard(BEN, run)
    until(lambda: not engine().store.is_busy(run), "its last save")


def test_a_sweep_runs_in_the_background_and_its_map_opens_its_runs() -> None:
    owner = "owner of a sweep"
    app = opened(owner, section="sweeps")
    assert text.NO_SWEEP in words(app)
    app.session_state["experiment"] = SHORT
    app.selectbox(key="sweep_first").set_value("margin")
    ran(app).text_input(key="sweep_of_margin").set_value("0.5, zwei")
    assert "margin=0.5, zwei: may be numbers from" in words(ran(app))
    app.text_input(key="sweep_of_margin").set_value("0.5, 1")
    click(ran(app), text.BEGIN.format(count=2))
    (view,) = sweeps().all(hashed(owner))
    until(lambda: not (sweeps().poll(hashed(owner), view.id) or view).live, "the sweep to end")
    (view,) = sweeps().all(hashed(owner))
    assert [cell.status for cell in view.cells] == ["finished", "finished"]
    app = opened(owner, section="sweeps")
    assert app.get("progress")[0].proto.text == text.SWEEP_PROGRESS.format(done=2, total=2)
    app.session_state["sweep_pressed"] = (view.id, 1.0, 0.0)
    app = click(ran(app), text.CELL_OPEN.format(count=1))
    assert app.query_params["run"] in (view.cells[1].run, [view.cells[1].run])
    assert text.OPEN in labels(app)
    assert engine().latest(owner) is None, "no cell is a run of the Train page"
    sweeps().delete(hashed(owner), view.id)


def test_nobody_elses_sweep_is_shown() -> None:
    assert text.NO_SWEEP in words(opened("somebody without a sweep", section="sweeps"))


def test_a_run_is_downloaded_and_imported_again(run: str) -> None:
    carla = "carla who brings a run"
    files = engine().store.files(hashed(ANN), run)
    assert files is not None
    app = opened(carla, section="bring")
    app.file_uploader(key="runs_import").set_value(("run.zip", zipped_run(files), "application/zip"))
    assert text.SHOW in labels(ran(app))
    (info,) = engine().store.infos(hashed(carla))
    assert (info.status, info.query) == ("finished", SHORT.to_query())
    until(lambda: isinstance(engine().replays.poll(hashed(carla), info.id), Layouts), "its film")
    assert text.DOWNLOAD in words(click(app, text.SHOW))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.zip", b"no zip", "This zip cannot be read as a run: it is no zip archive."),
        ("model.safetensors", b"of a model", "model.safetensors: this is a model, not a run"),
        ("run.safetensors", b"torn", "probe.safetensors is missing"),
    ],
)
def test_what_is_no_run_is_refused_with_one_message(name: str, content: bytes, message: str) -> None:
    app = opened("somebody who brings something else", section="bring")
    app.file_uploader(key="runs_import").set_value((name, content, "application/octet-stream"))
    assert message in words(ran(app))
    assert engine().store.infos(hashed("somebody who brings something else")) == []


def test_a_saved_run_is_a_model_to_compare_with_also_when_the_server_has_forgotten_it() -> None:
    dora = "dora who comes back tomorrow"
    run = finished(dora)
    engine().discard(dora, run)
    app = opened(dora, "pages/4_Compare.py")
    choice = app.selectbox(key="model_choice")
    assert models_text.SAVED_RUN.format(about="Contrastive (Hadsell 2006) on Digits, 8×8", steps=30) in choice.options
    choice.set_value(run)
    ran(app)
    picked_run, file = app.session_state[model_picker.OF_RUN]
    assert (picked_run, file.model.steps) == (run, 30)


def test_runs_on_uploaded_images_are_saved_only_when_asked() -> None:
    elsa = "elsa with uploaded pictures"
    files = [File(f"{name}/{n}.png", png(n)) for name in ("one", "two") for n in range(6)]
    uploads().read_zip(elsa, io.BytesIO(zipped(*files)))
    assert until_read(uploads(), elsa).status == "ready"
    key = uploads().prepare(elsa, 28, False, 50, "hers")
    app = opened(elsa, TRAIN, dataset=key, encoder="mlp", steps="4", projection="pca")
    click(app, train_text.BUTTONS["train"][0])
    run = engine().latest(elsa)
    assert run is not None
    until(lambda: (view := engine().poll(elsa, run)) is not None and view.status == "finished", "the run")
    assert not engine().saver.is_writing(hashed(elsa))
    assert engine().store.infos(hashed(elsa)) == []
    app = ran(app)
    app.toggle(key="save_uploaded").set_value(True)
    click(ran(app), train_text.BUTTONS["train"][0])
    until(lambda: [r.status for r in engine().store.infos(hashed(elsa))] == ["finished"], "the saved run")


def png(seed: int) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "PNG")
    return content.getvalue()
