"""The words of the front door."""

IDEA = (
    "A siamese network turns two images into two points with one and the same set of weights. "
    "Its loss pulls the points of one class together and pushes those of different classes apart, up to a margin."
)
TRAIN = "Train one and watch it learn"
FILM = "A recorded run: 300 steps, ten kinds of clothes"
FILM_NOTE = "Each point is a picture that the network was not trained on; colours are kinds of clothes."
OPEN = "Open this run on Train"
OPEN_HELP = "The same settings and the same seed: press Train there, and it happens again."
