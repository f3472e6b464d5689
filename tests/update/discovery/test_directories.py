"""Directories: which are refused, which are one and the same, and what is left of those gone."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

import command_line
from conftest import NOBODY, Tree
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, Fingerprint
from dropin_cache._scan import Dropin
from dropin_cache.errors import UntrustedError
from dropin_cache.update.discovery.directories import Survey, Target
from dropin_cache.update.discovery.interpreters import interpreter_of
from dropin_cache.update.files.trusted import Files
from updates import Done, ledger_file, run

pytestmark = pytest.mark.processes

ROOT = os.geteuid() == 0
CACHE = "dropin.cache"

as_root = pytest.mark.skipif(not ROOT, reason="users rely on what they may")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with command_line.no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application, a drop-in, and another import root that has one, too."""
    tree.application()
    tree.dropin("one")
    tree.dropin("two", root="other")
    return tree


def plugins(tree: Tree, root: str = "") -> Path:
    """Return the directory of the drop-ins below an import root."""
    return tree.path / root / "app" / "plugins"


def cached(directory: Path) -> list[str]:
    """Return the drop-ins in a cache."""
    file = read_cache_file(str(directory))
    return list(file.dropins() or {}) if file is not None else []


def problem(done: Done, directory: Path) -> tuple[str, str]:
    """Return which component of a directory was refused, and why."""
    (error,) = (each.error for each in done.report.directories if each.path == str(directory))
    assert isinstance(error, UntrustedError)
    assert 4 == error.exit_code
    return error.component, error.problem


