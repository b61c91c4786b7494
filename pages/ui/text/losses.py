"""The words of the Losses page."""

from pages.ui.text.train import LOSS

TITLE = "Losses"
INTRO = "What each loss asks of a pair, how hard it pulls and pushes, and what that does to a network."

SECTIONS = {
    "curves": "Curves",
    "conventions": "Label conventions",
    "reach": "What can be reached",
    "myths": "Myths, measured",
    "code": "Copy as code",
}
SECTION = "Part of the page"
GROUPS = {
    "distance": "On distances",
    "similarity": "On similarities p",
    "triplet": "On triplets",
    "batch": "On a whole batch",
}
GROUP = "Kind of loss"
SHOWN = "Losses to draw"
SIMILAR = "The label y of a similar pair"
SIMILAR_NAMES = {"1": "1 = similar", "0": "0 = similar"}
SIMILAR_HELP = "Rewrites every formula and piece of code on this page. The losses themselves stay the same."

IGNORED = "Not used from the address:\n{fields}"
MAY_BE = "may be: {choices}"
NO_FIELD = "no such field of this page"
WARMING = "Getting ready: the training process is starting, which takes a few seconds."
NOTHING_SHOWN = "Choose at least one loss to draw."
RUN_MISSING = "No run yet: train one on the Train page, then its pairs appear here."
RUN_NO_TRIPLETS = "Your latest run was not trained on triplets: train one with the triplet loss to see its own here."
RUN_NO_LAYOUT = "The latest run has no picture yet: wait for its first one."

PARAM = "{param} · {loss}"
SHOW_LATEST_RUN = "Where am I? Lay the pairs of my latest run under the curves"
LATEST_RUN = "Pairs of your latest run ({loss} on {dataset}, step {step}), by {measure}."
AXES = {
    "distance": "Distance d of the two embeddings",
    "similarity": "Similarity p (of a classifier: probability)",
    "batch": "Distance of what moves (lifted: Euclidean)",
}
SLOPES = {
    "distance": "Slope: how hard it pulls (above 0) and pushes (below 0)",
    "similarity": "Slope against p (below 0: p is to rise)",
    "batch": "Slope: how hard it pulls (above 0) and pushes (below 0)",
}
OVERLAY = {
    "label": "Losses against the distance or similarity of a pair, and their slopes",
    "same": "similar",
    "different": "different",
    "loss": "Loss of one pair",
    "share": "Share of your run's pairs",
    "crossing": "the branches cross at",
    "point": "your pair",
}
TRIPLET = {
    "label": "The triplet loss over both of its distances",
    "loss": "loss",
    "triplets": "triplets of your latest run",
    "no_triplets": "",
} | {name: LOSS[name] for name in ("d_positive", "d_negative", "zero_line")}
BATCH_NOTE = (
    "Such a loss looks at all images of a batch at once. Drawn is the smallest batch: an anchor, a classmate and two "
    "images of another class. For the similar branch the classmate moves away while the others stay 1 from the anchor; "
    "for the different branch the others move while the classmate lies on the anchor. "
    "Proxy-anchor has one image and two proxies: its own, or the other's, is at that distance."
)

POINT_TITLE = "Roll a pair downhill"
POINT_HELP = "Click on the chart to put the pair there, then let it take gradient steps: d ← d − rate · slope."
POINT_LOSS = "On the curve of"
POINT_BRANCH = "The pair is"
POINT_RATE = "Rate"
POINT_BUTTONS = {"step": "One step", "ten": "Ten steps", "back": "Back to the start", "remove": "Remove the pair"}
POINT_NOW = "After {steps} steps: {symbol} = {at:.4f}, loss {loss:.4f}, slope {slope:+.4f}"
POINT_RESTS = " It rests: there is no slope left here."
POINT_NONE = "Click on the chart, or press **One step**, to put a pair on the curve."

