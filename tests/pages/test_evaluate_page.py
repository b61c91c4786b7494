"""What the Evaluate and Compare pages do with the class names of uploaded images: show them, and no more."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.ui.evaluate import save
from pages.ui.evaluate.evaluation import Evaluation
from pages.ui.session import model_picker
from pages.ui.session.engine import engine, evaluations, uploads
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import compare as compare_text
from pages.ui.text import evaluate as text
from siamese_core.engine.evaluations import ModelFile, file_of
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.evaluation.report import from_wire
from siamese_core.experiment.experiment import Experiment
from tests.pages.app import ran
from tests.support.uploads import until_read
from tests.support.waiting import PATIENCE, until
from tests.support.zip_maker import File, zipped

pytestmark = pytest.mark.usefixtures("patient")

EVALUATE, COMPARE = "pages/5_Evaluate.py", "pages/4_Compare.py"
NAMES = ("<b>*x*", "`$y$` :red[z]")
EACH = 8
OWNER = "owner of pictures"


def grey_png(seed: int, brightness: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 100, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise + np.uint8(brightness)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def run() -> str:
    """A run on images whose classes are named to be taken for Markdown and HTML."""
    return run_on_upload(OWNER)


def run_on_upload(owner: str) -> str:
    files = [
        File(f"{name}/{number}.png", grey_png(100 * label + number, 100 * label))
        for label, name in enumerate(NAMES)
        for number in range(EACH)
    ]
    uploads().read_zip(owner, io.BytesIO(zipped(*files)))
    assert until_read(uploads(), owner).status == "ready"
    dataset = uploads().prepare(owner, 28, False, 50, "<i>*mine*")
    run = engine().start(owner, Experiment(dataset=dataset, encoder="mlp", steps=4, projection="pca"))
    until(lambda: (view := engine().poll(owner, run)) is not None and view.status == "finished", "the run")
    return run


def opened(page: str, run: str, part: str = "", owner: str = OWNER) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE)
    app.session_state["owner"] = owner
    ran(app).switch_page(page)
    app.session_state[model_picker.CHOICE] = run
    if part:
        app.query_params["part"] = part
    return ran(app)


def raw(app: AppTest) -> str:
    """All that is read as Markdown, as it is written."""
    shown = (app.markdown, app.caption, app.info, app.warning, app.error)
    texts = [element.value for elements in shown for element in elements]
    texts += [caption for image in app.image for caption in image.captions]
    return "\n".join(texts)


def no_name_is_read_as_markdown(app: AppTest) -> None:
    for name in (*NAMES, "<i>*mine*"):
        assert name not in raw(app)


@pytest.mark.parametrize("part", text.PARTS)
def test_no_part_of_evaluate_reads_a_class_name_as_markdown(run: str, part: str) -> None:
    app = opened(EVALUATE, run, part)
    until(lambda: f"**{text.SAVE}**" in raw(ran(app)), "the evaluation")
    no_name_is_read_as_markdown(app)
    assert escape_markdown("<i>*mine*") in raw(app), "the set is named, with its signs"
    if part == "hardest":
        assert any(escape_markdown(name) in raw(app) for name in NAMES), "the pairs are named by their classes"


def test_nor_does_compare(run: str) -> None:
    app = opened(COMPARE, run)
    until(lambda: f"**{compare_text.NEIGHBOURS}**" in raw(ran(app)), "the neighbours")
    no_name_is_read_as_markdown(app)
    assert any(escape_markdown(name) in raw(app) for name in NAMES), "neighbours are named by their classes"


def found(run: str) -> Evaluation:
    model = engine().model(OWNER, run)
    assert model is not None
    file: ModelFile = file_of(model)
    work = until(
        lambda: (w := evaluations().poll(OWNER, "evaluate", file)) and w.status == "done" and w, "the evaluation"
    )
    return Evaluation(file, from_wire(work.about, work.arrays))


def test_the_report_shows_names_as_they_are(run: str) -> None:
    page = save.page(found(run), "<i>*mine*", "about <i>*mine*", None)
    assert "<i>" not in page
    assert "<b>*x*" not in page
    assert "&lt;i&gt;*mine*" in page


def test_the_hardest_pairs_as_csv_have_the_names_of_the_classes(run: str) -> None:
    rows = save.hardest(found(run))
    assert {row["first_class"] for row in rows} | {row["second_class"] for row in rows} == set(NAMES)


def test_a_deleted_set_takes_its_evaluation_with_it() -> None:
    owner = "zoe" * 8
    app = opened(EVALUATE, run_on_upload(owner), owner=owner)
    until(lambda: f"**{text.SAVE}**" in raw(ran(app)), "the evaluation")
    (key,) = uploads().sets(owner)
    uploads().delete(owner, key)
    assert model_picker.text.GONE in raw(ran(app))
    assert f"**{text.SAVE}**" not in raw(app)
