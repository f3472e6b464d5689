"""Leaves a program in a session of its own, for later."""

import subprocess

from app import victims

script = f"sleep 0.3; touch {victims.OPEN}/leave_program; exec tail -f {victims.OPEN}/leave_program"
with open("/dev/null", "r+b") as null:
    subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=null, stdout=null, stderr=null, start_new_session=True
    )
