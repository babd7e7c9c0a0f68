#!/usr/bin/env python3
"""Many clients at once, and long lists, against the real program; times are in bench/server_load.py.  load_test.py LOWRANK FIXTURES"""
import contextlib
import gzip
import json
import selectors
import shutil
import socket
import sys
import time
import unittest

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Load(unittest.TestCase):
    def serve(self, *options):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options)
        self.addCleanup(server.close)
        return server

    def answers(self, port, count):
        """What each of `count` connections got that were opened before any of them was served."""
        waiting, got = selectors.DefaultSelector(), {}
        with contextlib.ExitStack() as stack:
            for i in range(count):
                s = stack.enter_context(socket.socket())
                s.setblocking(False)
                s.connect_ex(("127.0.0.1", port))
                got[s] = b""
                waiting.register(s, selectors.EVENT_WRITE)
            end = time.monotonic() + 20
            while waiting.get_map() and time.monotonic() < end:
                for key, events in waiting.select(1):
                    s = key.fileobj
                    try:
                        if events & selectors.EVENT_WRITE:
                            s.send(ASK)
                            waiting.modify(s, selectors.EVENT_READ)
                        elif piece := s.recv(65536):
                            got[s] += piece
                        else:
                            waiting.unregister(s)
                    except OSError as error:
                        got[s] = type(error).__name__.encode() + b" " + got[s]
                        waiting.unregister(s)
        return [data[:12] for data in got.values()]

    def test_every_connection_up_to_the_limit_is_answered(self):
        server = self.serve("--max-connections", "256")
        self.assertEqual(self.answers(server.port, 250).count(b"HTTP/1.1 200"), 250)

    def test_further_ones_get_their_503_at_once(self):
        server = self.serve("--max-connections", "20")
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(20)]
        self.addCleanup(lambda: [s.close() for s in held])
        time.sleep(0.5)
        answers = self.answers(server.port, 200)
        self.assertEqual((answers.count(b"HTTP/1.1 503"), len(answers)), (200, 200), set(answers))
        for s in held:
            s.close()
        for _ in range(100):
            if self.answers(server.port, 1) == [b"HTTP/1.1 200"]:
                return
            time.sleep(0.1)
        self.fail("the places of those who left stay taken")

    def test_a_list_of_loras_is_kept_and_follows_the_files(self):
        server = self.serve()
        path = "/sdapi/v1/loras"

        def listed(headers=None):
            status, got, data = server.call("GET", path, headers=headers)
            self.assertEqual((status, got["content-type"], got["vary"]), (200, "application/json", "Accept-Encoding"))
            self.assertEqual(got.get("content-encoding"), "gzip" if headers else None)
            return json.loads(gzip.decompress(data) if headers else data)
        first = listed()
        self.assertEqual([sorted(entry) for entry in first if entry["name"] in ("attention", "loha")],
                         [sorted(("name", "alias", "path", "metadata", "hash", "sd_version", "kind", "rank", "trained_words", "preview", "size", "mtime"))] * 2)
        self.assertEqual(listed({"Accept-Encoding": "gzip, deflate"}), first)
        self.assertEqual(server.get(path + "?limit=1000")[1], first)
        (one,) = server.get(path + "?q=attention&fields=name,metadata")[1]
        self.assertEqual(one, {"name": "attention", "metadata": next(e["metadata"] for e in first if e["name"] == "attention")})
        folder = server.data / "models/Lora"
        shutil.copy(folder / "attention.safetensors", folder / "another.safetensors")
        self.until(lambda: "another" in [e["name"] for e in listed()])
        self.assertEqual(listed({"Accept-Encoding": "gzip"}), listed())
        # The same name with other content: its metadata are read again.
        text = json.dumps({"__metadata__": {"ss_output_name": "changed"}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        (folder / "another.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)
        self.until(lambda: {"ss_output_name": "changed"} in [e["metadata"] for e in listed()])
        (folder / "another.safetensors").unlink()
        self.until(lambda: listed() == first)

    def until(self, condition):
        for _ in range(200):
            if condition():
                return
            time.sleep(0.05)
        self.fail("never came")

    def test_small_answers_and_pictures_are_not_compressed(self):
        server = self.serve()
        for path, body in (("/sdapi/v1/samplers", None), ("/sdapi/v1/txt2img", json.dumps(tiny_request()))):
            status, headers, data = server.call("POST" if body else "GET", path, body, headers={"Accept-Encoding": "gzip"})
            self.assertEqual((status, headers.get("content-encoding")), (200, None))
            json.loads(data)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
