#!/usr/bin/env python3
"""Writes the table of Ed25519 edge cases with libsodium's verdicts.

    generate.py NAME=PYTHON... > verdicts.tsv

Each PYTHON is an interpreter with some version of PyNaCl; NAME heads its column. The rows are
generated from fixed strings, so the same command gives the same file. A row is

    name  key  message  signature  verdict of each column (1 accepts, 0 refuses)

with the first three in hexadecimal. The arithmetic below is a plain transcription of RFC 8032.
"""

import hashlib
import subprocess
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P
    return x, y


def mul(n, point):
    result = IDENTITY
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square:
        return None
    return P - x if x & 1 != sign and x else x


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def raw(y, sign):
    return (y | sign << 255).to_bytes(32, "little")


def scalar(text):
    return int.from_bytes(hashlib.sha512(text.encode()).digest(), "little") % L


def challenge(r, key, message):
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


BASE = (recover_x(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)


def point_of_order_8():
    y = 2
    while True:
        x = recover_x(y, 0)
        if x is not None:
            point = mul(L, (x, y))
            if mul(4, point) != IDENTITY:
                return point
        y += 1


TORSION = [mul(k, point_of_order_8()) for k in range(8)]
NEGATED = {TORSION[k]: TORSION[-k % 8] for k in range(8)}


def small_encodings():
    """Every 32 bytes that decode, at least in some implementation, to a point of small order."""
    ys = sorted({point[1] for point in TORSION})
    ys += [y + P for y in ys if y + P < 2**255]
    for y in ys:
        for sign in (0, 1):
            x = recover_x(y % P, sign)
            index = TORSION.index((x, y % P)) if (x, y % P) in TORSION else 0
            canonical = y < P and not (x == 0 and sign)
            yield f"T{index}{'' if canonical else '*'}{'-' if sign else ''}", raw(y, sign), (x, y % P)


def messages(prefix):
    for n in range(400):
        yield f"{prefix} {n}".encode()


def signature(r, s):
    return r + (s % 2**256).to_bytes(32, "little")


def pick(prefix, holds):
    """The first message for which the exact equation holds, and the first for which it does not."""
    found = {}
    for message in messages(prefix):
        found.setdefault(holds(message), message)
        if len(found) == 2:
            break
    return [(("exact" if exact else "cofactored"), found[exact]) for exact in (True, False) if exact in found]


def small_rows():
    """A and R of small order, S = 0: always right up to the cofactor."""
    for key_name, key, a in small_encodings():
        for r_name, r, point in small_encodings():
            holds = lambda m: add(point, mul(challenge(r, key, m) % 8, a)) == IDENTITY
            for kind, message in pick("small", holds):
                yield f"A={key_name} R={r_name} S=0 {kind}", key, message, signature(r, 0)
        r_scalar = scalar("r small")
        r = encode(mul(r_scalar, BASE))
        for kind, message in pick("mixed", lambda m: mul(challenge(r, key, m) % 8, a) == IDENTITY):
            yield f"A={key_name} R=r.B S=r {kind}", key, message, signature(r, r_scalar)


def small_r_rows():
    """R of small order under a key of full order, which the key's owner can make: without and with
    a component of small order, so that every such R is met where the exact equation holds."""
    a = scalar("honest")
    for i in (0, 1):
        key = encode(add(mul(a, BASE), TORSION[i]))
        for r_name, r, point in small_encodings():
            holds = lambda m: mul(challenge(r, key, m) % 8, TORSION[i]) == NEGATED.get(point)
            for kind, message in pick("small R", holds):
                s = challenge(r, key, message) * a % L
                yield f"A=a.B+T{i} R={r_name} S=h.a {kind}", key, message, signature(r, s)


def torsion_rows():
    """A and R of full order, each with a component of small order."""
    a, nonce = scalar("mixed a"), scalar("mixed r")
    for i, t in enumerate(TORSION):
        for j, u in enumerate(TORSION):
            key, r = encode(add(mul(a, BASE), t)), encode(add(mul(nonce, BASE), u))
            holds = lambda m: mul(challenge(r, key, m) % 8, t) == NEGATED[u]
            for kind, message in pick("torsion", holds):
                s = (nonce + challenge(r, key, message) * a) % L
                yield f"A=a.B+T{i} R=r.B+T{j} {kind}", key, message, signature(r, s)


def scalar_rows():
    """S at and over the group order, on an otherwise honest signature."""
    a, nonce, message = scalar("s a"), scalar("s r"), b"scalar"
    key, r = encode(mul(a, BASE)), encode(mul(nonce, BASE))
    s = (nonce + challenge(r, key, message) * a) % L
    for k in range(16):
        if s + k * L < 2**256:
            yield f"S+{k}L", key, message, signature(r, s + k * L)
    for bit in range(252, 256):
        yield f"S with bit {bit}", key, message, signature(r, s | 1 << bit)
    for name, value in [("0", 0), ("1", 1), ("L-1", L - 1), ("L", L), ("L+1", L + 1), ("2^256-1", 2**256 - 1)]:
        yield f"S={name}", key, message, signature(r, value)
    for name, value in [("L", L), ("2L", 2 * L), ("15L", 15 * L)]:
        zero = encode(IDENTITY)
        yield f"A=T0 R=T0 S={name}", zero, message, signature(zero, value)


def encoding_rows():
    """Encodings that are not canonical, or of no point at all, as A and as R."""
    a, nonce, message = scalar("e a"), scalar("e r"), b"encoding"
    key, r = encode(mul(a, BASE)), encode(mul(nonce, BASE))
    s = (nonce + challenge(r, key, message) * a) % L
    odd = [(f"y=p+{n} sign={sign}", raw(P + n, sign)) for n in range(19) for sign in (0, 1)]
    odd += [(f"y={n} sign=0", raw(n, 0)) for n in range(2, 19)]
    odd += [(f"y=p-{n} sign=0", raw(P - n, 0)) for n in range(2, 6)]
    for name, other in odd:
        yield f"A: {name}", other, message, signature(r, s)
        yield f"R: {name}", key, message, signature(other, s)
    yield "A with the other sign", bytes(key[:31] + bytes([key[31] ^ 128])), message, signature(r, s)
    yield "R with the other sign", key, message, signature(r[:31] + bytes([r[31] ^ 128]), s)


def honest_rows():
    for n in range(8):
        seed = hashlib.sha256(f"seed {n}".encode()).digest()
        digest = hashlib.sha512(seed).digest()
        a = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
        message = bytes(range(n * 7))
        key = encode(mul(a, BASE))
        nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % L
        r = encode(mul(nonce, BASE))
        s = (nonce + challenge(r, key, message) * a) % L
        yield f"honest {n}", key, message, signature(r, s)
        yield f"honest {n}, other message", key, message + b"!", signature(r, s)
        yield f"honest {n}, S and R swapped", key, message, (s.to_bytes(32, "little") + r)
        yield f"honest {n}, S negated", key, message, signature(r, -s % L)


ASK = """
import sys
from nacl.signing import VerifyKey
for line in sys.stdin:
    key, message, signature = (bytes.fromhex(part) for part in line.rstrip("\\n").split("\\t"))
    try:
        VerifyKey(key).verify(message, signature)
        print(1)
    except Exception:
        print(0)
"""


def main():
    columns = [argument.split("=", 1) for argument in sys.argv[1:]]
    rows = []
    for generate in (honest_rows, scalar_rows, encoding_rows, torsion_rows, small_r_rows, small_rows):
        rows += [(name, *(part.hex() for part in parts)) for name, *parts in generate()]
    asked = "".join("\t".join(row[1:]) + "\n" for row in rows)
    verdicts = [
        subprocess.run([python, "-c", ASK], input=asked, capture_output=True, text=True, check=True).stdout.split()
        for _, python in columns
    ]
    print("\t".join(["name", "key", "message", "signature"] + [name for name, _ in columns]))
    for row, *answers in zip(rows, *verdicts):
        print("\t".join([*row, *answers]))


if __name__ == "__main__":
    main()
