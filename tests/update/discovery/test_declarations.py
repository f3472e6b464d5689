"""Tests of what distributions declare, and may."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from dropin_cache.update.discovery.declarations import (
    Declarations,
    declarations,
    entry_points_in,
    is_standard,
    located,
    plugin_package_in,
)
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.files.trusted import Files

if TYPE_CHECKING:
    from conftest import Tree

FILES = Files(enforced=False)
STANDARD = os.path.dirname(os.__file__)


def declared(tree: Tree, *roots: str) -> Declarations:
    """Return what is declared in import roots of a tree, behind the standard library."""
    path = [STANDARD, *(str(tree.path / root) for root in roots or ("",))]
    path = [os.path.normpath(each) for each in path]
    return declarations(path, Owners(None, FILES), FILES, FILES)


class TestEntryPointsIn:
    """What a file declares."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("[dropin_cache.packages]\nx = app.plugins\n", ["app.plugins"]),
            ("[dropin_cache.packages]\nx = a:b\ny=c [extra]\n\n[other]\nz = d", ["a", "c"]),
            ("[other]\nx = a\n [dropin_cache.packages] \r\n\tx\t=\ta\r\n", ["a"]),
            ("[dropin_cache.packages]\n# x = a\n; y = b\nx\n= c\n", ["c"]),
            ("[dropin_cache.packages]\nx = a\nx = b", ["a", "b"]),
            ("x = a\n[dropin_cache.packages.more]\nx = a", []),
            ("[dropin_cache.packages]", []),
            ("", []),
        ],
    )
    def test_names(self, text: str, expected: list[str]) -> None:
        """Each line of our group names a package."""
        assert expected == list(entry_points_in(text))


class TestDeclarations:
    """What counts of it."""

    def test_own(self, app: Tree) -> None:
        """A package that the same distribution has installed counts."""
        app.declare("app.plugins")
        assert Declarations(("app.plugins",)) == declared(app)

    def test_nothing(self, app: Tree) -> None:
        """Where nothing is declared, nobody is asked whose anything is."""
        assert Declarations() == declared(app)

    @pytest.mark.parametrize(
        "name",
        [
            *("json", "encodings", "xml.dom", "os", "asyncore", "tomllib", "distutils.command"),
            *("app", "app.other", "app.plugins", "app.plugins.inner", "other.plugins"),
            *("space", "space.more", "App.plugins", "app.Plugins", "nowhere", "nowhere.plugins"),
            *("app..plugins", ".app", "app.", "", ".", "app.interfaces", "app.plugins.hello"),
            *("../app", "/app", "app/plugins", "a" * 5000, "app.plugins.class\t", "\0", "\x1b[2J"),
        ],
    )
    def test_not_installed(self, app: Tree, name: str) -> None:
        """Another's, the standard library's, nobody's, and what is no package do not."""
        for file in ("other", "plugins/inner"):
            app.write(f"app/{file}/__init__.py")
        app.application("other")
        app.write("space/more/module.py")
        app.declare("app.plugins", name="app")
        app.write("evil-1.dist-info/entry_points.txt", f"[dropin_cache.packages]\nx = {name}\n")
        lines = "evil-1.dist-info/entry_points.txt,,\nspace/more/module.py,,\nevil.py,,\n"
        app.write("evil-1.dist-info/RECORD", lines)
        packages, refused = declared(app)
        assert ("app.plugins",) == packages
        assert len(refused) == (name != "app.plugins")
        assert all(line.isprintable() and len(line) < 1000 for line in refused)

    @pytest.mark.parametrize(
        "claim",
        [
            "../json/__init__.py",
            "{standard}/json/__init__.py",
            "json/__init__.py",
            "./json/__init__.py",
            "x/../../../json/__init__.py",
        ],
    )
    def test_claim_of_the_standard_library(self, app: Tree, claim: str) -> None:
        """A RECORD can claim what it likes: what an import finds is the standard library's."""
        app.write("lib/os.py")
        app.write("lib/json/__init__.py")
        app.write("lib/site/json/__init__.py")
        app.declare("json", name="evil", root="lib/site")
        record = app.path / "lib/site/evil-1.dist-info/RECORD"
        with record.open("a") as file:
            file.write(claim.format(standard=app.path / "lib") + ",,\n")
        path = [str(app.path / "lib"), str(app.path / "lib/site")]
        assert () == declarations(path, Owners(None, FILES), FILES, FILES).packages

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: (tree.path / "app-1.dist-info/RECORD").unlink(),
            lambda tree: tree.write("app-1.dist-info/RECORD", "app/plugins/__init__.py,,\n"),
            lambda tree: tree.write(
                "app-1.dist-info/RECORD",
                "app-1.dist-info/entry_points.txt,,\napp/plugins/__init__.py,,\n",
            ),
            lambda tree: tree.write("copy-1.dist-info/RECORD", "app/__init__.py,,\n"),
            lambda tree: tree.write("copy-1.dist-info/RECORD", "app-1.dist-info/entry_points.txt"),
            lambda tree: (tree.path / "app/__init__.py").unlink() or tree.write("app.py"),
        ],
    )
    def test_not_sure(self, app: Tree, change: Any) -> None:
        """What is not recorded, not from the top, or claimed by several, does not."""
        app.declare("app.plugins")
        change(app)
        assert () == declared(app).packages

    def test_hidden(self, app: Tree) -> None:
        """Nor does what another of the same name hides."""
        app.declare("app.plugins")
        app.application("first/app")
        assert () == declared(app, "first", "").packages
        assert ("app.plugins",) == declared(app, "", "first").packages

    def test_in_a_namespace(self, tree: Tree) -> None:
        """Above it there may be packages without a file of their own, and so may it be one."""
        tree.application("space/app")
        tree.write("more/space/others.py")
        entries = tree.declare("space.app.plugins", "space.app.sub")
        tree.write("space/app/sub/one.py")
        record = entries.with_name("RECORD")
        record.write_text(record.read_text().replace("space/__init__.py,,\n", ""))
        assert ("space.app.plugins", "space.app.sub") == declared(tree, "", "more").packages

    def test_several(self, app: Tree) -> None:
        """What one of several may declare counts, and is told by none."""
        app.declare("app.plugins")
        app.write("b-1.dist-info/entry_points.txt", "[dropin_cache.packages]\nx = app.plugins\n")
        assert Declarations(("app.plugins",)) == declared(app)

    def test_many(self, app: Tree) -> None:
        """Few of many are told."""
        app.declare(*(f"none{number}" for number in range(200)))
        refused = declared(app).refused
        assert (6, "so do 95 more") == (len(refused), refused[-1])
        assert "app declares none0, which is no package that it has installed" == refused[0]

    @pytest.mark.parametrize("kind", ["fifo", "directory", "large", "undecodable"])
    def test_strange_files(self, app: Tree, kind: str) -> None:
        """What is no file of entry points declares nothing, and nobody waits for it."""
        file = app.declare("app.plugins")
        if kind == "large":
            file.write_text(file.read_text() + "#" * (1 << 20))
        elif kind == "undecodable":
            file.write_bytes(file.read_bytes().replace(b"app.", b"app\xff."))
        else:
            file.unlink()
            file.mkdir() if kind == "directory" else os.mkfifo(file)
        assert () == declared(app).packages


