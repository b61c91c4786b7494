"""The part of an exported script that is written here, around the source that it takes from the package.

The script draws from its generator in the order of `learner_of` and `training._step`, and computes what they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.loss import batch_kind, loss_of
from siamese_core.export.script.source import Import, SourceSlice, function_text, include, include_function, joined
from siamese_core.losses import LOSSES
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.networks.build import OUTPUTS
from siamese_core.networks.encoders import ENCODERS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

IMPORTS = {
    i.bound: i
    for i in (
        Import("math", "", "math"),
        Import("pathlib", "Path", "Path"),
        Import("numpy", "", "np"),
        Import("torch", "", "torch"),
        *(Import("torch", name, name) for name in ("Generator", "Tensor", "nn")),
        Import("torch.nn.functional", "linear", "linear"),
    )
}

ENCODE = '''
def encode(network: nn.Module, images: Tensor) -> Tensor:
    """Embeddings (B, D) of uint8 images (B, C, H, W): pixels from 0 to 1, less their mean, over their deviation."""
    scaled = images.to(torch.float32).mul(1 / (255 * STD)).sub_(MEAN / STD)
    return {output}
'''

SHARED = '''
def encode_both(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) of images as first and as second inputs: in one pass, for the weights are shared."""
    h1, h2 = encode(network, torch.cat([images, {second}])).chunk(2)
    return h1, h2
