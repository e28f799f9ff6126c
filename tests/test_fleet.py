"""examples/fleet: what can be tried without systemd as init, without Kubernetes and Podman."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support import ROOT, Running
from test_metrics import OLD_CLIENT, served_at
from test_missing import as_nobody

FLEET = ROOT / "examples/fleet"
UNITS = sorted(FLEET.glob("*.service"))

pytestmark = pytest.mark.native


def settings(unit: Path) -> configparser.SectionProxy:
    """Return the section [Service] of a unit."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser["Service"]


def succeeds(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=FLEET)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rules(promtool: Path) -> None:
    """The server takes them, and each alert comes when it should, and not before."""
    succeeds(promtool, "check", "config", "prometheus.yml")
    succeeds(promtool, "test", "rules", "rules_test.yml")
    alerts = re.findall(r"alert: (\w+)", (FLEET / "rules.yml").read_text())
    tested = re.findall(r"alertname: (\w+)\n +exp_alerts:", (FLEET / "rules_test.yml").read_text())
    assert sorted(tested) == sorted(alerts)


def test_the_daemonset() -> None:
    tool = Path(sys.executable).parent / "kubernetes-validate"
    assert " passed " in succeeds(tool, "--strict", "daemonset.yaml")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit(unit: Path, tmp_path: Path) -> None:
    """Every setting has a meaning: systemd says so of one that is misspelt."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    text = unit.read_text().replace("/usr/local/bin/ebpf-", f"{ROOT}/.venv/bin/ebpf-")
    copy = tmp_path / unit.name
    copy.write_text(re.sub("(?m)^Documentation=.*\n", "", text))
    assert succeeds("systemd-analyze", "verify", copy) == ""


@pytest.mark.kernel
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_capabilities_of_a_unit(unit: Path, open_directory: Path) -> None:
    """With those that the unit gives it, and as its user, the tool works."""
    service = settings(unit)
    command, *words = service["ExecStart"].split()
    name = Path(command).name.removeprefix("ebpf-")
    given = service["CapabilityBoundingSet"].lower().replace("cap_", "+").replace(" ", ",")
    if "DynamicUser" in service:
        assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"]
        wrapper = as_nobody(given)
    else:
        wrapper = ["setpriv", f"--bounding-set=-all,{given}"]
    shutil.copytree(ROOT / "tools/ebpf_tour", open_directory / "ebpf_tour")
    shutil.copytree(OLD_CLIENT["PYTHONPATH"], open_directory, dirs_exist_ok=True)
    script = f"import sys; from ebpf_tour.commands.{name} import main; sys.exit(main())"
    words = [word.replace(":9435", ":0") for word in words]
    python = ("/usr/bin/python3", "-Bc", script)
    env = {"PYTHONPATH": str(open_directory), "HOME": "/"}
    with Running(*wrapper, "--no-new-privs", *python, *words, env=env) as tool:
        tool.wait_attached()
        if "--metrics" in words:
            with urllib.request.urlopen(served_at(tool)) as answer:
                assert b"ebpf_tour_syscalls_total{" in answer.read()
        subprocess.run(["/bin/true"], check=True)
        result = tool.finish(signal.SIGTERM)
    assert result.status == 0, result.stderr
    if "--json" in words:
        assert os.fspath("/bin/true") in [row["args"][0] for row in result.records]
