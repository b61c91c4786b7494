"""The Compare page without a browser: which model, which pair, what the verdict says, and that nothing raises."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.ui.compare import page
from pages.ui.session import model_picker
from pages.ui.session.engine import engine, evaluations
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import compare as text
from siamese_core.datasets.atlas import atlas_png
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.engine.storage.store import hashed
from siamese_core.evaluation.architecture import check_architecture
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats.images import ImageRejected
from siamese_core.losses import LOSSES
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model
from siamese_core.training.loop import never, train
from tests.pages.app import click, ran, words
from tests.support.hostile_images import corpus
from tests.support.hostile_models import CASES, UPLOADED, assembled, good
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

COMPARE = "pages/4_Compare.py"
SIZE = (28, 28)
SHORT = Experiment(dataset="digits", encoder="mlp", steps=4, projection="pca")
HOSTILE = ("seven bytes", "pickle in a zip", "a tebi squared", "NaN", "a class in HTML", "a rule of its own")


@pytest.fixture(autouse=True)
def _nobody_has_chosen_a_threshold() -> None:
    model_picker._thresholds.clear()


@pytest.fixture(scope="module")
def digits() -> Model:
    *_, last = train(SHORT, wants_frame=never)
    assert last.state is not None
    return model_of(SHORT, last.state)


def opened(model: str = "", source: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(COMPARE)
    if model:
        app.session_state[model_picker.CHOICE] = model
    if source:
        app.session_state["compare_source"] = source
    return checked(app)


def checked(app: AppTest) -> AppTest:
    """Once the process that compares knows the model, or has something to say against it."""
    until(lambda: model_picker.text.CHECKING not in words(ran(app)), "the process that compares")
    return app


def known(app: AppTest) -> AppTest:
    """Once the training images are embedded."""
    until(lambda: f"**{text.NEIGHBOURS}**" in words(ran(app)), "the neighbours")
    return app


def give(app: AppTest, *files: bytes) -> AppTest:
    """Images, the first one first."""
    boxes = [box for box in app.get("file_uploader") if box.key.startswith("pair_file")]
    for box, content in zip(boxes, files, strict=False):
        box.set_value(("picture.png", content, "image/png"))
    return ran(app)


def give_model(data: bytes, app: AppTest | None = None) -> AppTest:
    app = app or opened(model_picker.FILE, "upload")
    app.file_uploader(key="model_file").set_value(("model.safetensors", data, "application/octet-stream"))
    return checked(app)


def verdict(app: AppTest) -> tuple[bool, float, float]:
    """Whether it says "the same", the number of the pair, and the threshold."""
    (title,) = re.findall(rf"## ({text.SAME}|{text.DIFFERENT})\n", words(app))
    ((number, threshold),) = re.findall(r"^(?:Distance|Similarity) \*\*(.+?)\*\* .*\*\*(.+?)\*\*", words(app), re.M)
    return title == text.SAME, float(number), float(threshold)


def png(image: np.ndarray) -> bytes:
    """Of uint8 (C, H, W)."""
    return atlas_png(image[None], 1)


def images_of(name: str = "fashion_mnist") -> np.ndarray:
    return model_picker.bundled(name).model.experiment.data.load().test_images


def chequered() -> np.ndarray:
    rows, columns = np.indices(SIZE) // 4
    return ((rows + columns) % 2 * 255).astype(np.uint8)[None]


def bundled_threshold(name: str = "fashion_mnist") -> Threshold:
    found = model_picker.bundled(name).model.threshold
    assert found is not None
    return found


def as_of_strangers(data: bytes) -> bytes:
    """The same file, trained on images that somebody else has uploaded."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    metadata["experiment"] = metadata["experiment"].replace("dataset=digits", f"dataset={UPLOADED}")
    metadata["classes"] = json.dumps(["<b>Ann", "*Ben*"])
    return assembled(json.dumps(header).encode(), data[8 + length :])


