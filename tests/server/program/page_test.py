#!/usr/bin/env python3
"""How the program brings its page to people.  page_test.py LOWRANK FIXTURES"""
import os
import sys
import tempfile
import time
import unittest
import pathlib

from served import Served

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


class Open(unittest.TestCase):
    def serve(self, *options, display=":7", has_opener=True):
        """A server, and the file that a stand-in for xdg-open writes its words to."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        asked = pathlib.Path(folder.name) / "asked"
        opener = pathlib.Path(folder.name) / "xdg-open"
        opener.write_text(f"#!/bin/sh\necho \"$@\" > {asked}.part\nmv {asked}.part {asked}\n")
        opener.chmod(0o755 if has_opener else 0o644)
        path = f"{folder.name}:{os.environ['PATH']}" if has_opener else folder.name
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options,
                        environment={"PATH": path, "DISPLAY": display, "WAYLAND_DISPLAY": ""})
        self.addCleanup(server.close)
        return server, asked

    def test_open_shows_the_address_in_the_browser(self):
        for option in ("--open", "--autolaunch"):
            server, asked = self.serve(option)
            for _ in range(400):
                if asked.exists():
                    break
                time.sleep(0.025)
            self.assertEqual(asked.read_text(), f"http://127.0.0.1:{server.port}\n")
            self.assertEqual(server.call("GET", "/")[0], 200)

    def test_nothing_is_opened_or_said_without_a_desktop_or_an_opener(self):
        for more in ({"has_opener": False}, {"display": ""}):
            server, asked = self.serve("--open", **more)
            self.assertEqual(server.call("GET", "/healthz")[0], 200)
            self.assertEqual(server.stop(), 0)
            self.assertEqual((server.data / "errors.txt").read_text(), "")
            self.assertFalse(asked.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
