#!/usr/bin/env python3
"""Writes src/prompt/tokens/normalization_tables.inc: canonical composition (NFC) and the forms of the full-width block.

    python3 tools/vocabulary/normalization_tables.py > src/prompt/tokens/normalization_tables.inc

Run by hand when a newer Unicode is wanted; the result is committed, so that a build does not depend on the
version of Python.
"""
import sys
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic


def scalars():
    return (c for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF)


def decompositions():
    for c in scalars():
        text = unicodedata.decomposition(chr(c))
        if text and not text.startswith("<") and c not in HANGUL:
            parts = [int(part, 16) for part in text.split()]
            yield c, parts[0], parts[1] if len(parts) > 1 else 0


def compositions():
    for c, first, second in decompositions():
        if second and unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(c):
            yield first, second, c


def classes():
    runs = []
    for c in scalars():
        value = unicodedata.combining(chr(c))
        if value == 0:
            continue
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == value:
            runs[-1][1] = c
        else:
            runs.append([c, c, value])
    return runs


def widths():
    for c in range(0xFF01, 0xFFF0):
        form = unicodedata.normalize("NFKC", chr(c))
        if form != chr(c):
            assert len(form) <= 2
            yield c, ord(form[0]), ord(form[1]) if len(form) > 1 else 0


def print_table(name, kind, rows):
    print(f"\nconstexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        text = " {" + ", ".join(str(n) if n < 256 and i == 2 and kind == "ClassRun" else hex(n) for i, n in enumerate(row)) + "},"
        if len(line) + len(text) > 110:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")


print(f"// Unicode {unicodedata.unidata_version}, written by tools/vocabulary/normalization_tables.py; do not edit.")
print_table("kDecompositions", "TwoParts", sorted(decompositions()))
print_table("kCompositions", "ComposedPair", sorted(compositions()))
print_table("kCombiningClasses", "ClassRun", classes())
print_table("kWidthForms", "TwoParts", widths())