class TestAPairOfTheDataset:
    def test_the_first_visit_shows_a_verdict_its_threshold_and_how_often_that_is_wrong(self) -> None:
        app = opened()
        assert app.selectbox(key=model_picker.CHOICE).value == "fashion_mnist"
        says_same, number, threshold = verdict(app)
        saved = bundled_threshold()
        assert threshold == pytest.approx(saved.value, rel=0.01)
        assert says_same == (number <= threshold)
        assert {metric.label: metric.value for metric in app.metric} == {
            "False accepts": f"{saved.false_accept:.1%}", "False rejects": f"{saved.false_reject:.1%}",
        }  # fmt: skip
        rates = text.RATES.format(
            rule=model_picker.text.RULES["eer"], group=model_picker.text.GROUPS["seen"],
            different=f"{saved.different:,}", same=f"{saved.same:,}",
        )  # fmt: skip
        assert rates in words(app)

    @pytest.mark.parametrize(("label", "same"), [(text.SAME_PAIR, True), (text.DIFFERENT_PAIR, False)])
    def test_a_pair_is_drawn_of_one_class_or_of_two_and_the_truth_is_shown(self, label: str, same: bool) -> None:
        app = click(opened(), label)
        labels = [app.selectbox(key=f"pair_class_{side}").value for side in range(2)]
        numbers = [app.number_input(key=f"pair_number_{side}").value for side in range(2)]
        assert (labels[0] == labels[1]) == same
        assert (labels[0], numbers[0]) != (labels[1], numbers[1])
        colour = "green" if verdict(app)[0] == same else "red"
        assert f":{colour}[{text.TRUTH[same]}]" in words(app)

    def test_an_image_against_itself_is_the_same_and_no_part_keeps_the_two_apart(self) -> None:
        app = opened()
        for side in range(2):
            app.selectbox(key=f"pair_class_{side}").set_value(3)
            app.number_input(key=f"pair_number_{side}").set_value(5)
        assert verdict(ran(app))[:2] == (True, 0)
        assert text.STRENGTH["occlusion"].format(most="0", value="0") in words(app)
        (control,) = [group for group in app.get("button_group") if group.key == "map_kind"]
        control.set_value("gradient")
        assert "Strongest: 0 for each grey level" in words(ran(app))

    def test_neighbours_are_named_by_their_class_and_distance(self) -> None:
        app = known(opened())
        captions = [caption for image in app.image for caption in image.captions if "\n" in caption]
        classes = model_picker.bundled("fashion_mnist").model.classes
        assert len(captions) == 10
        assert {caption.partition("  \n")[0] for caption in captions} <= {escape_markdown(name) for name in classes}
        distances = [float(caption.partition("  \n")[2]) for caption in captions]
        assert distances == sorted(distances[:5]) + sorted(distances[5:])

    def test_another_model_is_chosen_by_the_address_which_then_names_what_is_chosen(self) -> None:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
        app.switch_page(COMPARE)
        app.query_params["model"] = "mnist"
        assert "Trained on MNIST" in words(checked(app))
        assert verdict(app)[2] == pytest.approx(bundled_threshold("mnist").value, rel=0.01)
        app.selectbox(key=model_picker.CHOICE).set_value("fashion_mnist")
        assert "Trained on Fashion-MNIST" in words(checked(app))
        assert app.query_params["model"] in ("fashion_mnist", ["fashion_mnist"])

    def test_an_unknown_model_in_the_address_leaves_the_first_one(self) -> None:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
        app.switch_page(COMPARE)
        app.query_params["model"] = "../../etc/passwd"
        assert "Trained on Fashion-MNIST" in words(checked(app))
        # Beside it there may be one on the pair, which is drawn by chance.
        named = [warning.value for warning in app.warning if warning.value.startswith("There is no model “\\.\\.")]
        assert len(named) == 1


