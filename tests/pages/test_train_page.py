"""The pages without a browser: what they say, and that nothing raises. Their views are for tests/browser."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.session import experiment_form
from pages.ui.session.engine import engine
from pages.ui.text import train as text
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.settings import FIELDS, SHAPES
from siamese_core.losses import LOSSES
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

TRAIN = "pages/1_Train.py"
BUNDLED = ("digits", "fashion_mnist", "mnist")


def opened(query: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(TRAIN)
    for name, values in parse_qs(query, keep_blank_values=True).items():
        app.query_params[name] = values
    app.run()
    assert not app.exception
    return app


def status_line(app: AppTest) -> str:
    (bar,) = app.get("progress")
    line: str = bar.proto.text
    return line


def field_of(app: AppTest, name: str) -> str:
    """Of the address; AppTest gives what it set itself as a string, what the page set as a list."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def experiment_of(app: AppTest) -> Experiment:
    query = urlencode(dict(app.query_params), doseq=True)
    experiment, ignored = Experiment.from_query(query)
    assert ignored == []
    return experiment


def test_the_front_door_leads_to_train_from_wherever_it_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Train one and watch it learn", "Open this run on Train"]


def test_the_address_holds_the_whole_experiment() -> None:
    assert experiment_of(opened()) == Experiment()
    app = opened("dataset=digits&loss=triplet&margin=0.25&steps=77&held_out=8,9&encoder=mlp")
    assert experiment_of(app) == Experiment(
        dataset="digits", loss="triplet", params={"margin": 0.25}, steps=77, held_out=(8, 9), encoder="mlp"
    )


def test_weights_are_a_choice_of_two_that_the_address_writes_as_true_and_false() -> None:
    app = opened("dataset=digits&encoder=mlp&shared=false")
    weights = app.selectbox(key="field_shared")
    assert (weights.value, weights.options) == (False, ["shared (siamese)", "not shared (pseudo-siamese)"])
    assert "shared=false" in urlencode(dict(app.query_params), doseq=True)
    weights.select(True).run()
    assert "shared=true" in urlencode(dict(app.query_params), doseq=True)


def test_every_field_of_the_table_has_a_widget() -> None:
    until(lambda: engine().devices, "a warm worker")
    for dataset, without in (("fashion_mnist", set(SHAPES)), ("shapes", set())):
        app = opened(f"dataset={dataset}")
        kinds = (app.selectbox, app.number_input, app.multiselect, app.slider)
        drawn = {widget.key for kind in kinds for widget in kind}
        assert drawn == {f"field_{name}" for name in set(FIELDS) - without} | {"field_margin", "machine_device"}


def test_a_browser_that_is_shown_a_later_draw_first_begins_with_what_the_widgets_say() -> None:
    until(lambda: engine().devices, "a warm worker")
    app = opened("dataset=digits&loss=nt_xent&temperature=0.5&steps=77&held_out=8,9&encoder=mlp&projection=pca").run()
    for number in app.number_input:
        assert number.proto.default == pytest.approx(number.value), number.key
    for slider in app.slider:
        assert slider.proto.default == pytest.approx([slider.value]), slider.key
    for box in app.selectbox:
        assert box.proto.options[box.proto.default] == box.format_func(box.value), box.key
    (held_out,) = (some for some in app.multiselect if some.key == "field_held_out")
    assert list(held_out.proto.default) == held_out.value == [8, 9]


def test_the_sliders_of_a_loss_are_its_parameters() -> None:
    app = opened()
    for key, loss in LOSSES.items():
        app.selectbox(key="field_loss").select(key).run()
        assert not app.exception
        assert [slider.label for slider in app.slider] == [param.title for param in loss.params]
        assert app.selectbox(key="field_measure").options == [
            FIELDS["measure"].choices[measure] for measure in loss.measures
        ]


