"""The words of the Train page."""

TITLE = "Train"
INTRO = ""

NOT_HERE = "{title} (not on this machine)"
NOT_YOURS = (
    "these are the pictures of another browser, or they were deleted: upload yours on the Data page; "
    "until then the run uses the bundled ones"
)
GROUPS = {"shapes": "Shapes", "data": "Data and sampling", "network": "Network", "training": "Training"}
WHY_ONLY = {
    "miner": "Only all pairs of a P×K batch are mined, and only for losses on pairs or triplets.",
    "view": "With mining, both inputs look alike.",
    "shared": "With mining, both inputs pass through one network.",
    "second_encoder": "With shared weights there is only one.",
}
DEVICE = "Device"
DEVICE_HELP = "Where the network is trained. It changes how fast a run is, not what is learnt."
DEVICE_UNKNOWN = "looking…"
MAY_BE = "this machine has {choices}"
WARMING = "Getting ready: the training process is starting, which takes a few seconds."

BUTTONS = {
    "train": ("Train", "Start a new run with these settings"),
    "pause": ("Pause", "Let the run rest after this step"),
    "resume": ("Resume", "Go on from where the run rests"),
    "step": ("Step", "Make one step and rest"),
    "stop": ("Stop", "End the run and keep its last picture"),
    "reset": ("Reset", "Forget the run; the same settings and seed make the same one again"),
}

STATUS = {
    None: "No run yet. Choose a dataset and a loss, then press **Train**.",
    "running": "Training",
    "pausing": "Pausing",
    "paused": "Paused: **Resume** goes on, **Step** makes one step.",
    "finished": "Finished. Drag the line on the loss chart and press **Train** to see what changes.",
    "halted": "Stopped early.",
    "failed": "Ended.",
    "stopped": "Stopped.",
}
PROGRESS = "Step {step} of {steps} · {seconds} of training · {rate} images/s"
LEFT = "{seconds} left"
OF_THE_LAST_RUN = "Of the run that is shown: {message}"
CHANGED = "Settings changed: press **Train** to use them."
CHANGED_LIVE = "Settings changed: press **Train** to use them. The run goes on with its own."
FORGOTTEN = (
    "The run is gone: one that nobody has looked at for half an hour is forgotten. Press **Train** to start again."
)
IGNORED = "Not used from the address:\n{fields}"

NUMBERS = {
    "loss": ("Test loss", "The loss on test images, averaged over pairs (or triplets)."),
    "map_at_r": (
        "MAP@R",
        "Of the R nearest test images, how many are of the right class, and how early? 1 is perfect. R is the number "
        "of other images of the class (Musgrave, Belongie & Lim 2020).",
    ),
    "precision_at_1": ("Precision@1", "How often the nearest test image is of the same class."),
    "active": ("Active pairs", "The share of the batch's pairs whose loss is not zero."),
}
HELD_OUT = "held out: {value}"
ACTIVE = {
    "triplet": ("Active triplets", "The share of the batch's triplets whose loss is not zero."),
    "logits": ("Active images", "The share of the batch's images whose loss is not zero."),
    "batch": ("Active pairs", "A loss on a whole batch has no value of its own for each pair."),
}
TEST_LOSS = "Loss on test images"
MEASURED_ON = "On test images of the classes that were trained on."
MEASURED_ON_ONE = (
    "On test images of the classes that were trained on. A single class held out ({names}) has no score: every "
    "neighbour would be right. Hold out two or more."
)
MEASURED_ON_BOTH = (
    "On test images: large numbers for the classes that were trained on, small ones for those held out ({names}). "
    "Each group is searched on its own: among fewer classes it is easier to be right."
)

EMBEDDING_TITLE = "Embedding of {count} test images"
EMBEDDING = {
    "empty": "Press Train: the embedding appears here.",
    "images": "Images",
    "images_help": "Draw every point as its image",
    "trails": "Trails",
    "trails_help": "Show where the points were in the last frames",
    "zoom_in": "Zoom in",
    "zoom_out": "Zoom out",
    "reset": "Show everything",
    "tools": "View",
    "legend": "Classes: press one to hide or show it",
    "held_out": "held out",
    "point": "image {index}",
    "neighbours": "Nearest in the embedding space",
    "pair": "The other of this pair",
    "summary": "{points} points, {dim}-D, {projection}, step {step}",
    "help": "Drag, + and −: move and zoom · 0: all · n, p: next, previous point · Esc: unpin",
    "announce": "Image {index}, {name}. Nearest: {names}.",
}
SECOND_INPUT = "Filled: first inputs. Hollow: second inputs ({second_input})."
SECOND_POINT = "second input: {second_input}"
SAME_INPUT = "the same image"
FIRST_LAYOUT = "The first picture is on its way."
FIRST_STEP = "Training: the first step is on its way; large networks and other people's runs take a while."
ANEW = "Lay out anew"
ANEW_HELP = (
    "UMAP goes on from its last picture, so that what moves is what the network moved. Groups that have come to belong "
    "together can stay apart by it: this begins from a fresh picture."
)
GET_FIRST = "These images are not on this machine: download them on the Data page, or choose another dataset."
INTERRUPTED = "Interrupted at step {step:,} of {total:,}: {name}."
RESUME = "Go on"
SAVE_RUN = "Save runs on these pictures"
SAVE_RUN_HELP = (
    "Runs on your own pictures are saved only when you ask for it, small copies of the test pictures with them. When "
    "the pictures are gone, such a run can be replayed, but not gone on with."
)
DELETED = "those pictures are deleted; upload them again on the Data page"
STAND_IN = "PCA until UMAP is warm"
LOSS_TITLE = "Loss against distance"
SLOPE = "Show the slope"
LOSS = {
    "label": "The loss of a pair against its distance, and where the pairs are now",
    "same": "same class",
    "different": "different class",
    "same_slope": "slope, same",
    "different_slope": "slope, different",
    "loss": "Loss of one pair",
    "loss_and_slope": "Loss of one pair, and its slope",
    "share": "Share of the test pairs, now",
    "no_pairs": "Press Train to see where the pairs are",
    "d_positive": "d⁺: anchor to positive (squared)",
    "d_negative": "d⁻: anchor to negative (squared)",
    "zero_line": "loss is zero above this line",
    "triplets": "test triplets, now",
    "no_triplets": "Press Train to see where the triplets are",
}
AXES = {"distance": "{measure} distance of the two embeddings", "similarity": "p: {measure} of the two embeddings"}
NOTES = {
    "logits": "A classifier looks at one image at a time: no curve over a distance. Below, where the pairs end up.",
    "batch": "This loss looks at a whole batch; drawn is the smallest one: an anchor, a classmate and two others, of "
    "which one distance changes.",
}
HISTORY_TITLE = "How the run went"
HISTORY = {
    "label": "Loss and scores over the steps of the run",
    "step": "Step",
    "loss": "Loss of the batch",
    "scores": "On test images, and active pairs",
    "held_out": "held-out classes",
    "pixels": "MAP@R on raw pixels",
    "no_history": "The loss appears here",
}
