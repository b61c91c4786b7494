"""A recorded run as one page to keep, to print and to hand on: it needs no server, and asks nobody for anything.

Recordings may come from anybody: every word out of one is escaped, and what is damaged is a sentence in its place.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from siamese_core.datasets import is_uploaded
from siamese_core.datasets.atlas import atlas_png, reduced
from siamese_core.experiment.experiment import Experiment, loss_field
from siamese_core.experiment.fields import ChoiceField, ClassesField, FloatField, KeysField
from siamese_core.experiment.machine import PRECISIONS, Machine
from siamese_core.experiment.settings import DEFAULTS, FIELDS
from siamese_core.export import tables
from siamese_core.export.figures import base, verification
from siamese_core.export.tables import Array, number
from siamese_core.formats.text import shortened
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.runs.history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

PICTURES = 4
"""Of the embedding: the first frame, about a third and two thirds of the way, and the last one."""
SHEET = 10
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
    "own": "somebody’s own pictures", "all": "all", "none": "none", "unknown": "not known",
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
    "pictures_title": "The embedding of {count} test images",
    "pictures_note": "All pictures have the same axes.", "corner_note": "The three axes are seen from a corner.",
    "second_note": "Filled: first inputs. Hollow: second inputs.", "no_pictures": "This run has no pictures of it.",
    "embedding": {
        "embedding": "Step {step}", "image": "image", "second": "second input", "held_out": "held out",
        "no_picture": "no finite places",
    },
    "pairs_title": "Distances of pairs, before and after",
    "pairs_note": "Pairs of test images of the classes trained on.", "no_pairs": "This run has no distances of pairs.",
    "pairs": {
        "same": "same class", "different": "different class", "false_accepts": "", "false_rejects": "",
        "no_pairs": "no finite distance", "frame": "Share of the pairs at step {step}",
    },
    "axes": {"distance": "{measure} distance", "similarity": "p: {measure}", "unknown": "Distance"},
    "sheet_title": "Some of the test images", "sheet_alt": "{count} test images of the class {name}",
    "more_classes": "And {count} more classes.",
    "repeat_title": "How to repeat it", "repeat": "In the folder of Siamese Playground:",
    "repeat_note": "The same versions, machine and threads give the same run bit for bit; others about the same.",
    "repeat_own": "It was trained on somebody’s own pictures: only where these are can it be repeated.",
    "repeat_unreadable": "As not all settings can be used here, the command may be refused.",
}  # fmt: skip
"""Every word of a report."""

STYLE = """
body { max-width: 60rem; print-color-adjust: exact; }
body.printing { max-width: 44rem; padding: 0; }
h1, h2 { line-height: 1.25; margin: 2rem 0 .5rem; overflow-wrap: anywhere; break-after: avoid; }
h1 { margin-top: .5rem; }
h2 { font-size: 1.2rem; }
dt, .note, .scores dd:last-child { color: var(--soft); }
.note { margin: .25rem 0 .75rem; break-after: avoid; }
dl, .pairs { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
dl, dd, figure, pre { margin: 0; min-width: 0; }
dl div { border-bottom: 1px solid var(--line); padding: .3rem 0; break-inside: avoid; }
.facts div { display: flex; justify-content: space-between; gap: 1rem; }
.facts dd { text-align: right; }
.scores dd:nth-child(2) { font-size: 1.6rem; line-height: 1.3; }
.pictures { display: grid; gap: .5rem; grid-template-columns: repeat(4, minmax(0, 1fr)); }
@media (max-width: 40rem) { .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
figure, pre { border: 1px solid var(--line); border-radius: 6px; }
figure, .plot { break-inside: avoid; }
figcaption { padding: .25rem .6rem 0; font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; }
dd, .legend li, .sheet span, pre { overflow-wrap: anywhere; }
.sheet { display: grid; grid-template-columns: fit-content(9rem) minmax(0, 1fr); gap: .5rem 1rem; align-items: center; }
.sheet img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
pre { white-space: pre-wrap; padding: .75rem; }
"""
# Charts as wide as the paper.
SCRIPT = """
for (const [when, printing] of [["beforeprint", true], ["afterprint", false]])
  addEventListener(when, () => {
    document.body.classList.toggle("printing", printing);
    document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.relayout(plot, { autosize: true }));
  });
"""


def report_html(
    run_history: RunHistory,
    layouts_xy: Array | None,
    *,
    title: str,
    link: str,
    machine: Machine,
    created: float,
    text: Table = TEXT,
) -> bytes:
    """One page. `layouts_xy` (F, N, 2 or 3) are the pictures of the frames, `created` seconds since 1970.

    `link` leads to the experiment where a server runs; one that is no http address is left out.
    """
    where = asdict(machine)
    _, ignored = Experiment.from_query(run_history.query)
    why = str(ignored[0]) if ignored else ""
    address = escape(link) if link.startswith(("https://", "http://")) else ""
    sections = [
        f"<main>\n<h1>{escape(title)}</h1>",
        f'<p><a href="{address}" rel="noreferrer">{escape(text["link"])}</a></p>' if address else "",
        _list(_facts(run_history, where, created, text)),
        _section(text["settings"], _settings(run_history, why, text)),
        _section(text["scores"], _scores(run_history, text)),
        _section(text["history_title"], _plot(_history(run_history, text), "history", "22rem")),
        _pictures(run_history, layouts_xy, text),
        _section(text["pairs_title"], _pairs(run_history, text)),
        _section(text["sheet_title"], _sheet(run_history, text)),
        _section(text["repeat_title"], _repeat(run_history, where, why, text)),
        f"</main>\n<script>{SCRIPT}</script>",
    ]
    return tables.page_html(title, "\n".join(sections), STYLE)


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}\n</section>"


def _note(*words: str) -> str:
    return f'<p class="note">{escape(" ".join(words))}</p>' if any(words) else ""


def _list(rows: Mapping[str, str]) -> str:
    items = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items())
    return f'<dl class="facts">{"".join(items)}</dl>'


def _plot(figure: go.Figure, name: str, height: str) -> str:
    # A finger on a chart is to move the page.
    figure.update_layout(dragmode=False)
    return f'<div class="plot">{tables.plot_html(figure, name, height)}</div>'


def _shown(value: Any, form: str, text: Table) -> str:
    found = number(value)
    return format(found, form) if np.isfinite(found) else str(text["unknown"])


def _facts(run_history: RunHistory, machine: Table, created: float, text: Table) -> dict[str, str]:
    where = {name: shortened(str(value)) for name, value in machine.items()}
    where["precision"] = PRECISIONS.get(where["precision"], where["precision"])
    counts = {name: _shown(getattr(run_history, name), ",.0f", text) for name in ("step", "total", "images")}
    return {
        text["date"]: _date(created, text),
        text["progress"]: text["counts"].format(**counts, seconds=_shown(run_history.seconds, ",.1f", text)),
        text["machine"]: text["where"].format(**where),
        text["versions"]: ", ".join(_versions()),
    }


def _date(created: float, text: Table) -> str:
    try:
        return f"{datetime.fromtimestamp(created, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return str(text["unknown"])


def _versions() -> list[str]:
    found = []
    for name in ("siamese-playground", "torch", "numpy"):
        # The app itself is no package where it is run from its folder.
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def _settings(run_history: RunHistory, why: str, text: Table) -> str:
    loss = LOSSES.get(run_history.settings.get("loss", ""), LOSSES[DEFAULTS["loss"]])
    rows = {}
    for name, value in run_history.settings.items():
        field = FIELDS.get(name) or loss_field(loss, name)
        rows[field.title if field else shortened(name)] = shortened(_in_words(run_history, field, value, text), 200)
    return _note(text["unreadable"].format(why=why) if why else "") + _list(rows)


def _in_words(run_history: RunHistory, field: Any, value: str, text: Table) -> str:
    """A setting as it is read on the Train page; as it stands where it cannot be read."""
    read = field.read(value) if field else None
    match field:
        case ChoiceField():
            return str(text["own"] if is_uploaded(value) else field.choices.get(value, value))
        case KeysField() | ClassesField() if read is not None:
            names = field.choices if isinstance(field, KeysField) else dict(enumerate(run_history.eval_images.classes))
            return ", ".join(str(names.get(key, key)) for key in read) or str(text["none"])
        case FloatField() if read is not None:
            return f"{read:g}"
    name = field.name if field else ""
    return str(text["all"] if (name, read) == ("train_per_class", 0) else text["units"].get(name, "{}").format(value))


def _scores(run_history: RunHistory, text: Table) -> str:
    step, found = run_history.scores[-1] if run_history.scores else (0, {})
    cards = ""
    for metric, (name, meaning) in text["metrics"].items():
        seen, held_out = tables.by_group(run_history.pixel_baseline if metric == "pixels" else found.get(metric))
        if np.isfinite([seen, held_out]).any():
            lines = [f"{seen:.3f}" if np.isfinite(seen) else "–", meaning]
            lines[1:1] = [text["held_out"].format(value=f"{held_out:.3f}")] if np.isfinite(held_out) else []
            values = "".join(f"<dd>{escape(line)}</dd>" for line in lines)
            cards += f"<div><dt>{escape(name)}</dt>{values}</div>\n"
    if not found or not cards:
        return _note(text["no_scores"])
    return _note(text["scores_note"].format(step=_shown(step, ",.0f", text))) + f'<dl class="scores">{cards}</dl>'


def _history(run_history: RunHistory, text: Table) -> go.Figure:
    words = text["history"]
    steps = np.arange(1, len(run_history.loss) + 1)
    series: dict[str, base.Series] = {"loss": (steps, run_history.loss, words["loss"])}
    at = [number(step) for step, _ in run_history.scores]
    for name in ("map_at_r", "map_at_r.held_out", "precision_at_1", "precision_at_1.held_out", "test_loss"):
        metric, _, held_out = name.removeprefix("test_").partition(".")
        values = [tables.by_group(found.get(metric))[bool(held_out)] for _, found in run_history.scores]
        if np.isfinite(values).any():
            series[name] = (at, values, text["metrics"][metric][0])
    if np.isfinite(run_history.active).any():
        series["active"] = (steps, run_history.active, words["active"])
    total, pixels = number(run_history.total), tables.by_group(run_history.pixel_baseline)[0]
    baseline = pixels if np.isfinite(pixels) else None
    return base.history(int(total) if np.isfinite(total) else 0, series, pixels_baseline=baseline, text=words)


def _pictures(run_history: RunHistory, layouts_xy: Array | None, text: Table) -> str:
    eval_images, count = run_history.eval_images, len(run_history.film)
    title = text["pictures_title"].format(count=f"{len(eval_images.labels) // eval_images.branches:,}")
    if layouts_xy is None or not count or len(layouts_xy) != count:
        return _section(title, _note(text["no_pictures"]))
    chosen = np.unique(np.linspace(0, count - 1, PICTURES).round().astype(int)).tolist()
    places = [tables.drawable(run_history, layouts_xy[at]) for at in chosen]
    in_space = places[0].shape[1] == 3
    places = [xy @ CORNER for xy in places] if in_space else places
    axes = tables.axes_around(np.concatenate(places))
    drawn = ""
    for at, xy in zip(chosen, places, strict=True):
        figure = tables.embedding_figure(run_history, xy, at, text=text["embedding"])
        caption = escape(figure.layout.title.text)
        figure.update_layout(axes | {"title": None, "showlegend": False, "margin": dict.fromkeys("lrtb", 4)})
        drawn += f"<figure><figcaption>{caption}</figcaption>{_plot(figure, f'picture-{at}', '14rem')}</figure>"
    notes = {"pictures_note": True, "corner_note": in_space, "second_note": eval_images.branches == 2}
    note = _note(*(text[name] for name, is_so in notes.items() if is_so))
    return _section(title, note, f'<div class="pictures">{drawn}</div>', _legend(run_history, text))


def _legend(run_history: RunHistory, text: Table) -> str:
    held_out, items = run_history.held_out, ""
    for c in np.unique(run_history.eval_images.labels).tolist():
        colour, marker = base.class_style(c)
        name = run_history.eval_images.classes[c] + (f" ({text['embedding']['held_out']})" if c in held_out else "")
        mark = f'<span style="color: {colour}" aria-hidden="true">{MARKS[marker]}</span>'
        items += f"<li>{mark} {escape(name)}</li>"
    return f'<ul class="legend">{items}</ul>'


def _pairs(run_history: RunHistory, text: Table) -> str:
    film, measure = run_history.film, MEASURES.get(run_history.settings.get("measure", ""))
    if not len(film):
        return _note(text["no_pairs"])
    axis = text["axes"][measure.kind if measure else "unknown"].format(measure=measure.title if measure else "")
    frames = {at: (film.same[at], film.different[at]) for at in sorted({0, len(film) - 1})}
    found = np.concatenate([distances for frame in frames.values() for distances in frame])
    found = np.append(found[np.abs(found) < tables.LARGEST], 0)
    drawn = ""
    for at, (same, different) in frames.items():
        words = text["pairs"] | {"axis": axis, "frame": text["pairs"]["frame"].format(step=f"{film.steps[at]:,}")}
        frame = {"frame": SimpleNamespace(same=same, different=different)}
        figure = verification.distance_histograms(
            frame, d_max=float(np.quantile(found, 0.99)), threshold=None, text=words
        )
        drawn += _plot(figure, f"pairs-{at}", "16rem")
    return _note(text["pairs_note"]) + f'<div class="pairs">{drawn}</div>'


def _sheet(run_history: RunHistory, text: Table) -> str:
    eval_images, rows = run_history.eval_images, ""
    images = len(eval_images.labels) // eval_images.branches
    present = np.unique(eval_images.labels[:images]).tolist()
    for c in present[:MOST_CLASSES]:
        own = np.flatnonzero(eval_images.labels[:images] == c)[:SHEET]
        alt = escape(text["sheet_alt"].format(count=len(own), name=eval_images.classes[c]))
        rows += f"<span>{escape(eval_images.classes[c])}</span><div>"
        for branch in range(eval_images.branches):
            shown = reduced(eval_images.thumbnails[own + branch * images], THUMBNAIL)
            png = b64encode(atlas_png(shown, len(own))).decode()
            rows += f'<img alt="{alt}" width="{40 * len(own)}" src="data:image/png;base64,{png}">'
        rows += "</div>\n"
    more = len(present) - MOST_CLASSES
    return f'<div class="sheet">{rows}</div>' + _note(text["more_classes"].format(count=more) if more > 0 else "")


def _repeat(run_history: RunHistory, machine: Table, why: str, text: Table) -> str:
    # Written anew: so it means nothing to a shell, whoever wrote it.
    query = urlencode(run_history.settings, safe=",", errors="replace")
    command = f'python -m siamese_core train "{query}"'
    for name, default in asdict(Machine()).items():
        value = str(machine[name])
        if value != str(default) and value.isascii() and value.isalnum():
            command += f" --{name} {value}"
    own = is_uploaded(run_history.settings.get("dataset", ""))
    notes = {"repeat_note": True, "repeat_own": own, "repeat_unreadable": bool(why)}
    note = _note(*(text[name] for name, is_so in notes.items() if is_so))
    return _note(text["repeat"]) + f"<pre>{escape(command)}</pre>" + note
