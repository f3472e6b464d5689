"""What was not there when an interpreter was asked, and has a say in how it starts, is noticed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from environments import Environment
from updates import ROOT, SETTLED

pytestmark = pytest.mark.processes

_DROPIN = """
from zope.interface import implementer
from dropin_cache import IPlugin
@implementer(IPlugin)
class Plugin: pass
plugin = Plugin()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with nothing in it."""
    return command_line.bare_environment(tmp_path_factory.mktemp("bare") / "environment")


@pytest.fixture
def site(made: Environment) -> Iterator[Environment]:
    """The same; what a test puts into its directory of packages goes."""
    before, configuration = set(os.listdir(made.site)), (made.path / "pyvenv.cfg").read_bytes()
    yield made
    for name in set(os.listdir(made.site)) - before:
        path = made.site / name
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    (made.path / "pyvenv.cfg").write_bytes(configuration)
    (made.path / "bin/pyvenv.cfg").unlink(missing_ok=True)


def install(root: Path) -> Path:
    """Install a plugin module below an import root; return its directory."""
    plugins = root / "dropin_cache/plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "appeared.py").write_text(_DROPIN)
    return plugins


def updated(site: Environment, *, force: bool = False) -> dict[str, str]:
    """Update an environment; return what became of each directory."""
    time.sleep(SETTLED)
    report = update(Request(pythons=(site.python,), force=force), lambda *_: None)
    return {each.path: each.state for each in report.directories}


class TestNamed:
    """What a .pth file names."""

    @pytest.mark.parametrize(
        "line",
        ["{place}\n", "# text\n\n{place}/\n", "{relative}\n", "{link}\n"],
        ids=["path", "slash", "relative", "link"],
    )
    def test_directory(self, site: Environment, tmp_path: Path, line: str) -> None:
        """A directory that appears, as a mount or a checkout does, is imported from."""
        place = tmp_path / "checkout"
        link = site.site / "link"
        link.symlink_to(place)
        relative = os.path.relpath(place, site.site)
        named = line.format(place=place, relative=relative, link=link)
        (site.site / "more.pth").write_text(named, encoding="utf-8")
        assert {} == updated(site)
        plugins = install(place)
        (found,) = updated(site).items()
        assert (os.path.realpath(plugins), "written") == (os.path.realpath(found[0]), found[1])

    def test_gone_and_back(self, site: Environment, tmp_path: Path) -> None:
        """One that comes, goes and comes back is seen whenever it is there."""
        place = tmp_path / "checkout"
        (site.site / "more.pth").write_text(f"{place}\n")
        seen = []
        for _ in range(2):
            seen.append(updated(site))
            plugins = install(place)
            seen.append(updated(site))
            shutil.rmtree(place)
        assert [{}, {str(plugins): "written"}] * 2 == seen

    @pytest.mark.parametrize("line", ["import late", "import late; late.run()", "import\tlate.x"])
    def test_module(self, site: Environment, tmp_path: Path, line: str) -> None:
        """So is what a module adds that a .pth file imports, and that was not there."""
        (site.site / "late.pth").write_text(f"{line}\n")
        assert {} == updated(site)
        plugins = install(tmp_path / "checkout")
        (site.site / "late").mkdir()
        (site.site / "late/x.py").touch()
        code = f"import sys; sys.path.append({str(tmp_path / 'checkout')!r})\ndef run(): pass\n"
        (site.site / "late/__init__.py").write_text(code)
        # The sandbox shows what is named where anybody can read it.
        (site.site / "shown.pth").write_text(f"{tmp_path / 'checkout'}\n")
        assert {str(plugins): "written"} == updated(site)

    @pytest.mark.parametrize("there", ["", "checkout", "checkout/dropin_cache"])
    def test_by_code(self, site: Environment, tmp_path: Path, there: str) -> None:
        """What code puts on the path, whatever is there of it, is not passed over in silence."""
        code = f"import sys; sys.path.append({str(tmp_path / 'checkout')!r})\n"
        (site.site / "code.pth").write_text(code)
        (tmp_path / there).mkdir(parents=True, exist_ok=True)
        assert {} == updated(site)
        plugins = install(tmp_path / "checkout")
        # Root's sandbox shows what is named; for what is not, the refusal says what to do.
        assert {str(plugins): "refused" if ROOT else "written"} == updated(site)


class TestOther:
    """What else decides how an interpreter starts."""

    def test_configuration(self, site: Environment) -> None:
        """An environment that lets the system's packages in has another path."""
        settings = site.path / "pyvenv.cfg"
        updated(site)
        assert is_believed(site)
        settings.write_text(settings.read_text().replace("= false", "= true"))
        assert not is_believed(site)

    def test_configuration_beside(self, site: Environment) -> None:
        """What tells of an environment may come to lie beside the program, too."""
        updated(site)
        shutil.copy(site.path / "pyvenv.cfg", site.path / "bin/pyvenv.cfg")
        assert not is_believed(site)

    @pytest.mark.parametrize("name", ["sitecustomize.py", "sitecustomize/__init__.py", "new.pth"])
    def test_code(self, site: Environment, name: str) -> None:
        """Code that is run at each start may come."""
        updated(site)
        (site.site / name).parent.mkdir(exist_ok=True)
        (site.site / name).write_text("import os\n")
        assert not is_believed(site)

    def test_archive(self, site: Environment, tmp_path: Path) -> None:
        """Anything may be in an archive that comes, changes or goes."""
        archive = tmp_path / "lib.zip"
        (site.site / "more.pth").write_text(f"{archive}\n")
        updated(site)
        for name in ("one", "two"):
            with zipfile.ZipFile(archive, "a") as file:
                file.writestr(f"{name}.py", "")
            assert not is_believed(site)
            assert is_believed(site)
        archive.unlink()
        assert not is_believed(site)

    def test_force(self, site: Environment) -> None:
        """What nobody can foresee is found by who believes nothing."""
        inner = site.site / "inner"
        inner.mkdir()
        (site.site / "sitecustomize.py").write_text(
            "import os, sys\n"
            "inner = os.path.join(os.path.dirname(__file__), 'inner')\n"
            "sys.path += [inner] * os.path.exists(os.path.join(inner, 'dropin_cache'))\n"
        )
        assert {} == updated(site)
        plugins = install(inner)
        assert {} == updated(site)
        assert {str(plugins): "written"} == updated(site, force=True)
        assert {str(plugins): "unchanged"} == updated(site)

    def test_user_site(self, public_path: Path) -> None:
        """The first package that a user installs for himself is imported from."""
        user = command_line.account(public_path)
        program = "import site; print(site.getusersitepackages())"
        done = subprocess.run(
            [user.python, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            **{**user.options, "env": {**os.environ, **user.options["env"]}},
        )
        place = Path(done.stdout.strip())
        time.sleep(SETTLED)
        assert 0 == user.run("update", "dropin_cache.plugins").status
        with command_line.unprivileged():
            plugins = install(place)
        time.sleep(SETTLED)
        outcome = user.run("update", "dropin_cache.plugins")
        assert (0, f"written: {plugins}") == (outcome.status, outcome.out.partition(" (")[0])


class TestMany:
    """A .pth file that names more than anybody can want."""

    def test_cut(self, site: Environment) -> None:
        """What is there is imported from all the same."""
        snakes = "\U0001f40d" * 40
        names = "".join(f"/nonexistent/{number}/{snakes}\n" for number in range(5000))
        (site.site / "many.pth").write_text(names, encoding="utf-8")
        assert {} == updated(site)
        assert is_believed(site)


def is_believed(site: Environment) -> bool:
    """Update, and tell whether that started no process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    updated(site)
    return before == resource.getrusage(resource.RUSAGE_CHILDREN)
