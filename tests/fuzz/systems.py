"""What has to hold of the text files that the update finds on a system, whoever wrote them."""

from __future__ import annotations

import os

from dropin_cache._decode import SEAL_SIZE, checksum, is_sealed
from dropin_cache.errors import ConfigurationError, InterpreterError
from dropin_cache.installers import pip_hook, run
from dropin_cache.update.discovery import distributions, dpkg
from dropin_cache.update.discovery.declarations import entry_points_in
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.settings import configuration
from dropin_cache.update.text import is_dotted
from watch import NOTHING, READING, watched

_MAIN = configuration.MAIN_FILE
_PACKAGES = configuration.PACKAGE_DIRECTORIES[1] + "/x.conf"
_CONFIGURATION = (_MAIN, _PACKAGES, "/etc/group")
_GOOD_MAIN = b"""\
# The configuration.
interpreters = /usr/bin/python3 /opt/bin/python
trusted-groups = 50 staff
sandbox = landlock
timeout = 2.5
lock-timeout = 0
memory = 512
cpu = 10
processes = 64
descriptors = 64
file-size = 1
"""
_GOOD_PACKAGES = b"a.plugins\nb.plugins /opt/lib /srv/lib\n# no more\n"
_GOOD_GROUP = b"root:x:0:\nstaff:x:50:a,b\n"

_RECORDS = ("a-1.dist-info/RECORD", "a-1.dist-info/METADATA", "b-1.egg-info/installed-files.txt")
_LIST = "var/lib/dpkg/info"
_GOOD_RECORDS = (
    b'a/plugins/x.py,sha256=abc,12\n"a/plugins/y,z.py",,\na-1.dist-info/RECORD,,\n',
    b"Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1\n\nName: other\n",
    b"../a/plugins/x.py\n../a/plugins/__init__.py\n",
)
_WANTED = ("/a/plugins/x.py", "/a/plugins/y,z.py", "/b/none.py")

_PREFIX = ("env/pyvenv.cfg", "env/lib/python3.11/site-packages/x.pth")
_GOOD_PREFIX = (
    b"home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n",
    b"# comment\nimport sys\n/opt/extra\n../relative\n",
)


def _put(root: str, name: str, data: bytes) -> None:
    path = os.path.join(root, name.lstrip("/"))
    with open(path, "wb") as file:
        file.write(data)


def prepare(root: str) -> None:
    """Make a small system, all of whose files are as they should be."""
    for name in (*_CONFIGURATION, *_RECORDS, *_PREFIX, "env/bin/python", "usr/bin/python3"):
        os.makedirs(os.path.dirname(os.path.join(root, name.lstrip("/"))), exist_ok=True)
    for directory in ("opt/extra", "lib"):
        os.makedirs(os.path.join(root, directory), exist_ok=True)
    os.symlink("/usr/bin/python3", os.path.join(root, "env/bin/python"))
    _put(root, "usr/bin/python3", b"")
    good = (_GOOD_MAIN, _GOOD_PACKAGES, _GOOD_GROUP, *_GOOD_RECORDS, *_GOOD_PREFIX)
    for name, data in zip((*_CONFIGURATION, *_RECORDS, *_PREFIX), good):
        _put(root, name, data)


def configuration_seeds() -> list[bytes]:
    """Make files of the configuration; the first byte says which one it is."""
    good = (_GOOD_MAIN, _GOOD_PACKAGES, _GOOD_GROUP)
    return [
        *(bytes([number]) + data for number, data in enumerate(good)),
        *(b"\0memory = %s\n" % value for value in (b"0", b"9999999", b"-1", b"1_0", b"\xd9\xa3")),
        b"\0sandbox = none\n",
        "\1a.\u202eb /x\n".encode(),
        b"\2staff:x:%s:\n" % (b"9" * 2000),
    ]


