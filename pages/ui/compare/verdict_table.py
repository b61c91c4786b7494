"""The verdicts on many pairs: counted, as a table, and as CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.ui.compare.model_input import Pixels
from pages.ui.shims import widgets
from pages.ui.shims.futures import Arrays
from pages.ui.shims.images import data_uri
from pages.ui.text import compare as text
from siamese_core.datasets.atlas import atlas_png, reduced
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.formats.pair_lists import ListedPair, to_csv
from siamese_core.runs.model import Model

SIDE, SMALL_SIDE, FEW = 32, 16, 250
"""Pixels a side of a thumbnail; of colour images in more than so many pairs the smaller one, for a kilobyte each."""

ROW_HEIGHT = 44


def draw_verdicts(
    model: Model,
    pairs: Sequence[ListedPair],
    compared: Arrays,
    threshold: Threshold | None,
    shown: Mapping[int, str],
    waits: bool,
) -> None:
    """Draw them. `shown`: an image's thumbnail by its index; `waits`: whether a threshold is on its way."""
    value = None if threshold is None else threshold.value
    found = rows(model, pairs, compared, value)
    if value is None:
        st.markdown(text.NO_THRESHOLD_WAIT if waits else text.NO_VERDICTS)
    else:
        st.markdown(summary(found))
        st.caption(text.STRANGERS)
    if strange := sum(bool(row["unlike"]) for row in found):
        st.warning(text.MANY_UNLIKE.format(count=f"{strange:,}", pairs=f"{len(found):,}"), icon=":material/warning:")
    st.dataframe(
        table(pairs, found, shown), column_config=_columns(model), hide_index=True, row_height=ROW_HEIGHT,
        alt=text.TABLE, key="many_table",
    )  # fmt: skip
    widgets.download(text.SAVE_CSV, lambda: to_csv(found).encode("utf-8-sig"), "pairs.csv")


def rows(model: Model, pairs: Sequence[ListedPair], compared: Arrays, threshold: float | None) -> list[dict[str, Any]]:
    """Return a row of the CSV for each of P pairs, of their `value` (P,) and, where it is known which image is like no
    training image, `unlike` (P, 2) bool; None is what nobody knows."""
    values, unknown = compared["value"], [None] * len(pairs)
    says_same = unknown if threshold is None else model.says_same(values, threshold).tolist()
    unlike = [text.UNLIKE_WHICH[a, b] for a, b in compared["unlike"].tolist()] if "unlike" in compared else unknown
    return [
        {
            "first": pair.first_name, "second": pair.second_name, "value": value, "threshold": threshold,
            "verdict": text.YES_NO[verdict], "same": pair.same, "unlike": which,
        }
        for pair, value, verdict, which in zip(pairs, values.tolist(), says_same, unlike, strict=True)
    ]  # fmt: skip


def summary(found: list[dict[str, Any]]) -> str:
    """Return how many pairs have which verdict, and how often it is wrong where the truth is known."""
    says_same = [row["verdict"] == text.YES_NO[True] for row in found]
    line = text.SUMMARY.format(
        pairs=f"{len(found):,}", same=f"{sum(says_same):,}", different=f"{len(says_same) - sum(says_same):,}",
        threshold=f"{found[0]['threshold']:.3g}",
    )  # fmt: skip
    count = Counter((row["same"], verdict) for row, verdict in zip(found, says_same, strict=True))
    right, accepts, rejects = count[True, True] + count[False, False], count[False, True], count[True, False]
    known = right + accepts + rejects
    if not known:
        return line
    return f"{line}  \n" + text.RIGHT.format(
        known=f"{known:,}", right=f"{right:,}", accepts=f"{accepts:,}", rejects=f"{rejects:,}",
        different=f"{accepts + count[False, False]:,}", same=f"{rejects + count[True, True]:,}",
    )  # fmt: skip


def table(pairs: Sequence[ListedPair], found: list[dict[str, Any]], shown: Mapping[int, str]) -> dict[str, list[Any]]:
    """Return column → cells, without columns that are empty."""
    columns = {
        "first_image": [shown[pair.first] for pair in pairs],
        "second_image": [shown[pair.second] for pair in pairs],
    } | {name: [row[name] for row in found] for name in ("first", "second", "value", "verdict", "same", "unlike")}
    truth = columns["same"]
    columns["right"] = [
        text.RIGHT_WRONG[None if same is None else verdict == text.YES_NO[same]]
        for verdict, same in zip(columns["verdict"], truth, strict=True)
    ]
    columns["same"] = [text.YES_NO[same] for same in truth]
    is_known, has_verdicts = any(same is not None for same in truth), found[0]["threshold"] is not None
    silent = {
        "verdict": not has_verdicts,
        "same": not is_known,
        "right": not is_known or not has_verdicts,
        "unlike": found[0]["unlike"] is None,
    }
    return {name: columns[name] for name in text.COLUMNS if not silent.get(name, False)}


def _columns(model: Model) -> dict[str, Any]:
    config = st.column_config
    title = text.COLUMNS | {"value": text.NUMBERS["similarity" if model.is_similarity else "value"]}
    kinds: dict[str, Any] = {name: config.TextColumn(title[name]) for name in title}
    return kinds | {
        "value": config.NumberColumn(title["value"], format="%.4f"),
        "first_image": config.ImageColumn(title["first_image"], width="small"),
        "second_image": config.ImageColumn(title["second_image"], width="small"),
    }


def thumbnails(images: Mapping[int, Pixels], pairs: int) -> dict[int, str]:
    """Return small PNGs of uint8 images (C, H, W) as data URIs, by index."""

    def uri(image: Pixels) -> str:
        side = SMALL_SIDE if len(image) == 3 and pairs > FEW else SIDE
        return data_uri(atlas_png(reduced(image[None], side), 1))

    return {index: uri(image) for index, image in images.items()}