class TestEditable:
    """Distributions whose packages are elsewhere."""

    def install(self, tree: Tree, metadata: str, files: dict[str, str]) -> None:
        """Install one into `site`, of which the source tree is `work/src`."""
        for file in ("src/app", "src/app/plugins"):
            tree.write(f"work/{file}/__init__.py")
        entries = "[dropin_cache.packages]\nx = app.plugins\n"
        lines = "".join(f"{name},,\n" for name in [*files, f"{metadata}/entry_points.txt"])
        tree.write(f"site/{metadata}/entry_points.txt", entries)
        tree.write(f"site/{metadata}/RECORD", lines)
        for name, text in files.items():
            tree.write(f"site/{name}", text.format(work=tree.path / "work"))

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"__editable__.app.pth": "{work}/src\n"}, True),
            ({"_app.pth": "# mine\nimport sys\n{work}/other\n{work}/src/\n"}, True),
            ({"app.pth": "../work/src"}, True),
            ({"app.pth": "{work}\n"}, False),
            ({"app/app.pth": "{work}/src\n"}, False),
            ({"app.txt": "{work}/src\n"}, False),
            ({}, False),
        ],
    )
    def test_path_file(self, tree: Tree, files: dict[str, str], expected: bool) -> None:
        """An import root that a path file of its own names is the distribution's."""
        self.install(tree, "app-1.dist-info", files)
        found = declared(tree, "site", "work/src")
        assert (("app.plugins",) if expected else ()) == found.packages

    def test_root_of_others(self, tree: Tree) -> None:
        """One in which there are others is not, whoever names it."""
        self.install(tree, "app-1.dist-info", {"app.pth": "{work}/src\n"})
        tree.write("work/src/other-1.dist-info/METADATA", "Name: other\n")
        assert () == declared(tree, "site", "work/src").packages

    def test_of_the_standard_library(self, tree: Tree) -> None:
        """Neither is the standard library's."""
        self.install(tree, "app-1.dist-info", {"app.pth": "{work}/src\n"})
        tree.write("work/src/os.py")
        assert () == declared(tree, "site", "work/src").packages

    def test_without_metadata_of_its_own(self, tree: Tree) -> None:
        """In the old manner, metadata is in the source tree, and a link leads there."""
        self.install(tree, "other-1.dist-info", {"easy-install.pth": "{work}/src\n"})
        tree.write("site/other-1.dist-info/entry_points.txt")
        text = "[dropin_cache.packages]\nx = app.plugins\n"
        tree.write("work/src/app.egg-info/entry_points.txt", text)
        assert () == declared(tree, "site", "work/src").packages
        tree.write("site/app.egg-link", f"{tree.path}/work/src\n.")
        assert ("app.plugins",) == declared(tree, "site", "work/src").packages

    def test_egg(self, tree: Tree) -> None:
        """An egg holds one distribution, and all of it is its own."""
        text = "[dropin_cache.packages]\nx = app.plugins\ny = json\n"
        tree.write("app-1.egg/EGG-INFO/entry_points.txt", text)
        for file in ("app", "app/plugins", "json"):
            tree.write(f"app-1.egg/{file}/__init__.py")
        found = declared(tree, "app-1.egg")
        assert (("app.plugins",), 1) == (found.packages, len(found.refused))

    def test_installed_files(self, tree: Tree) -> None:
        """What pip has recorded for setuptools counts as a RECORD does."""
        tree.application()
        text = "[dropin_cache.packages]\nx = app.plugins\n"
        tree.write("app-1.egg-info/entry_points.txt", text)
        assert () == declared(tree).packages
        lines = "entry_points.txt\n../app/__init__.py\n../app/plugins/__init__.py\n"
        tree.write("app-1.egg-info/installed-files.txt", lines)
        assert ("app.plugins",) == declared(tree).packages


