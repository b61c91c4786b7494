"""The words of the Data page."""

TITLE = "Data"

INTRO = "A siamese network learns from pairs. Here are the images, and the pairs that are made of them."
SECTION = "What to look at"
SECTIONS = {
    "browse": "Images",
    "pairs": "Pairs and triplets",
    "inputs": "Views and augmentation",
    "own": "Your own pictures",
    "get": "Downloads",
}
NO_SECTION = "There is no part “{asked}” of this page; it has: {may_be}."

DATASET = "Dataset"
CLASS = "Class"
EVERY_CLASS = "every class"
FACTS = "{train:,} training and {test:,} test images in {classes} classes, {width} × {height} pixels, {colours}."
COLOURS = {1: "grey", 3: "colour"}
SOURCE = "**Source.** {source}\n\n**Licence.** {licence}"
TRAIN_WITH = "Train with these images"

UPLOAD_INTRO = (
    "Upload a **zip** with one folder for each class: a folder of pictures for each person, product or animal. "
    "PNG, JPEG, GIF, BMP and WebP; at most 50 MB, 2,000 pictures of 10 MB and 16 megapixels each. "
    "The pictures stay on this server, only you can use them, and they are deleted 30 minutes after you last did."
)
NO_FACES = (
    "There are no faces or irises among the bundled images: those come from you, or from a download "
    "(Olivetti faces, LFW) on a machine with internet."
)
ZIP = "Zip of class folders"
FOLDER = "Or a folder on the server"
FOLDER_HELP = "The folders that the operator of this server allowed."
NO_FOLDER = "none"
READ_FOLDER = "Read this folder"
READING = "Reading: {done:,} of {total:,} pictures"
STARTING = "Opening…"
CANCEL = "Cancel"
READY = "Read {count:,} pictures in {classes} classes."
LEFT_OUT = "Left out:\n{reasons}"
ALONE = "Left out, too: the only picture of its class makes no pair ({count})."
FIRST_FRAMES = "Of {count} animated pictures only the first frame is used."
SIDE = "Size (pixels a side)"
SIDE_HELP = "Pictures are cut to a square and scaled to this. Larger ones show more and train more slowly."
COLOUR = "Colour"
COLOURS_OF = {"colour": "colour", "grey": "grey"}
TEST = "Kept for testing (%)"
TEST_HELP = "Of each class, at least one picture. The network never learns from these."
HELD_OUT = "Classes held out"
HELD_OUT_HELP = "Classes never trained on: do they separate all the same? For people: strangers."
TOO_MANY_HELD_OUT = "Leave at least 2 classes to train on: take a class out of “Classes held out”."
PREVIEW = "As the network will see them"
COUNTS = {"class": "Class", "images": "Pictures"}
USE = "Use these pictures"
PREPARING = "Preparing…"
UPLOAD_TITLE = "{name}: {side} × {side}, {colour}; your {count:,} pictures in {classes} classes"
UPLOAD_NAME = "pictures"
READY_SETS = "Ready to train on"
TRAIN = "Train"
DELETE = "Delete"
TOO_LATE = "Too late: these pictures are deleted. Upload them again."
FEW = (
    "{count} classes have only 2 pictures: one to learn from, which makes no pair of its own, and one for testing. "
    "Three and more are better."
)
DELETED = "Deleted: {title}. It is gone for good in half a minute."
NO_ROOM = "The server has no room to keep these pictures ({reason}). Choose a smaller size, or delete another set."

GET_INTRO = (
    "Larger sets, from where their authors publish them. Each file is checked against its published checksum before it "
    "is used. A download that is cut short goes on where it stopped. Without internet, put the files into a folder "
    "named like the set under `{folder}`."
)
GET_FILES = "By hand: {files} into `{key}/`."
GET_SET = "**{title}** · {size}"
GET_FACTS = "{classes} classes, {width} × {height} pixels, {colours}. Licence: {licence}."
HERE = "on this machine"
DOWNLOAD = "Download"
DOWNLOADED = "{done} of {total}"
CANCELLED = "Cancelled: **Download** goes on where it stopped."

OF_THE_RUN = "What step **{step}** of your run on {title} looks at, exactly as its sampler draws it."
OF_A_RUN_AT_REST = "What step **{step}** of your run on {title} would look at, exactly as its sampler draws it."
UNTRAINED = (
    "What step **{step}** of a run on {title} with the settings of the Train page looks at, exactly as its sampler "
    "draws it. Nothing is trained yet: press Train there, and the distances appear here."
)
HOW_MANY = (
    "The {images:,} training images make {every:,} pairs: {same:,} of the same class, {different:,} of different ones."
)
SHOW = "Show"
KINDS = {"pairs": "Pairs", "triplets": "Triplets and mining", "batch": "The batch"}
NEXT_BATCH = "Next batch"
NEXT_BATCH_HELP = "What the step after this one will look at"
NOT_YET = "The training process is starting or busy; this takes a few seconds."
LOOK_AGAIN = "Look again"
ORDER = "Which pairs"
ORDERS = {"drawn": "as drawn", "hardest": "hardest first", "easiest": "easiest first"}
EASY = "{share} of the {what} are easy now: their loss is zero, and they teach nothing any more."
PAIRS = "pairs"
TRIPLETS = "triplets"
SAME = "**Same class**"
DIFFERENT = "**Different classes**"
MINER = "Miner (how many triplets it finds in this batch)"
NOT_TRAINED = "Two more miners choose by distance: press Train on the Train page to see what they pick."
NONE_FOUND = "This miner finds no triplet in this batch."
ANCHOR_POSITIVE_NEGATIVE = "Anchor, positive, negative; below them the two distances from the anchor."
TRIPLET = "+ {positive}  \n− {negative}"
BATCH = "{images} images pass through the network in one step; here they are after augmentation."
SHOWN_OF = "Shown, and measured here, are the first {shown} of them."
SECOND_INPUTS = "The same images as second inputs:"

PLAIN = "**The image itself.** What the first input always sees."
INPUT_TRANSFORMS_INTRO = (
    "**Two kinds of input.** The second image of a pair may be shown in another way than the first: a photo on one "
    "side, a sketch on the other. The network learns to bring both to the same place."
)
USE_INPUT_TRANSFORM = "Train against: {input_transform}"
SHARED_INTRO = (
    "**Shared or not?** A siamese network has one set of weights for both inputs, a pseudo-siamese one has two. "
    "Which is better for photos against sketches?"
)
SEED = "Seed"
AUGMENT_INTRO = (
    "**Augmentation.** Random changes of the training images that leave their class as it is. Choose them on the Train "
    "page, under “Data and sampling”."
)