class TestUploads:
    def test_two_files_are_compared_much_as_the_same_images_of_the_dataset_are(self) -> None:
        app = opened()
        images = model_picker.bundled("fashion_mnist").model.experiment.data.load()
        for side, label in enumerate((3, 5)):
            app.selectbox(key=f"pair_class_{side}").set_value(label)
            app.number_input(key=f"pair_number_{side}").set_value(2)
        expected = verdict(ran(app))
        places = [np.flatnonzero(images.test_labels == label)[1] for label in (3, 5)]
        uploaded = give(opened(source="upload"), *(png(images.test_images[place]) for place in places))
        # Not to the bit: what is uploaded is enlarged before it is made small.
        assert verdict(uploaded) == (expected[0], pytest.approx(expected[1], rel=0.05), expected[2])
        assert not [truth for truth in text.TRUTH.values() if truth in words(uploaded)]

    def test_one_file_asks_for_the_other(self) -> None:
        app = opened(source="upload")
        assert text.NEED_TWO in words(app)
        assert text.NEED_OTHER.format(side="second") in words(give(app, png(chequered())))

    def test_a_file_that_is_taken_away_is_gone_and_one_that_was_given_outlives_another_source(self) -> None:
        app = give(opened(source="upload"), png(chequered()), png(chequered()))
        app.session_state["compare_source"] = "dataset"
        assert text.SAME_PAIR in [button.label for button in ran(app).button]
        app.session_state["compare_source"] = "upload"
        assert verdict(ran(app))[:2] == (True, 0)
        give(app, png(images_of()[0]))
        assert verdict(app)[1] > 0
        app.file_uploader(key="pair_file_0").set_value(None)
        assert text.NEED_OTHER.format(side="first") in words(ran(app))

    @pytest.mark.parametrize("side", [0, 1])
    def test_what_is_no_image_is_one_message_that_names_its_side_and_the_next_one_works(self, side: int) -> None:
        files = [png(chequered()), png(chequered())]
        app = give(opened(source="upload"), *files[:side], b"<svg onload=alert(1)>", *files[side + 1 :])
        (error,) = app.error
        before, _, message = text.REJECTED.partition("{message}")
        assert error.value.startswith(before.format(side=text.SIDES[side]))
        assert error.value.rstrip().endswith("\\.")
        assert message == ""
        assert "## " not in words(app).replace("##### ", "")
        assert verdict(give(app, *files))[:2] == (True, 0)
        assert not app.error

    def test_why_an_image_is_refused_is_shown_as_everywhere_else(self) -> None:
        app = opened(source="upload")
        for name in ("nothing", "html", "png_cut_in_half", "png_50000_square"):
            give(app, png(chequered()), corpus()[name][0])
            rejection = text.REJECTED.format(
                side="Second", message=escape_markdown(str(ImageRejected(str(corpus()[name][1]))))
            )
            assert [error.value for error in app.error] == [rejection], name

    def test_only_the_image_that_is_like_no_training_image_is_called_so(self) -> None:
        clothes = model_picker.bundled("fashion_mnist").model.experiment.data.load().train_images[0]
        app = known(give(opened(source="upload"), png(chequered()), png(clothes)))
        assert text.UNLIKE.format(which=text.WHICH[True, False]) in words(app)
        app = known(give(opened(source="upload"), png(clothes), png(clothes)))
        assert "unlike everything" not in words(app)

    def test_dark_on_light_is_noticed_and_turned_round(self) -> None:
        first, second = images_of()[:2]
        expected = verdict(give(opened(source="upload"), png(first), png(second)))
        app = give(opened(source="upload"), png(255 - first), png(255 - second))
        assert text.LOOKS_INVERTED.format(are=text.LIGHT, were=text.DARK) in words(app)
        assert verdict(app) != expected
        app.toggle(key="invert").set_value(True)
        assert verdict(ran(app)) == expected
        assert "switch on **Invert brightness**" not in words(app)

    def test_a_photograph_is_cut_square_and_made_as_large_as_what_the_network_knows(self) -> None:
        photo = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG")
        app = give(opened(source="upload"), file.getvalue(), file.getvalue())
        assert verdict(app)[:2] == (True, 0)
        assert text.AS_SEEN.format(width=28, height=28, colours="grey") in words(app)


