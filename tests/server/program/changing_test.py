#!/usr/bin/env python3
"""Files that change under a running server: it lives on, says what happened, and draws what lies there now.

  changing_test.py LOWRANK_BINARY FIXTURES
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from served import Served  # noqa: E402

LOWRANK, FIXTURES = sys.argv[1:3]
del sys.argv[1:3]
TINY = pathlib.Path(FIXTURES).resolve() / "sd15-tiny"


class ChangingTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.loras = self.folder / "models" / "Lora"
        self.models = self.folder / "models" / "Stable-diffusion"
        for folder in (self.loras, self.models):
            folder.mkdir(parents=True)
        shutil.copy(TINY / "sd15-tiny.safetensors", self.models)
        shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.loras / "fox.safetensors")
        self.server = Served(LOWRANK, FIXTURES, data=self.folder)
        self.addCleanup(self.server.close)

    def draw(self, steps=2, prompt="a fox <lora:fox:1>"):
        status, _, body = self.server.call("POST", "/sdapi/v1/txt2img", {"prompt": prompt, "steps": steps, "seed": 1, "width": 64, "height": 64})
        return status, body.decode()

    def overwrite_while_drawing(self, path):
        answers = []
        drawing = threading.Thread(target=lambda: answers.append(self.draw(steps=150)))
        drawing.start()
        for _ in range(400):
            time.sleep(0.02)
            if json.loads(self.server.call("GET", "/sdapi/v1/progress")[2])["state"]["sampling_step"] > 0:
                break
        os.truncate(path, 64)  # as `cp` begins
        drawing.join()
        return answers[0]

    def test_another_checkpoint_does_not_stand_in_in_silence(self):
        warnings = lambda: json.loads(json.loads(self.draw(prompt="a fox")[1])["info"])["lowrank"]["warnings"]
        self.assertEqual(warnings(), [])
        shutil.copy(TINY / "sd15-tiny.safetensors", self.models / "second.safetensors")
        os.truncate(self.models / "sd15-tiny.safetensors", 1000)
        os.utime(self.models / "second.safetensors", (1e9, 1e9))
        said = warnings()
        self.assertEqual(len(said), 1, said)
        self.assertIn("second is used", said[0])
        self.assertIn("sd15-tiny.safetensors", said[0])

    def test_a_file_cut_short_while_it_is_in_use_does_not_end_the_server(self):
        status, sound = self.draw()
        self.assertEqual(status, 200, sound)
        for path in (self.loras / "fox.safetensors", self.models / "sd15-tiny.safetensors"):
            whole = path.read_bytes()
            status, told = self.overwrite_while_drawing(path)
            self.assertNotEqual(status, 200)
            self.assertIn("changed while it was in use", told)
            self.assertEqual(self.server.call("GET", "/healthz")[0], 200)
            path.write_bytes(whole)
            status, again = self.draw()
            self.assertEqual(status, 200, again)
        self.assertIsNone(self.server.process.poll())

    def test_the_same_size_and_date_by_renaming_is_another_lora(self):
        status, before = self.draw()
        self.assertEqual(status, 200, before)
        path = self.loras / "fox.safetensors"
        times = path.stat()
        data = bytearray(path.read_bytes())
        data[-2000:] = bytes(2000)  # the last factors are zero now
        other = self.folder / "other.safetensors"
        other.write_bytes(data)
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace(other, path)
        status, after = self.draw()
        self.assertEqual(status, 200, after)
        self.assertNotEqual(after[:1000], before[:1000])

    def test_a_pipe_in_a_loras_place_is_refused_at_once(self):
        path = self.loras / "fox.safetensors"
        self.assertEqual(self.draw()[0], 200)
        path.unlink()
        os.mkfifo(path)
        begin = time.monotonic()
        status, told = self.draw()
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn("not a regular file", told)
        self.assertLess(status, 500)
        self.assertEqual(self.server.call("GET", "/healthz")[0], 200)


if __name__ == "__main__":
    unittest.main(verbosity=1)
