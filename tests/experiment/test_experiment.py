"""An experiment and its link are one thing: whatever a link says is either used or named."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siamese_core.datasets import DATASETS
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.experiment.experiment import PARAM_NAMES, Experiment, ExperimentError, Ignored
from siamese_core.experiment.fields import ChoiceField, ClassesField, Field, FloatField, IntField, KeysField
from siamese_core.experiment.settings import FIELDS, SHAPES
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS
from siamese_core.networks.build import ENCODERS, OUTPUTS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MESSAGE = 600

no_clock = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

LOSS_FIELDS = {(loss.key, param.name): param for loss in LOSSES.values() for param in loss.params}
CHOICES = {name: list(field.choices) for name, field in FIELDS.items() if isinstance(field, ChoiceField)}

every_field = pytest.mark.parametrize("name", FIELDS)
every_param = pytest.mark.parametrize(("loss", "name"), LOSS_FIELDS)


def in_range(field: Field) -> st.SearchStrategy[Any]:
    match field:
        case ChoiceField():
            return st.sampled_from(list(field.choices))
        case IntField():
            return st.integers(field.low, field.high)
        case FloatField():
            return st.floats(field.low, field.high)
        case KeysField():
            return st.sets(st.sampled_from(list(field.choices))).map(
                lambda chosen: tuple(key for key in field.choices if key in chosen)
            )
        case ClassesField():
            return st.just(())


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    values = {name: draw(in_range(field)) for name, field in FIELDS.items()}
    if values["dataset"] != "shapes":
        values |= {name: FIELDS[name].default for name in SHAPES}
    classes = len(Experiment(**{name: values[name] for name in ("dataset", *SHAPES)}).data.classes)
    loss = LOSSES[values["loss"]]
    values["held_out"] = tuple(sorted(draw(st.sets(st.integers(0, classes - 1), max_size=classes - 2))))
    values["measure"] = draw(st.sampled_from(loss.measures))
    values["params"] = {p.name: draw(in_range(p)) for p in loss.params}
    if values["projection"] == "raw":
        values["embedding_dim"] = 2
    if loss.on_classes:
        values["labels"] = "right"
    if values["train_per_class"] == 1:
        values["train_per_class"] = 2
    if values["shared"]:
        values["second_encoder"] = "same"
    minable = values["sampling"] == "all_pairs" and not loss.on_classes
    if not minable or values["view"] != "none" or not values["shared"]:
        values["miner"] = "all"
    return Experiment(**values)


def assert_named_well(ignored: list[Ignored]) -> None:
    for problem in ignored:
        assert str(problem).isprintable(), "one line, nothing that a terminal or a page would obey"
        assert len(str(problem)) <= LONGEST_MESSAGE
        assert problem.why


def assert_valid(experiment: Experiment) -> None:
    assert Experiment.from_query(experiment.to_query()) == (experiment, [])


def only_problem(query: str) -> tuple[Experiment, Ignored]:
    experiment, ignored = Experiment.from_query(query)
    assert_named_well(ignored)
    assert len(ignored) == 1, [str(problem) for problem in ignored]
    return experiment, ignored[0]


class TestFields:
    def test_have_the_names_that_links_and_scripts_rely_on(self) -> None:
        assert list(FIELDS) == [
            "dataset", "shapes_classes", "shapes_rotation", "shapes_scale", "shapes_noise", "held_out", "loss",
            "measure", "encoder", "embedding_dim", "output", "view", "shared", "second_encoder", "sampling", "miner",
            "augment", "labels", "train_per_class", "batch_size", "learning_rate", "steps", "seed", "projection",
        ]  # fmt: skip
        assert {"margin", "q", "temperature", "alpha", "beta", "base", "gamma"} == PARAM_NAMES

    def test_of_a_loss_do_not_hide_those_of_all(self) -> None:
        assert not PARAM_NAMES & set(FIELDS)

    @every_field
    def test_have_a_default_that_may_be_chosen(self, name: str) -> None:
        assert FIELDS[name].problem(FIELDS[name].default) is None

    @every_field
    def test_have_words_for_their_widget(self, name: str) -> None:
        assert FIELDS[name].title
        assert FIELDS[name].help

    @pytest.mark.parametrize(
        ("name", "catalogue"),
        [("dataset", DATASETS), ("loss", LOSSES), ("measure", MEASURES), ("encoder", ENCODERS), ("output", OUTPUTS),
         ("projection", PROJECTIONS), ("miner", MINERS)],
        ids=lambda value: value if isinstance(value, str) else "",
    )  # fmt: skip
    def test_offer_the_whole_catalogue_by_its_titles(self, name: str, catalogue: dict[str, Any]) -> None:
        field = FIELDS[name]
        assert isinstance(field, ChoiceField)
        assert field.choices == {key: entry.title for key, entry in catalogue.items()}

    def test_that_are_no_catalogue_have_their_agreed_choices(self) -> None:
        assert CHOICES["shared"] == [True, False]
        assert CHOICES["view"] == ["none", *INPUT_TRANSFORMS]
        assert CHOICES["second_encoder"] == ["same", *ENCODERS]
        assert CHOICES["sampling"] == ["all_pairs", "random_pairs"]
        assert CHOICES["labels"] == ["right", "flipped"]


class TestRoundTrip:
    @no_clock
    @given(experiments())
    def test_a_link_means_the_experiment_it_was_made_from(self, experiment: Experiment) -> None:
        assert Experiment.from_query(experiment.to_query()) == (experiment, [])

    @no_clock
    @given(experiments())
    def test_a_link_names_every_field(self, experiment: Experiment) -> None:
        """So that it means the same when a default changes; but for those that say nothing in this experiment."""
        named = [name for name, _ in parse_qsl(experiment.to_query(), strict_parsing=True)]
        assert len(named) == len(set(named))
        sometimes = {
            "held_out": bool(experiment.held_out),
            "augment": bool(experiment.augment),
            "second_encoder": not experiment.shared,
        } | dict.fromkeys(SHAPES, experiment.dataset == "shapes")
        assert set(named) - set(sometimes) == (set(FIELDS) | set(experiment.params)) - set(sometimes)
        assert {name: name in named for name in sometimes} == sometimes

    def test_a_link_is_readable(self) -> None:
        experiment = Experiment(held_out=(8, 9), params={"margin": 0.5})
        assert experiment.to_query().startswith(
            "dataset=fashion_mnist&held_out=8,9&loss=contrastive&margin=0.5&measure=euclidean&"
        )

    def test_an_empty_link_is_the_default_experiment(self) -> None:
        assert Experiment.from_query("") == (Experiment(), [])

    def test_the_line_of_the_command_line_is_a_link(self) -> None:
        experiment, ignored = Experiment.from_query("dataset=digits&loss=triplet&margin=0.2&steps=20&held_out=9,8,9")
        assert not ignored
        assert experiment == Experiment("digits", held_out=(8, 9), loss="triplet", params={"margin": 0.2}, steps=20)

    @pytest.mark.parametrize(
        "values",
        [
            {"view": "edges"},
            {"shared": False},
            {"shared": False, "second_encoder": "mlp", "view": "noisy"},
            {"miner": "semi_hard"},
            {"augment": ("crop", "colour")},
            {"dataset": "shapes", "shapes_classes": 4, "shapes_rotation": 90.0, "shapes_scale": 0.0},
        ],
        ids=str,
    )
    def test_a_link_keeps_what_makes_the_inputs(self, values: dict[str, Any]) -> None:
        experiment = Experiment(**values)
        assert Experiment.from_query(experiment.to_query()) == (experiment, [])
        for name, value in values.items():
            assert f"{name}={FIELDS[name].text(value)}" in experiment.to_query().split("&")

    def test_keys_are_read_in_any_order_and_written_in_that_of_the_table(self) -> None:
        experiment, ignored = Experiment.from_query("augment=rotate,crop,rotate")
        assert not ignored
        assert experiment.augment == ("crop", "rotate")
        assert Experiment.from_query("augment=") == (Experiment(), [])

    def test_a_leading_question_mark_is_no_part_of_a_name(self) -> None:
        assert Experiment.from_query("?seed=4") == (Experiment(seed=4), [])


class TestDefaults:
    def test_the_loss_brings_its_own_parameters_and_measure(self) -> None:
        found = {key: (e.params, e.measure) for key in LOSSES if (e := Experiment(loss=key))}
        assert found == {
            "contrastive": ({"margin": 1.0}, "euclidean"),
            "exponential": ({"q": 5.0}, "manhattan"),
            "contrastive_mean": ({"margin": 1.0}, "euclidean"),
            "quality": ({"margin": 0.5}, "euclidean"),
            "log": ({}, "similarity_head"),
            "absolute": ({}, "similarity_head"),
            "squared": ({}, "similarity_head"),
            "triplet": ({"margin": 1.0}, "squared_euclidean"),
            "softmax": ({}, "euclidean"),
            "nt_xent": ({"temperature": 0.07}, "cosine"),
            "supcon": ({"temperature": 0.1}, "cosine"),
            "multi_similarity": ({"alpha": 2.0, "beta": 50.0, "base": 0.5}, "cosine"),
            "circle": ({"margin": 0.4, "gamma": 80.0}, "cosine"),
            "lifted_structure": ({"margin": 1.0}, "euclidean"),
            "proxy_anchor": ({"margin": 0.1, "alpha": 32.0}, "cosine"),
        }

    @pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.on_classes])
    def test_labels_of_classes_cannot_be_flipped(self, loss: str) -> None:
        found, problem = only_problem(f"loss={loss}&labels=flipped")
        assert (problem.name, problem.value) == ("labels", "flipped")
        assert "may be: right" in problem.why
        assert found.labels == "right"

    def test_one_image_of_each_class_makes_no_pair(self) -> None:
        found, problem = only_problem("train_per_class=1")
        assert problem.name == "train_per_class"
        assert "0 (all), or 2 and more" in problem.why
        assert found.train_per_class == 0

    @pytest.mark.parametrize(("loss", "measure"), [("log", "euclidean"), ("contrastive", "similarity_head")])
    def test_a_measure_that_a_loss_is_not_defined_on_is_refused(self, loss: str, measure: str) -> None:
        _, problem = only_problem(f"loss={loss}&measure={measure}")
        assert problem.name == "measure"
        assert f"the loss {loss} is not defined on it" in problem.why

    def test_a_parameter_that_is_given_stays(self) -> None:
        assert Experiment(params={"margin": 2}).params == {"margin": 2.0}

    def test_seen_classes_are_those_not_held_out(self) -> None:
        assert Experiment().seen == tuple(range(10))
        assert Experiment(held_out=(0, 8)).seen == (1, 2, 3, 4, 5, 6, 7, 9)

    @pytest.mark.parametrize(
        ("values", "branches"),
        [({}, 1), ({"view": "edges"}, 2), ({"shared": False}, 2), ({"view": "edges", "shared": False}, 2)],
    )
    def test_there_are_two_branches_where_second_inputs_are_seen_differently(
        self, values: dict[str, Any], branches: int
    ) -> None:
        assert Experiment(**values).branches == branches

    def test_the_shapes_have_as_many_classes_as_are_asked_for(self) -> None:
        assert Experiment("shapes", shapes_classes=4).seen == (0, 1, 2, 3)

    def test_an_experiment_does_not_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Experiment().steps = 3  # type: ignore[misc]


def bad_texts(field: Field) -> list[str]:
    match field:
        case ChoiceField():
            return ["", "nonsense", field.text(next(iter(field.choices))).upper()]
        case KeysField():
            return ["nonsense", "crop,,flip", next(iter(field.choices)).upper()]
        case ClassesField():
            return ["-1", "eight", "1,,2", "1.5", "3,nan"]
        case IntField():
            return ["", "ten", "1.5", "nan", "1e3", "0x10", str(field.low - 1), str(field.high + 1), "9" * 5000]
        case FloatField():
            return ["", "ten", "nan", "inf", "-inf", "1e400", "1,5", repr(field.low - 1e-6), repr(field.high * 1.001)]


def may_be(field: Field) -> list[str]:
    """What a message about a bad value must hold."""
    match field:
        case ChoiceField():
            return [field.text(key) for key in field.choices]
        case KeysField():
            return list(field.choices)
        case ClassesField():
            return ["class numbers", "8,9"]
        case IntField():
            return ["whole number", str(field.low), str(field.high)]
        case FloatField():
            return ["number", f"{field.low:g}", f"{field.high:g}"]


class TestBadValues:
    @every_field
    def test_of_a_field_are_named_and_the_default_is_used(self, name: str) -> None:
        for text in bad_texts(FIELDS[name]):
            experiment, problem = only_problem(f"{name}={quote_plus(text)}")
            assert experiment == Experiment()
            assert (problem.name, problem.value) == (name, text)
            assert str(problem).startswith(f"{name}={text[:60]}")
            assert all(part in problem.why for part in may_be(FIELDS[name])), problem.why

    @every_param
    def test_of_a_parameter_are_named_and_the_default_is_used(self, loss: str, name: str) -> None:
        field = LOSS_FIELDS[loss, name]
        for text in bad_texts(field):
            experiment, problem = only_problem(f"{name}={quote_plus(text)}&loss={loss}")
            assert experiment == Experiment(loss=loss)
            assert (problem.name, problem.value) == (name, text)
            assert all(part in problem.why for part in may_be(field)), problem.why

    def test_leave_the_good_ones_alone(self) -> None:
        experiment, problem = only_problem("seed=7&steps=none&labels=flipped")
        assert problem.name == "steps"
        assert experiment == Experiment(seed=7, labels="flipped")

    def test_an_unknown_field_is_refused_with_those_there_are(self) -> None:
        experiment, problem = only_problem("device=cuda")
        assert experiment == Experiment()
        assert problem.name == "device"
        assert all(name in problem.why for name in [*FIELDS, "margin"])

    def test_a_field_given_twice_counts_as_given_last(self) -> None:
        experiment, problem = only_problem("seed=1&steps=5&seed=2")
        assert experiment == Experiment(seed=2, steps=5)
        assert (problem.name, problem.value) == ("seed", "1")

    def test_a_message_is_one_short_line_whatever_was_typed(self) -> None:
        _, problem = only_problem(quote_plus("a\nb\x1b[31m\u202e" + "c" * 1000) + "=" + "d" * 100_000)
        assert str(problem).startswith("a�b�[31m�ccc")
        assert len(str(problem)) < LONGEST_MESSAGE


NOT_A_BATCH = "only P×K batches are mined; it may be: all (or sampling=all_pairs)"


class TestContradictions:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_measure_that_the_loss_is_not_defined_on(self, loss: str) -> None:
        for measure in set(MEASURES) - set(LOSSES[loss].measures):
            experiment, problem = only_problem(f"loss={loss}&measure={measure}")
            assert experiment == Experiment(loss=loss)
            assert str(problem).startswith(f"measure={measure}: ")
            assert all(allowed in problem.why for allowed in (loss, *LOSSES[loss].measures))

    def test_some_loss_refuses_some_measure(self) -> None:
        assert "cosine" not in LOSSES["triplet"].measures

    def test_drawing_as_they_are_embeddings_that_are_not_flat(self) -> None:
        experiment, problem = only_problem("projection=raw&embedding_dim=3")
        assert experiment == Experiment(embedding_dim=3)
        assert str(problem).startswith("projection=raw: ")
        assert "2" in problem.why
        assert "3" in problem.why
        assert Experiment.from_query("projection=raw&embedding_dim=2")[1] == []

    def test_holding_out_a_class_that_the_dataset_has_not(self) -> None:
        experiment, problem = only_problem("dataset=digits&held_out=3,10")
        assert experiment == Experiment("digits")
        assert str(problem) == "held_out=3,10: digits has the classes 0 to 9"

    def test_holding_out_so_many_classes_that_no_different_pair_is_left(self) -> None:
        experiment, problem = only_problem("held_out=0,1,2,3,4,5,6,7,8")
        assert experiment == Experiment()
        assert str(problem) == "held_out=0,1,2,3,4,5,6,7,8: at least 2 classes must be left to train on"
        assert Experiment.from_query("held_out=0,1,2,3,4,5,6,7")[0].seen == (8, 9)

    @pytest.mark.parametrize(("loss", "other"), [("contrastive", "q"), ("exponential", "margin"), ("triplet", "q")])
    def test_the_parameter_of_another_loss(self, loss: str, other: str) -> None:
        experiment, problem = only_problem(f"{other}=1.5&loss={loss}")
        assert experiment == Experiment(loss=loss)
        assert str(problem).startswith(f"{other}=1.5: the loss {loss} has no such parameter")
        assert LOSSES[loss].params[0].name in problem.why

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("sampling=random_pairs", NOT_A_BATCH),
            (
                "sampling=random_pairs&loss=triplet",
                NOT_A_BATCH,
            ),
            ("sampling=random_pairs&view=edges", NOT_A_BATCH),
            ("loss=softmax", "the loss softmax chooses for itself; it may be: all"),
            ("loss=nt_xent", "the loss nt_xent chooses for itself; it may be: all"),
            ("view=edges", "two different inputs are not mined; it may be: all"),
            ("shared=false", "two different inputs are not mined; it may be: all"),
        ],
    )
    def test_mining_what_is_not_mined(self, query: str, why: str) -> None:
        for miner in set(MINERS) - {"all"}:
            experiment, problem = only_problem(f"{query}&miner={miner}")
            assert experiment == Experiment.from_query(query)[0]
            assert str(problem) == f"miner={miner}: {why}"
        assert Experiment.from_query(f"{query}&miner=all")[1] == []

    def test_a_second_encoder_of_weights_that_are_shared(self) -> None:
        experiment, problem = only_problem("second_encoder=mlp&view=edges")
        assert experiment == Experiment(view="edges")
        assert str(problem) == (
            "second_encoder=mlp: shared weights are one encoder for both inputs; it may be: same (or shared=false)"
        )
        assert only_problem("second_encoder=mlp&shared=true")[0] == Experiment()
        assert Experiment.from_query("second_encoder=mlp&shared=false")[1] == []

    @pytest.mark.parametrize("name", SHAPES)
    def test_a_knob_of_the_shapes_on_another_dataset(self, name: str) -> None:
        text = FIELDS[name].text(FIELDS[name].low)  # type: ignore[union-attr, arg-type]
        experiment, problem = only_problem(f"dataset=digits&{name}={text}")
        assert experiment == Experiment("digits")
        assert str(problem) == f"{name}={text}: only the dataset shapes has it, digits has not"
        assert Experiment.from_query(f"dataset=shapes&{name}={text}")[1] == []

    def test_holding_out_a_kind_of_shape_that_is_not_drawn(self) -> None:
        experiment, problem = only_problem("dataset=shapes&shapes_classes=5&held_out=5")
        assert experiment == Experiment("shapes", shapes_classes=5)
        assert str(problem) == "held_out=5: shapes has the classes 0 to 4"

    def test_an_augmentation_that_is_not_known_drops_them_all(self) -> None:
        experiment, problem = only_problem("augment=crop,blur")
        assert experiment == Experiment()
        assert str(problem) == "augment=crop,blur: may be any of crop, flip, rotate, colour, separated by commas"

    def test_all_are_named_at_once(self) -> None:
        query = "loss=triplet&measure=cosine&projection=raw&held_out=10&q=1&colour=red&steps=0&seed=1&seed=2"
        experiment, ignored = Experiment.from_query(query)
        assert experiment == Experiment(loss="triplet", seed=2)
        assert Counter(problem.name for problem in ignored) == Counter(
            ["measure", "projection", "held_out", "q", "colour", "steps", "seed"]
        )


NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["nan", "inf", "-0", "1_000", " 7 ", "٣٠٠", "１２", "²", "1e999", "9" * 5000, "0" * 5000 + "1", "+5"]
    ),
)
VALUE = st.one_of(
    st.text(max_size=20),
    NUMBERS,
    st.lists(st.integers(-1, 11), max_size=12).map(lambda numbers: ",".join(map(str, numbers))),
    st.sampled_from([FIELDS[name].text(key) for name, keys in CHOICES.items() for key in keys]),
)
PAIRS = st.lists(st.tuples(st.sampled_from([*FIELDS, *sorted(PARAM_NAMES)]) | st.text(max_size=12), VALUE), max_size=25)
ANYTHING = st.text(st.characters() | st.sampled_from("&=%;+,?#\ud800\udfff\x00\n\u202e"), max_size=200)
ESCAPES = st.lists(st.sampled_from(["%", "%f", "%ff", "%00", "%0a", "%ED%A0%80", "%u0041", "&", "=", "seed", "loss"]))


def says(text: str, value: Any) -> bool:
    """Whether `value` is what a person who wrote `text` meant."""
    match value:
        case str():
            return text == value
        case tuple():
            return {int(part) for part in text.split(",") if part} == set(value)
        case bool():
            return text == str(value).lower()
        case _:
            return float(text) == value


class TestHostileQueries:
    @no_clock
    @given(ANYTHING | ESCAPES.map("".join) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
    def test_any_text_gives_an_experiment_and_names_what_it_ignores(self, query: str) -> None:
        experiment, ignored = Experiment.from_query(query)
        assert_valid(experiment)
        assert_named_well(ignored)

    @settings(no_clock, max_examples=300)
    @given(PAIRS)
    def test_whatever_a_link_has_of_a_field_is_used_or_named(self, pairs: list[tuple[str, str]]) -> None:
        query = "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs)
        experiment, ignored = Experiment.from_query(query)
        assert_valid(experiment)
        assert_named_well(ignored)
        not_used = Counter(problem.name for problem in ignored)
        last = dict(pairs)
        for name in set(last) - set(not_used):
            value = experiment.params[name] if name in PARAM_NAMES else getattr(experiment, name)
            assert says(last[name], value)
        for name, times in Counter(name for name, _ in pairs).items():
            assert not_used[name] in (times - 1, times), "each of them but the last, and the last where it is bad"

    def test_thousands_of_fields_are_each_named(self) -> None:
        query = "&".join(f"field{i}={i}" for i in range(5000))
        experiment, ignored = Experiment.from_query(query)
        assert experiment == Experiment()
        assert [problem.name for problem in ignored] == [f"field{i}" for i in range(5000)]
        assert_named_well(ignored)

    def test_one_field_thousands_of_times_counts_once(self) -> None:
        experiment, ignored = Experiment.from_query("&".join(f"seed={i}" for i in range(5000)))
        assert experiment == Experiment(seed=4999)
        assert len(ignored) == 4999

    def test_a_thousand_held_out_classes_are_one_short_message(self) -> None:
        _, problem = only_problem("held_out=" + ",".join(map(str, range(100_000))))
        assert problem.name == "held_out"


class TestConstructor:
    @pytest.mark.parametrize(
        ("values", "name"),
        [({name: object()}, name) for name in FIELDS]
        + [({name: None}, name) for name in FIELDS]
        + [
            ({"steps": 0}, "steps"),
            ({"steps": 10.0}, "steps"),
            ({"steps": True}, "steps"),
            ({"steps": "10"}, "steps"),
            ({"learning_rate": float("nan")}, "learning_rate"),
            ({"learning_rate": True}, "learning_rate"),
            ({"held_out": [8, 9]}, "held_out"),
            ({"held_out": (9, 8)}, "held_out"),
            ({"held_out": (8, 8)}, "held_out"),
            ({"held_out": (False, True)}, "held_out"),
            ({"held_out": (10,)}, "held_out"),
            ({"held_out": tuple(range(9))}, "held_out"),
            ({"params": {"margin": -1.0}}, "margin"),
            ({"params": {"margin": "wide"}}, "margin"),
            ({"params": {"q": 5.0}}, "q"),
            ({"params": {"colour": 5.0}}, "colour"),
            ({"loss": "triplet", "measure": "cosine"}, "measure"),
            ({"projection": "raw"}, "projection"),
            ({"augment": ["crop"]}, "augment"),
            ({"augment": ("crop", "crop")}, "augment"),
            ({"augment": ("flip", "crop")}, "augment"),
            ({"augment": "crop"}, "augment"),
            ({"second_encoder": "mlp"}, "second_encoder"),
            ({"miner": "hardest", "view": "edges"}, "miner"),
            ({"shapes_noise": 1.0}, "shapes_noise"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_refuses_what_a_link_could_not_say(self, values: dict[str, Any], name: str) -> None:
        with pytest.raises(ExperimentError, match=f"^{name}=.+: .+") as refused:
            Experiment(**values)
        assert refused.value.problem.name == name
        assert str(refused.value) == str(refused.value.problem)
        assert_named_well([refused.value.problem])


@pytest.mark.parametrize("module", ["siamese_core", "siamese_core.experiment.experiment"])
def test_is_imported_without_torch(module: str) -> None:
    heavy = {"torch", "umap", "sklearn", "plotly"}
    code = f"import sys, {module}; sys.exit(bool({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
