"""Changing a pickle opcode by opcode, which random bytes hardly do."""

from __future__ import annotations

import pickletools
from random import Random

from dropin_cache._decode import SEAL_END, SEAL_SIZE, SEAL_START, checksum, is_sealed

# The argument of an opcode: so many bytes, or a negative number of pickletools for what says so.
_ARGUMENTS = {
    ord(opcode.code): opcode.arg.n if opcode.arg is not None else 0
    for opcode in pickletools.opcodes
}
_LINE = pickletools.UP_TO_NEWLINE
_PREFIXES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_TEXTS = {b"\x8c": 1, b"X": 4, b"\x8d": 8}  # and the bytes of their length
_LONGER = {b"q": b"r", b"h": b"j"}  # what takes an index of one byte, and of four
_WORDS = [
    *(b"moduleName", b"description", b"plugins", b"fingerprint", b"dropin", b"name"),
    *(b"provided", b"interfaces", b"twisted.plugin", b"CachedDropin", b"CachedPlugin"),
]
PIECES = [
    *(bytes([code]) for code in _ARGUMENTS),
    *(b"\x8c" + bytes([len(word)]) + word for word in _WORDS),
    *(kind + bytes([index]) for kind in (b"h", b"q", b"K") for index in range(8)),
    b"ctwisted.plugin\nCachedDropin\n)\x81",
    b"ctwisted.plugin\nCachedPlugin\n)\x81",
    b"cdropin_cache\nIPlugin\n",
    b"K\x01K\x02\x8c\x01x\x87",
]
"""Opcodes, and groups of them, that make sense now and then."""

PROTOCOL_0 = [b"I1\n", b"L-1L\n", b"Vtext\n", b"S'text'\n", b"p0\n", b"g0\n", b"F1.5\n"]
"""Opcodes of the first protocol, which end with the line."""


def dictionary() -> str:
    """Return the pieces in the form that libFuzzer reads with `-dict`."""
    entries = ["".join(f"\\x{byte:02x}" for byte in piece) for piece in [*PIECES, *PROTOCOL_0]]
    return "".join(f'"{entry}"\n' for entry in entries)


def split(data: bytes) -> list[bytes]:
    """Split a pickle into its opcodes; what is none is a piece of one byte."""
    pieces = []
    position = 0
    while position < len(data):
        size = _ARGUMENTS.get(data[position], 0)
        end = position + 1
        if size >= 0:
            end += size
        elif size == _LINE:
            for _ in range(2 if data[position] in b"ci" else 1):  # module and name, or one thing
                end = data.find(b"\n", end) + 1 or len(data)
        else:
            prefix = _PREFIXES[size]
            end += prefix + int.from_bytes(data[end : end + prefix], "little")
        pieces.append(data[position:end])
        position = end
    return pieces


def sealed(body: bytes) -> bytes:
    """Give a pickle, without its last opcode, the checksum of a cache of ours."""
    return body + SEAL_START + checksum(body) + SEAL_END


def resealed(original: bytes, data: bytes) -> bytes:
    """Make the checksum of a changed cache fit again, if the original had one."""
    return sealed(data[:-SEAL_SIZE]) if is_sealed(original) else data


def changed(data: bytes, random: Random) -> bytes:
    """Change a few opcodes of a pickle; the checksum fits afterwards, if it had one."""
    ours = is_sealed(data)
    pieces = split(data[:-SEAL_SIZE] if ours else data[:-1])
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(pieces) + 1)
        kind = random.randrange(6)
        if kind == 0:
            del pieces[place : place + random.randint(1, 3)]
        elif kind == 1:
            start = random.randrange(len(pieces) + 1)
            pieces[place:place] = pieces[start : start + random.randint(1, 12)]
        elif kind == 2 and place < len(pieces):
            other = random.randrange(len(pieces))
            pieces[place], pieces[other] = pieces[other], pieces[place]
        elif kind == 3 and place < len(pieces) and len(pieces[place]) > 1:
            piece = bytearray(pieces[place])
            piece[random.randrange(len(piece))] = random.randrange(256)
            pieces[place] = bytes(piece)
        else:
            pieces.insert(place, random.choice(PIECES))
    body = b"".join(pieces)
    # Now and then one origin's file gets the other's end.
    return sealed(body) if ours is (random.random() < 0.9) else body + b"."


def respelled(data: bytes, random: Random) -> bytes:
    """Write a pickle in other words: with opcodes of which every machine makes the same."""
    spelled = []
    remembered = 0
    for piece in split(data):
        spelled.append(random.choice(_spellings(piece, remembered)))
        remembered += piece == b"\x94"
    return b"".join(spelled)


def _spellings(piece: bytes, remembered: int) -> list[bytes]:
    """Return the opcodes that may stand in the place of one, itself included."""
    code, argument = piece[:1], piece[1:]
    zeros = b"\0\0\0"
    if code == b"\x95":
        return [b""]  # the size of a frame would not fit any more
    if code in _TEXTS:
        content = argument[_TEXTS[code] :]
        widths = {text: width for text, width in _TEXTS.items() if len(content) < 1 << 8 * width}
        return [
            text + len(content).to_bytes(width, "little") + content
            for text, width in widths.items()
        ]
    if code == b"\x94":
        short = [b"q" + bytes([remembered])] if remembered < 1 << 8 else []
        return [piece, b"r" + remembered.to_bytes(4, "little"), *short]
    if code == b"K":
        return [
            piece,
            b"M" + argument + b"\0",
            b"J" + argument + zeros,
            b"\x8a\2" + argument + b"\0",
        ]
    return [piece, *([_LONGER[code] + argument + zeros] if code in _LONGER else [])]
