"""The Losses page without a browser: every part, every loss, every kind of address."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.losses import latest_run
from pages.ui.losses.address import GROUPS
from pages.ui.session.engine import engine
from pages.ui.text import losses as text
from siamese_core.datasets import DATASETS
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.myths import MYTHS
from siamese_core.losses import LOSSES
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

LOSSES_PAGE = "pages/2_Losses.py"


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    until(lambda: engine().devices, "a warm worker")
    app.switch_page(LOSSES_PAGE)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def field(app: AppTest, name: str) -> str:
    """Of the address; AppTest gives what it set itself as a string, what the page set as a list."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def words(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.markdown, app.caption, app.code, app.latex) for element in kind)


@pytest.mark.parametrize("section", text.SECTIONS)
def test_every_part_of_the_page_opens(section: str) -> None:
    app = opened(section=section)
    assert not app.warning or section == "reach"
    assert field(app, "section") == section


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_drawn_with_its_sliders_its_formula_and_its_source(loss: str) -> None:
    (group,) = (name for name, members in GROUPS.items() if loss in members)
    app = opened(group=group, shown=loss)
    keys = {slider.key for slider in app.slider}
    assert {f"losses_{loss}.{param.name}" for param in LOSSES[loss].params} <= keys
    shown = words(app)
    assert LOSSES[loss].with_labels(True) in shown
    assert str(LOSSES[loss].citation.year) in shown
    assert LOSSES[loss].gradient in shown


def test_the_switch_rewrites_every_formula_with_two_branches() -> None:
    one, zero = (words(opened(section="conventions", similar=similar)) for similar in ("1", "0"))
    for loss in LOSSES.values():
        if not isinstance(loss.written, str):
            assert loss.with_labels(True) in one
            assert loss.with_labels(True) not in zero
            assert loss.with_labels(False) in zero


