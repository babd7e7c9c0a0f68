#!/usr/bin/env python3
"""Prompts that ask for hours and gigabytes, against the real program: each is refused in one sentence before anything is
encoded, wherever a prompt is given, and the limits can be set.  work_test.py LOWRANK FIXTURES"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]

# What there is too much of, and how the sentence begins.
COSTLY = {
    "parts": ("a " + "AND b " * 20_000, "20001 parts between AND"),
    "breaks": ("a " + "BREAK b " * 20_000, "chunks of 75 tokens"),
    "round": ("(" * 100_000 + "a" + ")" * 100_000, "100000 levels of nested brackets"),
    "open": ("([" * 50_000, "100000 levels of nested brackets"),
    "tags": ("a " + "<lora:attention:0.1>" * 5_000, "5000 network tags"),
    "words": ("fox " * 60_000, "chunks of 75 tokens"),
    "editing": ("[" + "|".join(f"a{i}" for i in range(400)) + "]", "distinct texts across the sampling steps"),
}


class Work(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        cls.server.post("/sdapi/v1/txt2img", tiny_request())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def resident_mb(self):
        for line in pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024

    def refused(self, path, body, says):
        status, answer = self.server.post(path, body)
        self.assertEqual(status, 422, str(answer)[:500])
        self.assertIn(says, json.dumps(answer), str(answer)[:500])
        self.assertLess(len(json.dumps(answer)), 2000)

    def test_the_api_refuses_and_takes_nothing(self):
        before = self.resident_mb()
        for name, (prompt, says) in COSTLY.items():
            request = tiny_request(prompt=prompt, steps=1000 if name == "editing" else 3)
            self.refused("/sdapi/v1/txt2img", request, says)
            self.refused("/v1/jobs", {"kind": "txt2img", "request": request}, says)
            if name == "editing":
                continue
            self.refused("/v1/prompt/tokens", {"prompt": prompt}, says)
            if name not in ("parts", "tags"):  # a negative prompt has neither
                self.refused("/sdapi/v1/txt2img", tiny_request(negative_prompt=prompt), says)
            self.refused("/sdapi/v1/txt2img", tiny_request(enable_hr=True, hr_prompt=prompt), says)
        self.assertLess(self.resident_mb() - before, 100)
        self.assertEqual(self.server.post("/sdapi/v1/txt2img", tiny_request())[0], 200)

    def test_what_styles_and_scripts_make_of_a_prompt_counts(self):
        styles = self.server.data / "styles.csv"
        styles.write_text("name,prompt,negative_prompt\nmany,\"{prompt} " + "AND b " * 500 + "\",\n")
        self.addCleanup(styles.unlink)
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(styles=["many"]))
        self.assertEqual(status, 422, answer)
        self.assertIn("501 parts between AND", answer["detail"])
        body = tiny_request(prompt="a fox", script_name="Prompts from file or textbox", script_args=[False, False, "start", "a\n" + COSTLY["parts"][0]])
        self.refused("/sdapi/v1/txt2img", body, "parts between AND")

    def test_ordinary_long_prompts_are_drawn(self):
        prompt = "((a [fox:cat:0.5] (in (the (snow))))) BREAK " + "red, blue, green, " * 60 + " AND a [hat|cap] :0.5 AND a house"
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(prompt=prompt, steps=6))
        self.assertEqual(status, 200, answer)

    def test_the_limits_can_be_set(self):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--prompt-limits", "pieces=2, tags=1")
        self.addCleanup(server.close)
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request(prompt="a AND b"))[0], 200)
        status, answer = server.post("/sdapi/v1/txt2img", tiny_request(prompt="a AND b AND c"))
        self.assertEqual(status, 422)
        self.assertIn("--prompt-limits pieces=3", json.dumps(answer))
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request(prompt="a <lora:attention:1><lora:loha:1>"))[0], 422)
        memory = Served(LOWRANK, FIXTURES, "--access-log", "none", "--prompt-limits", "memory=1")
        self.addCleanup(memory.close)
        self.assertEqual(memory.post("/sdapi/v1/txt2img", tiny_request(width=256, height=256))[0], 200)
        status, answer = memory.post("/sdapi/v1/txt2img", tiny_request(prompt=" AND ".join("abcdefgh"), width=256, height=256))
        self.assertEqual(status, 422, answer)
        self.assertRegex(answer["detail"], r"about \d+ MB .* 1 MB are allowed")

    def test_the_command_line_refuses_alike(self):
        data = str(self.server.data)
        with tempfile.TemporaryDirectory() as folder:
            lines = pathlib.Path(folder) / "lines.txt"
            lines.write_text("a fox\n" + COSTLY["breaks"][0] + "\n")
            costly = "a " + "AND b " * 10_000
            for words in (["prompt", "explain", costly], ["prompt", "explain", "--json", costly], ["prompt", "explain", "a", "-n", "(" * 10_000],
                          ["txt2img", "-p", costly, "--steps", "1", "--size", "64x64", "-o", folder + "/x.png"],
                          ["prompts", "-f", str(lines), "--steps", "1", "--size", "64x64", "-o", folder + "/"]):
                done = subprocess.run([LOWRANK, *words, "--data-dir", data], capture_output=True, text=True, timeout=120, env=self.server.environment)
                self.assertEqual(done.returncode, 2, done.stderr[:500])
                self.assertRegex(done.stderr, r"error: .*allowed; shorten it", done.stderr[:500])
                self.assertLess(len(done.stderr), 1000)
        three = subprocess.run([LOWRANK, "prompt", "explain", "a AND b AND c", "--prompt-limits", "pieces=2"], capture_output=True, text=True)
        self.assertEqual((three.returncode, "3 parts between AND" in three.stderr), (2, True), three.stderr)
        for wrong in ("parts=3", "pieces", "pieces=many", "pieces=-1", "depth=100000"):
            done = subprocess.run([LOWRANK, "prompt", "explain", "a", "--prompt-limits", wrong], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("--prompt-limits", done.stderr)

    def test_training_looks_at_captions_and_sample_prompts_first(self):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) +
               chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(range(64)) for _ in range(64)))) + chunk(b"IEND", b""))
        with tempfile.TemporaryDirectory() as folder:
            pictures = pathlib.Path(folder) / "set/1_fox"
            pictures.mkdir(parents=True)
            (pictures / "a.png").write_bytes(png)
            (pictures / "a.txt").write_text("fox " * 200_000)
            samples = pathlib.Path(folder) / "samples.txt"
            samples.write_text("a fox\n")
            train = [LOWRANK, "train", "lora", "--data-dir", str(self.server.data), "--train-data-dir", folder + "/set", "--output-dir", folder,
                     "--output-name", "x", "--resolution", "64", "--max-train-steps", "1", "--sample-prompts", str(samples)]
            done = subprocess.run(train, capture_output=True, text=True, timeout=120, env=self.server.environment)
            self.assertEqual(done.returncode, 2, done.stderr[:500])
            self.assertRegex(done.stderr, r"a\.png: the caption has \d+ chunks of 75 tokens")
            (pictures / "a.txt").write_text("a fox")
            samples.write_text("a fox\n" + COSTLY["parts"][0] + "\n")
            done = subprocess.run(train, capture_output=True, text=True, timeout=120, env=self.server.environment)
            self.assertEqual(done.returncode, 2, done.stderr[:500])
            self.assertIn("parts between AND", done.stderr)

    def test_cancel_and_stop_end_the_encoding(self):
        """Some thousand passes of the encoder: allowed here, and ended long before they are done."""
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--prompt-limits", "chunks=10000,memory=100000")
        self.addCleanup(server.close)
        server.post("/sdapi/v1/txt2img", tiny_request())
        long = tiny_request(prompt="a " + "BREAK b " * 4_000)
        _, job = server.post("/v1/jobs", {"kind": "txt2img", "request": long})
        while server.get("/v1/jobs/" + job["id"])[1]["state"] == "queued":
            time.sleep(0.02)
        time.sleep(0.1)
        self.assertEqual(server.post(f"/v1/jobs/{job['id']}/cancel")[0], 200)
        self.assertEqual(server.wait_for(job["id"], seconds=20)["state"], "cancelled")
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request())[0], 200)
        gone = threading.Thread(target=lambda: server.call("POST", "/sdapi/v1/txt2img", json.dumps(long)), daemon=True)
        gone.start()
        time.sleep(0.3)
        self.assertEqual(server.stop(seconds=30), 0)
        gone.join(30)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
