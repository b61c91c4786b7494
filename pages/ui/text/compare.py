"""The words of the Compare page."""

TITLE = "Compare"
INTRO = "Are these two the same? The verdict, the threshold behind it, how often that is wrong, and why."

SOURCES = {"dataset": "From the dataset", "upload": "Upload two pictures", "camera": "Camera", "many": "Many pairs"}
SOURCE = "Pictures"
SIDES = ("First", "Second")

SAME_PAIR = "A pair of one class"
DIFFERENT_PAIR = "A pair of two classes"
CLASS = "{side}: class"
NUMBER = "{side}: number"
TRUTH = {True: "In truth: the same class.", False: "In truth: different classes."}
NO_DATASET = "The images of this model are not here: upload two pictures, or choose another model."

UPLOAD = "{side} picture"
UPLOAD_HELP = (
    "PNG, JPEG, GIF, BMP or WebP, up to 10 MB. The middle square of it is used; it is kept only while this tab is open."
)
PHOTO = "{side} photo"
CAMERA_HINT = "The browser asks once whether it may use the camera. Cameras need https, or localhost."
NEED_TWO = "Choose both pictures, and the verdict appears here."
NEED_OTHER = "One is there. Now the {side} picture, and the verdict appears here."
REJECTED = "{side} picture: {message}"
INVERT = "Invert brightness"
INVERT_HELP = "For dark ink on light paper, where the model was trained on light on dark."
LOOKS_INVERTED = (
    "These pictures are {are}, the ones that the model was trained on are {were}: switch on **Invert brightness**."
)
LIGHT, DARK = "dark on light", "light on dark"

BOTH_WAYS = "Euclidean distance {euclidean}, cosine similarity {cosine} of their embeddings."
AS_SEEN = "As the network sees them: {width} × {height}, {colours}."
COLOURS = {1: "grey", 3: "colour"}
SAME = "The same"
DIFFERENT = "Different"
VERDICT_DISTANCE = {
    True: "Distance **{value}** is at or below the threshold **{threshold}**.",
    False: "Distance **{value}** is above the threshold **{threshold}**.",
}
VERDICT_SIMILARITY = {
    True: "Similarity **{value}** is at or above the threshold **{threshold}**.",
    False: "Similarity **{value}** is below the threshold **{threshold}**.",
}
NO_THRESHOLD = "There is no threshold yet, so no verdict: distance **{value}**."
NO_THRESHOLD_SIMILARITY = "There is no threshold yet, so no verdict: similarity **{value}**."
NO_THRESHOLD_WAIT = "The threshold is being worked out from the test images."
NUMBERS = {
    "value": "Distance",
    "similarity": "Similarity",
    "false_accept": "False accepts",
    "false_reject": "False rejects",
}
NUMBERS_HELP = {
    "false_accept": "Of pairs of different classes, the share that this threshold takes for the same.",
    "false_reject": "Of pairs of one class, the share that this threshold takes for different.",
}
RATES = (
    "Threshold: {rule}, on {group}. Measured on test images that it was not chosen on: {different} pairs of different "
    "classes and {same} of the same."
)
RATES_BY_HAND = (
    "Threshold: {rule}, on {group}, by looking at the very pairs that its rates are of: {different} of different "
    "classes and {same} of the same. New pictures would give slightly worse ones."
)
UNLIKE = (
    "{which} unlike everything that the model was trained on (further from the training images, for the network or "
    "by its pixels, than nearly all test images are), so do not trust this verdict."
)
WHICH = {
    (True, True): "Both pictures are",
    (True, False): "The first picture is",
    (False, True): "The second picture is",
}

PLACE = "Where this pair stands"
PLOT = {
    "pair": "this pair",
    "threshold": "threshold",
    "false_accepts": "false accepts",
    "false_rejects": "false rejects",
    "seen": "",
    "no_pairs": "No test pairs here",
    "label": "The loss of a pair against its distance, the test pairs, and where this pair stands",
}
SHARE = "Share of the test pairs"
NO_CURVE = "This loss has no curve over one distance; below, the test pairs and this one."

