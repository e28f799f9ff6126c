"""What every test needs: the rules for tests that load into the real kernel."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import together
from support import (
    ENGINES,
    PROMETHEUS,
    ROOT,
    UNSUPPORTED,
    KernelLog,
    Running,
    abandoned,
    bpf_objects,
    checked_in,
    compile_program,
    held_objects,
    wait_until,
)

from ebpf_tour.base.errors import Error
from ebpf_tour.frame.catalogue import tools
from ebpf_tour.frame.record import Tool
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from support import Become, Compiled


SOURCES = [*(ROOT / "tests/programs").glob("*.c"), *(ROOT / "examples/workloads").glob("*.c")]


def pytest_configure() -> None:
    """Let the tools get signals where a shell or nohup(1) had the tests ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests/machines/kernels.py spread the tests over guests, and `make test-all` run more."""
    parser.addoption("--shard", metavar="K/N", help="run only the K-th of N parts of the tests")
    parser.addoption(
        "--product", action="store_true", help="run each fault on every tool: see tests/cases.py"
    )


@pytest.hookimpl(trylast=True)  # when -m and -k have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for another part, another kernel or `make test-all`, or cannot compare.

    What needs the machine for itself comes after the rest, so that the workers wait
    for each other only then.
    """
    items.sort(key=lambda item: bool(item.get_closest_marker("alone")))
    shard = config.getoption("shard")
    number, parts = map(int, shard.split("/")) if shard else (1, 1)
    originals = shutil.which("execsnoop-bpfcc", path=f"{os.environ['PATH']}:/usr/sbin")
    headers = os.environ.get("BCC_KERNEL_SOURCE") or features.kernel_headers()

    booted_with = {*Path("/proc/cmdline").read_text(encoding="utf-8").split()}

    def wanted(item: pytest.Item) -> bool:
        hardened = item.get_closest_marker("hardened")
        if hardened and not booted_with & {*hardened.args}:
            return False
        if item.get_closest_marker("original") and not (originals and headers):
            return False
        return config.getoption("product") or not item.get_closest_marker("product")

    # In the order of a hash of the name, so that each part has of all kinds, and as many.
    mixed = sorted(filter(wanted, items), key=lambda item: zlib.crc32(item.nodeid.encode()))
    part = set(mixed[number - 1 :: parts])
    config.hook.pytest_deselected(items=[item for item in items if item not in part])
    items[:] = [item for item in items if item in part]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep other workers from disturbing a test that is `alone`, and it from disturbing them."""
    with together.turn(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI, let a test be skipped only where a hook object says that the kernel lacks it."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(UNSUPPORTED):
            report.outcome = "failed"
            report.longrepr = f"skipped on CI, for a reason that is none there: {reason}"
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, with the reason. On CI a privilege may not be missing.

    A test names the tools that it runs: `pytest.mark.kernel(TOOL)`. Tool and
    engine go into the results, for the table of tests/machines/kernels.py.
    """
    item.user_properties += [("tool", tool_of(item)), ("engine", engine_of(item))]
    marker = item.get_closest_marker("kernel")
    # What a hardened kernel refuses is what its tests are about.
    if not marker or item.get_closest_marker("hardened"):
        return
    try:
        features.require_privileges()
        features.tracefs()
    except Error as error:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"{error}; hint: {error.hint or 'run make test'}")
    for tool in marker.args:
        reasons = [what_is_missing(hooks) for hooks in tool.via.values()]
        if reasons and all(reasons):
            pytest.skip(f"{UNSUPPORTED}{reasons[0]}")


def tool_of(item: pytest.Item) -> str:
    """Return the command that a test is about: by its parameters or its file."""
    commands = {tool.name: tool.command for tool in tools()}
    for value in parameters(item):
        if isinstance(value, Tool):
            return value.command
    return commands.get(item.path.stem.removeprefix("test_"), "(shared)")


def engine_of(item: pytest.Item) -> str:
    """Return the engine that a test is for: by its parameters."""
    return next((str(value) for value in parameters(item) if value in ENGINES), "(both)")