'''

NOT_SHARED = '''
def encode_both(first_network: nn.Module, second_network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) of images as first and as second inputs: each kind of input has a network of its own."""
    return encode(first_network, images), encode(second_network, {second})
'''

PRECISION = '''
def precision_at_1(h: Tensor, labels: Tensor) -> float:
    """The share of embeddings (N, D) whose nearest other one is of the same class; of two as near, the wrong counts."""
    right, counted = 0, 0
    for start in range(0, len(h), 500):
        mine = torch.arange(start, min(start + 500, len(h)))
        d = torch.cdist(h[mine], h, compute_mode="donot_use_mm_for_euclid_dist")
        d[torch.arange(len(mine)), mine] = math.inf
        same = labels[mine][:, None] == labels
        mate, stranger = (d.where(which, math.inf).amin(1) for which in (same, ~same))
        counted += int(mate.isfinite().sum())
        right += int((mate < stranger).sum())
    return right / max(counted, 1)
'''


def sections(experiment: Experiment, code: SourceSlice) -> Iterator[str]:
    """Yield the sections of the script below its constants, in order; `code` then knows what they import."""
    code.imports |= IMPORTS
    yield _section("The network", code, lambda: _network(experiment, code))
    yield _section("What the network is shown", code, lambda: _shown(experiment, code))
    yield _section("Which images meet in a step", code, lambda: _sampling(experiment, code))
    yield _section("The loss", code, lambda: loss_of(experiment, code))
    yield _section("How good it is", code, lambda: PRECISION)
    yield "# Training\n\n" + _training(experiment)


def _section(title: str, code: SourceSlice, write: Callable[[], str]) -> str:
    """Return a section: the source that `write` includes from the package, then the text that it returns."""
    before = len(code.definitions)
    written = write().strip("\n")
    taken = list(code.definitions.values())[before:]
    return f"# {title}\n\n" + joined([*taken, written] if written else taken)


def _networks(experiment: Experiment) -> str:
    return "network" if experiment.shared else "first_network, second_network"


def _network(experiment: Experiment, code: SourceSlice) -> str:
    for encoder in experiment.encoders:
        include_function(ENCODERS[encoder].build, code)
    for name in ("drawn", "_shorten"):
        include("siamese_core.networks.build", name, code)
    if experiment.head:
        include_function(experiment.head, code)
    return ""


def _shown(experiment: Experiment, code: SourceSlice) -> str:
    output = "network(scaled)"
    if experiment.output != "linear":
        output = f"{include_function(OUTPUTS[experiment.output].fn, code)}({output})"
    written = [ENCODE.format(output=output)]
    if experiment.branches == 2:
        second = "images"
        if experiment.view != "none":
            second = f"{include_function(INPUT_TRANSFORMS[experiment.view].fn, code)}(images)"
        written.append((SHARED if experiment.shared else NOT_SHARED).format(second=second))
    if experiment.augment:
        written.append(_augmented(experiment, code))
    return "\n\n\n".join(text.strip("\n") for text in written)


def _augmented(experiment: Experiment, code: SourceSlice) -> str:
    """Return `augment.augmented` with the chosen augmentations written out."""
    lines, moves = [], False
    for key in experiment.augment:
        augmentation = AUGMENTATIONS[key]
        change = f"{include_function(augmentation.fn, code)}(changed, generator)"
        if augmentation.moves:
            lines.append(f"move = move @ {change}" if moves else f"move = {change}")
            moves = True
        else:
            lines.append(f"changed = {change}")
    if moves:
        lines.append(f"changed = {include('siamese_core.networks.augment', 'read_at', code)}(changed, move)")
    return function_text(
        "augmented(images: Tensor, generator: Generator) -> Tensor",
        "uint8 images (B, C, H, W), each changed in a way of its own.",
        ["changed = images.float()", *lines, "return changed.round().clamp(0, 255).byte()"],
    )


def _sampling(experiment: Experiment, code: SourceSlice) -> str:
    draws = {"classes": "pk_batch", "triplets": "random_triplets", "pairs": "random_pairs"}
    for name in ("ClassIndex", draws[batch_kind(experiment)]):
        include("siamese_core.training.sampling", name, code)
    return ""


def _training(experiment: Experiment) -> str:
    head, both, networks = experiment.head, experiment.branches == 2, _networks(experiment)
    names = networks.split(", ")
    trained = [*names, "loss_head"] if head else names
    parameters = ", ".join(f"*{name}.parameters()" for name in trained)
    lines = [
        "torch.set_num_threads(1)  # more threads add in another order: other bits",
        "generator = torch.Generator().manual_seed(SEED)",
        "",
    ]
    for name, encoder in zip(names, experiment.encoders, strict=True):
        build = ENCODERS[encoder].build.__name__
        lines += [f"{name} = drawn(lambda: {build}(SHAPE, EMBEDDING_DIM), generator)", f"_shorten({name})"]
    if head:
        lines.append(f"loss_head = drawn(lambda: {head.__name__}(EMBEDDING_DIM, len(CLASSES)), generator)")
    lines += [
        f"parameters = [{parameters}]",
        "optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)",
        "",
        'with np.load(Path(__file__).with_name("images.npz")) as arrays:',
        "    # The pixels lie in memory as in the app, for the last digits of a sum depend on its order.",
        '    axes = arrays["axes"].tolist()',
        '    train_images = torch.from_numpy(arrays["train_images"]).permute(axes)',
        '    test_images = torch.from_numpy(arrays["test_images"]).permute(axes)',
        '    train_labels = torch.from_numpy(arrays["train_labels"])',
        '    test_labels = torch.from_numpy(arrays["test_labels"])',
        "index = ClassIndex.of(train_labels, tuple(range(len(CLASSES))))",
        "",
        "for step in range(1, STEPS + 1):",
        *(f"    {line}" for line in _step(experiment)),
        'print(f"final loss {value!r}")',
        "",
        *(f"{name}.eval()" for name in names),
        "with torch.no_grad():",
    ]
    if both:
        lines += [
            f"    sides = [encode_both({networks}, part) for part in test_images.split(200)]",
            "    # Each image stands here twice: as a first input, and as a second one.",
            "    h, labels = torch.cat([torch.cat(side) for side in zip(*sides)]), test_labels.repeat(2)",
        ]
    else:
        lines += [
            f"    h, labels = torch.cat([encode({networks}, part) for part in test_images.split(200)]), test_labels"
        ]
    lines += ["seen = labels < len(CLASSES)", 'print(f"precision_at_1 {precision_at_1(h[seen], labels[seen])!r}")']
    if len(experiment.held_out) > 1:
        lines.append('print(f"precision_at_1 of the classes held out {precision_at_1(h[~seen], labels[~seen])!r}")')
    return "\n".join(lines)


def _step(experiment: Experiment) -> list[str]:
    """Return the lines of the loop."""
    networks, kind = _networks(experiment), batch_kind(experiment)
    both, with_labels = experiment.branches == 2, LOSSES[experiment.loss].on_classes
    images = "augmented(train_images[chosen], generator)" if experiment.augment else "train_images[chosen]"
    if kind == "classes":
        lines = ["chosen = pk_batch(index, BATCH_SIZE, IMAGES_PER_CLASS, generator)"]
    elif kind == "triplets":
        lines = ["chosen = torch.cat(random_triplets(index, BATCH_SIZE // 3, generator))"]
    else:
        same = "_" if with_labels else "same"
        lines = [
            f"first, second, {same} = random_pairs(index, BATCH_SIZE // 2, generator)",
            "chosen = torch.cat([first, second])",
        ]
    lines.append(f"h1, h2 = encode_both({networks}, {images})" if both else f"h = encode({networks}, {images})")
    head_params = ", *loss_head.parameters()" if experiment.head else ""
    if with_labels:
        inputs = "h, train_labels[chosen]"
        if both:
            lines.append(
                "# An image's two embeddings side by side: losses that work in small groups hold them together."
            )
            lines.append(
                "h, labels = torch.stack([h1, h2], dim=1).flatten(0, 1), train_labels[chosen].repeat_interleave(2)"
            )
            inputs = "h, labels"
    elif kind == "triplets":
        inputs = "h1.chunk(3)[0], *h2.chunk(3)[1:]" if both else "*h.chunk(3)"
    elif kind == "pairs":
        inputs = "h1.chunk(2)[0], h2.chunk(2)[1], same" if both else "*h.chunk(2), same"
    elif both:
        inputs = "h1, h2"
    else:
        inputs = "h" if experiment.miner == "all" else "h, generator"
    return [
        *lines,
        f"loss = loss_of({inputs}{head_params})",
        "optimiser.zero_grad()",
        "loss.backward()",
        "norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])",
        "value = loss.item() if norm.isfinite() else math.nan",
        "if not math.isfinite(value):",
        '    print(f"step {step}: the loss or its gradient is not finite, so the run ends here")',
        "    value = math.nan",
        "    break",
        "optimiser.step()",
        "if step % PRINT_EVERY == 0 or step == 1:",
        '    print(f"step {step:6d}  loss {value:.6f}")',
    ]
