"""This browser: its engine, owner, form and model; what every page begins with."""