def test_the_switch_rewrites_the_code() -> None:
    assert "y == 1" in words(opened(section="code", similar="1"))
    assert "y == 0" in words(opened(section="code", similar="0"))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"section": "cellar"}, "section=cellar"),
        ({"shown": "contrastive,huber"}, "huber"),
        ({"group": "triplet", "shown": "log"}, "shown=log"),
        ({"contrastive.margin": "nan"}, "contrastive.margin=nan"),
        ({"contrastive.q": "1"}, "contrastive.q=1"),
        ({"<script>": "x"}, "no such field"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_page_works(query: dict[str, str], named: str) -> None:
    app = opened(**query)
    (warning,) = app.warning
    assert named in warning.value.replace("\\", "")


def test_the_address_holds_what_is_shown() -> None:
    app = opened(shown="quality", **{"quality.margin": "0.75"})
    assert app.slider(key="losses_quality.margin").value == 0.75
    app.slider(key="losses_quality.margin").set_value(1.25).run()
    assert field(app, "quality.margin") == "1.25"
    app.multiselect(key="losses_shown").set_value(["quality", "contrastive"]).run()
    assert field(app, "shown") == "quality,contrastive"


def test_a_pair_rolls_downhill_until_the_slope_ends() -> None:
    app = opened(shown="contrastive")
    app.button(key="losses_button_step").click().run()
    assert "After 1 steps: d = 0.2800" in words(app), "0.2 − 0.1 · (0.2 − 1)"
    for _ in range(12):
        app.button(key="losses_button_ten").click().run()
    assert "d = 1.0000" in words(app)
    app.button(key="losses_button_back").click().run()
    assert "d = 0.2000" in words(app)
    app.button(key="losses_button_remove").click().run()
    assert text.POINT_NONE in words(app)


def test_a_pair_does_not_go_on_from_one_kind_of_loss_to_another() -> None:
    app = opened(shown="contrastive")
    app.button(key="losses_button_ten").click().run()
    app.selectbox(key="losses_group").select("similarity").run()
    assert not app.exception
    assert text.POINT_NONE in words(app)


def test_all_losses_of_a_kind_can_be_laid_over_each_other() -> None:
    for group, members in GROUPS.items():
        app = opened(group=group, shown=",".join(members))
        assert app.multiselect(key="losses_shown").value == list(members)


def test_the_page_takes_its_address_without_any_loss() -> None:
    app = opened()
    app.multiselect(key="losses_shown").set_value([]).run()
    assert field(app, "shown") == ""
    again = opened(shown="")
    assert not again.warning
    assert text.NOTHING_SHOWN in [info.value for info in again.info]


def test_a_margin_out_of_reach_is_warned_of() -> None:
    app = opened(section="reach", **{"contrastive.margin": "3.0"})
    (warning,) = app.warning
    assert "3 lies beyond 2" in warning.value
    app.slider(key="losses_contrastive.margin").set_value(0.5).run()
    assert not app.warning


def test_a_myth_trains_its_sides_and_states_what_they_measured() -> None:
    app = opened(section="conventions")
    app.button(key="try_flip").click().run()
    owner = app.session_state["owner"]
    _, runs = app.session_state["trials"]["flip"]
    assert list(runs) == list(MYTHS["flip"].sides)
    assert engine().latest(owner) is None, "the Train page keeps its run"
    for run in runs.values():
        until(lambda run=run: (v := engine().poll(owner, run)) is not None and v.status == "finished", "the end")
    app.run()
    assert not app.exception
    (info,) = app.info
    right, flipped = (engine().poll(owner, run).scores[-1][1]["map_at_r"]["seen"] for run in runs.values())
    assert f"{right:.3f} with the right labels and {flipped:.3f} with the flipped ones" in info.value


def test_a_trial_can_be_stopped() -> None:
    app = opened(section="myths")
    app.button(key="try_flip").click().run()
    _, runs = app.session_state["trials"]["flip"]
    app.button(key="stop_flip").click().run()
    assert all(engine().poll(app.session_state["owner"], run) is None for run in runs.values())


def test_settings_of_one_part_stay_while_another_is_shown_and_stand_in_the_address() -> None:
    app = opened(section="reach", output="sigmoid", dim="7")
    assert app.selectbox(key="losses_output").value == "sigmoid"
    app.segmented_control(key="losses_section").set_value("code").run()
    app.segmented_control(key="losses_section").set_value("reach").run()
    assert not app.exception
    assert app.selectbox(key="losses_output").value == "sigmoid"
    assert app.number_input(key="losses_dim").value == 7
    assert (field(app, "output"), field(app, "dim")) == ("sigmoid", "7")


def test_what_could_not_be_used_is_named_until_the_next_change() -> None:
    app = opened(bogus="1")
    assert app.warning
    app.slider(key="losses_pair").set_value(1.0).run()
    assert not app.warning


def test_the_bound_that_is_not_known_to_be_reached_is_called_so() -> None:
    app = opened(section="reach", measure="manhattan", dim="32", **{"contrastive.margin": "0.5"})
    assert any("is not known" in info.value for info in app.info)


@pytest.mark.parametrize("myth", MYTHS)
def test_every_claim_opens_with_its_sides(myth: str) -> None:
    app = opened(section="myths", myth=myth)
    assert not app.warning
    assert MYTHS[myth].claim in words(app)
    assert f"{len(MYTHS[myth].sides)} runs" in words(app)
    assert not app.button(key=f"try_{myth}").disabled


# Where am I?


def with_a_run(app: AppTest, **settings: str) -> None:
    """A finished run of the app's browser, laid under the curves."""
    owner = app.session_state["owner"]
    run = engine().start(owner, Experiment(dataset="digits", encoder="mlp", steps=5, projection="pca", **settings))
    until(lambda: (v := engine().poll(owner, run)) is not None and v.status == "finished" and v.frame, "the end")
    app.toggle(key=latest_run.WANTED).set_value(True).run()
    assert not app.exception


@pytest.mark.parametrize(
    ("loss", "group", "measure"),
    [
        ("contrastive", "distance", "Euclidean"),
        ("contrastive", "similarity", "Exponential similarity"),
        ("log", "similarity", "Similarity head (trained)"),
        ("log", "distance", "Euclidean"),
        ("triplet", "batch", "Cosine"),
    ],
)
def test_the_pairs_of_the_latest_run_are_laid_under_any_loss(loss: str, group: str, measure: str) -> None:
    app = opened(group=group)
    with_a_run(app, loss=loss)
    wanted = text.LATEST_RUN.format(loss=LOSSES[loss].title, dataset=DATASETS["digits"].title, step=5, measure=measure)
    assert wanted in words(app)


def test_a_run_on_pairs_has_no_triplets_to_show_and_the_page_says_so() -> None:
    app = opened(group="triplet")
    with_a_run(app, loss="contrastive")
    assert text.RUN_NO_TRIPLETS in words(app)


def test_without_a_run_the_page_says_where_to_get_one() -> None:
    app = opened()
    app.toggle(key=latest_run.WANTED).set_value(True).run()
    assert text.RUN_MISSING in words(app)