def test_another_loss_begins_with_the_distance_of_its_paper() -> None:
    app = opened()
    until(lambda: engine().devices, "a warm worker")
    for loss in ("triplet", "contrastive", "exponential"):
        app.selectbox(key="field_loss").select(loss).run()
        assert experiment_of(app).measure == LOSSES[loss].measures[0]
    app.selectbox(key="field_measure").select("euclidean").run()
    assert experiment_of(app).measure == "euclidean", "and is the user's to change"


def test_a_margin_out_of_reach_is_warned_of_and_trains_all_the_same() -> None:
    until(lambda: engine().devices, "a warm worker")
    app = opened("dataset=digits&encoder=mlp&output=l2&margin=3.0&steps=2&projection=pca")
    (warning,) = app.warning
    assert "no two points are farther apart than 2, but the margin 3 lies beyond" in warning.value
    app.button(key="button_train").click().run()
    owner, run = app.session_state["owner"], app.session_state["run"]
    until(lambda: (v := engine().poll(owner, run)) is not None and v.status == "finished", "the end")
    app.slider(key="field_margin").set_value(1.0).run()
    assert not app.warning


@pytest.mark.parametrize("device", ["tpu", ""])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    until(lambda: engine().devices, "a warm worker")
    app = opened(f"device={device}")
    (warning,) = app.warning
    assert f"device={device}" in warning.value.replace("\\", "")
    assert "cpu" in warning.value


def test_the_address_has_the_device_that_is_chosen_and_another_page_forgets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    until(lambda: engine().devices, "a warm worker")
    monkeypatch.setattr(engine(), "devices", {"cuda": "A GPU", "cpu": "CPU"})
    app = opened("device=cpu")
    assert app.selectbox(key=experiment_form.DEVICE).value == "cpu"
    assert field_of(app, "device") == "cpu"
    app.selectbox(key=experiment_form.DEVICE).select("cuda").run()
    assert "device" not in app.query_params, "the first one goes without saying"
    app.selectbox(key=experiment_form.DEVICE).select("cpu").run()
    app.switch_page("pages/2_Losses.py").run()
    app.switch_page(TRAIN).run()
    assert app.selectbox(key=experiment_form.DEVICE).value == field_of(app, "device") == "cpu"


