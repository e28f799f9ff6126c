"""The one step that pyproject.toml cannot say: compile the BPF objects."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tools"))

from ebpf_tour.build import compile_all  # noqa: E402 - needs the path above


class BuildWithObjects(build_py):
    """Compile the objects before they are gathered as package data."""

    def run(self) -> None:
        sources = HERE / "tools" / "ebpf_tour" / "bpf"
        compile_all(sources, sources)
        super().run()


setup(cmdclass={"build_py": BuildWithObjects})