def check_configuration(data: bytes, root: str) -> None:
    """Load the configuration with one of its files exchanged: the whole file counts, or nothing."""
    good = (_GOOD_MAIN, _GOOD_PACKAGES, _GOOD_GROUP)
    which = data[0] % len(good) if data else 0
    _put(root, _CONFIGURATION[which], data[1:])
    with Files(enforced=False, root=root) as files, watched(READING):
        settings = configuration.load(files)
    _put(root, _CONFIGURATION[which], good[which])
    assert all(type(problem) is ConfigurationError for problem in settings.problems)
    assert {"namespace", "landlock"}.issuperset(settings.sandbox)
    if settings.problems and which != 1:
        assert settings.sandbox == ("namespace",)
    for line in settings.packages:
        assert is_dotted(line.package) or len(line.package) > 4096
        assert all(path.startswith("/") and path.isprintable() for path in line.import_roots)
    assert all(path.startswith("/") and path.isprintable() for path in settings.interpreters)
    assert all(0 < limit < 1 << 41 for limit in settings.limits)
    assert settings.timeout is None or 0 < settings.timeout <= 1 << 20


def record_seeds() -> list[bytes]:
    """Make what installers leave, and what dpkg and entry points say; the first byte says which."""
    listed = b"/.\n/a/plugins/x.py\n/a, b: /x\n//x\n"
    points = b"[console_scripts]\nx = y:z\n[dropin_cache.packages]\na = a.plugins\nb = b:c [d]\n"
    return [
        *(bytes([number]) + data for number, data in enumerate((*_GOOD_RECORDS, listed, points))),
        b"\0\n\n" + _GOOD_RECORDS[0],
        "\1Name: \N{KELVIN SIGN}i\u017f\n".encode(),  # both are letters of ASCII, ignoring case
    ]


def check_records(data: bytes, root: str) -> None:
    """Ask whose files are with one of the sources exchanged: a name, or nobody knows."""
    which = data[0] % 5 if data else 0
    content = data[1:]
    if which == 3:
        os.makedirs(os.path.join(root, _LIST), exist_ok=True)
        for name in ("info/a.list", "diversions"):
            _put(root, f"{_LIST}/../{name}", content)
        with Files(enforced=False, root=root) as files, watched(READING):
            assert {"a"}.issuperset(dpkg.owners(_WANTED, files).values())
        return
    if which == 4:
        with watched(NOTHING):
            names = list(entry_points_in(content.decode("utf-8", "replace")))
        assert all(type(name) is str for name in names)
        return
    _put(root, _RECORDS[which], content)
    with Files(enforced=False, root=root) as files, watched(READING):
        claims = distributions.distributions(_WANTED, ["/"], files)
    _put(root, _RECORDS[which], _GOOD_RECORDS[which])
    assert claims.keys() <= {*_WANTED}
    for claim in (each for some in claims.values() for each in some):
        assert claim.name.isascii()
        assert claim.name.isprintable()


def prefix_seeds() -> list[bytes]:
    """Make the files that say where an interpreter looks; the first byte says which."""
    return [
        *(bytes([number]) + data for number, data in enumerate(_GOOD_PREFIX)),
        b"\0home = /usr/\0bin\n",
        b"\1/opt/\0extra\n",
    ]


def check_prefix(data: bytes, root: str) -> None:
    """Find out what an interpreter needs with one of its files exchanged: nothing leads out."""
    which = data[0] % 2 if data else 0
    _put(root, _PREFIX[which], data[1:])
    with Files(enforced=False, root=root) as files:
        for checked in (None, files):
            with watched(READING):
                try:
                    view = View.of("/env/bin/python", (), root=root, files=checked)
                except InterpreterError:  # what it says that it needs is never shown
                    continue
            for entry in view.entries:
                assert (entry.source + "/").startswith(root + "/")
                assert entry.destination == os.path.normpath(entry.destination)
    with watched(READING):
        run._may_have_plugins(f"{root}/env/bin/python")
    _put(root, _PREFIX[which], _GOOD_PREFIX[which])


def check_seal(data: bytes, directory: str) -> None:
    """Ask pip's hook whether a cache is ours: it says what the library says."""
    _put(directory, "dropin.cache", data)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with watched(READING):
            ours = pip_hook._is_ours("dropin.cache", descriptor)
    finally:
        os.close(descriptor)
    assert ours is (is_sealed(data) and data[-SEAL_SIZE:][2:10] == checksum(data[:-SEAL_SIZE]))
