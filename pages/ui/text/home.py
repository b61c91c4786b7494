"""The words of the front door."""

IDEA = (
    "A siamese network turns two images into two points with one and the same set of weights. "
    "Its loss pulls the points of one class together and pushes those of different classes apart, up to a margin."
)
TRAIN = "Train one and watch it learn"
