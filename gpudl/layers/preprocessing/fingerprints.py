"""64-bit hashes of bytes, which put the values of a feature in bins: FarmHash, and SipHash where there is a key.

Integers of 64 bits are Python's, masked after each product and sum.
"""

from __future__ import annotations

from struct import unpack_from

_MASK = 2**64 - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CROSS = 0xC6A4A7935BD1E995
_SIP = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

Pair = tuple[int, int]


def farm_hash(text: bytes) -> int:
    """Return the fingerprint of bytes that FarmHash specifies: it never changes.

    Source: Pike, "FarmHash, a family of hash functions", 2014; its Fingerprint64.

    Example:
        >>> farm_hash(b"") == 0x9AE16A3B2F90404F
        True
    """
    size = len(text)
    if size <= 16:
        return _to_16(text, size)
    if size <= 32:
        return _to_32(text, size)
    return _to_64(text, size) if size <= 64 else _longer(text, size)


def sip_hash(text: bytes, key: Pair) -> int:
    """Return SipHash-2-4 of bytes, for a key of two integers of 64 bits.

    Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012.

    Example:
        >>> sip_hash(b"one", (1, 2)) == sip_hash(b"one", (1, 3))
        False
    """
    first, second = (part & _MASK for part in key)
    v = [constant ^ part for constant, part in zip(_SIP, (first, second, first, second), strict=True)]
    whole = len(text) // 8 * 8
    last = int.from_bytes(text[whole:], "little") | (len(text) & 0xFF) << 56
    for word in (*unpack_from(f"<{whole // 8}Q", text), last):
        v[3] ^= word
        _sip_round(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _sip_round(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def joined(first: int, second: int) -> int:
    """Return the fingerprint of a pair of fingerprints, in their order."""
    result = first ^ _CROSS ^ (_mixed(second * _CROSS & _MASK) * _CROSS & _MASK)
    return _mixed(_mixed(result * _CROSS & _MASK) * _CROSS & _MASK)


def _sip_round(v: list[int], times: int) -> None:
    for _ in range(times):
        v[0] = (v[0] + v[1]) & _MASK
        v[1] = _left(v[1], 13) ^ v[0]
        v[2] = (v[2] + v[3]) & _MASK
        v[3] = _left(v[3], 16) ^ v[2]
        v[0] = _left(v[0], 32)
        v[2] = (v[2] + v[1]) & _MASK
        v[1] = _left(v[1], 17) ^ v[2]
        v[0] = (v[0] + v[3]) & _MASK
        v[3] = _left(v[3], 21) ^ v[0]
        v[2] = _left(v[2], 32)


def _left(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _MASK


def _right(value: int, by: int) -> int:
    value &= _MASK
    return (value >> by | value << 64 - by) & _MASK


def _word(text: bytes, at: int) -> int:
    return int.from_bytes(text[at : at + 8], "little")


def _mixed(value: int) -> int:
    return value ^ value >> 47


def _pair_hash(u: int, v: int, factor: int) -> int:
    a = _mixed((u ^ v) * factor & _MASK)
    return _mixed((v ^ a) * factor & _MASK) * factor & _MASK


def _to_16(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    if size >= 8:
        a, b = _word(text, 0) + _K2, _word(text, size - 8)
        c, d = _right(b, 37) * factor + a, (_right(a, 25) + b) * factor
        return _pair_hash(c & _MASK, d & _MASK, factor)
    if size >= 4:
        ends = (int.from_bytes(part, "little") for part in (text[:4], text[-4:]))
        return _pair_hash(size + (next(ends) << 3), next(ends), factor)
    if size:
        y, z = text[0] + (text[size // 2] << 8), size + (text[-1] << 2)
        return _mixed((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _half(a: int, b: int, c: int, d: int, more: int) -> Pair:
    """Return the two sums of which one hash of 32 bytes consists."""
    return (_right(a + b, 43) + _right(c, 30) + d) & _MASK, (a + _right(b + more, 18) + c) & _MASK


def _to_32(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(text, 0) * _K1, _word(text, 8)
    c, d = _word(text, size - 8) * factor, _word(text, size - 16) * _K2
    return _pair_hash(*_half(a, b, c, d, _K2), factor)


def _to_64(text: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(text, 0) * _K2, _word(text, 8)
    c, d = _word(text, size - 8) * factor, _word(text, size - 16) * _K2
    y, other = _half(a, b, c, d, _K2)
    z = _pair_hash(y, other, factor)
    e, f = _word(text, 16) * factor, _word(text, 24)
    g, h = (y + _word(text, size - 32)) * factor, (z + _word(text, size - 24)) * factor
    return _pair_hash(*_half(e, f, g, h, a), factor)


def _seeded(text: bytes, at: int, a: int, b: int) -> Pair:
    w, x, y, z = unpack_from("<4Q", text, at)
    a += w
    b = _right(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & _MASK, (b + _right(a, 44) + c) & _MASK


def _longer(text: bytes, size: int) -> int:
    x, y = 81 * _K2 + _word(text, 0), 81 * _K1 + 113
    z = _mixed((y * _K2 + 113) & _MASK) * _K2
    v = w = (0, 0)
    last = (size - 1) // 64 * 64
    for at in range(0, last, 64):
        x, y, z, v, w = _block(text, at, (x, y, z, v, w), _K1, 1)
    factor = (_K1 + ((z & 0xFF) << 1)) & _MASK
    w = w[0] + ((size - 1) & 63), w[1]
    v = v[0] + w[0], v[1]
    w = w[0] + v[0], w[1]
    x, y, z, v, w = _block(text, size - 64, (x, y, z, v, w), factor, 9)
    one = _pair_hash(v[0], w[0], factor) + _mixed(y & _MASK) * _K0 + z
    return _pair_hash(one & _MASK, (_pair_hash(v[1], w[1], factor) + x) & _MASK, factor)


def _block(
    text: bytes, at: int, sums: tuple[int, int, int, Pair, Pair], factor: int, weight: int
) -> tuple[int, int, int, Pair, Pair]:
    """Return the sums after 64 more bytes."""
    x, y, z, v, w = sums
    x = _right(x + y + v[0] + _word(text, at + 8), 37) * factor
    y = _right(y + v[1] + _word(text, at + 48), 42) * factor
    x ^= w[1] * weight
    y += v[0] * weight + _word(text, at + 40)
    z = _right(z + w[0], 33) * factor
    v = _seeded(text, at, v[1] * factor, x + w[0])
    w = _seeded(text, at + 32, z + w[1], y + _word(text, at + 16))
    return z & _MASK, y & _MASK, x & _MASK, v, w