ABOUT_TITLE = "About these losses"
CITED = "Source: {citation}"
GRADIENT = "What the gradient does: {words}"
CONVENTION = {"zero": "In its source 0 = similar.", "one": "In its source 1 = similar.", "classes": "It takes classes."}
TRAIN_WITH = "Train with {loss}"

PAIR_TITLE = "One pair under every loss"
PAIR_HELP = (
    "A pair at distance d; for the losses on p its similarity is exp(−d). Sizes are "
    "not comparable between losses unless each is divided by its largest value on the axis (that of the log loss is "
    "16.1, where p is clipped)."
)
PAIR_DISTANCE = "Distance d of the pair"
PAIR_NORMALISED = "Divide each loss by its largest value between d = 0 and {end:g}"
PAIR = {
    "label": "What each loss asks of one pair",
    "same": "if similar",
    "different": "if different",
    "value": "Loss of this pair",
    "value_normalised": "Share of the loss's largest value",
}

CONVENTIONS_INTRO = (
    "Half of the literature writes y = 0 for a similar pair, the other half y = 1. Copy a formula from one and code "
    "from the other and the network learns to push classmates apart. Flip the switch above: the formulas change, the "
    "losses do not."
)
FORMULAS_TITLE = "The formulas, with {similar}"
SOURCES_TITLE = "Which source uses which"
SOURCE_COLUMNS = ("Source", "Year", "Similar is", "Loss", "Note")
SIMILAR_IS = {"zero": "0", "one": "1", "classes": "classes, no pairs"}

REACH_INTRO = (
    "An output that is squeezed, to length 1 or into 0 to 1, bounds how far apart two points can be, and all classes "
    "at once reach less than two points. A margin beyond that is never satisfied."
)
REACH_OUTPUT = "Output"
REACH_MEASURE = "Distance"
REACH_DIM = "Embedding dimension D"
REACH_CLASSES = "Classes C"
REACH_COLUMNS = ("Output", "Distance", "Two points", "All {classes} classes at once")
REACH_WITHIN = "Within reach: {asked:.3g} lies below {limit:.3g}, which all classes can have from each other at once."
REACH_UNKNOWN = (
    "Below the bound of {limit:.3g}, which no {classes} classes can pass; whether they reach {asked:.3g} is not known."
)
REACH_BEYOND = "Out of reach: {asked:.3g} lies beyond {limit:.3g}. It trains, but it is never satisfied. Lower {name}."
REACH_MARKS = {"two": "farthest two points: {at}", "all": "all {classes} classes: {at}"}
AT_MOST = "at most {value:.3g}"
NO_END = "no end"

MYTHS_INTRO = "What tutorials say, and a button that tries it: here, now, from one seed, on Fashion-MNIST."
MYTH = "Claim"
MYTH_TRY = "Try it"
MYTH_STOP = "Stop"
MYTH_SEED = "Seed"
MYTH_SIDES = "{count} runs of {steps} steps each, beside each other, from the same seed."
MYTH_HOLDS = "**In this run the claim holds:** {measured} (seed {seed})."
MYTH_FAILS = "**In this run the claim does not hold:** {measured} (seed {seed})."
MYTH_GOING = "Training: {done} of {all} runs are done."
MYTH_FAILED = "{side}: {message}"
MYTH_NO_VERDICT = "No verdict: a side ended before it had a score. Press **Try it** to start again."
MYTH_GONE = "These runs are gone; press **Try it** to make them again."
MYTH_LINK = "Open “{side}” on the Train page"
TRIALS = {
    "label": "MAP@R of each side over its steps",
    "step": "Step",
    "score": "MAP@R on test images",
    "waiting": "Press Try it: the sides appear here",
}

CODE_LOSS = "Loss"
CODE_MEASURE = "Distance or similarity"
CODE_OWN = "In PyTorch"
CODE_OWN_HELP = "The source of the very function that this page draws and the Train page trains."
CODE_LIBRARY = "In pytorch-metric-learning"
CODE_NO_LIBRARY = "pytorch-metric-learning has no such loss."
