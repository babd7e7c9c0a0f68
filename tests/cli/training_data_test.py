#!/usr/bin/env python3
"""`lowrank train check` and `lowrank train tags` on real folders.

  training_data_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import base64
import http.server
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny" / "sd15-tiny.safetensors"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(width, height, seed, alpha=None):
    """A PNG of pseudo-random blocks, so that each seed looks different and nothing is blurred."""
    rows = b""
    for y in range(height):
        rows += b"\0"
        for x in range(width):
            value = zlib.crc32(struct.pack(">III", x * 8 // width, y * 8 // height, seed)) & 255
            rows += bytes((value, value // 2, 255 - value)) + (bytes((alpha,)) if alpha is not None else b"")
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if alpha is None else 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TrainingDataTest(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        (self.top / "models" / "Stable-diffusion").mkdir(parents=True)
        (self.top / "models" / "Stable-diffusion" / "tiny.safetensors").symlink_to(TINY)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_"))}
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(self.top / "home"), OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")

    def run_lowrank(self, *words, status=0):
        result = subprocess.run([LOWRANK, *map(str, words)], cwd=self.top, env=self.environment, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=120, text=True)
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout} {result.stderr}")
        return result

    def put(self, path, data):
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())

    def caption(self, path):
        return (self.top / path).read_text()

    def small_set(self):
        for seed, caption in enumerate(("fox, snow", "fox, night", "fox, Snow, tree")):
            self.put(f"set/2_fox/{seed}.png", picture(64, 64, seed))
            self.put(f"set/2_fox/{seed}.txt", caption)

    def test_a_set_is_described_and_its_cost_measured(self):
        self.small_set()
        self.put("set/2_fox/again.png", picture(64, 64, 1))
        self.put("set/2_fox/again.txt", "fox, night")
        self.put("set/2_fox/little.png", picture(32, 32, 9))
        self.put("set/2_fox/little.txt", "fox")
        told = json.loads(self.run_lowrank("train", "check", "set", "--resolution", "64", "--max-train-steps", "20", "--network-dim", "2",
                                           "--json").stdout)
        self.assertEqual(told["pictures"], 5)
        self.assertEqual(told["pictures_per_epoch"], 10)
        self.assertEqual(told["buckets"], [{"width": 64, "height": 64, "pictures": 10, "batch_size": 1}])
        self.assertEqual(told["tags"]["fox"], 5)
        self.assertEqual(told["tags"]["snow"], 2)
        self.assertEqual(told["common_tags"], ["fox"])
        self.assertEqual([(pathlib.Path(a["first"]).name, pathlib.Path(a["second"]).name, a["is_same"]) for a in told["alike"]],
                         [("1.png", "again.png", True)])
        self.assertEqual([pathlib.Path(p["picture"]).name for p in told["enlarged"]], ["little.png"])
        self.assertAlmostEqual(told["enlarged"][0]["factor"], 2)
        self.assertEqual(told["faults"], [])
        cost = told["cost"]
        self.assertGreater(cost["batch_seconds"], 0)
        self.assertGreater(cost["peak_bytes"], 10_000_000)
        self.assertEqual(cost["steps"], 20)
        self.assertEqual(cost["epochs"], 2)
        self.assertAlmostEqual(cost["expected_seconds"], 20 * cost["batch_seconds"] + 5 * cost["picture_seconds"], places=6)
        self.assertEqual(list((self.top / "models").rglob("*check*")), [], "nothing is left of the measure")
        text = self.run_lowrank("train", "check", "set", "--resolution", "64", "--no-measure").stdout
        for part in ("5 pictures in 1 folder", "64x64: 10 pictures", "the same file", "little.png: 2.00 times", "left out with --no-measure"):
            self.assertIn(part, text)

    def test_all_faults_are_told_together(self):
        self.put("set/1_a/broken.png", b"no picture")
        self.put("set/1_a/broken.txt", "x")
        self.put("set/foxes/a.png", picture(64, 64, 1))
        self.put("set/1_b/b.png", picture(64, 64, 2))
        self.put("set/1_b/b.txt", b"caf\xe9")
        told = json.loads(self.run_lowrank("train", "check", "set", "--resolution", "64", "--json", status=2).stdout)
        for part in ("broken.png", "foxes: the folder's name", "b.txt: byte 4"):
            self.assertTrue(any(part in fault for fault in told["faults"]), (part, told["faults"]))
        text = self.run_lowrank("train", "lora", "--train-data-dir", "set", "--resolution", "64", "--output-name", "x", status=2).stderr
        for part in ("broken.png", "foxes: the folder's name", "b.txt: byte 4"):
            self.assertIn(part, text)

    def test_a_configured_set_is_trained_on(self):
        self.small_set()
        self.put("see/a.png", picture(64, 32, 5, alpha=128))
        self.put("see/a.txt", "a {red|blue} fox\na hare")
        self.put("set.toml", "[general]\nshuffle_caption = true\nenable_bucket = true\nbucket_reso_steps = 16\nmin_bucket_reso = 16\n"
                             "max_bucket_reso = 128\n[[datasets]]\nresolution = 64\nbatch_size = 2\n[[datasets.subsets]]\n"
                             "image_dir = 'set/2_fox'\nnum_repeats = 2\ncaption_tag_dropout_rate = 0.2\n"
                             "[[datasets]]\nresolution = [64, 32]\n[[datasets.subsets]]\nimage_dir = 'see'\nalpha_mask = true\n"
                             "enable_wildcard = true\nrandom_crop = true\n")
        result = self.run_lowrank("train", "lora", "--dataset-config", "set.toml", "--max-train-steps", "4", "--network-dim", "2",
                                  "--network-train-unet-only", "--output-name", "configured")
        for part in ("64x64: 6", "64x32: 1"):
            self.assertIn(part, result.stdout)
        self.assertTrue((self.top / "models" / "Lora" / "configured.safetensors").exists())
        for words in (["--face-crop-aug-range", "1.0,2.0"], ["--train-data-dir", "set"]):
            self.run_lowrank("train", "lora", "--dataset-config", "set.toml", "--output-name", "y", *words, status=2)

    def test_tags_are_counted_searched_and_changed(self):
        self.small_set()
        told = json.loads(self.run_lowrank("train", "tags", "set", "--json").stdout)
        self.assertEqual(told["tags"], {"fox": 3, "snow": 2, "night": 1, "tree": 1})
        self.assertEqual(told["common_prefix"], ["fox"])
        found = json.loads(self.run_lowrank("train", "tags", "set", "--search", "SNOW", "--json").stdout)["found"]
        self.assertEqual([pathlib.Path(one["picture"]).name for one in found], ["0.png", "2.png"])
        preview = self.run_lowrank("train", "tags", "set", "--replace", "snow=ice", "--prefix", "3dmm style", "--dry-run").stdout
        self.assertIn("+ 3dmm style, fox, ice\n", preview)
        self.assertIn("3 captions would be written", preview)
        self.assertEqual(self.caption("set/2_fox/0.txt"), "fox, snow", "a preview writes nothing")
        self.run_lowrank("train", "tags", "set", "--replace", "snow=ice", "--prefix", "3dmm style", "--remove", "tree")
        self.assertEqual(self.caption("set/2_fox/2.txt"), "3dmm style, fox, ice\n")
        self.run_lowrank("train", "tags", "set", "--search", "night", "--suffix", "dark")
        self.assertEqual(self.caption("set/2_fox/1.txt"), "3dmm style, fox, night, dark\n")
        self.assertEqual(self.caption("set/2_fox/0.txt"), "3dmm style, fox, ice\n")
        self.put("set/2_fox/red-hare_field_003.png", picture(64, 64, 7))
        self.run_lowrank("train", "tags", "set", "--from-names")
        self.assertEqual(self.caption("set/2_fox/red-hare_field_003.txt"), "red hare, field\n")
        self.run_lowrank("train", "tags", "set", "--replace", "fox", status=2)

    def test_a_program_writes_captions(self):
        self.small_set()
        self.put("set/2_fox/my picture.png", picture(64, 64, 7))
        self.put("caption.sh", "printf 'seen: %s\\n' \"$(basename \"$1\")\"")
        self.run_lowrank("train", "tags", "set", "--caption-command", f"sh {self.top}/caption.sh")
        self.assertEqual(self.caption("set/2_fox/my picture.txt"), "seen: my picture.png\n")
        self.assertEqual(self.caption("set/2_fox/0.txt"), "fox, snow")
        self.put("set/2_fox/other.png", picture(64, 64, 8))
        failed = self.run_lowrank("train", "tags", "set", "--overwrite", "--caption-command", "false", status=2)
        self.assertIn("the caption command ended with status 1", failed.stderr)
        self.assertEqual(self.caption("set/2_fox/0.txt"), "fox, snow", "nothing is written when one fails")

    def test_a_service_writes_captions(self):
        asked = []

        class Service(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked.append(body)
                reply = json.dumps({"caption": f"served {body['file_name']}"}).encode()
                self.send_response(500 if "bad" in self.path else 200)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *words):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Service)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        site = f"http://127.0.0.1:{server.server_port}"
        self.put("set/a.png", picture(16, 16, 7))
        self.run_lowrank("train", "tags", "set", "--caption-url", f"{site}/sdapi/v1/interrogate")
        self.assertEqual(self.caption("set/a.txt"), "served a.png\n")
        self.assertEqual(base64.b64decode(asked[0]["image"]), (self.top / "set" / "a.png").read_bytes())
        failed = self.run_lowrank("train", "tags", "set", "--overwrite", "--caption-url", f"{site}/bad", status=2)
        self.assertIn("answered with status 500", failed.stderr)


if __name__ == "__main__":
    unittest.main()
