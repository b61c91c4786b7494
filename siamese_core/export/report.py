"""A recorded run as one page to keep, to print and to hand on: it needs no server, and asks nobody for anything.

Recordings may come from anybody: every word out of one is escaped, and what is damaged is a sentence in its place.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from siamese_core.datasets import is_uploaded
from siamese_core.datasets.atlas import atlas_png, reduced
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.fields import ChoiceField, ClassesField, FloatField, KeysField
from siamese_core.experiment.machine import PRECISIONS, Machine
from siamese_core.experiment.settings import DEFAULTS, FIELDS
from siamese_core.export import tables
from siamese_core.export.figures import base, verification
from siamese_core.export.page import plot_html, render
from siamese_core.export.tables import Array, number
from siamese_core.formats.text import shortened
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.runs.history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

LAYOUTS_SHOWN = 4
"""The first frame, about a third and two thirds of the way, and the last one."""
GRID_COLUMNS = 10
"""Images of a class, and of as many classes as `MOST_CLASSES`, at most `THUMBNAIL` pixels a side."""
MOST_CLASSES, THUMBNAIL = 40, 64

MARKS = dict(zip(base.CLASS_MARKERS, "●■▲◆▼✚✖★⬟⬢", strict=True))
CORNER = np.array([[0.71, -0.41], [-0.71, -0.41], [0, 0.82]], np.float32)
"""Where three axes point to when they are looked at from a corner: paper has two."""

Table = Mapping[str, Any]

TEXT: Table = {
    "date": "Date", "progress": "Trained", "machine": "Machine", "versions": "Versions where this report was made",
    "counts": "{step} of {total}, {images} images, {seconds} s of training",
    "where": "{device}, threads: {threads}, {precision}",
    "link": "Open this experiment", "settings": "Settings",
    "unreadable": "This version of the app cannot use all of them: {why}.",
    "uploaded": "somebody’s own pictures", "all": "all", "none": "none", "unknown": "not known",
    "units": {"batch_size": "{} images", "embedding_dim": "{} numbers", "train_per_class": "{} images"},
    "scores": "How good it is", "no_scores": "This run has no scores.", "held_out": "classes held out: {value}",
    "scores_note": "On test images of the classes trained on, at step {step}.",
    "metrics": {
        "map_at_r": ("MAP@R", "Of the R nearest images, how many are of the right class, and how early? 1 is perfect."),
        "pixels": ("MAP@R on raw pixels", "The same without a network: what the training has to beat."),
        "precision_at_1": ("Precision@1", "How often the nearest image is of the same class."),
        "auc": ("AUC", "How often a pair of one class is nearer than a pair of two. 0.5 is chance, 1 is perfect."),
        "eer": ("EER", "The rate of errors where as many pairs are wrongly accepted as rejected. 0 is perfect."),
        "loss": ("Test loss", "The loss on test images; to be compared only within one loss."),
    },
    "history_title": "How the run went",
    "history": {
        "step": "Step", "loss": "Loss of the batch", "active": "Active pairs",
        "scores": "On test images, and active pairs", "held_out": "held-out classes", "pixels": "MAP@R on raw pixels",
        "no_history": "No step was recorded",
    },
    "layouts_title": "The embedding of {count} test images",
    "layouts_note": "All pictures have the same axes.", "corner_note": "The three axes are seen from a corner.",
    "second_note": "Filled: first inputs. Hollow: second inputs.", "no_layouts": "This run has no pictures of it.",
    "embedding": {
        "embedding": "Step {step}", "image": "image", "second": "second input", "held_out": "held out",
        "no_layout": "no finite places",
    },
    "pairs_title": "Distances of pairs, before and after",
    "pairs_note": "Pairs of test images of the classes trained on.", "no_pairs": "This run has no distances of pairs.",
    "pairs": {
        "same": "same class", "different": "different class", "false_accepts": "", "false_rejects": "",
        "no_pairs": "no finite distance", "frame": "Share of the pairs at step {step}",
    },
    "axes": {"distance": "{measure} distance", "similarity": "p: {measure}", "unknown": "Distance"},
    "grid_title": "Some of the test images", "grid_alt": "{count} test images of the class {name}",
    "more_classes": "And {count} more classes.",
    "repeat_title": "How to repeat it", "repeat": "In the folder of Siamese Playground:",
    "repeat_note": "The same versions, machine and threads give the same run bit for bit; others about the same.",
    "repeat_uploaded": "It was trained on somebody’s own pictures: only where these are can it be repeated.",
    "repeat_unreadable": "As not all settings can be used here, the command may be refused.",
}  # fmt: skip
"""Every word of a report, by its name in `templates/report.html.j2` or in a figure."""


def report_html(
    run_history: RunHistory, layouts_xy: Array | None, *, title: str, link: str, machine: Machine, created: float
) -> bytes:
    """Return one page. `layouts_xy` (F, N, 2 or 3) are the layouts of the frames, `created` is in seconds since 1970.

    `link` leads to the experiment where a server runs; one that is no http address is left out.
    """
    where = asdict(machine)
    _, ignored = Experiment.from_query(run_history.query)
    return render(
        "report.html.j2",
        text=TEXT,
        title=title,
        link=link if link.startswith(("https://", "http://")) else "",
        facts=_facts(run_history, where, created),
        unreadable=TEXT["unreadable"].format(why=ignored[0]) if ignored else "",
        settings=_settings(run_history),
        **_scores(run_history),
        history=_plot(_history(run_history), "history", "22rem"),
        **_layouts(run_history, layouts_xy),
        pairs=_pairs(run_history),
        **_grid(run_history),
        command=_command(run_history, where),
        uploaded=is_uploaded(run_history.settings.get("dataset", "")),
    )


def _plot(figure: go.Figure, name: str, height: str) -> str:
    # A finger on a chart is to move the page.
    return plot_html(figure.update_layout(dragmode=False), name, height)


def _shown(value: Any, form: str) -> str:
    found = number(value)
    return format(found, form) if np.isfinite(found) else str(TEXT["unknown"])


def _facts(run_history: RunHistory, machine: Table, created: float) -> dict[str, str]:
    where = {name: shortened(str(value)) for name, value in machine.items()}
    where["precision"] = PRECISIONS.get(where["precision"], where["precision"])
    counts = {name: _shown(getattr(run_history, name), ",.0f") for name in ("step", "total", "images")}
    return {
        TEXT["date"]: _date(created),
        TEXT["progress"]: TEXT["counts"].format(**counts, seconds=_shown(run_history.seconds, ",.1f")),
        TEXT["machine"]: TEXT["where"].format(**where),
        TEXT["versions"]: ", ".join(_versions()),
    }


def _date(created: float) -> str:
    try:
        return f"{datetime.fromtimestamp(created, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return str(TEXT["unknown"])


def _versions() -> list[str]:
    found = []
    for name in ("siamese-playground", "torch", "numpy"):
        # The app itself is no package where it is run from its folder.
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def _settings(run_history: RunHistory) -> dict[str, str]:
    loss = LOSSES.get(run_history.settings.get("loss", ""), LOSSES[DEFAULTS["loss"]])
    rows = {}
    for name, value in run_history.settings.items():
        field = FIELDS.get(name) or loss.param(name)
        rows[field.title if field else shortened(name)] = shortened(_in_words(run_history, field, value), 200)
    return rows


def _in_words(run_history: RunHistory, field: Any, value: str) -> str:
    """Return a setting in the words of the Train page, as it stands where it cannot be read."""
    read = field.read(value) if field else None
    match field:
        case ChoiceField():
            return str(TEXT["uploaded"] if is_uploaded(value) else field.choices.get(read, value))
        case KeysField() | ClassesField() if read is not None:
            names = field.choices if isinstance(field, KeysField) else dict(enumerate(run_history.eval_images.classes))
            return ", ".join(str(names.get(key, key)) for key in read) or str(TEXT["none"])
        case FloatField() if read is not None:
            return f"{read:g}"
    name = field.name if field else ""
    return str(TEXT["all"] if (name, read) == ("train_per_class", 0) else TEXT["units"].get(name, "{}").format(value))


def _scores(run_history: RunHistory) -> dict[str, Any]:
    """Return the lines below each metric, at the last step that has scores."""
    step, found = run_history.scores[-1] if run_history.scores else (0, {})
    scores = {}
    for metric, (name, meaning) in TEXT["metrics"].items() if found else ():
        seen, held_out = tables.by_group(run_history.pixel_baseline if metric == "pixels" else found.get(metric))
        if np.isfinite([seen, held_out]).any():
            scores[name] = [f"{seen:.3f}" if np.isfinite(seen) else "–", meaning]
            scores[name][1:1] = [TEXT["held_out"].format(value=f"{held_out:.3f}")] if np.isfinite(held_out) else []
    return {"scores": scores, "scores_note": TEXT["scores_note"].format(step=_shown(step, ",.0f"))}


def _history(run_history: RunHistory) -> go.Figure:
    words = TEXT["history"]
    steps = np.arange(1, len(run_history.loss) + 1)
    series: dict[str, base.Series] = {"loss": (steps, run_history.loss, words["loss"])}
    at = [number(step) for step, _ in run_history.scores]
    for name in ("map_at_r", "map_at_r.held_out", "precision_at_1", "precision_at_1.held_out", "test_loss"):
        metric, _, held_out = name.removeprefix("test_").partition(".")
        values = [tables.by_group(found.get(metric))[bool(held_out)] for _, found in run_history.scores]
        if np.isfinite(values).any():
            series[name] = (at, values, TEXT["metrics"][metric][0])
    if np.isfinite(run_history.active).any():
        series["active"] = (steps, run_history.active, words["active"])
    total, pixels = number(run_history.total), tables.by_group(run_history.pixel_baseline)[0]
    baseline = pixels if np.isfinite(pixels) else None
    return base.history(int(total) if np.isfinite(total) else 0, series, pixels_baseline=baseline, text=words)


def _layouts(run_history: RunHistory, layouts_xy: Array | None) -> dict[str, Any]:
    """Return the layouts of a few frames, all with the same axes; none where `layouts_xy` are those of another run."""
    eval_images, count = run_history.eval_images, len(run_history.film)
    title = TEXT["layouts_title"].format(count=f"{len(eval_images.labels) // eval_images.branches:,}")
    if layouts_xy is None or not count or len(layouts_xy) != count:
        return {"layouts_title": title, "layouts_note": TEXT["no_layouts"], "layouts": []}
    chosen = np.unique(np.linspace(0, count - 1, LAYOUTS_SHOWN).round().astype(int)).tolist()
    points = [tables.drawable(run_history, layouts_xy[at]) for at in chosen]
    in_space = points[0].shape[1] == 3
    points = [xy @ CORNER for xy in points] if in_space else points
    axes = tables.axes_around(np.concatenate(points))
    layouts = []
    for at, xy in zip(chosen, points, strict=True):
        figure = tables.embedding_figure(run_history, xy, at, text=TEXT["embedding"])
        caption = figure.layout.title.text
        figure.update_layout(axes | {"title": None, "showlegend": False, "margin": dict.fromkeys("lrtb", 4)})
        layouts.append({"caption": caption, "plot": _plot(figure, f"picture-{at}", "14rem")})
    notes = {"layouts_note": True, "corner_note": in_space, "second_note": eval_images.branches == 2}
    note = " ".join(TEXT[name] for name, applies in notes.items() if applies)
    return {"layouts_title": title, "layouts_note": note, "layouts": layouts, "legend": _legend(run_history)}


def _legend(run_history: RunHistory) -> list[dict[str, str]]:
    legend = []
    for c in np.unique(run_history.eval_images.labels).tolist():
        colour, marker = base.class_style(c)
        held_out = f" ({TEXT['embedding']['held_out']})" if c in run_history.held_out else ""
        name = run_history.eval_images.classes[c] + held_out
        legend.append({"name": name, "colour": colour, "mark": MARKS[marker]})
    return legend


def _pairs(run_history: RunHistory) -> list[str]:
    """Return the distances of pairs at the first and the last frame, on one axis."""
    film, measure = run_history.film, MEASURES.get(run_history.settings.get("measure", ""))
    if not len(film):
        return []
    axis = TEXT["axes"][measure.kind if measure else "unknown"].format(measure=measure.title if measure else "")
    frames = {at: (film.same[at], film.different[at]) for at in sorted({0, len(film) - 1})}
    found = np.concatenate([distances for frame in frames.values() for distances in frame])
    found = np.append(found[np.abs(found) < tables.LARGEST], 0)
    plots = []
    for at, (same, different) in frames.items():
        words = TEXT["pairs"] | {"axis": axis, "frame": TEXT["pairs"]["frame"].format(step=f"{film.steps[at]:,}")}
        frame = {"frame": SimpleNamespace(same=same, different=different)}
        figure = verification.distance_histograms(
            frame, d_max=float(np.quantile(found, 0.99)), threshold=None, text=words
        )
        plots.append(_plot(figure, f"pairs-{at}", "16rem"))
    return plots


def _grid(run_history: RunHistory) -> dict[str, Any]:
    """Return a row of test images for each class, once for each branch."""
    eval_images, rows = run_history.eval_images, []
    images = len(eval_images.labels) // eval_images.branches
    present = np.unique(eval_images.labels[:images]).tolist()
    for c in present[:MOST_CLASSES]:
        indices = np.flatnonzero(eval_images.labels[:images] == c)[:GRID_COLUMNS]
        thumbnails = [eval_images.thumbnails[indices + branch * images] for branch in range(eval_images.branches)]
        pngs = [atlas_png(reduced(shown, THUMBNAIL), len(indices)) for shown in thumbnails]
        name, count = eval_images.classes[c], len(indices)
        rows.append({
            "name": name, "alt": TEXT["grid_alt"].format(count=count, name=name), "width": 40 * count,
            "pngs": [b64encode(png).decode() for png in pngs],
        })  # fmt: skip
    more = len(present) - MOST_CLASSES
    return {"grid": rows, "more_classes": TEXT["more_classes"].format(count=more) if more > 0 else ""}


def _command(run_history: RunHistory, machine: Table) -> str:
    """Return the command line that trains the same run."""
    # Written anew: so it means nothing to a shell, whoever wrote it.
    query = urlencode(run_history.settings, safe=",", errors="replace")
    command = f'python -m siamese_core train "{query}"'
    for name, default in asdict(Machine()).items():
        value = str(machine[name])
        if value != str(default) and value.isascii() and value.isalnum():
            command += f" --{name} {value}"
    return command
