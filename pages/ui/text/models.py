"""The words by which pages speak of models and their thresholds."""

MODEL = "Model"
MODEL_HELP = "The network that compares: one of your runs, a bundled one, or a saved file."
RUN = "Your run: {loss} on {dataset}, {steps} steps"
SAVED_RUN = "Saved run: {about}, {steps} steps"
ABOUT_RUN = "{loss} on {dataset}"
BUNDLED = {
    "fashion_mnist": "Clothes (bundled, trained on eight kinds of Fashion-MNIST)",
    "mnist": "Digits (bundled, trained on MNIST)",
}
FILE = "A saved model (.safetensors)"
CHOOSE_FILE = "Choose the .safetensors file that this app saved"
CHOOSE_FILE_HINT = "Choose a file above, or another model."
RENEW = "Take its newest weights"
RENEW_HELP = "The run has gone on since: step {step}."
CHECKING = "Getting ready: the process that compares is starting, which takes a few seconds."
AHEAD = "{count} other evaluations come first"
NO_MODEL = "There is no model “{asked}” here; the address may name one of these: {may_be}."
GONE = "The pictures of this run are gone, so its model is too. Choose another one."
ABOUT = "Trained on {dataset}. Loss: {loss}. Measure: {measure}. Steps: {steps}."
ABOUT_HELD_OUT = "It has never seen: {names}."
NO_IMAGES = (
    "The images that this model was trained on are not here, so there are no neighbours and no error rates: {remedy}"
)
UPLOAD_AGAIN = "upload them again on the Data page."
DOWNLOAD = "download them on the Data page."

RULES = {
    "eer": "equal error rate: as many false accepts as false rejects",
    "far": "at most {wanted:.3g} % false accepts",
    "costs": "the least cost: a false accept costs {rule.accept_cost:g}, a false reject {rule.reject_cost:g}, and "
    "{rule.share_same:.0%} of the pairs are the same",
    "hand": "set by hand",
}
GROUPS = {"seen": "classes it was trained on", "held_out": "held-out classes"}
SAVE = "Save the model with this threshold"
SAVE_HELP = "A .safetensors file; choose it here or on another server, and the threshold comes with it."
NONE = "none"
FEW = "These rates are of few pairs, so they say little, and “none” is no promise: more test images of each class help."
