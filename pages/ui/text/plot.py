"""The words of every chart."""

PLOT = {
    "loading": "Loading the chart…",
    "failed": "The chart could not be loaded: reload the page.",
    "drag_hint": "Drag the line",
    "reset_axes": "Reset the axes",
    "save_image": "Save as image",
}
