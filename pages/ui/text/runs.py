"""The words of the Runs page."""

from pages.ui.text.train import AXES, EMBEDDING, HISTORY, NUMBERS

TITLE = "Runs"
INTRO = "Every run is kept: play it again, lay runs side by side, go on where one stopped."

SECTION = "Part of this page"
SECTIONS = {"runs": "Runs", "sweeps": "Sweeps", "bring": "Bring a run"}
NO_SECTION = "This page has no part “{asked}”; the address may name one of these: {may_be}."

FILTER = "Filter"
FILTER_HELP = "Words of the loss, the dataset, the name or the status, such as: triplet mnist"
EVERYBODY = "Also runs that others have published here"
NONE_YET = "Nothing is kept yet. Train something: what you train is kept here by itself."
NONE_FOUND = "No run fits “{words}”: change the filter."
COLUMNS = {
    "pinned": "Pinned",
    "thumbnail": "Picture",
    "name": "Name",
    "dataset": "Dataset",
    "loss": "Loss",
    "params": "Parameters",
    "map_at_r": "MAP@R",
    "held_out": "MAP@R, held out",
    "precision_at_1": "Precision@1",
    "step": "Steps",
    "seconds": "Training, s",
    "status": "Status",
    "created": "Begun",
}
STATUSES = {
    "running": "running",
    "paused": "paused",
    "interrupted": "interrupted",
    "finished": "finished",
    "halted": "ended early",
    "failed": "failed",
    "stopped": "stopped",
}
STEPS = "{step:,} of {total:,}"
USAGE = (
    "{count} of at most {runs} runs of yours; all runs on this server take {used} of {gigabytes:g} GB. When there are "
    "more, the oldest that is not pinned goes."
)
SKIPPED = "Folders that hold no run, or a damaged one, are left alone: {names}."
PICK = "Choose a run by the box at its left; up to four can be laid side by side."
NO_RUN = "There is no run “{asked}” here for you: its owner may not have published it, or it is gone."
TOO_MANY = "At most four runs can be laid side by side: the first four are shown."

RESUME = "Go on"
RESUME_HELP = "Trains on from step {step:,}, bit for bit as if nothing had happened."
OPEN = "Open its settings on Train"
OPEN_HELP = "A new run with the same settings and the same seed."
PIN, UNPIN = "Pin", "Unpin"
PIN_HELP = "A pinned run is never deleted to make room."
RENAME = "Rename"
NAME = "Name"
SAVE_NAME = "Save the name"
PUBLISH, UNPUBLISH = "Publish", "No longer publish"
PUBLISH_HELP = "Everybody on this server can look at it then, with its pictures; nobody else can change it."
PUBLISH_NAME = "The name that others read"
NAME_IT = "Name: write one, so that others know what they look at."
DO_PUBLISH = "Show it to everybody on this server"
DELETE = "Delete"
DELETED = "Deleted: {names}."
TOO_LATE = "It is too late: the run is gone."
WRITTEN = "It is still running: stop it on the Train page first."
LINK = "Link to this view"
LINK_HELP = "Shows published runs to everybody on this server; its settings work on every server, on the Train page."
LINK_SETTINGS = "The settings alone, for the Train page of any server"
NOT_PUBLISHED = "Only you can open this link: the run is not published."

STILL_RUNNING = "{name} is still running: its film is there when it has ended."
PAUSED = (
    "{name} is paused, as a run is when nobody has looked at it for two minutes. Its film is there when it has ended."
)
WATCH = "Watch it on Train"
NO_FILM = "{name} left no pictures: it ended before its first one was saved."
LAYING_OUT = "Laying out the film of {name}: picture {done} of {of}"
WAITING = "Laying out the film of {name} begins when the projection is ready and other films are done."
CANNOT = "The film of {name} cannot be drawn: {why}"
UPLOADED_IMAGES = "own pictures"
TITLE_OF = "{loss}{params}, {dataset}, {steps} steps"

