"""The steps that pyproject.toml cannot say: BPF objects, shell completion, the course."""

import shutil
import sys
from pathlib import Path

from setuptools import setup  # first: it brings distutils along
from setuptools.command.build_py import build_py

from distutils.command.install_data import install_data  # isort: skip

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tools"))

from ebpf_tour.base.errors import Error  # noqa: E402
from ebpf_tour.build import compile_all, explained  # noqa: E402 - needs the path above

# Where each shell looks for the completion of a command.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/{}",
    "zsh": "share/zsh/site-functions/_{}",
    "fish": "share/fish/vendor_completions.d/{}.fish",
}


class BuildWithObjects(build_py):
    """Compile the objects before they are gathered as package data."""

    def run(self) -> None:
        sources = HERE / "tools" / "ebpf_tour" / "bpf"
        try:
            compile_all(sources, sources)
        except Error as error:
            raise SystemExit(explained(error).rstrip()) from None
        super().run()


# Where the course goes, with what its pages link to.
DOCUMENTS = "share/doc/ebpf-tour"


class InstallWithCourse(install_data):
    """Also install the shells' completion, made from the tools' parsers, and the course."""

    def run(self) -> None:
        super().run()
        self.write_completions()
        self.copy_course()

    def copy_course(self) -> None:
        unwanted = shutil.ignore_patterns("*.o", "__pycache__")
        for name in ("examples", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"):
            target = Path(self.install_dir, DOCUMENTS, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if (HERE / name).is_dir():
                shutil.copytree(HERE / name, target, ignore=unwanted, dirs_exist_ok=True)
            else:
                shutil.copy(HERE / name, target)

    def write_completions(self) -> None:
        import shtab

        from ebpf_tour.frame.catalogue import parser_of, tools

        for tool in tools():
            parser = parser_of(tool)
            for action in parser._actions:  # noqa: SLF001 - argparse shows them nowhere else
                if action.metavar in ("FILE", "PATH"):
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
            for shell, place in COMPLETIONS.items():
                path = Path(self.install_dir, place.format(tool.command))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(shtab.complete(parser, shell), encoding="utf-8")
                self.outfiles.append(str(path))


setup(cmdclass={"build_py": BuildWithObjects, "install_data": InstallWithCourse})
