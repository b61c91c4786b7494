"""What goes into the wheel: the core, and data/ inside of it; pyproject.toml says the rest."""

from setuptools import find_namespace_packages, find_packages, setup

CORE = "siamese_core"
DATA = f"{CORE}.data"

setup(
    # Folders of data/, not data/ itself: the script that makes them stays behind.
    packages=find_packages(include=[f"{CORE}*"]) + [f"{DATA}.{folder}" for folder in find_namespace_packages("data")],
    package_dir={DATA: "data"},
    package_data={
        CORE: ["py.typed"],
        f"{CORE}.export": ["templates/*.j2"],
        "": ["*.gz", "LICENSE", "*.safetensors", "film.*", "experiment.txt"],
    },
)