@as_root
class TestRefused:
    """Directories that others can change."""

    @pytest.mark.parametrize("where", ["app/plugins", "app"])
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda path: path.chmod(0o777), "can be written by others"),
            (lambda path: (os.chown(path, 0, 4), path.chmod(0o775)), "can be written by group 4"),
            (lambda path: os.chown(path, NOBODY, 0), f"belongs to user {NOBODY}"),
        ],
        ids=["others", "group", "owner"],
    )
    def test_refused(
        self, app: Tree, where: str, change: Callable[[Path], object], words: str
    ) -> None:
        """Nothing is written there, and nothing from there imported; the others go on."""
        path = app.path / "other" / where
        change(path)
        done = run(app, app.path / "other")
        assert {
            str(plugins(app)): "written",
            str(plugins(app, "other")): "refused",
        } == done.states
        component, found = problem(done, plugins(app, "other"))
        assert str(path) == component
        assert found.startswith(words)
        assert ["one"] == done.imported
        assert ["two.py"] == os.listdir(plugins(app, "other"))

    def test_command(self, app: Tree) -> None:
        """The command says so, and what to do, by its status, too."""
        plugins(app).chmod(0o777)
        done = command_line.run("update", "app.plugins", "--path", app.path)
        assert 4 == done.status
        assert done.out.startswith(f"refused: {plugins(app)} ")
        assert f"{plugins(app)} can be written by others" in done.err

    def test_above_all(self, app: Tree) -> None:
        """An import root that others can write is not even imported from."""
        app.path.chmod(0o777)
        with pytest.raises(UntrustedError) as caught:
            run(app)
        assert str(app.path) == caught.value.component

    def test_check(self, app: Tree) -> None:
        """A check of root's finds the same."""
        plugins(app, "other").chmod(0o777)
        done = run(app, app.path / "other", write=False)
        assert "refused" == done.states[str(plugins(app, "other"))]

    def test_still_hides(self, app: Tree) -> None:
        """What is refused still hides others of its name, as it does for applications."""
        app.dropin("one", root="other")
        (app.path / "back").mkdir()
        back = Tree(app.path / "back")
        app.write("first/app/plugins/two.py")
        plugins(app, "first").chmod(0o777)
        done = run(back, app.path, app.path / "first", app.path / "other")
        assert "refused" == done.states[str(plugins(app, "first"))]
        assert str(plugins(app, "other")) not in done.states
        assert ["one"] == done.imported

    def test_trusted_group(self, app: Tree) -> None:
        """Directories of a group that the configuration names are written."""
        os.chown(plugins(app), 0, 4)
        plugins(app).chmod(0o775)
        script = """
            mount -t tmpfs none /etc/dropin-cache 2>/dev/null || {
                mkdir -p "$TREE/etc"; cp -a /etc/. "$TREE/etc"; mkdir "$TREE/etc/dropin-cache"
                mount --bind "$TREE/etc" /etc
            }
            echo "trusted-groups = 4" > /etc/dropin-cache/dropin-cache.conf
            exec "$@"
        """
        arguments = [sys.executable, "-B", "-m", "dropin_cache", "update", "-q", "app.plugins"]
        arguments += ["--path", str(app.path)]
        env = {"TREE": str(app.path.parent / "layer")}
        assert (0, "", "") == command_line.in_mount_namespace(script, *arguments, env=env)
        assert ["one"] == cached(plugins(app))

    def test_outside_of_any_import_root(self, app: Tree) -> None:
        """A directory that a package has put on its path by itself is not this command's."""
        app.write("elsewhere/three.py")
        with (plugins(app) / "__init__.py").open("a") as file:
            file.write(f"__path__.append({str(app.path / 'elsewhere')!r})\n")
        done = run(app)
        elsewhere = app.path / "elsewhere"
        assert {str(plugins(app)): "written", str(elsewhere): "refused"} == done.states
        assert (
            str(elsewhere),
            "is no directory of app.plugins in any import root",
        ) == problem(done, elsewhere)
        assert ["three.py"] == os.listdir(elsewhere)

    def test_allowed(self, app: Tree) -> None:
        """Unless the configuration allows it, also where children would not see it."""
        app.write("elsewhere/three.py", (plugins(app) / "one.py").read_text())
        elsewhere = app.path.parent / "elsewhere"
        (app.path / "elsewhere").rename(elsewhere)
        with (plugins(app) / "__init__.py").open("a") as file:
            file.write(f"__path__.append({str(elsewhere)!r})\n")
        done = run(app)
        assert "refused" == done.states[str(elsewhere)]
        script = """
            mount -t tmpfs none /etc/dropin-cache 2>/dev/null || {
                mkdir -p "$TREE/etc"; cp -a /etc/. "$TREE/etc"; mkdir "$TREE/etc/dropin-cache"
                mount --bind "$TREE/etc" /etc
            }
            echo "plugin-directories = /nowhere $ALLOWED" > /etc/dropin-cache/dropin-cache.conf
            exec "$@"
        """
        arguments = [sys.executable, "-B", "-m", "dropin_cache", "update", "-q", "app.plugins"]
        arguments += ["--path", str(app.path)]
        env = {"TREE": str(app.path.parent / "layer"), "ALLOWED": str(elsewhere)}
        assert (0, "", "") == command_line.in_mount_namespace(script, *arguments, env=env)
        assert ["three"] == cached(elsewhere)

    def test_below(self, app: Tree) -> None:
        """Directories below the package's own are, too, which DesertBot and txircd use."""
        text = (plugins(app) / "one.py").read_text()
        for name in ("flat/three", "pack/__init__", "pack/four", "pack/deep/five"):
            app.write(f"app/plugins/{name}.py", "" if "__init__" in name else text)
        with (plugins(app) / "__init__.py").open("a") as file:
            file.write(
                "import os\n"
                "for top, names, _ in os.walk(os.path.dirname(os.path.realpath(__file__))):\n"
                "    __path__ += [f'{top}/{name}' for name in names if name[0] != '_']\n"
            )
        done = run(app)
        directories = [plugins(app) / name for name in ("", "flat", "pack", "pack/deep")]
        assert dict.fromkeys(map(str, directories), "written") == done.states
        assert [["one"], ["three"], ["four", "pack"], ["five"]] == [
            cached(directory) for directory in directories
        ]
        assert [] == run(app).imported

    def test_link_below(self, app: Tree) -> None:
        """A link in there that leads elsewhere is not."""
        (app.path.parent / "elsewhere").mkdir()
        app.write("../elsewhere/three.py", (plugins(app) / "one.py").read_text())
        (plugins(app) / "out-side").symlink_to(app.path.parent / "elsewhere")
        with (plugins(app) / "__init__.py").open("a") as file:
            file.write("__path__.append(__path__[0] + '/out-side')\n")
        done = run(app)
        assert "refused" == done.states[str(plugins(app) / "out-side")]
        assert ["three.py"] == os.listdir(app.path.parent / "elsewhere")

    def test_link_of_somebody(self, app: Tree) -> None:
        """A link that others have put in the way is not followed."""
        shutil.move(str(plugins(app, "other")), str(app.path / "moved"))
        plugins(app, "other").symlink_to(app.path / "moved")
        os.lchown(plugins(app, "other"), NOBODY, NOBODY)
        done = run(app, app.path / "other")
        component, found = problem(done, plugins(app, "other"))
        assert str(plugins(app, "other")) == component
        assert found.startswith("is a symbolic link of user")

    @pytest.mark.parametrize(
        ("change", "state"),
        [
            (lambda path: path.chmod(0o755), "written"),
            (lambda path: path.chmod(0o777), "refused"),
            (lambda path: os.chown(path, NOBODY, NOBODY), "refused"),
        ],
        ids=["root's", "others", "owner"],
    )
    def test_package(self, app: Tree, change: Callable[[Path], object], state: str) -> None:
        """A drop-in that is a package is a directory of its own."""
        package = app.write("app/plugins/pack/__init__.py").parent
        change(package)
        done = run(app)
        assert {str(plugins(app)): "written", str(package): state} == done.states
        assert (state == "written") == (package / CACHE).exists()

    def test_package_in_a_refused_directory(self, app: Tree) -> None:
        """One in a directory that is refused is refused with it."""
        package = app.write("app/plugins/pack/__init__.py").parent
        plugins(app).chmod(0o777)
        done = run(app)
        assert {str(plugins(app)): "refused", str(package): "refused"} == done.states

    def test_package_by_a_link(self, app: Tree) -> None:
        """One that is a link of root's is where that leads to."""
        app.write("elsewhere/pack/__init__.py")
        (plugins(app) / "pack").symlink_to(app.path / "elsewhere" / "pack")
        done = run(app)
        assert "written" == done.states[str(plugins(app) / "pack")]
        assert ["pack"] == cached(app.path / "elsewhere" / "pack")

    def test_file_of_others(self, app: Tree) -> None:
        """A drop-in that is a link to what others can change is broken, and not imported."""
        target = app.write("public/three.py", "1/0")
        target.parent.chmod(0o777)
        (plugins(app) / "three.py").symlink_to(target)
        done = run(app)
        (broken,) = done.report.directories[0].broken
        assert "app.plugins.three" == broken.module
        assert f"{target.parent} can be written by others" in broken.error
        assert ["one"] == done.imported == cached(plugins(app))

    def test_link_of_root(self, app: Tree) -> None:
        """One that is a link to what only root can change is as good as any."""
        target = app.write("elsewhere/three.py", "'Text.'")
        (plugins(app) / "three.py").symlink_to(target)
        done = run(app)
        assert ["one", "three"] == done.imported == cached(plugins(app))
        assert run(app).alone
        target.write_text("'Changed.'")
        assert ["one", "three"] == run(app).imported  # nobody's, as the other is


