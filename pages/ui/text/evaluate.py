"""The words of the Evaluate page."""

from pages.ui.text import models

TITLE = "Evaluate"
INTRO = "How good is this model on images that it was not trained on, and where should its threshold be?"

NO_IMAGES = "Without the images that it was trained and tested on, a model cannot be evaluated: choose another one."
EVALUATE = "Evaluate"
CANCEL = "Cancel"
STOPPED = "Not evaluated. Press **Evaluate** to begin."
STAGES = {
    "": "Beginning",
    "test": "The test images pass through the network",
    "untrained": "The test images pass through the network as it was before training",
    "verification": "Every pair of test images is looked at ({group})",
    "intervals": "How far would other images move the figures? ({group})",
    "retrieval": "Each image looks for its neighbours ({group})",
    "baselines": "The same without a trained network ({group})",
}
PARTS = {
    "threshold": "Threshold",
    "retrieval": "Retrieval",
    "few_shot": "Few-shot",
    "hardest": "Hardest pairs",
    "baselines": "Beside simpler ways",
}
PART = "Part"
NO_PART = "There is no part “{asked}”; the address may name one of these: {may_be}."
GROUPS = {name: words[0].upper() + words[1:] for name, words in models.GROUPS.items()}
GROUP = "Classes"
NO_HELD_OUT = (
    "How good is it on classes that it has never seen? Hold out two or more on the Train page, and this page tells."
)

# The threshold

RULE = "Choose the threshold by"
RULES = {"eer": "Equal errors", "far": "False accepts", "costs": "Costs", "hand": "Hand"}
RULE_HELP = {
    "eer": "As many same pairs turned away as different pairs let in. A fair start when both mistakes cost the same.",
    "far": "The most generous threshold that lets in no more different pairs than you allow.",
    "costs": "The threshold that costs least, when you know what each mistake costs and how often pairs are the same.",
    "hand": "Drag the line in the histogram, move it by the arrow keys, or type a number.",
}
WANTED = "Different pairs let in, at most (%)"
ACCEPT_COST = "A false accept costs"
REJECT_COST = "A false reject costs"
SHARE_SAME = "How many of 100 future pairs will be the same?"
HAND_VALUE = "Threshold"
CHOSEN_ON = "Chosen on"
SAYS_SAME = {
    False: "Same, if the distance is at most **{value}**",
    True: "Same, if the similarity is at least **{value}**",
}
HALVES = (
    "Chosen on one half of the test images, measured on the other half. In brackets: where 95 % of the figures fall "
    "when other images are drawn. (It is images that are drawn again, not pairs: pairs share images.)"
)
RATES = (
    "{group}:\n- different pairs let in: **{false_accept}** of {different}\n- same pairs turned away: "
    "**{false_reject}** of {same}"
)
BY_RULE = "Threshold: {rule}, on {group}."
TOO_FEW = "Too few test images here to choose a threshold on one half and measure it on the other."
HAND_OFF = "Compare pictures with it"
HISTOGRAM = {
    "same": "same class",
    "different": "different classes",
    "false_accepts": "false accepts",
    "false_rejects": "false rejects",
    "axis": "",
    "no_pairs": "No pairs",
    "threshold": "threshold",
    "label": "How far apart same and different test pairs are, and the threshold",
} | GROUPS
CURVE = "Curve"
CURVES = {"roc": "ROC", "det": "DET"}
CURVE_WORDS = {
    "false_accepts": "False accepts (different pairs let in)",
    "true_accepts": "True accepts (same pairs let in)",
    "false_rejects": "False rejects (same pairs turned away)",
    "chance": "by chance",
    "equal": "equal error",
    "threshold": "threshold",
    "no_pairs": "No pairs",
    "label": "What every threshold would do",
}
BY_HAND = (
    "Set by hand, by looking at these very pairs: the rates are a little better than new pictures would give. In "
    "brackets: where 95 % of the figures fall when other images are drawn."
)
SUMMARY = {
    "group": "Classes",
    "auc": "AUC",
    "eer": "EER",
    "tar_at_1": "TAR at FAR 1 %",
    "tar_at_01": "TAR at FAR 0.1 %",
    "pairs": "Pairs",
}
SUMMARY_NOTE = "These are of all test pairs; the rates above are of one half, at one threshold."
SUMMARY_HELP = {
    "auc": "Area under the ROC curve: how often a same pair is nearer than a different one.",
    "eer": "Equal error rate: where as many same pairs are turned away as different ones let in.",
    "tar_at_1": "Same pairs let in when at most 1 % of the different pairs are.",
    "tar_at_01": "Same pairs let in when at most 0.1 % of the different pairs are.",
}
EXACT = "all {pairs}"
SAMPLED = "{pairs} drawn of more"
WITH_INTERVAL = "{value} ({low} – {high})"

