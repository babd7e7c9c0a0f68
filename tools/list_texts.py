#!/usr/bin/env python3
"""Lists every text that a user may read, one a line with where it stands: help of all commands, errors and warnings of the
program, texts of the page. For reading through them as a list (CONTRIBUTING.md, "Words").

  list_texts.py [--program build/dev/bin/lowrank] [help | errors | page …]
"""
import argparse
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def joined_literals(text):
    """String literals of C++ with their line numbers; adjacent ones are one."""
    whole, line, end = [], 0, 0
    for match in LITERAL.finditer(text):
        between = text[end:match.start()]
        if whole and between.strip() == "":
            whole.append(match[1])
        else:
            if whole:
                yield line, "".join(whole)
            whole, line = [match[1]], text.count("\n", 0, match.start()) + 1
        end = match.end()
    if whole:
        yield line, "".join(whole)


def is_sentence(text):
    return text.count(" ") >= 2 and re.search(r"[a-z]{2}", text) and not re.match(r"\s*(SELECT|INSERT|UPDATE|CREATE|DELETE|PRAGMA)\b", text)


def errors():
    for path in sorted((ROOT / "src").rglob("*.cc")):
        if "cli/command_table" in str(path) or "/page/files" in str(path):
            continue
        source = re.sub(r"^\s*(#include .*|//.*)$", "", path.read_text(), flags=re.M)
        for line, text in joined_literals(source):
            if is_sentence(text):
                yield f"{path.relative_to(ROOT)}:{line}", text


def help_lines(program):
    groups = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    seen = set()
    names = re.findall(r"^  ([a-z][a-z0-9-]*(?: [a-z][a-z-]*)?)\s{2,}", groups, re.M)
    for name in [""] + names:
        out = subprocess.run([program, *name.split(), "--help"], capture_output=True, text=True, check=True).stdout
        paragraph = []
        for line in out.splitlines() + [""]:
            # What is indented deep goes on with the line before.
            if paragraph and re.match(r"\s{20,}\S", line):
                paragraph.append(line.strip())
                continue
            if paragraph and is_sentence(" ".join(paragraph)) and " ".join(paragraph) not in seen:
                seen.add(" ".join(paragraph))
                yield f"{name or 'lowrank'} --help", " ".join(paragraph)
            paragraph = [line.strip()] if line.strip() else []


def page():
    for path in sorted((ROOT / "web/src").rglob("*.ts*")):
        source = path.read_text()
        for line, text in enumerate(source.splitlines(), 1):
            if re.match(r"\s*(//|\*|/\*|import )", text):
                continue
            for found in re.findall(r"'((?:[^'\\]|\\.)*)'|`([^`]*)`|>([^<>{}]*[a-z][^<>{}]*)<", text):
                words = "".join(found)
                if re.search(r"[A-Z][a-z]|[a-z] [a-z]", words) and not re.match(r"^[\w./:@-]+$", words):
                    yield f"{path.relative_to(ROOT)}:{line}", words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/dev/bin/lowrank"))
    parser.add_argument("what", nargs="*", default=["help", "errors", "page"])
    arguments = parser.parse_args()
    lists = {"help": lambda: help_lines(arguments.program), "errors": errors, "page": page}
    for what in arguments.what:
        for place, text in lists[what]():
            print(f"{place}\t{text}")


if __name__ == "__main__":
    main()
