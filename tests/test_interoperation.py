"""Stock Twisted and this project read each other's caches, in real environments.

Nox makes the environments, one with Twisted 22.4.0 and one with the newest Twisted and packages
that bring plugins. Each test works on whole copies of them, so that interpreter, import path and
plugin directories are what they are in an installation.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import textwrap
from pathlib import Path

import pytest

import command_line
from conftest import missing, run_python

pytestmark = pytest.mark.processes

VARIABLES = ("DROPIN_CACHE_TWISTED_OLD", "DROPIN_CACHE_TWISTED_NEW")

# What plugins can be like, beyond what the real packages show.
SAMPLES = {
    "sample/__init__.py": "",
    "sample/interfaces.py": """
        from zope.interface import Interface

        class IPlain(Interface):
            "Provided as it is."

        class IExtended(IPlain):
            "Extends another one."

        class IAdapted(Interface):
            "Provided by nobody, reached through an adapter."

        class IUnused(Interface):
            "Provided by nobody."
        """,
    "sample/adapters.py": """
        from twisted.python.components import registerAdapter
        from sample.interfaces import IAdapted, IPlain

        class Adapter:
            def __init__(self, original):
                self.original = original

        registerAdapter(Adapter, IPlain, IAdapted)
        """,
    "twisted/plugins/sample_order.py": '''
        """Zwei Zeilen, in UTF-8: Maß und Größe.

            An indented one.
        """
        from zope.interface import directlyProvides, implementer
        from twisted.plugin import IPlugin
        from sample.interfaces import IExtended, IPlain

        @implementer(IPlugin, IExtended)
        class Extended:
            "Provides an interface that extends another."

        @implementer(IPlain, IPlugin)
        class Plain:
            pass

        class Inherits(Plain):
            """Inherits what it implements."""

        zebra = Extended()
        yak = Plain()
        alpaca = Inherits()
        also_zebra = zebra
        directlyProvides(Inherits, IPlugin)
        ''',
    "twisted/plugins/sample_marked.py": """
        from zope.interface import implementer
        from twisted.plugin import IPlugin

        @implementer(IPlugin)
        class Marked:
            "Is a plugin and nothing else."

        marked = Marked()
        """,
    "twisted/plugins/sample_none.py": '"A drop-in without plugins."',
    "twisted/plugins/sample_package/__init__.py": """
        "A drop-in that is a package, with a cache of its own."
        from twisted.plugins.sample_order import Extended

        inside = Extended()
        """,
}
_OLD_NS = 1_500_000_000 * 10**9

# Reads a site's caches with one of the two libraries and prints all it found and caused.
READ = """
    import inspect
    import json
    import logging
    import os
    import sys
    from pathlib import Path

    import sample.adapters
    import sample.interfaces
    import twisted.plugins
    from twisted.logger import LogLevel, globalLogPublisher

    logged = []

    class Handler(logging.Handler):
        def emit(self, record):
            logged.append(record.getMessage())

    def observe(event):
        if event.get("log_level", LogLevel.info) > LogLevel.debug:
            logged.append(str(event.get("log_format") or event.get("log_text")))

    logging.getLogger().addHandler(Handler())
    globalLogPublisher.addObserver(observe)

    if sys.argv[1] == "twisted":
        from twisted.plugin import getCache, getPlugins
    else:
        from dropin_cache import getCache, getPlugins

    def dropins():
        return sorted(name for name in sys.modules if name.startswith("twisted.plugins."))

    def dotted(interface):
        return f"{interface.__module__}.{interface.__name__}"

    def name_of(plugin):
        plugin = getattr(plugin, "original", plugin)
        for module in dropins():
            for name, value in vars(sys.modules[module]).items():
                if value is plugin:
                    return f"{module}.{name}"

    def text(description):
        # Our writer takes the indentation away, as Python itself does from 3.13 on.
        return description and inspect.cleandoc(description)

    def stamps():
        caches = Path(twisted.plugins.__path__[0]).rglob("dropin.cache")
        status = {str(cache): cache.stat() for cache in caches}
        return {path: (each.st_ino, each.st_mtime_ns) for path, each in status.items()}

    found = {"writable": os.access(twisted.plugins.__path__[0], os.W_OK), "before": stamps()}
    known = set(sys.modules)
    cache = getCache(twisted.plugins)
    loaded = set(sys.modules) - known
    # What our library loads of its own when it meets a cache of Twisted's is another matter.
    found["loaded_by_reading"] = sorted(
        name for name in loaded if not name.startswith("dropin_cache.")
    )
    found["cache"] = [
        [key, dropin.moduleName, text(dropin.description)]
        + [
            [plugin.name, text(plugin.description), [dotted(each) for each in plugin.provided]]
            for plugin in dropin.plugins
        ]
        for key, dropin in cache.items()
    ]
    found["reprs"] = [repr(plugin) for dropin in cache.values() for plugin in dropin.plugins]
    found["loaded_by_looking"] = dropins()
    interfaces = {sample.interfaces.IAdapted, sample.interfaces.IUnused}
    for dropin in cache.values():
        for plugin in dropin.plugins:
            for provided in plugin.provided:
                interfaces.update(provided.__iro__)
    found["plugins"] = {
        dotted(interface): [name_of(plugin) for plugin in getPlugins(interface, twisted.plugins)]
        for interface in interfaces
    }
    found["after"] = stamps()
    found["logged"] = logged
    print(json.dumps(found, sort_keys=True))
