"""An evaluation to download: figures and curves as CSV, all of it as one page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.evaluate import baselines, few_shot, retrieval, threshold
from pages.ui.evaluate.evaluation import Evaluation
from pages.ui.session import model_picker
from pages.ui.shims import widgets
from pages.ui.shims.images import data_uri, grid_png
from pages.ui.text import evaluate as text
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.formats.pair_lists import to_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .3rem .8rem; border: 1px solid #d9dee5; text-align: left; }
code { overflow-wrap: anywhere; }
img { image-rendering: pixelated; max-width: 100%; }
figure { margin: 1rem 0; }
"""


def part(evaluation: Evaluation) -> None:
    st.markdown(f"**{text.SAVE}**")
    # What is of the session is read here: a file is made by a thread that knows nothing of it.
    title, about = model_picker.title(evaluation.file), model_picker.about(evaluation.file)
    saved = model_picker.threshold(evaluation.file)
    files = {
        text.CSV_SCORES: ("scores.csv", lambda: _csv(scores(evaluation) + at_threshold(evaluation, saved))),
        text.CSV_CURVES: ("curves.csv", lambda: _csv(curves(evaluation))),
        text.CSV_PAIRS: ("hardest_pairs.csv", lambda: _csv(hardest(evaluation))),
        text.HTML: ("evaluation.html", lambda: page(evaluation, title, about, saved).encode()),
    }
    with st.container(horizontal=True):
        for label, (name, make) in files.items():
            widgets.download(label, make, name)


def _csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    return to_csv(rows).encode("utf-8-sig")


def scores(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return a row for each score of each group, with its interval where it has one."""
    rows = []
    for name, group in evaluation.groups.items():
        each = dict(group.scores) | ({} if group.summary is None else group.summary._asdict())
        rows += [_score(name, "model", score, value, group.score_intervals.get(score)) for score, value in each.items()]
        tried, _ = few_shot.accuracy(evaluation, group, few_shot.WAYS, few_shot.SHOTS)
        if tried is not None:
            score = f"{tried.ways}_way_{tried.shots}_shot"
            rows.append(_score(name, "model", score, tried.accuracy, (tried.low, tried.high)))
        for approach, others in group.baselines.items():
            rows += [_score(name, approach, score, value) for score, value in others.items()]
    return rows


def _score(
    classes: str, approach: str, score: str, value: float | None, interval: tuple[float, float] | None = None
) -> dict[str, object]:
    low, high = interval or (None, None)
    return {"classes": classes, "approach": approach, "score": score, "value": value, "low": low, "high": high}


def at_threshold(evaluation: Evaluation, saved: Threshold | None) -> list[dict[str, object]]:
    """Return the threshold, by which rule it was chosen, and its error rates on the reporting half."""
    if saved is None:
        return []
    rows = [_score(saved.group, f"threshold by {saved.rule}", "threshold", saved.value)]
    for name in evaluation.groups:
        rows += [_score(name, "at the threshold", *rate) for rate in threshold.rates_of(evaluation, name, saved.value)]
    return rows


def curves(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return the error rates along the thresholds of each group, in the units of the model."""
    measure = evaluation.model.measure
    rows: list[dict[str, object]] = []
    for name, group in evaluation.groups.items():
        for at, accept, reject in zip(*map(np.ndarray.tolist, group.curves or ()), strict=True):
            value = measure.from_distance(at)
            rows.append({"classes": name, "threshold": value, "false_accept": accept, "false_reject": reject})
    return rows


def hardest(evaluation: Evaluation) -> list[dict[str, object]]:
    """Return the hardest pairs: which test images, their classes, and their distance for the model."""
    model = evaluation.model
    rows: list[dict[str, object]] = []
    for name, group in evaluation.groups.items():
        n = len(group.indices)
        for same, pairs in ((True, group.hardest_same), (False, group.hardest_different)):
            for first, second, value in zip(pairs.first, pairs.second, pairs.value.tolist(), strict=True):
                rows.append({
                    "classes": name, "same": same,
                    "first_image": int(group.indices[first % n]),
                    "second_image": int(group.indices[second % n]),
                    "first_class": model.classes[group.labels[first % n]],
                    "second_class": model.classes[group.labels[second % n]],
                    "value": model.measure.from_distance(value),
                })  # fmt: skip
    return rows


def page(evaluation: Evaluation, title: str, about: str, saved: Threshold | None) -> str:
    """Return one HTML page with everything in it, plotly.js included."""
    title = html.escape(text.REPORT_TITLE.format(model=title))
    body = "\n".join(_body(evaluation, about, saved))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1>{body}<p>{html.escape(text.REPORT_MADE)}</p></html>"
    )


def _body(evaluation: Evaluation, about: str, saved: Threshold | None) -> Iterator[str]:
    model = evaluation.model
    yield f"<p>{html.escape(about)}</p>"
    yield f"<h2>{text.PARTS['threshold']}</h2>"
    if saved is not None:
        on = model_picker.text.GROUPS[saved.group]
        yield f"<p>{html.escape(text.BY_RULE.format(rule=model_picker.describe_rule(saved), group=on))}</p>"
        for line in threshold.threshold_lines(evaluation, saved):
            first, *listed = html.escape(line).replace("**", "").split("\n- ")
            yield f"<p>{first}</p>" + (f"<ul>{''.join(f'<li>{each}</li>' for each in listed)}</ul>" if listed else "")
        how = text.BY_HAND if saved.rule == "hand" else text.HALVES
        yield f"<p>{html.escape(how).replace('*', '')}</p>"
    yield _figure(threshold.histogram(evaluation, saved.value if saved else None), first=True)
    yield _table(text.SUMMARY, threshold.summary_rows(evaluation))
    yield _figure(threshold.curve(evaluation, saved, "roc")) + _figure(threshold.curve(evaluation, saved, "det"))
    yield f"<h2>{text.PARTS['retrieval']}</h2>" + _table(text.SCORES, retrieval.score_rows(evaluation))
    images = model.experiment.data.load().test_images
    for name, group in evaluation.groups.items():
        yield f"<h3>{html.escape(text.GROUPS[name])}</h3>"
        yield _figure(retrieval.confusion(evaluation, name))
        yield _image(retrieval.neighbour_grid(images, group, retrieval.evenly(group)), text.GRID_TITLE)
        yield _figure(baselines.figure(evaluation, name))
        for kind, pairs in (("same", group.hardest_same), ("different", group.hardest_different)):
            indices = group.indices[np.stack([pairs.first, pairs.second], axis=1).ravel() % len(group.indices)]
            if len(indices):
                yield f"<h4>{html.escape(text.HARDEST[kind])}</h4>"
                yield _image(grid_png(images[indices], 8), text.HARDEST[kind])
    yield f"<p><code>{html.escape(model.experiment.to_query())}</code></p>"


def _table(columns: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in columns.values())
    lines = ("".join(f"<td>{html.escape(row[name])}</td>" for name in columns) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _figure(figure: go.Figure, first: bool = False) -> str:
    figure.update_layout(height=480)
    drawn: str = figure.to_html(full_html=False, include_plotlyjs=first)
    return f"<figure>{drawn}</figure>"


def _image(png: bytes, words: str) -> str:
    return f'<img alt="{html.escape(words)}" src="{data_uri(png)}">'
