"""The Ansible collection on this machine: its modules, and its role in an environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Tree
from fleet_support import TREE, Control, ansible

COMMAND = Path(sys.executable).parent / "dropin-cache"
BROKEN = "import nothing_of_that_name\n"

UPDATE = """
- name: Test
  hosts: all
  gather_facts: false
  tasks:
    - name: Update
      dropin_cache.site.dropin_cache{info}:
        executable: "{command}"
        path: ["{tree}"]
        packages: [app.plugins]
        {more}
      register: answer
    - name: Tell
      ansible.builtin.copy:
        content: "{{{{ answer | to_json }}}}"
        dest: answer.json
        mode: "0644"
      check_mode: false
"""

ROLE = """
- name: Test
  hosts: all
  roles:
    - role: dropin_cache.site.dropin_cache
      vars:
        dropin_cache_packages: []
        dropin_cache_wheel: "{wheel}"
        dropin_cache_files: "{files}"
        dropin_cache_environments: [{{path: "{venv}"}}]
"""


@pytest.fixture(params=["OLD", "NEW"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Control:
    """Ansible that works on this machine."""
    place = tmp_path / "control"
    place.mkdir()
    return at_home(request.param, place)


def at_home(age: str, place: Path) -> Control:
    """Return Ansible that works on this machine."""
    options = f"ansible_connection: local, ansible_python_interpreter: {sys.executable}"
    (place / "inventory.yml").write_text(f"all: {{hosts: {{here: {{{options}}}}}}}\n")
    return Control(ansible(age), place, [])


class Asked:
    """The module `dropin_cache` and its sister, asked about a tree."""

    def __init__(self, control: Control, tree: Tree) -> None:
        self._control = control
        self._tree = tree
        self.printed = ""

    def __call__(self, more: str = "", *options: str, info: str = "", status: int = 0) -> Any:
        """Run the module and return its answer; None if it has failed."""
        answer = self._control.place / "answer.json"
        answer.unlink(missing_ok=True)
        play = UPDATE.format(info=info, command=COMMAND, tree=self._tree.path, more=more)
        done = self._control.play(play, *options, status=status).done
        self.printed = " ".join((done.out + done.err).split())
        return json.loads(answer.read_text()) if answer.exists() else None


@pytest.fixture
def asked(control: Control, app: Tree) -> Asked:
    """The modules, to be asked about a tree with an application."""
    return Asked(control, app)


class TestUpdate:
    """The module `dropin_cache`."""

    def test_once(self, asked: Asked, app: Tree) -> None:
        """It writes what is missing, says so, and does nothing more; check mode writes nothing."""
        cache = app.path / "app/plugins/dropin.cache"
        dry = asked("", "--check", "--diff")
        assert (True, ["written"]) == (dry["changed"], [d["state"] for d in dry["directories"]])
        assert f"{cache}: written app.plugins.hello: it is not in the cache" in asked.printed
        assert not cache.exists()
        first = asked()
        assert (True, 0, []) == (first["changed"], first["status"], first["problems"])
        assert cache.exists()
        second = asked("", "--diff")
        assert (False, ["unchanged"]) == (
            second["changed"],
            [each["state"] for each in second["directories"]],
        )
        assert "written" not in asked.printed

    def test_broken(self, asked: Asked, app: Tree) -> None:
        """A plugin module that cannot be imported is what the option makes of it."""
        app.write("app/plugins/broken.py", BROKEN)
        answer = asked()
        assert ["app.plugins.broken"] == [each["module"] for each in answer["broken"]]
        said = "app.plugins.broken is broken: ModuleNotFoundError"
        assert f"[WARNING]: {said}" in asked.printed
        assert asked("broken: ignore") is not None
        assert "WARNING" not in asked.printed
        assert asked("broken: fail", status=2) is None
        assert said in asked.printed

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root refuses")
    def test_refused(self, asked: Asked, app: Tree) -> None:
        """So is a directory that others than root can change; without a word it is a failure."""
        (app.path / "app/plugins").chmod(0o777)
        assert asked(status=2) is None
        assert "plugins can be written by others" in asked.printed
        answer = asked("refused: warn")
        assert [4] == [each["status"] for each in answer["refused"]]
        assert "WARNING" in asked.printed
        assert asked("refused: ignore") is not None

    def test_could_not(self, asked: Asked) -> None:
        """What it could not do is a failure, and the message says what to do."""
        assert asked("python: [/nonexistent]", status=2) is None
        assert "cannot use the interpreter /nonexistent: No such file" in asked.printed
        assert "Give the path of a Python" in asked.printed

    def test_no_answer(self, control: Control, app: Tree) -> None:
        """A command that does not answer is a failure that has what it said."""
        asked = Asked(control, app)
        play = UPDATE.replace("{command}", "/bin/echo")
        (control.place / "play.yml").write_text(play.format(info="", tree=app.path, more=""))
        done = control.run("ansible-playbook", "-i", "inventory.yml", "play.yml", status=2)
        assert "/bin/echo gave no answer of format 1: update --json" in done.out + done.err
        assert asked.printed == ""


class TestInfo:
    """The module `dropin_cache_info`."""

    def test_states(self, asked: Asked, app: Tree) -> None:
        """It tells what is stale and what is broken, and never fails for that, nor changes it."""
        stale = asked(info="_info")
        plugins = str(app.path / "app/plugins")
        assert (False, [plugins], False) == (stale["fresh"], stale["stale"], stale["changed"])
        asked()
        fresh = asked(info="_info")
        assert (True, [], 0) == (fresh["fresh"], fresh["stale"], fresh["status"])
        app.write("app/plugins/broken.py", BROKEN)
        asked("broken: ignore")
        broken = asked(info="_info")
        assert (False, [], 3) == (broken["fresh"], broken["stale"], broken["status"])
        assert ["app.plugins.broken"] == [each["module"] for each in broken["broken"]]


class TestRole:
    """The role, for environments."""

    @pytest.mark.parametrize("age", ["NEW"])
    def test_environment(self, age: str, tmp_path: Path) -> None:
        """It installs a wheel, turns pip's hook on, does both once, and takes both back."""
        place, venv = tmp_path / "control", tmp_path / "venv"
        place.mkdir()
        control = at_home(age, place)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        wheel = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(TREE)]
        subprocess.run([sys.executable, *wheel], check=True)
        (file,) = place.glob("*.whl")
        play = ROLE.format(wheel=file, files=tmp_path / "files", venv=venv)
        hook = next(venv.glob("lib/python3*/site-packages")) / "dropin-cache.pth"
        assert control.play(play, "--check").count("changed")["here"] > 0
        assert not (venv / "bin/dropin-cache").exists()
        assert control.play(play).count("changed")["here"] > 0
        assert hook.exists()
        assert {"here": 0} == control.play(play).count("changed")
        absent = ("--extra-vars", "dropin_cache_state=absent")
        control.play(play, *absent)
        assert {"here": 0} == control.play(play, *absent).count("changed")
        left = [path for path in venv.rglob("*dropin*cache*") if "__pycache__" not in str(path)]
        assert ([], False) == (left, (tmp_path / "files").exists())


def test_schema() -> None:
    """What the documentation says the command returns is in its schema, and so are the states."""
    schema = json.loads((TREE / "src/dropin_cache/schema.json").read_text())
    states = set(schema["$defs"]["directory"]["properties"]["state"]["enum"])
    modules = TREE / "hooks" / "ansible" / "plugins" / "modules"
    for file in modules.glob("*.py"):
        (told,) = re.findall(r"description: One of (.*)\.", file.read_text())
        assert set(re.findall(r"V\((\w+)\)", told)) <= states