class TestOneDirectory:
    """Directories with several names, and drop-ins that are links."""

    def test_two_names(self, app: Tree) -> None:
        """A directory that is on the path by two names is one, whichever comes first."""
        (app.path / "link").symlink_to("other")
        for further in (("link", "other"), ("other", "link")):
            paths = [app.path / name for name in further]
            done = run(app, *paths)
            assert 2 == len(done.states)
            assert run(app, *paths).alone

    def test_dangling_link(self, app: Tree) -> None:
        """A link to nothing is no drop-in."""
        (plugins(app) / "three.py").symlink_to("nowhere")
        assert ["one"] == run(app).imported

    def test_archive(self, app: Tree) -> None:
        """An archive on the path has no cache."""
        archive = shutil.make_archive(str(app.path / "archive"), "zip", app.path / "other")
        with (plugins(app) / "__init__.py").open("a") as file:
            file.write(f"__path__.append({archive + '/app/plugins'!r})\n")
        assert {str(plugins(app)): "written"} == run(app).states


class TestGone:
    """What is left of a package that is not there any more."""

    def test_package(self, app: Tree) -> None:
        """Its cache goes, and the directories that are left empty with it."""
        run(app)
        for path in (plugins(app) / "one.py", plugins(app) / "__init__.py"):
            path.unlink()
        for name in ("__init__.py", "interfaces.py"):
            (app.path / "app" / name).unlink()
        done = run(app)
        assert {str(plugins(app)): "removed"} == done.states
        (directory,) = done.report.directories
        assert (str(plugins(app)), str(plugins(app).parent)) == directory.pruned
        assert ["other"] == os.listdir(app.path)

    def test_without_naming_it(self, app: Tree) -> None:
        """Also when nobody names it any more."""
        pythons = (command_line.bare_environment(app.path / "environment").python,)
        run(app, pythons=pythons)
        shutil.copy(plugins(app) / CACHE, app.path / "kept")
        shutil.rmtree(app.path / "app")
        plugins(app).mkdir(parents=True)
        shutil.copy(app.path / "kept", plugins(app) / CACHE)
        done = run(app, packages=(), pythons=pythons)
        assert "removed" == done.states[str(plugins(app))]
        assert not (app.path / "app").exists()

    def test_other_files(self, app: Tree) -> None:
        """Directories with anything else in them stay, and what is in them."""
        run(app)
        for path in (plugins(app) / "one.py", plugins(app) / "__init__.py"):
            path.unlink()
        (app.path / "app" / "__init__.py").unlink()
        app.write("app/README.txt")
        done = run(app)
        assert {str(plugins(app)): "removed"} == done.states
        assert {"README.txt", "interfaces.py"} == set(os.listdir(app.path / "app"))

    def test_of_twisted(self, tree: Tree) -> None:
        """A cache that Twisted has written in a package that is gone stays."""
        cache = tree.write(f"app/plugins/{CACHE}")
        cache.write_bytes(pickle.dumps({}))
        tree.write("app.py")  # hides the package
        assert {} == run(tree).states
        assert cache.exists()

    def test_never_seen(self, tree: Tree) -> None:
        """One of ours goes also if no ledger tells of it."""
        cache = tree.write(f"app/plugins/{CACHE}")
        entry = CachedDropin("app.plugins.one", None)
        entry.fingerprint = Fingerprint(0, 0, "0" * 64)
        cache.write_bytes(encode([entry]))
        tree.write("app.py")  # hides the package
        assert {str(cache.parent): "removed"} == run(tree).states
        assert ["app.py"] == os.listdir(tree.path)

    @pytest.mark.parametrize("known", [True, False])
    def test_drop_ins_of_another(self, app: Tree, known: bool) -> None:
        """Where drop-ins are left that this interpreter cannot use, another may use them."""
        run(app)
        if not known:
            shutil.rmtree(ledger_file().parent)
        (app.path / "app" / "__init__.py").unlink()
        (plugins(app) / "__init__.py").unlink()
        app.write("app.py")
        done = run(app)
        assert ({str(plugins(app)): "removed"} if known else {}) == done.states
        assert known != (plugins(app) / CACHE).exists()

    def test_last_drop_in(self, app: Tree) -> None:
        """When the last drop-in of a directory goes, its cache does, and it stays if it is used."""
        run(app, app.path / "other")
        (plugins(app) / "one.py").unlink()
        (plugins(app, "other") / "two.py").unlink()
        done = run(app, app.path / "other")
        assert {
            str(plugins(app)): "removed",
            str(plugins(app, "other")): "removed",
        } == done.states
        assert ["__init__.py"] == os.listdir(plugins(app))
        assert [] == os.listdir(app.path / "other")
        assert {} == run(app, app.path / "other").states

    def test_not_on_the_path_this_time(self, app: Tree) -> None:
        """A run that does not look at a directory leaves the caches of what is in use there."""
        app.write("app/plugins/pack/__init__.py")
        pythons = (command_line.bare_environment(app.path / "environment").python,)
        done = run(app, pythons=pythons)
        expected = dict.fromkeys(done.states, True)
        (app.path / "empty").mkdir()
        run(Tree(app.path / "empty"), packages=(), pythons=pythons)
        assert expected == {path: (Path(path) / CACHE).exists() for path in done.states}


