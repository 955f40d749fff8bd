"""Reads one JSON text per line, in hexadecimal; writes its canonical form in hexadecimal.

Writes `refused` when the reference implementation cannot read the text, or cannot write it.
"""

import json
import sys

from canonicaljson import encode_canonical_json


def check_pairs(pairs):
    # What a later duplicate overwrites must be fit to be written as well.
    for key, value in pairs:
        encode_canonical_json(key)
        encode_canonical_json(value)
    return dict(pairs)


for line in sys.stdin:
    try:
        text = bytes.fromhex(line.strip()).decode("utf-8")
        value = json.loads(text, object_pairs_hook=check_pairs)
        print(encode_canonical_json(value).hex())
    except (ValueError, RecursionError):
        print("refused")