class TestLocated:
    """Finding packages as imports do."""

    def test_portions(self, tree: Tree) -> None:
        """Directories without a file of their own count together, until there is one with it."""
        tree.write("one/space/x.py")
        tree.write("two/space/y.py")
        tree.write("three/space/__init__.pyc")
        roots = [str(tree.path / name) for name in ("none", "one", "two")]
        place = located("space", roots, FILES)
        assert place is not None
        assert (roots[1], (), 2) == (place.root, place.files, len(place.directories))
        place = located("space", [*roots, str(tree.path / "three")], FILES)
        assert place is not None
        assert (str(tree.path / "three"), 1) == (place.root, len(place.files))

    @pytest.mark.parametrize("name", ["module", "module.x", "none", "app.none", "app.\0"])
    def test_none(self, app: Tree, name: str) -> None:
        """A module is no package, and hides one behind it."""
        app.write("module.py")
        app.write("later/module/__init__.py")
        assert None is located(name, [str(app.path), str(app.path / "later")], FILES)

    @pytest.mark.parametrize("name", ["json", "encodings", "xml.dom", "concurrent.futures"])
    def test_standard(self, name: str) -> None:
        """What lies beside the module os is the standard library's, on each version."""
        place = located(name, [STANDARD], FILES)
        assert place is not None
        assert is_standard(place, FILES)

    def test_not_standard(self, app: Tree) -> None:
        """Another package is not, whatever it is called."""
        app.write("json/__init__.py")
        place = located("json", [str(app.path)], FILES)
        assert place is not None
        assert not is_standard(place, FILES)


class TestPluginPackageIn:
    """Plugin packages in packages."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("app", "app.plugins"),
            ("app.plugins", None),
            ("app.plugins.pack", None),
            ("space", "space.more"),
            ("empty", None),
        ],
    )
    def test_name(self, app: Tree, name: str, expected: str | None) -> None:
        """One is told by its text; a plugin package has modules in it, whatever these do."""
        text = "from dropin_cache import pluginPackagePaths\n"
        app.write("app/plugins/pack/__init__.py", text)
        app.write("app/plugins/pack/inner/__init__.py")
        app.write("space/more/__init__.py", text)
        app.write("space/not-one/__init__.py", text)
        app.write("empty/__init__.py")
        place = located(name, [str(app.path)], FILES)
        assert place is not None
        assert expected == plugin_package_in(name, place, FILES)