"""

# Asks our library for the plugins of one interface and prints what was loaded for that.
ASK = """
    import importlib, json, sys
    import twisted.plugins
    module, _, name = sys.argv[1].rpartition(".")
    interface = getattr(importlib.import_module(module), name)
    from dropin_cache import getPlugins
    known = set(sys.modules)
    count = len(list(getPlugins(interface, twisted.plugins)))
    print(json.dumps([count, sorted(set(sys.modules) - known)]))
"""

# Imports the modules of those plugins by name instead.
IMPORT = """
    import importlib, json, sys
    import twisted.plugins
    importlib.import_module(sys.argv[1].rpartition(".")[0])
    import dropin_cache
    known = set(sys.modules)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    print(json.dumps(sorted(set(sys.modules) - known)))
"""


class Site:
    """A copy of an environment with Twisted, plugin packages, the project and the samples.

    Attributes:
        python: Its interpreter.
        directories: Where caches belong.
    """

    def __init__(self, original: Path, path: Path) -> None:
        shutil.copytree(original, path, symlinks=True)
        self.python = str(path / "bin" / "python")
        self._read: dict[str, dict[str, object]] = {}
        (packages,) = path.glob("lib/python3*/site-packages")
        for name, text in SAMPLES.items():
            file = packages / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
            os.utime(file, ns=(_OLD_NS, _OLD_NS))
        self.directories = [
            packages / "twisted" / "plugins",
            packages / "twisted" / "plugins" / "sample_package",
        ]
        for cache in packages.rglob("dropin.cache"):
            cache.unlink()

    def run(self, code: str, *arguments: str, **options: object) -> str:
        """Run code in a fresh process of this site's interpreter and return what it prints."""
        done = run_python(code, *arguments, python=self.python, path=[], cwd="/", **options)
        assert ("", 0) == (done.stderr, done.returncode)
        return done.stdout

    def read(self, reader: str) -> dict[str, object]:
        """Read the caches as a user who cannot write them; once with each reader."""
        if reader not in self._read:
            self._read[reader] = json.loads(self.run(READ, reader, unprivileged=True))
        return self._read[reader]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in VARIABLES],
)
def sites(request):
    """Two copies of one environment: caches by `dropin-cache update`, caches by Twisted."""
    python = os.environ.get(request.param) or missing(f"the environment {request.param}")
    with tempfile.TemporaryDirectory(prefix="dropin-cache-test-") as place:
        Path(place).chmod(0o755)  # the readers are other users
        original = Path(python).parent.parent
        ours, theirs = (Site(original, Path(place, name)) for name in ("ours", "theirs"))
        done = command_line.run(
            *("update", "--quiet", "--python", ours.python, "twisted.plugins"),
            env={"XDG_CACHE_HOME": f"{place}/xdg-cache", "XDG_RUNTIME_DIR": ""},
        )
        assert (0, "", "") == done
        theirs.run("from twisted.plugin import getPlugins, IPlugin; list(getPlugins(IPlugin))")
        for directory in (*ours.directories, *theirs.directories):
            directory.chmod(0o555)  # where the tests do not run as root, the reader is the owner
        yield ours, theirs


