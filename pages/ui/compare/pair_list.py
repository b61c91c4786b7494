"""Many pairs at once: the files that somebody gives, decoded and compared part by part."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.ui.compare.model_input import MAX_MB, TYPES, Pixels, hint_at_brightness, model_inputs
from pages.ui.compare.verdict_table import draw_verdicts, thumbnails
from pages.ui.session import session
from pages.ui.session.engine import evaluations
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import Arrays, result_within
from pages.ui.text import compare as text
from siamese_core.datasets import DatasetMissing, Images
from siamese_core.datasets.atlas import atlas_png
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.engine.evaluations import EvaluationProgress, ModelFile
from siamese_core.engine.rpc.client import PendingReply, RequestRejected
from siamese_core.formats import pair_lists
from siamese_core.formats.images import ImageRejected
from siamese_core.formats.pair_lists import ListedPair, PairList, PairsRejected
from siamese_core.runs.model import Model

PART = 250
"""Pairs in one request: a message stays small, and one sees how far it is."""

POLL_EVERY, POLLS = 0.5, 120
"""Seconds between two polls of a reply, at which a click on Cancel takes effect; how many before it is called late."""

HINTED = 40
"""Images, at most, by which we tell whether they are light on dark."""

EXAMPLE_CLASSES, EXAMPLE_EACH = 4, 3

ENTRIES = ("many_list", "many_opened", "many_replies", "many_thumbnails")
"""Of the session: deleted with the files."""

Opened = list[Pixels | ImageRejected]


def section(file: ModelFile, threshold: Threshold | None) -> None:
    st.caption(text.MANY_INTRO)
    ids, listed = _listed(file.model)
    if listed is None:
        return
    if st.session_state.get("many_cancelled") == ids:
        st.info(text.CANCELLED, icon=":material/block:")
        st.button(
            text.BEGIN_AGAIN, icon=":material/refresh:", on_click=st.session_state.pop, args=("many_cancelled", None)
        )
        return
    inverted = widgets.persistent(widgets.toggle, text.INVERT, key="many_invert", default=False, help=text.INVERT_HELP)
    progress = st.empty()
    opened = _opened((ids, file.model.shape), listed, file.model, progress)
    usable, problems = sorted_out(listed, opened)
    if problems:
        lines = "".join(f"\n- {escape_markdown(problem)}" for problem in problems)
        st.warning(text.LEFT_OUT.format(problems=lines), icon=":material/warning:")
    if not usable:
        st.error(text.NONE_LEFT, icon=":material/error:")
        return
    images = {n: image for n, image in enumerate(opened) if not isinstance(image, ImageRejected)}
    if inverted:
        images = {n: 255 - image for n, image in images.items()}
    else:
        hint_at_brightness(list(images.values())[:HINTED], file.model)
    work = session.poll_evaluation("gallery", file, start=False) if file.model.has_images else None
    found = _compared(file, (ids, inverted), usable, images, work, progress)
    if found is None:
        st.info(text.LATE, icon=":material/hourglass:")
        st.button(text.LOOK_AGAIN)
        return
    shown = widgets.once("many_thumbnails", (ids, file.model.shape, inverted), lambda: thumbnails(images, len(usable)))
    waits = work is not None and work.status in ("waiting", "working")
    draw_verdicts(file.model, usable, found, threshold, shown, waits)


# The files


def _listed(model: Model) -> tuple[Hashable, PairList | None]:
    """The ids of the files, and their pairs; None, and a message, where there are none to use."""
    given_as = widgets.persistent(
        widgets.segmented_control, text.PAIRING, text.PAIRINGS, key="many_given_as", default="stacks"
    )
    if given_as == "zip":
        files = [_chosen("zip", text.ZIP, ["zip"])]
        _example_button(model)
    else:
        files = []
        for side, column in enumerate(st.columns(2)):
            with column:
                files.append(_chosen(f"stack_{side}", text.STACK.format(side=text.SIDES[side]), TYPES))
    ids = tuple(tuple(each.file_id for each in stack) for stack in files)
    if not all(files):
        if any(files):
            st.info(text.OTHER_STACK, icon=":material/add_photo_alternate:")
        else:
            for name in ENTRIES:
                st.session_state.pop(name, None)
        return ids, None
    found = widgets.once("many_list", ids, lambda: _read(files))
    if isinstance(found, str):
        st.error(escape_markdown(found), icon=":material/error:")
        return ids, None
    return ids, found


def _read(files: Sequence[Sequence[UploadedFile]]) -> PairList | str:
    """Of one zip, or of two stacks; a message where they cannot be used."""
    try:
        if len(files) == 1:
            return pair_lists.of_zip(files[0][0])
        first, second = ([(each.name, each.getvalue()) for each in stack] for stack in files)
        return pair_lists.of_stacks(first, second)
    except PairsRejected as rejected:
        return str(rejected)


def _chosen(name: str, label: str, types: Sequence[str]) -> list[UploadedFile]:
    """Files stay chosen where their widget was not drawn for a while, as when another model is got ready."""
    key, is_zip = f"many_{name}", name == "zip"
    draw = partial(
        st.file_uploader, label, types, accept_multiple_files=not is_zip, help=text.MANY_HELP,
        max_upload_size=None if is_zip else MAX_MB,
    )  # fmt: skip
    files = widgets.persistent_upload(key, draw, lambda chosen: chosen if isinstance(chosen, list) else [chosen]) or []
    if files and not st.session_state[key]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(text.STILL_CHOSEN.format(count=f"{len(files):,}"), width="content")
            st.button(text.REMOVE, key=f"{key}_remove", type="tertiary", on_click=widgets.forget, args=(key,))
    return files


def _example_button(model: Model) -> None:
    try:
        images = model.experiment.data.load() if model.has_images else None
    except DatasetMissing:
        return
    if images is not None:
        make = partial(example, images, model.classes)
        widgets.download(text.EXAMPLE, make, "pairs.zip", help=text.EXAMPLE_HELP)


def example(images: Images, classes: Sequence[str]) -> bytes:
    """Return a zip of a few test images of a few classes: for each class a pair of it, and one with the next class."""
    pngs: list[tuple[str, bytes]] = []
    names: list[list[str]] = []
    for label in np.unique(images.test_labels)[:EXAMPLE_CLASSES]:
        # With the number: two classes can have one name but for its signs.
        stem = re.sub(r"\W+", "_", classes[label])[:24] + f"_{label}"
        indices = np.flatnonzero(images.test_labels == label)[:EXAMPLE_EACH]
        names.append([f"{stem}_{number}.png" for number in range(1, len(indices) + 1)])
        pngs += [(n, atlas_png(images.test_images[p][None], 1)) for n, p in zip(names[-1], indices, strict=True)]
    rows: list[tuple[str, str, bool | None]] = [(files[0], files[1], True) for files in names if len(files) > 1]
    if len(names) > 1:
        rows += [(files[-1], after[0], False) for files, after in zip(names, names[1:] + names[:1], strict=True)]
    return pair_lists.example_zip(pngs, rows)


# The comparison


def _opened(key: Hashable, listed: PairList, model: Model, progress: DeltaGenerator) -> Opened:
    """Every image of a list, decoded once. A click on Cancel ends the page's run in here, and nothing is stored."""

    def opened() -> Opened:
        found: Opened = []
        total = len(listed.files)
        bar = _bar(progress, "opening")
        for outcome in model_inputs(listed.files, model):
            found.append(outcome)
            bar.progress(len(found) / total, text.OPENING.format(done=f"{len(found):,}", total=f"{total:,}"))
        progress.empty()
        return found

    return widgets.once("many_opened", key, opened)


