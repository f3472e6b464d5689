"""The filter of system calls, followed by hand."""

from __future__ import annotations

import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dropin_cache.update.sandbox import filter as filtering
from dropin_cache.update.sandbox.filter import call_filter, machine

MACHINES = (("x86_64", 0xC000003E), ("aarch64", 0xC00000B7), ("riscv64", 0xC00000F3))
_ALLOW, _ERRNO = 0x7FFF, 5


def result(
    machine: str, audit: int, number: int, *arguments: int, code: bytes | None = None
) -> int:
    """Run a filter as the kernel would; return the error number, or 0."""
    action = returned(machine, audit, number, *arguments, code=code)
    assert action >> 16 in (_ALLOW, _ERRNO)
    return action & 0xFFFF if action >> 16 == _ERRNO else 0


def returned(
    machine: str, audit: int, number: int, *arguments: int, code: bytes | None = None
) -> int:
    """Run a filter as the kernel would; return what it returns."""
    code = call_filter(machine) if code is None else code
    instructions = list(struct.iter_unpack("HBBI", code))
    data = {0: number, 4: audit}
    data.update({16 + 8 * place: value for place, value in enumerate(arguments)})
    at = value = 0
    while True:
        operation, if_true, if_false, operand = instructions[at]
        at += 1
        if operation == 0x20:
            value = data.get(operand, 0)
        elif operation == 0x05:
            at += operand
        elif operation == 0x54:
            value &= operand
        elif operation == 0x06:
            return operand
        else:
            holds = {
                0x15: value == operand,
                0x35: value >= operand,
                0x45: bool(value & operand),
            }[operation]
            at += if_true if holds else if_false


class TestMachine:
    """The machine that a program was compiled for."""

    def test_this(self) -> None:
        """It is what the kernel says, on a machine with a filter."""
        expected = platform.machine() if platform.machine() in dict(MACHINES) else None
        assert expected == machine()

    @pytest.mark.skipif(not os.path.exists("/usr/bin/setarch"), reason="needs setarch")
    @pytest.mark.skipif(platform.machine() != "x86_64", reason="the personality is another one")
    @pytest.mark.processes
    def test_personality(self) -> None:
        """It is the same whatever uname(2) is told to say."""
        code = "import os; from dropin_cache.update.sandbox.filter import machine\n"
        code += "print(os.uname().machine, machine())"
        done = subprocess.run(
            ["/usr/bin/setarch", "linux32", sys.executable, "-c", code],
            capture_output=True,
            check=True,
            text=True,
        )
        assert "i686 x86_64\n" == done.stdout

    @pytest.mark.parametrize(
        ("order", "number", "expected"),
        [
            (1, b"\x3e\0", "x86_64"),
            (1, b"\xb7\0", "aarch64"),
            (1, b"\xf3\0", "riscv64"),
            (1, b"\x03\0", None),
            (2, b"\0\x3e", "x86_64"),
            (2, b"\x3e\0", None),
            (0, b"\x3e\0", None),
        ],
        ids=["x86-64", "ARM", "RISC-V", "i386", "big-endian", "other order", "no ELF"],
    )
    def test_header(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        order: int,
        number: bytes,
        expected: str | None,
    ) -> None:
        """It is read from the program's header, elf(5)."""
        program = tmp_path / "program"
        program.write_bytes(b"\x7fELF\2" + bytes([order]) + bytes(12) + number + bytes(44))
        opened = open
        monkeypatch.setattr(
            "builtins.open",
            lambda path, *rest: opened(program if path == "/proc/self/exe" else path, *rest),
        )
        assert expected == machine()