def test_of_two_datasets_in_an_address_somebody_elses_is_dropped_and_the_other_used() -> None:
    app = opened(f"dataset=mnist&held_out=8&dataset=own-{'0' * 24}")
    (warning,) = app.warning
    assert text.NOT_YOURS in warning.value.replace("\\", "")
    assert (experiment_of(app).dataset, experiment_of(app).held_out) == ("mnist", ())


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("margin=nan", "margin=nan"),
        ("loss=<script>alert(1)</script>", "loss"),
        ("steps=-3", "steps=-3"),
        ("colour=red", "colour=red"),
        ("q=4", "q=4"),
        ("projection=raw&embedding_dim=32", "projection=raw"),
        ("held_out=0,1,2,3,4,5,6,7,8,9", "held_out"),
        ("measure=cosine&loss=triplet", "measure=cosine"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_the_page_works(query: str, named: str) -> None:
    app = opened(query)
    (warning,) = app.warning
    assert named in warning.value.replace("\\", "")
    assert warning.value.startswith("Not used from the address")
    assert "<" not in warning.value.replace("\\<", "")
    experiment_of(app)


OF_EACH_KIND = ("contrastive", "log", "triplet", "softmax", "nt_xent")
"""A loss on distances, on similarities, on triplets, on classes and on a whole batch."""


@pytest.mark.parametrize(
    ("dataset", "loss"),
    [
        pytest.param(dataset, loss, marks=() if loss in OF_EACH_KIND else pytest.mark.slow)
        for dataset, loss in zip(cycle(BUNDLED), LOSSES, strict=False)
    ],
)
def test_every_loss_and_every_dataset_train(dataset: str, loss: str) -> None:
    app = opened(f"dataset={dataset}&loss={loss}&steps=2&encoder=mlp&projection=pca")
    app.button(key="button_train").click().run()
    assert not app.exception
    owner, run = app.session_state["owner"], app.session_state["run"]
    finished = until(lambda: (v := engine().poll(owner, run)) is not None and v.status == "finished" and v, "the end")
    assert (finished.experiment.dataset, finished.experiment.loss) == (dataset, loss)
    app.run()
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["MAP@R"] == f"{finished.scores[-1][1]['map_at_r']['seen']:.3f}"


def test_a_dataset_that_is_not_on_the_machine_says_how_to_get_it() -> None:
    app = opened("dataset=mnist_full&steps=1&encoder=mlp")
    app.button(key="button_train").click().run()
    owner, run = app.session_state["owner"], app.session_state["run"]
    ended = until(lambda: (v := engine().poll(owner, run)) is not None and not v.live and v, "the end")
    app.run()
    assert not app.exception
    if ended.status == "failed":
        (warning,) = app.warning
        assert "train-images-idx3-ubyte" in warning.value
        assert "mnist" in warning.value


def test_a_tab_whose_run_was_replaced_shows_the_newest_one() -> None:
    app = opened("dataset=digits&encoder=mlp&steps=100000")
    app.button(key="button_train").click().run()
    owner = app.session_state["owner"]
    engine().discard(owner, app.session_state["run"])
    elsewhere = engine().start(owner, Experiment(dataset="digits", encoder="mlp", steps=100_000))
    until(lambda: (v := engine().poll(owner, elsewhere)) is not None and v.step > 0, "a step of the other tab's run")
    app.run()
    assert not app.button(key="button_stop").disabled
    app.button(key="button_reset").click().run()
    assert engine().latest(owner) is None


def test_a_changed_setting_leaves_the_run_and_says_so() -> None:
    app = opened("dataset=digits&encoder=mlp&steps=100000")
    app.button(key="button_train").click().run()
    run = app.session_state["run"]
    assert text.CHANGED_LIVE not in status_line(app)
    app.slider(key="field_margin").set_value(2.0).run()
    assert text.CHANGED_LIVE in status_line(app)
    assert app.session_state["run"] == run
    view = engine().poll(app.session_state["owner"], run)
    assert view is not None
    assert view.experiment.params == {"margin": 1.0}
    app.button(key="button_reset").click().run()
    assert engine().poll(app.session_state["owner"], run) is None


def test_another_projection_is_no_change_of_the_run() -> None:
    app = opened("dataset=digits&encoder=mlp&steps=100000")
    app.button(key="button_train").click().run()
    app.selectbox(key="field_projection").select("pca").run()
    assert text.CHANGED_LIVE not in status_line(app)
    view = engine().poll(app.session_state["owner"], app.session_state["run"])
    assert view is not None
    assert view.projection == "pca"
    app.button(key="button_reset").click().run()


def test_buttons_fit_the_state_of_the_run() -> None:
    def usable(app: AppTest) -> set[str]:
        shown = (button for button in app.button if button.key.startswith("button_"))
        return {button.key.removeprefix("button_") for button in shown if not button.disabled}

    app = opened("dataset=digits&encoder=mlp&steps=100000")
    assert usable(app) == {"train", "step"}
    app.button(key="button_train").click().run()
    assert usable(app) == {"train", "pause", "stop", "reset"}
    app.button(key="button_pause").click().run()
    owner, run = app.session_state["owner"], app.session_state["run"]
    until(lambda: (v := engine().poll(owner, run)) is not None and v.status == "paused", "the pause")
    app.run()
    assert usable(app) == {"train", "resume", "step", "stop", "reset"}
    app.button(key="button_stop").click().run()
    assert usable(app) == {"train", "step", "reset"}
    app.button(key="button_reset").click().run()
    assert usable(app) == {"train", "step"}


def test_settings_return_with_the_page() -> None:
    app = opened("dataset=digits&loss=exponential&q=3.5")
    app.switch_page("app.py").run()
    app.switch_page(TRAIN).run()
    assert not app.exception
    assert experiment_of(app) == Experiment(dataset="digits", loss="exponential", params={"q": 3.5})