# Retrieval

SCORES = {"group": "Classes", "precision_at_1": "Precision@1", "recall_at_5": "Recall@5", "map_at_r": "MAP@R"}
SCORES_HELP = {
    "precision_at_1": "How often the nearest test image is of the same class.",
    "recall_at_5": "How often one of the five nearest is.",
    "map_at_r": "Of the R nearest, how many are of the right class, and how early? R is the number of others of its "
    "class (Musgrave, Belongie & Lim 2020).",
}
CONFUSION_TITLE = "Whose nearest neighbour is of which class"
CONFUSION = {
    "true": "Class of the image",
    "predicted": "Class of its nearest neighbour",
    "images": "images",
    "share": "share",
    "no_images": "No images",
    "label": "Class by class: the image's, and its nearest neighbour's",
}
GRID_TITLE = "Queries and what they find"
GRID = "First column: the query. Then its {k} nearest test images; a red frame with a cut corner marks the wrong ones."
QUERIES = "Queries"
QUERY_KINDS = {"evenly": "Some of every class", "worst": "Those that find least"}
SEARCHED_WITH_BOTH = "With two kinds of input, each image is here twice: as a first input and as a second one."

# Few-shot

FEW_SHOT = (
    "Show the network K images of each of N classes, then one more: of which class is it? The nearest class wins; a "
    "class is the mean of its K embeddings (Snell, Swersky & Zemel 2017). 400 draws from the test images."
)
WAYS = "Classes (N)"
SHOTS = "Images of each (K)"
ACCURACY = "{ways}-way {shots}-shot accuracy"
FEW_SHOT_INTERVAL = "95 % interval {low} – {high}; guessing gets {chance}"
FEW_SHOT_NONE = "Only {most} of these classes have more than {shots} test images."
FEW_SHOT_FIRST = "With first inputs only."
FEW_SHOT_OF = "Of the {count} images that the pictures of a run show, at most 200 of each class."

# Hardest pairs

KIND = "Mistakes"
HARDEST = {"same": "Same class, yet far apart", "different": "Different classes, yet close"}
HARDEST_HELP = "The pairs that the model is most wrong about. Each image is in one of them at most."
SHOW = "Show on map"
SHOW_HELP = "Where these two lie among the others"
POINTS_TITLE = "Where the images lie"
LAYING_OUT = "The picture is on its way."
NO_POINT = "This image is not among the {count} in the picture."

# Baselines

BASELINES = "Is it worth training a network, and this one?"
APPROACHES = {
    "model": "This model",
    "softmax": "Softmax classifier",
    "untrained": "The same network, untrained",
    "pixels": "Raw pixels",
}
BASELINE_WORDS = (SCORES | SUMMARY) | {
    "score": "Score (1 is perfect)",
    "missing": "–",
    "label": "The model beside simpler ways",
}
SOFTMAX = "Train a softmax classifier to compare"
SOFTMAX_HELP = (
    "The usual way to train such a network, with the same images, encoder, steps and seed. Takes as long as the run."
)
SOFTMAX_GOING = "The classifier trains: step {step} of {steps}"
SOFTMAX_SELF = "This model is one."

# Taking it away

SAVE = "Take it with you"
CSV_SCORES = "Figures (CSV)"
CSV_CURVES = "Curves (CSV)"
CSV_PAIRS = "Hardest pairs (CSV)"
HTML = "Report (HTML)"
REPORT_TITLE = "Evaluation of {model}"
REPORT_MADE = "Made with Siamese Playground."