class TestSavedModels:
    def test_the_bundled_file_is_the_bundled_model(self) -> None:
        file = model_picker.bundled("mnist")
        app = give(give_model(file.data), *(png(image) for image in images_of("mnist")[:2]))
        expected = give(opened("mnist", "upload"), *(png(image) for image in images_of("mnist")[:2]))
        assert verdict(app) == verdict(expected)
        assert "Trained on MNIST" in words(app)

    def test_the_threshold_of_a_file_is_used_with_the_words_of_how_it_was_chosen(
        self, digits: Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As long as nothing is measured of it here; how long that takes is the machine's affair.
        monkeypatch.setattr(page, "_known", lambda work: None)
        threshold = Threshold(0.375, "costs=10:1:0.2", "seen", 0.25, 0.5, 90, 10)
        app = give_model(packed(replace(digits, threshold=threshold)))
        app = give(app, png(chequered()), png(chequered()))
        assert verdict(app) == (True, 0, 0.375)
        assert [metric.value for metric in app.metric] == ["25.0%", "50.0%"]
        assert "a false accept costs 10, a false reject 1, and 20% of the pairs are the same" in words(app)

    def test_a_file_without_a_threshold_gets_one_from_the_test_images(self, digits: Model) -> None:
        app = give(give_model(packed(digits)), *(png(image) for image in digits.experiment.data.load().test_images[:2]))
        known(app)
        assert verdict(app)[2] > 0
        assert model_picker.text.RULES["eer"] in words(app)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_hostile_file_is_one_message_and_the_next_one_works(self, name: str) -> None:
        data = CASES[name].make()
        with pytest.raises(ModelRejected) as refused:
            read_model(data)
        app = give_model(data)
        assert [error.value for error in app.error] == [escape_markdown(str(refused.value))]
        assert not app.metric
        app = give_model(model_picker.bundled("mnist").data, app)
        assert not app.error
        assert "Trained on MNIST" in words(app)

    def test_tensors_of_another_network_are_one_message(self) -> None:
        with pytest.raises(ModelRejected) as refused:
            check_architecture(read_model(good()))
        app = give_model(good())
        assert [error.value for error in app.error] == [escape_markdown(str(refused.value))]
        assert not app.get("file_uploader")[1:]

    def test_a_model_of_somebody_elses_images_compares_uploads_and_tells_nothing_of_them(self, digits: Model) -> None:
        threshold = Threshold(0.375, "eer", "seen", 0.25, 0.5, 90, 10)
        app = give_model(as_of_strangers(packed(replace(digits, threshold=threshold))))
        assert model_picker.text.NO_IMAGES.format(remedy=model_picker.text.UPLOAD_AGAIN) in words(app)
        assert UPLOADED not in words(app)
        app = give(app, png(chequered()), png(chequered()))
        assert verdict(app) == (True, 0, 0.375)
        assert text.NEIGHBOURS not in words(app)
        assert "unlike everything" not in words(app)
        app.session_state["compare_source"] = "dataset"
        assert text.NO_DATASET in words(ran(app))

    def test_where_there_are_neither_images_nor_a_threshold_there_is_a_number_and_no_verdict(
        self, digits: Model
    ) -> None:
        app = give_model(as_of_strangers(packed(digits)))
        app = give(app, png(chequered()), png(chequered()))
        assert text.NO_THRESHOLD.format(value="0") in words(app)
        assert not app.metric


class TestRuns:
    def test_a_run_of_this_browser_is_offered_first_and_nobody_elses_is(self) -> None:
        app = opened()
        hers, other = app.session_state["owner"], "somebody else's token"
        run = engine().start(hers, SHORT)
        strange = engine().start(other, replace(SHORT, seed=1))
        for owner, started in ((hers, run), (other, strange)):
            until(
                lambda owner=owner, started=started: (
                    (view := engine().poll(owner, started)) is not None and view.status == "finished"
                ),
                "the run",
            )
        options = ran(app).selectbox(key=model_picker.CHOICE).options
        title = model_picker.text.RUN.format(loss=LOSSES["contrastive"].title, dataset="Digits, 8×8", steps="4")
        assert options == [title, *model_picker.text.BUNDLED.values(), model_picker.text.FILE]
        app.selectbox(key=model_picker.CHOICE).set_value(run)
        checked(app)
        assert "Trained on Digits, 8×8. Loss: Contrastive (Hadsell 2006)" in words(app)
        assert "model" not in app.query_params
        known(app)
        assert verdict(app)[2] > 0

    def test_a_run_cannot_be_chosen_by_its_id_in_anothers_address(self) -> None:
        run = engine().start("somebody else's token", SHORT)
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
        app.switch_page(COMPARE)
        app.query_params["model"] = run
        assert "Trained on Fashion-MNIST" in words(checked(app))


class TestThresholds:
    def test_the_one_chosen_in_this_browser_goes_before_that_of_the_file(self) -> None:
        app = opened()
        file = model_picker.bundled("fashion_mnist")
        owner = hashed(app.session_state["owner"])
        model_picker._thresholds()[owner, file.key] = replace(bundled_threshold(), value=0.123)
        assert verdict(ran(app))[2] == 0.123
        assert verdict(opened())[2] != 0.123


def test_rates_that_a_file_claims_are_measured_here() -> None:
    model = model_picker.bundled("mnist").model
    assert model.threshold is not None
    boast = replace(model.threshold, false_accept=0.0, false_reject=0.0, different=10**9, same=10**9)
    app = give_model(packed(replace(model, threshold=boast)))
    app.session_state["compare_source"] = "dataset"
    known(ran(app))
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown[text.NUMBERS["false_accept"]] == f"{model.threshold.false_accept:.1%}"
    assert "1,000,000,000" not in words(app)


def test_few_pairs_and_strangers_are_warned_of_and_a_failed_gallery_can_be_tried_again() -> None:
    app = known(opened())
    assert text.STRANGERS in words(app)
    file = model_picker.bundled("fashion_mnist")
    job = evaluations()._jobs["gallery", file.key]
    job.shown = replace(job.shown, status="failed")
    known(click(ran(app), text.TRY_AGAIN))
    assert not [button for button in app.button if button.label == text.TRY_AGAIN]
