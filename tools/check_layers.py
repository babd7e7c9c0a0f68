#!/usr/bin/env python3
"""Checks that the house keeps its walls: every #include stays within what cmake/rooms.cmake allows, rooms form no
cycle, nor do the files of a room or its folders among themselves, nothing light names libtorch, the public headers use only the standard library, and every light header compiles
alone. Prints each breach as FILE:LINE: REASON; exit status 1 when there is one.

  check_layers.py SOURCE_FOLDER [--compiler C++] [--no-compile]
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

# Includes that leave the list of a room, each with its reason.
EXCEPTIONS = {}

# Includes within a room that may close a circle: (FROM, TO) as find_circles() names them, each with its reason.
CIRCLES_ALLOWED = {}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LIBTORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")


def read_rooms(path):
    """NAME -> (side, set of rooms it may include)."""
    rooms = {}
    for match in re.finditer(r"^lowrank_room\(([^)]*)\)", path.read_text(), re.MULTILINE):
        words = match.group(1).split()
        uses, current = set(), None
        for word in words[2:]:
            if word in ("USES", "LINKS"):
                current = word
            elif current == "USES":
                uses.add(word)
        rooms[words[0]] = (words[1], uses)
    return rooms


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def find_cycle(uses):
    """`uses`: NAME -> names it uses. A list of names that begins and ends with the same; None: there is no cycle."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done or name not in uses:
            return None
        path.append(name)
        for used in sorted(uses[name]):
            cycle = visit(used)
            if cycle:
                return cycle
        path.pop()
        done.add(name)
        return None

    for name in sorted(uses):
        cycle = visit(name)
        if cycle:
            return cycle
    return None


def file_of(relative, owners):
    """x.h and x.cc are one file, "x", and so is an .inc that only x includes; another .inc stands for itself."""
    if relative.suffix != ".inc":
        return relative.with_suffix("").as_posix()
    owner = owners.get(relative.as_posix(), set())
    return next(iter(owner)) if len(owner) == 1 else relative.as_posix()


def find_circles(source):
    """Circles of includes between the files of one room, and between the folders of one room, as lists of names. A file
    that lies in the room itself belongs to no folder. A .cc without a header of its name stands above what it
    implements: nothing includes it."""
    root = source / "src"
    paths = sorted(p for p in root.rglob("*") if p.suffix in (".h", ".cc", ".inc"))
    inside = {}  # path in src/ -> paths in the same room that it includes
    owners = {}
    for path in paths:
        relative = path.relative_to(root)
        targets = [pathlib.PurePosixPath(target) for _, angled, target in includes(path) if not angled]
        inside[relative] = [t for t in targets if t.parts[0] == relative.parts[0] and (root / t).is_file()]
        for target in inside[relative]:
            if target.suffix == ".inc":
                owners.setdefault(target.as_posix(), set()).add(relative.with_suffix("").as_posix())
    files, folders = {}, {}
    for relative, targets in inside.items():
        for target in targets:
            user, used = file_of(relative, owners), file_of(target, owners)
            if user != used and (user, used) not in CIRCLES_ALLOWED:
                files.setdefault(user, set()).add(used)
            if len(relative.parts) < 3 or len(target.parts) < 3:
                continue
            user, used = "/".join(relative.parts[:2]), "/".join(target.parts[:2])
            if user != used and (user, used) not in CIRCLES_ALLOWED:
                folders.setdefault(user, set()).add(used)
    for graph in (files, folders):
        cycle = find_cycle(graph)
        while cycle:  # without its last include it is one no longer: the next one is found
            yield cycle
            graph[cycle[-2]].discard(cycle[-1])
            cycle = find_cycle(graph)


def is_light(relative, rooms):
    if relative.parts[0] == "cli":
        return relative.parts[1] != "engine"
    return rooms.get(relative.parts[0], ("ENGINE",))[0] == "LIGHT"


def check_source(path, source, rooms):
    relative = path.relative_to(source / "src")
    room = relative.parts[0]
    light = is_light(relative, rooms)
    for number, angled, target in includes(path):
        place = f"{path.relative_to(source)}:{number}"
        if LIBTORCH.match(target) and light:
            yield f"{place}: {target} is libtorch's, but this file lies above the engine line"
        other = target.split("/")[0]
        if angled or other not in rooms and other != "cli":
            continue
        if (relative.as_posix(), target) in EXCEPTIONS:
            continue
        if room == "cli":
            if light and other != "cli" and rooms[other][0] == "ENGINE":
                yield f"{place}: {target} lies below the engine line, this file above it"
            if light and target.startswith("cli/engine/"):
                yield f"{place}: {target} lies below the engine line, this file above it"
            continue
        if room not in rooms:
            yield f"{place}: the room '{room}' is missing in cmake/rooms.cmake"
            return
        if other not in {room, "base"} | rooms[room][1]:
            yield f"{place}: the room '{room}' may not include '{other}' (cmake/rooms.cmake)"


def check_public(path, source):
    for number, angled, target in includes(path):
        known = target.startswith("lowrank/") if not angled else "/" not in target and "." not in target
        if not known and not (angled and target.startswith("lowrank/")):
            yield f"{path.relative_to(source)}:{number}: {target} is neither of the standard library nor of lowrank/"


def check_compile(headers, source, compiler):
    """One compiler run per batch; when a batch fails its headers are tried one by one."""
    command = [compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", f"-I{source}/src", f"-I{source}/include"]

    def compiles(batch):
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for number, header in enumerate(batch):
                file = pathlib.Path(folder) / f"header_{number}.cc"
                file.write_text(f'#include "{header}"\n')
                files.append(str(file))
            return subprocess.run(command + files, capture_output=True, text=True)

    if compiles(headers).returncode == 0:
        return
    for header in headers:
        result = compiles([header])
        if result.returncode != 0:
            reason = next((line for line in result.stderr.splitlines() if "error" in line), "no reason given")
            yield f"{header.relative_to(source)}: does not compile alone: {reason}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    source = arguments.source.resolve()
    rooms = read_rooms(source / "cmake" / "rooms.cmake")
    breaches = []
    if len(rooms) < 5:
        breaches.append("cmake/rooms.cmake: fewer than five rooms were understood")
    for room, (side, uses) in rooms.items():
        for used in sorted(uses):
            if used not in rooms:
                breaches.append(f"cmake/rooms.cmake: '{room}' uses '{used}', which is no room")
            elif side == "LIGHT" and rooms[used][0] == "ENGINE":
                breaches.append(f"cmake/rooms.cmake: '{room}' is light but uses '{used}'")
    cycle = find_cycle({room: uses for room, (_, uses) in rooms.items()})
    if cycle:
        breaches.append("cmake/rooms.cmake: the rooms form a cycle: " + " -> ".join(cycle))
    breaches.extend("src: files or folders of a room include each other: " + " -> ".join(circle)
                    for circle in find_circles(source))
    files = sorted(p for p in (source / "src").rglob("*") if p.suffix in (".h", ".cc") and len(p.relative_to(source / "src").parts) > 1)
    for path in files:
        breaches.extend(check_source(path, source, rooms))
    public = sorted((source / "include" / "lowrank").glob("**/*.h"))
    for path in public:
        breaches.extend(check_public(path, source))
    headers = [p for p in files if p.suffix == ".h" and is_light(p.relative_to(source / "src"), rooms)] + public
    if not breaches and not arguments.no_compile:
        breaches.extend(check_compile(headers, source, arguments.compiler))
    for breach in breaches:
        print(breach)
    print(f"{len(files)} files in {len(rooms)} rooms, {len(headers)} light headers: {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
