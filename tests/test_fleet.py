"""examples/fleet: what can be tried without systemd as init, without Kubernetes and Podman."""

from __future__ import annotations

import configparser
import json
import os
import pwd
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
FLEET_MD = ROOT / "examples/fleet.md"
UNITS = sorted(FLEET.glob("*.service"))
SYSCOUNT = FLEET / "ebpf-syscount.service"

pytestmark = pytest.mark.native


def settings(unit: Path, *drop_ins: str) -> configparser.SectionProxy:
    """Return the section [Service] of a unit; of several values for one name, the last one."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    for text in (unit.read_text(), *drop_ins):
        parser.read_string(text.replace("\\\n", ""))
    return parser["Service"]


def drop_in() -> str:
    """Return the lines that the walkthrough has for `systemctl edit ebpf-syscount`."""
    (lines,) = re.findall(r"(?s)```ini\n(.*?)```", FLEET_MD.read_text())
    return str(lines)


def with_our_commands(unit: str) -> str:
    return unit.replace("/usr/local/bin/ebpf-", f"{ROOT}/.venv/bin/ebpf-")


def succeeds(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=FLEET)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def started(service: configparser.SectionProxy, words: list[str], directory: Path) -> Running:
    """Start what a unit starts, with its capabilities, and as an ordinary user if it has one."""
    name = Path(words[0]).name.removeprefix("ebpf-")
    given = service["CapabilityBoundingSet"].lower().replace("cap_", "+").replace(" ", ",")
    if "DynamicUser" in service:
        assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"]
        wrapper = as_nobody(given)
    else:
        wrapper = ["setpriv", f"--bounding-set=-all,{given}"]
    shutil.copytree(ROOT / "tools/ebpf_tour", directory / "ebpf_tour")
    shutil.copytree(OLD_CLIENT["PYTHONPATH"], directory, dirs_exist_ok=True)
    script = f"import sys; from ebpf_tour.commands.{name} import main; sys.exit(main())"
    python = ("/usr/bin/python3", "-Bc", script)
    env = {"PYTHONPATH": str(directory), "HOME": "/"}
    return Running(*wrapper, "--no-new-privs", *python, *words[1:], env=env)


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


def test_the_alert_for_node_exporter(promtool: Path, tmp_path: Path) -> None:
    """It comes where the machine answers and the tool's file is not there."""
    (expression,) = re.findall(r"`(up\{job=\"node\"\}.*)`", FLEET_MD.read_text())
    rule = {"alert": "NoFile", "expr": expression}
    series = {
        'up{job="node",instance="with"}': "1x9",
        'ebpf_tour_build_info{engine="libbpf",instance="with",job="node"}': "1x9",
        'up{job="node",instance="without"}': "1x9",
        'up{job="node",instance="down"}': "0x9",
    }
    without = {"exp_labels": {"job": "node", "instance": "without"}}
    test = {
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "5m", "alertname": "NoFile", "exp_alerts": [without]}],
    }
    # JSON is YAML, too.
    rules = {"groups": [{"name": "node", "rules": [rule]}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    succeeds(promtool, "test", "rules", tmp_path / "test.yml")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit(unit: Path, tmp_path: Path) -> None:
    """Every setting has a meaning: systemd says so of one that is misspelt."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(re.sub("(?m)^Documentation=.*\n", "", with_our_commands(unit.read_text())))
    if unit == SYSCOUNT:
        (tmp_path / f"{unit.name}.d").mkdir()
        (tmp_path / f"{unit.name}.d/override.conf").write_text(with_our_commands(drop_in()))
    assert succeeds("systemd-analyze", "verify", copy) == ""


@pytest.mark.kernel
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_capabilities_of_a_unit(unit: Path, open_directory: Path) -> None:
    """With those that the unit gives it, and as its user, the tool works."""
    service = settings(unit)
    words = service["ExecStart"].replace(":9435", ":0").split()
    with started(service, words, open_directory) as tool:
        tool.wait_attached()
        if "--metrics" in words:
            with urllib.request.urlopen(served_at(tool)) as answer:
                assert b"ebpf_tour_syscalls_total{" in answer.read()
        subprocess.run(["/bin/true"], check=True)
        result = tool.finish(signal.SIGTERM)
    assert result.status == 0, result.stderr
    if "--json" in words:
        assert os.fspath("/bin/true") in [row["args"][0] for row in result.records]


@pytest.mark.kernel
def test_the_drop_in_for_node_exporter(open_directory: Path) -> None:
    """The directory's owner runs the unit, and every user can read its file."""
    service = settings(SYSCOUNT, drop_in())
    assert service["DynamicUser"] == "no"
    *words, path = service["ExecStart"].split()
    assert Path(path).parent == Path(service["ReadWritePaths"])
    nobody = pwd.getpwnam("nobody").pw_uid
    metrics = open_directory / "metrics"
    metrics.mkdir()
    os.chown(metrics, nobody, -1)
    mask = os.umask(int(service["UMask"], 8))
    try:
        tool = started(service, [*words, str(metrics / Path(path).name)], open_directory)
    finally:
        os.umask(mask)
    with tool:
        tool.wait_attached()
        (written,) = metrics.iterdir()
        assert (written.stat().st_uid, written.stat().st_mode & 0o777) == (nobody, 0o644)
        assert "ebpf_tour_build_info{" in written.read_text()
        result = tool.finish(signal.SIGTERM)
    assert (result.status, list(metrics.iterdir())) == (0, [])
