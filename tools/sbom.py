"""Write a bill of materials (CycloneDX) of the wheel: what it needs to run.

    python tools/sbom.py WHEEL FILE

cyclonedx-py lists what pip installs with the wheel, in an environment that is thrown
away. It knows only Python packages, so libbpf and BCC, which come from the distribution,
are added here. Its time is SOURCE_DATE_EPOCH, and it has no number of its own, so that the
same packages give the same bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

PROJECT = Path(__file__).parent.parent / "pyproject.toml"

# What the wheel needs of the distribution. No version: any with this file does.
OF_THE_DISTRIBUTION = (
    {
        "bom-ref": "libbpf",
        "type": "library",
        "name": "libbpf",
        "description": "libbpf.so.1, which the engine libbpf loads",
        "licenses": [{"expression": "LGPL-2.1-only OR BSD-2-Clause"}],
        "purl": "pkg:github/libbpf/libbpf",
        "scope": "required",
    },
    {
        "bom-ref": "bcc",
        "type": "library",
        "name": "bcc",
        "description": "the Python package bcc with libbcc.so.0, for the engine bcc",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": "pkg:github/iovisor/bcc",
        "scope": "optional",
    },
)


def listed(wheel: Path) -> str:
    """Return the bill of materials of the Python packages."""
    with tempfile.TemporaryDirectory() as scratch:
        home, project = Path(scratch, "venv"), Path(scratch, "pyproject.toml")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        pip = [sys.executable, "-m", "pip", "--python", home / "bin/python", "install", "-q"]
        subprocess.run([*pip, "--disable-pip-version-check", wheel], check=True)
        # The tool does not look for a dynamic version.
        text = PROJECT.read_text(encoding="utf-8")
        version = f'version = "{wheel.name.split("-")[1]}"'
        project.write_text(text.replace('dynamic = ["version"]', version), encoding="utf-8")
        tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
        options = ["--mc-type", "application", "--pyproject", project, home]
        return subprocess.check_output([*tool, *options], text=True)


def complete(text: str) -> str:
    """Return the bill of materials with what comes from the distribution."""
    bill = json.loads(text)
    root = bill["metadata"]["component"]["bom-ref"]
    bill["components"] += OF_THE_DISTRIBUTION
    names = [component["bom-ref"] for component in OF_THE_DISTRIBUTION]
    for dependency in bill["dependencies"]:
        if dependency["ref"] == root:
            dependency["dependsOn"] += names
    bill["dependencies"] += [{"ref": name} for name in names]
    return json.dumps(bill, indent=2) + "\n"


def main() -> None:
    wheel, target = map(Path, sys.argv[1:])
    text = complete(listed(wheel))
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"{target} would be no bill of materials: {error}")
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