class TestSurvey:
    """A look at directories without rules to obey."""

    @pytest.fixture
    def target(self, app: Tree) -> Target:
        """The package as an interpreter sees it that imports from the tree."""
        paths = [str(app.path), str(app.path / "other")]
        interpreter = interpreter_of(sys.executable, paths, [])
        search_path = (str(plugins(app)), str(plugins(app, "other")))
        return Target("app.plugins", search_path, interpreter, tuple(paths))

    def survey(self, *, trusted: bool = False) -> Survey:
        """Return a survey for a user, or one that opens what it relies on."""
        files = Files(enforced=False)
        return Survey({}, trusted=trusted, files=files, unchecked=files)

    def test_directories(self, app: Tree, target: Target) -> None:
        """Directories are known by their paths, and hold what they hold."""
        with self.survey() as survey:
            one, two = survey.plugin_directories([target])
            assert [str(plugins(app)), str(plugins(app, "other"))] == [
                path for path, _ in survey.trusted_directories([target])
            ]
        assert (str(plugins(app)), str(plugins(app)), str(app.path)) == (
            one.directory,
            one.handle,
            one.import_root,
        )
        assert (("__init__.py", "one.py"), ("two.py",)) == (one.names, two.names)
        assert {"app.plugins.two": (target.interpreter.key,)} == two.seen_by
        assert {"app.plugins.two": f"{plugins(app, 'other')}/two.py"} == two.paths
        assert (None, {}) == (one.refusal, one.refused)

    @pytest.mark.parametrize("inside", [True, False])
    @pytest.mark.parametrize("outside", ["package", "empty", "file", "nothing"])
    def test_package_behind_a_link(self, tmp_path: Path, inside: bool, outside: str) -> None:
        """What an absolute link of an image leads to is in the image, whatever is outside."""
        image, place = Tree(tmp_path / "image"), tmp_path / "place"
        image.write("site/app/plugins/one.py")
        (image.path / "site/app/plugins/pack").symlink_to(place)
        if inside:
            image.write(f"{place}/__init__.py".lstrip("/"), "inside")
        if outside == "file":
            place.touch()
        elif outside != "nothing":
            place.mkdir()
        if outside == "package":
            (place / "__init__.py").write_text("it is outside")
        interpreter = interpreter_of("/usr/bin/python3", [], [])
        target = Target("app.plugins", ("/site/app/plugins",), interpreter, ("/site",))
        with (
            Files(enforced=False, root=str(image.path)) as files,
            Survey({}, trusted=True, files=files, unchecked=files) as survey,
        ):
            found = survey.plugin_directories([target])
            sizes = {dropin.key: dropin.size for each in found for dropin in each.dropins}
        assert {"one": 0, **({"pack": len("inside")} if inside else {})} == sizes

    def test_two_interpreters(self, target: Target) -> None:
        """What several interpreters see is seen by each, in their order."""
        other = interpreter_of("/other", [], [])
        targets = [target, target._replace(interpreter=other)]
        with self.survey() as survey:
            one, two = survey.plugin_directories(targets)
        assert {"app.plugins.one": (target.interpreter.key, other.key)} == one.seen_by
        assert (target.interpreter, other) == one.interpreters == two.interpreters

    def test_archive(self, app: Tree, target: Target) -> None:
        """What is in an archive has no place for a cache."""
        archive = shutil.make_archive(str(app.path / "archive"), "zip", app.path / "other")
        target = target._replace(search_path=(archive + "/app/plugins",))
        for trusted in (False, True):
            with self.survey(trusted=trusted) as survey:
                assert [] == survey.plugin_directories([target])

    def test_remains(self, app: Tree, target: Target) -> None:
        """Of a package that is not installed, what is left is looked for."""
        target = target._replace(search_path=None)
        with self.survey() as survey:
            assert [] == survey.plugin_directories([target])
            (plugins(app, "other") / "two.py").unlink()
            entry = CachedDropin("app.plugins.two", None)
            (plugins(app, "other") / CACHE).write_bytes(encode([entry]))
            (found,) = survey.plugin_directories([target])
        assert (str(plugins(app, "other")), ()) == (found.directory, found.dropins)

    def test_remains_of_this_interpreter(self, app: Tree, target: Target) -> None:
        """What only this interpreter wrote goes, though plugin modules are there."""
        entry = CachedDropin("app.plugins.one", None)
        (plugins(app) / CACHE).write_bytes(encode([entry]))
        files = Files(enforced=False)
        for keys, expected in ({"key"}, 0), ({target.interpreter.key}, 1):
            written = {str(plugins(app)): list(keys)}
            with Survey(written, trusted=False, files=files, unchecked=files) as survey:
                found = survey.plugin_directories([target._replace(search_path=None)])
                assert expected == len(found)

    def test_link_vanishes(self, app: Tree, target: Target) -> None:
        """A plugin module that goes away while it is looked at is none."""
        with self.survey(trusted=True) as survey:
            found, _ = survey.plugin_directories([target])
            (plugins(app) / "gone.py").symlink_to("nowhere")
            gone = Dropin("gone", "app.plugins.gone", f"{found.handle}/gone.py")
            joined = survey._joined(found, target.interpreter, [gone])
        assert found.dropins == joined.dropins


def nothing(*_: object) -> None:
    """Show no progress."""
