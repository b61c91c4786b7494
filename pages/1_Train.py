"""Train a siamese network and watch it learn."""

from pages.ui import frame, train

frame.begin(train.TITLE)
train.page()