@pytest.fixture
def expected(sites):
    """Return what Twisted finds with a cache of its own."""
    return sites[1].read("twisted")


@pytest.fixture(params=["twisted", "ours"])
def crossed(request, sites):
    """Return what each reader finds in the other's caches."""
    ours, theirs = sites
    return (ours if request.param == "twisted" else theirs).read(request.param)


class TestSetting:
    """The environments, before anything is concluded from them."""

    def test_caches_exist(self, sites):
        """Both writers have written a cache in each directory that has drop-ins."""
        for site in sites:
            expected = [directory / "dropin.cache" for directory in site.directories]

            assert expected == [file for file in expected if file.is_file()]

    def test_caches_differ(self, sites):
        """The caches are really made by two writers."""
        contents = [(site.directories[0] / "dropin.cache").read_bytes() for site in sites]

        assert [True, False] == [b"fingerprint" in content for content in contents]

    def test_reader_cannot_write(self, expected):
        """The reading user has no right to write."""
        assert expected["writable"] is False

    def test_plugins(self, expected):
        """Twisted finds the plugins of real packages and those of the samples."""
        plugins = expected["plugins"]

        assert len(plugins["twisted.plugin.IPlugin"]) > 30
        assert [
            "twisted.plugins.sample_order.zebra",
            "twisted.plugins.sample_order.yak",
            "twisted.plugins.sample_order.alpaca",
            "twisted.plugins.sample_order.zebra",
            "twisted.plugins.sample_package.inside",
        ] == plugins["sample.interfaces.IPlain"]
        assert plugins["sample.interfaces.IPlain"] == plugins["sample.interfaces.IAdapted"]
        assert [] == plugins["sample.interfaces.IUnused"]


class TestCrossed:
    """Stock Twisted reading our caches, and ours reading Twisted's."""

    def test_no_plugin_module_imported(self, crossed):
        """Nothing in the cache is imported to find out what it is."""
        assert [] == crossed["loaded_by_looking"]

    def test_nothing_rewritten(self, crossed):
        """Each cache is the same file with the same time afterwards."""
        assert 2 == len(crossed["before"])
        assert crossed["before"] == crossed["after"]

    def test_nothing_logged(self, crossed):
        """Reading and loading give no occasion for a message."""
        assert [] == crossed["logged"]

    def test_same_plugins(self, crossed, expected):
        """Every interface that occurs has the same plugins in the same order."""
        assert expected["plugins"] == crossed["plugins"]

    def test_same_facts(self, crossed, expected):
        """Keys, module names, descriptions and provided lists are the same, in the same order."""
        assert expected["cache"] == crossed["cache"]

    def test_same_reprs(self, crossed, expected):
        """The objects introduce themselves in the same words."""
        assert expected["reprs"] == crossed["reprs"]


class TestOurReader:
    """Our reader on our caches, with the real packages."""

    def test_same_as_twisted(self, sites, expected):
        """It finds what Twisted finds with a cache of its own."""
        found = sites[0].read("ours")

        for fact in ("plugins", "cache", "reprs"):
            assert expected[fact] == found[fact]

    def test_reading_imports_nothing(self, sites):
        """Neither a drop-in nor the module of an interface is imported to read a cache."""
        for site in sites:
            assert [] == site.read("ours")["loaded_by_reading"]

    @pytest.mark.parametrize(
        "interface",
        [
            "sample.interfaces.IPlain",
            "sample.interfaces.IUnused",
            "twisted.cred.strcred.ICheckerFactory",
            "twisted.internet.interfaces.IStreamServerEndpointStringParser",
        ],
    )
    def test_only_providers_imported(self, sites, expected, interface):
        """Asking for an interface loads what importing its providers loads, and no more."""
        plugins = expected["plugins"].get(interface, [])
        providers = {name.rpartition(".")[0] for name in plugins}
        loaded = json.loads(sites[0].run(IMPORT, interface, *sorted(providers)))

        found = json.loads(sites[0].run(ASK, interface, unprivileged=True))

        assert [len(plugins), loaded] == found