DIFFERENCES = "What is different"
SAME_SETTINGS = "The settings are the same."
SETTING = "Setting or result"
SEEDS_DIFFER = "These runs began from different seeds: some of what differs is chance."

DOWNLOAD = "Take it with you"
DOWNLOAD_RUN = "Run (for this page)"
DOWNLOAD_MODEL = "Model"
DOWNLOAD_CSV = "Embeddings, CSV"
DOWNLOAD_NPZ = "Embeddings, NPZ"
DOWNLOAD_FRAMES = "All frames, NPZ"
DOWNLOAD_FIGURE = "Figure, HTML"
DOWNLOAD_PROJECTOR = "For TensorBoard"
DOWNLOAD_SCRIPT = "PyTorch script"
DOWNLOAD_REPORT = "Report, HTML"
NO_SCRIPT = "There is no script of this run: {why}"
NO_IMAGES = "The pictures of this run are not here (any more): it can be replayed, but not gone on with."

NO_ROOM = "The server has no room for this run ({why}): delete some of yours, and try again."
IMPORT_INTRO = "A run that you have taken with you, or that the command line has made with --out."
CHOOSE = "Choose the .zip that “Run (for this page)” saved, or all files of a run's folder"
IMPORTED = "It is here now."
SHOW = "Look at it"
IS_MODEL = "{name}: this is a model, not a run; choose it on the Compare or the Evaluate page."
OF_FILE = "{name}: {why}"

FILM = {
    "loss": HISTORY["loss"],
    "active": NUMBERS["active"][0],
    "any_distance": "distance of the two embeddings",
    "any_similarity": "similarity of the two embeddings",
} | AXES
for metric in ("map_at_r", "precision_at_1"):
    FILM |= {metric: NUMBERS[metric][0], f"{metric}.held_out": f"{NUMBERS[metric][0]}, {EMBEDDING['held_out']}"}

SWEEP_INTRO = (
    "A grid of runs with the settings of the Train page, but for what you vary here. It goes on in the background, "
    "also when you close this tab."
)
SWEEP_BASE = "Settings of the Train page: {loss}, {dataset}, {steps} steps."
VARY, VARY_ALSO = "Vary", "and"
NOTHING_ELSE = "nothing else"
VALUES = "Values of {name}"
VALUES_HELP = "Numbers such as 0.5, 1, 2, or from, to and step such as 0.5:2:0.5"
SEEDS = "Seeds"
SEEDS_HELP = "Each combination is trained from so many seeds; the map shows the mean, and how much they differ."
BEGIN = "Begin {count} runs"
BEGIN_NONE = "Begin"
LEFT_OUT = "{count} of the combinations contradict themselves, and are left out."
SKIPPED_SWEEPS = "Files that hold no sweep, or a damaged one, are left alone: {names}."
NO_SWEEP = "No sweep yet."
SWEEP_NAME = "{axes}: {loss}, {dataset}"
SWEEP_PROGRESS = "{done} of {total} runs are done"
SWEEP_CANCELLED = "{line}, {count} cancelled"
AT_STEP = " at step {step:,}"
METRIC = "Score"
METRICS = {
    "map_at_r": "MAP@R",
    "precision_at_1": "Precision@1",
    "auc": "AUC",
    "eer": "EER (lower is better)",
    "loss": "Test loss (lower is better)",
}
GROUP = "Classes"
GROUPS = {"seen": "trained on", "held_out": "held out"}
MAP = {
    "label": "The score of each combination",
    "no_score": "No run has a score yet.",
    "waiting": "waits",
    "running": "runs",
    "failed": "failed",
    "halted": "ended early",
    "cancelled": "cancelled",
    "left out": "left out",
}
PRESS = "Press a field of the map to look at its runs."
CELL = "Seed {seed}: {score}"
CELL_OPEN = "Look at the runs of this field ({count})"
SWEEP_CANCEL = "Cancel the rest"
