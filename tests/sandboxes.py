"""What the tests of the sandbox share: sandboxes, and programs run in them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

from conftest import missing
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.sandbox.choice import choose
from dropin_cache.update.sandbox.launch import Launch, Sandbox
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.start import start
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
    lifeline, other_end = os.pipe()
    pipe = subprocess.PIPE
    try:
        process, namespaces = start(
            launch, ["-c", code, *arguments], lifeline, stdout=pipe, stderr=pipe, text=True
        )
        with process:
            try:
                output, errors = process.communicate(timeout=60)
            finally:
                if namespaces is not None:
                    namespaces.end()
                process.kill()
    finally:
        os.close(lifeline)
        os.close(other_end)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


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
