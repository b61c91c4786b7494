"""Markers that can be seen in both themes, whatever the colour of their class."""

from __future__ import annotations

import pytest

from tests.browser import test_embedding_view as view
from tests.browser.test_embedding_view import Scene, colours_at, rgb

address, scene = view.address, view.scene

VISIBLE = 3.0
"""The contrast that WCAG 2.2 asks of graphics (success criterion 1.4.11)."""

THEMES = pytest.mark.parametrize(
    ("theme", "ground", "colour"),
    [
        ("", "#ffffff", "#92dadd"),
        ("", "#ffffff", "#94a4a2"),
        ("", "#ffffff", "#b9ac70"),
        ("", "#ffffff", "#ffa90e"),
        ("dark", "#0e1117", "#832db6"),
    ],
)
"""The colours of the classes with the least contrast to the ground of each theme."""


def luminance(colour: tuple[int, ...]) -> float:
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def show(scene: Scene, theme: str, colour: str) -> None:
    scene.page.evaluate("theme => document.documentElement.className = theme", theme)
    scene.show(colours=[colour] * 10, held_out=[])


@THEMES
def test_a_marker_has_an_outline_that_contrasts(scene: Scene, theme: str, ground: str, colour: str) -> None:
    show(scene, theme, colour)
    seen = colours_at(scene, scene.lonely())
    assert rgb(colour) in seen  # the class keeps its own colour
    assert contrast(rgb(colour), rgb(ground)) < VISIBLE
    assert max(contrast(one, rgb(ground)) for one in seen) >= VISIBLE


@THEMES
def test_the_marks_of_the_legend_have_it_too(scene: Scene, theme: str, ground: str, colour: str) -> None:
    show(scene, theme, colour)
    marks = scene.page.locator(".legend .mark path")
    strokes = marks.evaluate_all("all => all.map((one) => getComputedStyle(one).stroke)")
    assert len(strokes) == 10
    for stroke in strokes:  # color(srgb r g b), in shares of one
        shares = stroke.removeprefix("color(srgb ").removesuffix(")").split()
        assert contrast(tuple(round(255 * float(share)) for share in shares), rgb(ground)) >= VISIBLE
