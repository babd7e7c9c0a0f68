#!/usr/bin/env python3
"""tools/check_layers.py on small source trees: which circles of includes it reports.

  check_layers_test.py SOURCE_FOLDER
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(sys.argv.pop(1)) / "tools" / "check_layers.py" if len(sys.argv) > 1 else None
ROOMS = "".join(f"lowrank_room({name} LIGHT)\n" for name in ("one", "two", "three", "four", "base"))


def circles(files):
    """The circles that are reported for a tree of PATH -> paths that it includes, without `src/`."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "cmake").mkdir()
        (root / "cmake" / "rooms.cmake").write_text(ROOMS)
        for path, targets in files.items():
            file = root / "src" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f'#include "{target}"\n' for target in targets))
        result = subprocess.run([sys.executable, str(CHECK), str(root), "--no-compile"], capture_output=True, text=True)
        found = [line.split(": ")[-1] for line in result.stdout.splitlines() if " -> " in line]
        assert (result.returncode == 1) == bool(found), result.stdout + result.stderr
        return found


class Circles(unittest.TestCase):
    def test_a_table_and_its_rows(self):
        files = {"one/table.h": [], "one/table.cc": ["one/table.h", "one/row.h"], "one/row.h": ["one/table.h"]}
        self.assertEqual(circles(files), ["one/row -> one/table -> one/row"])
        files["one/row.h"] = []
        self.assertEqual(circles(files), [])

    def test_three_files_and_each_circle_is_told(self):
        found = circles({"one/a.h": ["one/b.h", "one/d.h"], "one/b.h": ["one/c.h"], "one/c.h": ["one/a.h"],
                         "one/d.cc": ["one/a.h"], "one/d.h": []})
        self.assertEqual(sorted(found), ["one/a -> one/b -> one/c -> one/a", "one/a -> one/d -> one/a"])

    def test_rows_in_an_inc_belong_to_the_file_that_includes_them(self):
        files = {"one/a.h": [], "one/a.cc": ["one/a.h", "one/a_rows.inc"], "one/a_rows.inc": ["one/b.h"],
                 "one/b.h": ["one/a.h"]}
        self.assertEqual(circles(files), ["one/a -> one/b -> one/a"])

    def test_folders_of_a_room(self):
        # No two files include each other, but their folders do.
        files = {"one/x/a.h": ["one/y/b.h"], "one/y/b.h": [], "one/y/c.h": ["one/x/d.h"], "one/x/d.h": []}
        self.assertEqual(circles(files), ["one/x -> one/y -> one/x"])
        # The room's own files may use its folders, and the folders them.
        self.assertEqual(circles({"one/a.h": ["one/x/b.h"], "one/x/b.h": [], "one/x/c.h": ["one/a.h"]}), [])

    def test_a_source_without_a_header_stands_above_what_it_implements(self):
        self.assertEqual(circles({"one/a.h": [], "one/b.h": ["one/a.h"], "one/make_a.cc": ["one/a.h", "one/b.h"]}), [])


if __name__ == "__main__":
    unittest.main()