def sorted_out(listed: PairList, opened: Opened) -> tuple[tuple[ListedPair, ...], list[str]]:
    """Return the pairs of which both images could be decoded, and a message for each row and image that could not."""
    broken = {n: outcome for n, outcome in enumerate(opened) if isinstance(outcome, ImageRejected)}
    names: dict[int, str] = {}
    for pair in listed.pairs:
        names.setdefault(pair.first, pair.first_name)
        names.setdefault(pair.second, pair.second_name)
    messages = [text.BROKEN.format(name=names[n], message=outcome) for n, outcome in broken.items()]
    more = len(messages) - pair_lists.MAX_PROBLEMS
    if more > 0:
        messages[pair_lists.MAX_PROBLEMS :] = [text.MORE_BROKEN.format(count=f"{more:,}")]
    usable = tuple(pair for pair in listed.pairs if pair.first not in broken and pair.second not in broken)
    return usable, [*listed.problems, *messages]


def _compared(
    file: ModelFile, key: tuple[Hashable, ...], pairs: Sequence[ListedPair], images: Mapping[int, Pixels],
    work: EvaluationProgress | None, progress: DeltaGenerator,
) -> Arrays | None:  # fmt: skip
    """`value` (P,) and, where the training images are known, `unlike` (P, 2); None where a reply takes too long."""
    is_known = work is not None and work.status == "done"
    replies: list[PendingReply] = widgets.once("many_replies", (file.key, *key, is_known), list)
    starts = range(0, len(pairs), PART)
    bar = None if len(replies) == len(starts) and replies[-1].done() else _bar(progress, "comparing")
    found: list[Arrays] = []
    for number, start in enumerate(starts):
        if number == len(replies):
            part = pairs[start : start + PART]
            first = np.stack([images[pair.first] for pair in part])
            second = np.stack([images[pair.second] for pair in part])
            replies.append(evaluations().compare(file, first, second))
        arrays = None
        for _ in range(POLLS):
            if bar is not None:
                bar.progress(start / len(pairs), text.COMPARING.format(done=f"{start:,}", total=f"{len(pairs):,}"))
            try:
                arrays = result_within(replies[number], POLL_EVERY)
            except RequestRejected as refused:
                progress.empty()
                st.error(escape_markdown(str(refused)), icon=":material/error:")
                return None
            if arrays is not None or replies[number].cancelled():
                break
        if arrays is None:
            if replies[number].cancelled():
                del replies[number:]
            progress.empty()
            return None
        found.append(arrays)
    progress.empty()
    values = {"value": np.concatenate([arrays["value"] for arrays in found])}
    if all("unlike" in arrays for arrays in found):
        values["unlike"] = np.concatenate([arrays["unlike"] for arrays in found], axis=1).T.astype(bool)
    return values


def _bar(progress: DeltaGenerator, step: str) -> DeltaGenerator:
    with progress.container():
        bar = st.progress(0.0, text.BEGINNING)
        st.button(text.CANCEL, key=f"many_cancel_{step}", icon=":material/close:", on_click=_cancel)
    return bar


def _cancel() -> None:
    st.session_state["many_cancelled"] = st.session_state["many_list"][0]