STRANGERS = (
    "They hold for classes that the model was trained on, and for pictures like those. Of what it has never seen, "
    "expect more mistakes: Evaluate tells how many, where classes were held out."
)

WHY = "Why?"
MAPS = {"occlusion": "Cover a part", "gradient": "Gradient"}
MAP = "Explanation"
MAP_HELP = {
    "occlusion": "Bright where covering that part brings the two closer together: there they differ for the network. "
    "Dark all over: no single part keeps them apart.",
    "gradient": "Bright where a small change of a pixel changes the distance most.",
}
STRENGTH = {
    "occlusion": "Strongest: covering it brings them {most} closer, of {value}.",
    "gradient": "Strongest: {most} for each grey level of a pixel.",
}
NEIGHBOURS = "Nearest training images"
NEIGHBOURS_HELP = (
    "What the network holds for most like each picture, with their distance (Euclidean): of {count} training images, "
    "the first of each class."
)
STAGES = {
    "": "Looking through the training images",
    "test": "Looking through the test images",
    "threshold": "Working out the threshold",
}
LATE = "The answer is on its way."
LOOK_AGAIN = "Look again"
TRY_AGAIN = "Try again"

MANY_INTRO = (
    "Two stacks of pictures, paired in the order of their names; or a zip with the pictures and a CSV of pairs "
    "(columns `first`, `second` and, if you know it, `same`). Up to 1,000 pairs."
)
MANY_HELP = "PNG, JPEG, GIF, BMP or WebP, up to 10 MB each, 200 MB in all. Of each picture the middle square is used."
STACK = "{side} pictures"
ZIP = "A zip with a CSV of pairs"
EXAMPLE = "An example zip"
EXAMPLE_HELP = "A few test images of this model, and a list of their pairs: choose it above, or see how one is made."
PAIRING = "Given as"
PAIRINGS = {"stacks": "Two stacks", "zip": "Zip with a CSV"}
OTHER_STACK = "Choose as many pictures for the other stack, and the table appears here."
STILL_CHOSEN = "Files still chosen: {count}"
REMOVE = "Remove"
CANCEL = "Cancel"
CANCELLED = "Cancelled. Choose other files, or begin again with these."
BEGIN_AGAIN = "Begin again"
BEGINNING = "Beginning"
OPENING = "Opened {done} of {total} pictures"
COMPARING = "Compared {done} of {total} pairs"
LEFT_OUT = "These rows, and the pairs of these pictures, are left out:\n{problems}"
BROKEN = "{name}: {message}"
MORE_BROKEN = "and {count} more"
NONE_LEFT = "No pair is left of which both pictures can be opened: mend those above and choose the files again."
COLUMNS = {
    "first_image": "First",
    "second_image": "Second",
    "value": "Distance",
    "verdict": "Verdict",
    "same": "In truth",
    "right": "Right?",
    "unlike": "Unlike training images",
    "first": "First file",
    "second": "Second file",
}
YES_NO = {True: "same", False: "different", None: ""}
RIGHT_WRONG = {True: "right", False: "wrong", None: ""}
MANY_UNLIKE = (
    "{count} of {pairs} pairs have a picture unlike everything that the model was trained on: do not trust these "
    "verdicts."
)
UNLIKE_WHICH = {(True, True): "both", (True, False): "first", (False, True): "second", (False, False): ""}
TABLE = "Each pair with its pictures, its distance and its verdict"
NO_VERDICTS = "There is no threshold for this model, so no verdicts: choose one on the Evaluate page."
SUMMARY = "Pairs: **{pairs}**. By the threshold {threshold}, **{same}** the same and **{different}** different."
RIGHT = (
    "In truth known: **{known}**, of which the verdict is right on **{right}**. "
    "False accepts: **{accepts}** of {different}. False rejects: **{rejects}** of {same}."
)
SAVE_CSV = "Save as CSV"
EVALUATE = "Where does the threshold come from?"
