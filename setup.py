"""The two steps that pyproject.toml cannot say: BPF objects and shell completion."""

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
            raise SystemExit(explained(error)) from None
        super().run()


class InstallWithCompletions(install_data):
    """Write the shells' completion files from the tools' parsers, beside the manual pages."""

    def run(self) -> None:
        super().run()
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


setup(cmdclass={"build_py": BuildWithObjects, "install_data": InstallWithCompletions})