@pytest.mark.parametrize(("name", "audit"), MACHINES)
class TestFilter:
    """What the filter of a machine denies."""

    def test_denied(self, name: str, audit: int) -> None:
        """Each call of the list is denied, the first and the last included."""
        calls = filtering._CALLS[name]
        lists = (calls.kernel, calls.memory, calls.others, calls.files, calls.watches, calls.socket)
        numbers = [int(number) for each in lists for number in each.split()]
        assert len(numbers) > 50
        assert {13} == {result(name, audit, number) for number in numbers}

    def test_distinct(self, name: str, audit: int) -> None:
        """No number stands there twice, as a slip would have it."""
        calls = filtering._CALLS[name]
        lists = (calls.kernel, calls.memory, calls.others, calls.files, calls.watches, calls.socket)
        numbers = " ".join(lists).split()
        assert sorted(set(numbers)) == sorted(numbers)
        assert 0 == result(name, audit, 63 if name != "x86_64" else 0)  # read(2)

    def test_socket_pairs(self, name: str, audit: int) -> None:
        """Pairs of stream sockets may be had: asyncio needs them. Datagrams go to anybody."""
        call = filtering._CALLS[name].socketpair
        kinds = {1: 0, 0o2000001: 0, 0o4001: 0, 2: 13, 0o2000002: 13, 5: 13, 3: 13}
        assert kinds == {kind: result(name, audit, call, 1, kind) for kind in kinds}

    def test_limits(self, name: str, audit: int) -> None:
        """The limits of no other process can be read or set."""
        call = filtering._CALLS[name].prlimit
        assert [0, 13, 13] == [result(name, audit, call, process) for process in (0, 1, 1 << 31)]

    def test_ioctl(self, name: str, audit: int) -> None:
        """Attributes of files stay, and nobody types into a terminal; the rest works."""
        call = filtering._CALLS[name].ioctl
        denied = (0x40086602, 0x40046602, 0x401C5820, 0x5412, 0x541C)
        assert {13} == {result(name, audit, call, 3, request) for request in denied}
        assert {0} == {
            result(name, audit, call, 3, request) for request in (0x5401, 0x5413, 0x5421)
        }

    def test_locks(self, name: str, audit: int) -> None:
        """Locks seem to be had; leases and watches are denied, and the rest works."""
        call = filtering._CALLS[name].fcntl
        for denied in (1024, 1026):
            assert 13 == result(name, audit, call, 3, denied)
        for allowed in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 37, 38, 1030):
            assert 0 == result(name, audit, call, 3, allowed)
        done = [0x00050000, 0x7FFF0000]  # the error 0, without having done it; and doing it
        for command in (6, 7, 37, 38):
            assert done[0] == returned(name, audit, call, 3, command)
        assert done[1] == returned(name, audit, call, 3, 5)  # F_GETLK

    def test_namespaces(self, name: str, audit: int) -> None:
        """No flag of clone makes one, other flags are allowed; clone3 seems not to exist."""
        call = filtering._CALLS[name].clone
        new = [0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000]
        assert {13} == {result(name, audit, call, flag | 0x11) for flag in new}
        assert [0, 0] == [result(name, audit, call, flag) for flag in (0x11, 0x3D0F00)]
        assert 38 == result(name, audit, 435)

    def test_other_interface(self, name: str, audit: int) -> None:
        """Calls of another interface are denied, whatever their number means there."""
        assert 13 == result(name, 0x40000003, 1)
        others = {each: result(name, each, 0) for _, each in MACHINES if each != audit}
        assert {13} == set(others.values())
        x32 = result(name, audit, 0x40000001)
        assert (13 if name == "x86_64" else 0) == x32

    def test_size(self, name: str, audit: int) -> None:
        """Jumps are no longer than they can be, and the filter no longer than the kernel takes."""
        code = call_filter(name)
        assert 0 == len(code) % 8
        assert len(code) // 8 < 4096
        assert 0 == result(name, audit, 999, code=code)


@pytest.mark.parametrize("name", ["vax", None])
def test_unknown_machine(name: str | None) -> None:
    """For other machines there is none."""
    assert b"" == call_filter(name)
