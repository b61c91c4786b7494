"""The one table of an experiment's fields: widgets, addresses, command lines and files all follow it."""

from __future__ import annotations

from typing import Any

from siamese_core.datasets import DATASETS, find_uploaded, shapes
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.experiment.fields import (
    BoolField,
    ChoiceField,
    ClassesField,
    Field,
    FloatField,
    IntField,
    KeysField,
    one_of,
)
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.networks.build import OUTPUTS
from siamese_core.networks.encoders import ENCODERS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

FIELDS: dict[str, Field] = {
    f.name: f
    for f in (
        ChoiceField(
            "dataset",
            "Dataset",
            "fashion_mnist",
            "The images that are learnt from.",
            {key: dataset.title for key, dataset in DATASETS.items()},
            comes_and_goes=find_uploaded,
        ),
        IntField("shapes_classes", "Kinds of shape", shapes.CLASSES, 3, 10, 1, "Each kind is a class."),
        FloatField("shapes_rotation", "Rotation (degrees)", shapes.ROTATION, 0.0, 180.0, 5.0, "Turned by up to this."),
        FloatField("shapes_scale", "Size and place", shapes.SCALE, 0.0, 1.0, 0.1, "How much these differ."),
        FloatField("shapes_noise", "Noise", shapes.NOISE, 0.0, 1.0, 0.1, "How much grain lies over the images."),
        ClassesField("held_out", "Classes held out", (), "Classes never trained on: do they separate all the same?"),
        one_of("loss", "Loss", "contrastive", LOSSES, "What the network is asked for."),
        one_of("measure", "Distance", "euclidean", MEASURES, "How far apart two embeddings are, or how similar."),
        one_of("encoder", "Encoder", "conv", ENCODERS, "The network that turns an image into an embedding."),
        IntField("embedding_dim", "Embedding dimension", 32, 2, 256, 1, "How many numbers describe an image."),
        one_of("output", "Output", "linear", OUTPUTS, "What is done to the last layer."),
        ChoiceField(
            "view",
            "Second input",
            "none",
            "What the second input of a pair is shown as: a photo on one side, its edges, say, on the other.",
            {"none": "another image"}
            | {key: f"another image: {transform.title.lower()}" for key, transform in INPUT_TRANSFORMS.items()},
            {key: transform.help for key, transform in INPUT_TRANSFORMS.items()},
        ),
        BoolField(
            "shared",
            "Weights",
            True,
            "Shared: both inputs pass through one network. Not shared: each has a network of its own.",
            {True: "shared (siamese)", False: "not shared (pseudo-siamese)"},
        ),
        one_of(
            "second_encoder",
            "Encoder of the second input",
            "same",
            {"same": "the same kind"} | ENCODERS,
            "With weights that are not shared, the second network may even be of another kind.",
        ),
        one_of(
            "sampling",
            "Sampling",
            "all_pairs",
            {"all_pairs": "all pairs of a P×K batch", "random_pairs": "random pairs, half same, half different"},
            "How the pairs or triplets of a step are drawn.",
        ),
        one_of("miner", "Mining", "all", MINERS, "Which pairs or triplets of a P×K batch count in a step."),
        KeysField(
            "augment",
            "Augmentation",
            (),
            {key: augmentation.title for key, augmentation in AUGMENTATIONS.items()},
            "Random changes of the training images that leave their class as it is.",
        ),
        one_of(
            "labels",
            "Labels",
            "right",
            {"right": "correct", "flipped": "flipped by mistake"},
            "Flipped: what happens when same and different are mixed up.",
        ),
        IntField(
            "train_per_class",
            "Training images of each class",
            *(0, 0, 6000, 10),
            "Train on the first so many of each class only; 0 takes all.",
        ),
        IntField(
            "batch_size",
            "Batch size",
            *(120, 24, 4096, 12),
            "Images that pass through the network in one step; with all pairs, at most 12 of each class.",
        ),
        FloatField("learning_rate", "Learning rate", 3e-3, 1e-5, 1.0, 1e-3, "How far one step of Adam moves a weight."),
        IntField("steps", "Steps", 300, 1, 100_000, 50, "Optimiser steps until the run is finished."),
        IntField("seed", "Seed", 0, 0, 2**31 - 1, 1, "The same seed gives the same run, bit for bit."),
        one_of("projection", "Projection", "umap", PROJECTIONS, "How the embedding is drawn on a flat screen."),
    )
}

DEFAULTS: dict[str, Any] = {name: f.default for name, f in FIELDS.items()}

SHAPES = tuple(name for name in FIELDS if name.startswith("shapes_"))
"""The fields of the generated set."""