def parameters(item: pytest.Item) -> Iterator[object]:
    """Yield the values of the test's parameters; of a tuple, what is in it."""
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        if isinstance(value, tuple) and not isinstance(value, Tool):
            yield from value
        else:
            yield value


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the developer's shell sets away from the tools."""
    for name in ("EBPF_TOUR_ENGINE", "PYTHONPATH", "BCC_KERNEL_SOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Run a test once on each engine."""
    return str(request.param)


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    """Demand that the test leaves no program, map, link, trace instance or probe event.

    Other tracers come and go meanwhile, and so do those of a test beside this one.
    What they use is held by a living process, and what is there only since this
    test has ended is not its own. If one of them leaves something behind, both
    tests fail: nobody can say of which it was.
    """
    Running.started.clear()
    before = bpf_objects()
    yield
    # At once, since the next tool that starts, of whomever, removes these.
    assert not abandoned(Running.started)
    left = bpf_objects() - before

    def nothing_is_left() -> bool:
        nonlocal left
        if left:
            left &= bpf_objects()
            left -= held_objects()
        return not left

    # The kernel frees some of them only after a grace period, for which every thread that
    # was there must have waited for something once. One of an idle class waits for its turn.
    wait_until(nothing_is_left, lambda: f"left: {left}")


@pytest.fixture
def quiet_kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Demand that the kernel logs nothing on account of the test.

    It seldom says on whose account. What it says while another test runs beside
    this one may be about that one, so both are named. What tests make it say on
    purpose is no complaint.
    """
    log, neighbours = KernelLog(), together.Neighbours(request.config)
    yield
    complaints = log.complaints()
    log.close()
    assert not complaints, f"this test is to blame, or one of {neighbours.names()}"


@pytest.fixture(scope="session")
def common(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that all workers have, for `together.once()`."""
    return together.directory(request.config) or tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def compiled(common: Path) -> Compiled:
    """Return the function that compiles a program, once, by its name.

    It is one of tests/programs, or of those that the walkthroughs show.
    """
    programs = common / "programs"
    programs.mkdir(exist_ok=True)

    def program(name: str) -> Path:
        (source,) = (path for path in SOURCES if path.stem == name)
        return together.once(programs / name, lambda target: compile_program(source, target))

    return functools.cache(program)


@pytest.fixture
def become(tmp_path: Path) -> Become:
    """Return the function that makes becomes.c into programs with their code at one address.

    It takes how often each calls its function, and what that does besides.
    """

    def make(spins: int = 0, **calls: int) -> list[Path]:
        paths = []
        for name, number in calls.items():
            flags = ["-no-pie", f"-DNAME={name}_work", f"-DCALLS={number}", f"-DSPINS={spins}"]
            flags += [f"-DWAITS={int(not paths)}"]
            source = ROOT / "tests/programs/becomes.c"
            paths.append(compile_program(source, tmp_path / name, *flags))
        lines = [subprocess.check_output(["nm", path], text=True).splitlines() for path in paths]
        addresses = {line.split()[0] for some in lines for line in some if "_work" in line}
        assert len(addresses) == 1
        return paths

    return make


@pytest.fixture(scope="session")
def dist(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the sdist and the wheel that was built from it."""

    def build(target: Path) -> None:
        checkout = tmp_path_factory.mktemp("checkout")
        for name in checked_in():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
        command = [sys.executable, "-m", "build", "--outdir", target, checkout]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return together.once(common / "dist", build)


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, common: Path) -> Path:
    """Return a virtual environment of its own with the wheel in it."""

    def install(home: Path) -> None:
        venv = ["/usr/bin/python3", "-m", "venv", "--system-site-packages", home]
        subprocess.run(venv, check=True)
        pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel]
        subprocess.run(pip, check=True)

    return together.once(common / "venv", install)


@pytest.fixture(scope="session")
def promtool() -> Path:
    path = PROMETHEUS / "bin/promtool"
    if not path.exists():
        pytest.skip("there is no build/prometheus: make setup-test unpacks it")
    return path


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Return a directory that every user can enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="ebpf-tour-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of bpf/ without objects, for a test to change.

    It has the programs of two tools, since all of them take long to compile.
    """
    copy = Path(shutil.copytree(ROOT / "bpf", tmp_path / "bpf", ignore=_all_but_two))
    assert len(list(copy.glob("*.bpf.c"))) == 2
    return copy


def _all_but_two(directory: str, names: list[str]) -> set[str]:
    """Return which names of a directory are objects, or programs of other tools."""
    ignored = shutil.ignore_patterns("*.o", "__pycache__")(directory, names)
    programs = {name for name in names if name.endswith(".c")}
    kept = {name for name in programs if name.startswith(("minimal.", "bootstrap."))}
    return ignored | (programs - kept)
