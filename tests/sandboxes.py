"""What the tests of the sandbox share: sandboxes, and programs run in them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

from conftest import missing
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.choice import choose
from dropin_cache.update.sandbox.launch import (
    FILTER,
    INFO,
    LIFELINE,
    USER_NAMESPACE,
    Launch,
    Sandbox,
    readable,
)
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View

ROOT = os.geteuid() == 0
# One that every user can run.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def sandbox(tier: str, limits: Limits | None = None) -> Sandbox:
    """Return a sandbox that works here, or skip the test."""
    try:
        return choose([tier], privileged=ROOT, limits=limits or Limits(), try_out=True)
    except NoSandboxError as error:
        missing(f"the sandbox {tier} ({error})")


def run(launch: Launch, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a sandbox, or as root where there is none."""
    lifeline, facts = os.pipe(), os.pipe()
    filtering = readable(launch.filter)
    numbers = {LIFELINE: str(lifeline[0]), INFO: str(facts[1]), FILTER: str(filtering)}
    handed_over = [lifeline[0], facts[1], filtering]
    if USER_NAMESPACE in launch.arguments:
        handed_over.append(user_namespaces.make(launch.users))
        numbers[USER_NAMESPACE] = str(handed_over[-1])
    try:
        return subprocess.run(
            [*(numbers.get(part, part) for part in launch.arguments), "-c", code, *arguments],
            pass_fds=handed_over,
            env=launch.environment,
            cwd=launch.directory,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    finally:
        for descriptor in {*lifeline, *facts, *handed_over}:
            os.close(descriptor)


def says(launch: Launch, code: str, *arguments: str) -> str:
    """Run code in a sandbox; return what it prints, the name of its error in case it fails."""
    code = (
        "try:\n"
        + textwrap.indent(textwrap.dedent(code), "    ")
        + "\nexcept BaseException as error:\n    print(type(error).__name__)\n"
    )
    done = run(launch, code, *arguments)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.rstrip("\n")


def open_launch() -> Launch:
    """Say how to start Python without a sandbox, with the rights of the tests."""
    return Launch([PYTHON, "-I", "-B"], {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}, "/")


def confined(tier: str, *roots: Any, limits: Limits | None = None) -> Launch:
    """Say how to start Python in a sandbox."""
    return sandbox(tier, limits).launch(PYTHON, View.of(PYTHON, [str(root) for root in roots]))
