"""Pairs of images held against each other by a model, and each image against what the model was trained on."""

from __future__ import annotations

import numpy as np
import torch

from siamese_core.embeddings import neighbours
from siamese_core.evaluation import saliency
from siamese_core.evaluation.evaluate import Gallery, coarse, from_nearest
from siamese_core.evaluation.inference import TrainedModel, between, branch_input, embed
from siamese_core.losses.distances import MEASURES

NEIGHBOURS = 5

Arrays = dict[str, np.ndarray]


def compare(trained: TrainedModel, first: np.ndarray, second: np.ndarray, known: Gallery | None) -> Arrays:
    """`value` (P,): distances or similarities of uint8 images (P, C, H, W) and (P, C, H, W), by the model's measure;
    `euclidean` (P,) and `cosine` (P,), the similarity of the directions from −1 to 1, whatever that is.

    With a gallery also, for first and second images, `near` (2, P, k) indices of the nearest training images,
    `near_distances` (2, P, k) by Euclidean distance, and `unlike` (2, P) uint8: 1 where an image is far from them all,
    for the network or by its pixels.
    """
    inputs = [
        branch_input(trained, torch.tensor(images), bool(branch)) for branch, images in enumerate((first, second))
    ]
    h = [embed(trained, images, bool(branch)) for branch, images in enumerate(inputs)]
    found = {
        "value": between(trained, *h).numpy(),
        "euclidean": MEASURES["euclidean"].between(*h).numpy(),
        "cosine": 1 - MEASURES["cosine"].between(*h).numpy(),
    }
    return found | (_near(known, [rows.numpy() for rows in h], inputs) if known is not None else {})


def explain(trained: TrainedModel, first: np.ndarray, second: np.ndarray) -> Arrays:
    """Of one pair, uint8 (C, H, W) each: `shown` (2, C, H, W) as the network sees it, and the maps of `saliency`,
    `occlusion` and `gradient` (2, H, W)."""
    pair = [
        branch_input(trained, torch.tensor(image)[None], bool(branch))[0]
        for branch, image in enumerate((first, second))
    ]
    return {
        "shown": torch.stack(pair).numpy(),
        "occlusion": saliency.occlusion(trained, *pair).numpy(),
        "gradient": saliency.gradient(trained, *pair).numpy(),
    }


def _near(known: Gallery, rows: list[np.ndarray], inputs: list[torch.Tensor]) -> Arrays:
    near, distances, unlike = [], [], []
    for side, (h, images) in enumerate(zip(rows, inputs, strict=True)):
        branch = min(side, len(known.embeddings) - 1)
        found, d = neighbours.nearest(h, known.embeddings[branch], NEIGHBOURS)
        strange = from_nearest(coarse(images), known.coarse[branch]) > known.unlike_coarse[branch]
        near.append(known.indices[found])
        distances.append(d)
        unlike.append((d[:, 0] > known.unlike[branch]) | strange)
    return {
        "near": np.stack(near).astype(np.int32),
        "near_distances": np.stack(distances),
        "unlike": np.stack(unlike).astype(np.uint8),
    }
