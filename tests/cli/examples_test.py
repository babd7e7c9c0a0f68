#!/usr/bin/env python3
"""Every example of the help of every command, and every block of README, run as they stand with the starter model.

  examples_test.py LOWRANK_BINARY SOURCE_FOLDER [help|readme|training]

What is not run as it stands is so by a rule of this file, and printed: QUICKER makes long work short, NETWORK runs what asks
a site against nothing (it must fail in one sentence), ENDLESS stops what goes on until Ctrl-C, BUILDS leaves out what builds
or installs the program itself.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from model_sites import png  # noqa: E402

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
STARTER = SOURCE / "models/starter"

# Pattern, what becomes of it. Options at the end win over the same ones before.
QUICKER = [
    (r"^(lowrank (?:txt2img|img2img|matrix|prompts|bench)\b.*?)(?=$| #| \|| >)", r"\1 --steps 1"),
    (r"^(lowrank xyz\b.*?)(?=$| #)", r"\1 --steps 1"),
    (r"Steps: 10, 20, 30", "Steps: 1, 2, 3"),
    (r"--size 512x512", "--size 64x64"),
    (r"^((?:RANK=\d )?lowrank train lora\b.*?)(?=$| #| &$)", r"\1 --max-train-steps 2"),
    (r"^(lowrank train sheet\b.*?)(?=$| #)", r"\1 --steps 1"),
    (r"--resolution (?:512|1024)", "--resolution 64"),
    (r"^resolution = 512", "resolution = 64"),
    (r"^mixed_precision.*", ""),
    (r"--save-every-n-epochs 1", "--save-every-n-steps 1"),
    (r"^(lowrank train base\b.*?)(?=$| #)", r"\1 --vae-steps 1 --steps 1 --batch 2"),
    (r"^(lowrank model random) --like \S+", r"\1 --like tiny"),
    (r"^(lowrank serve\b.*?)(?=$| #)", r"\1 --port 0 --access-log none"),
    (r" --open\b", ""),
    (r"--learning-rate 1e-3", "--learning-rate 1e-4"),
]
NETWORK = re.compile(r"https://|^lowrank lora import (?!fox\.safetensors)|check-updates")
ENDLESS = re.compile(r"^lowrank serve\b|--watch")
BUILDS = re.compile(r"^(make|git|sudo|npm) ")
TOOLS = {"man": "man -l", "node": "node", "curl": "curl"}


def quicker(command):
    for pattern, instead in QUICKER:
        command = re.sub(pattern, instead, command)
    return command


def stated(path, metadata, to):
    """A copy of a safetensors file that states something."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header["__metadata__"] = header.get("__metadata__", {}) | metadata
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    to.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


class Scratch:
    """A folder in which a user stands: the starter is there, and files of theirs."""
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_", "HF_"))}
        (self.folder / "bin").mkdir()
        (self.folder / "bin/lowrank").symlink_to(LOWRANK)
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(self.folder / "home"), PATH=f"{self.folder / 'bin'}:{os.environ['PATH']}",
                                LOWRANK_CIVITAI_URL="http://127.0.0.1:9", HF_ENDPOINT="http://127.0.0.1:9", OMP_WAIT_POLICY="passive",
                                OPENBLAS_NUM_THREADS="1", LOWRANK_DATA_DIR="")
        (self.folder / "home").mkdir()
        (self.folder / "here/models").mkdir(parents=True)
        self.here = self.folder / "here"

    @staticmethod
    def add_tuned_checkpoint(path):
        """The starter with other numbers in one matrix."""
        data = bytearray(next(STARTER.glob("*.safetensors")).read_bytes())
        head = int.from_bytes(data[:8], "little")
        entry = next(value for name, value in json.loads(data[8:8 + head]).items() if name.endswith("attn1.to_q.weight"))
        begin, end = (8 + head + offset for offset in entry["data_offsets"])
        data[begin:end:2] = bytes(byte ^ 0x40 for byte in data[begin:end:2])
        path.write_bytes(data)

    def add_files_of_a_user(self):
        here = self.here
        for name in ("photos", "pictures/10_foxy", "drawings"):
            (here / name).mkdir(parents=True)
            for number in (1, 2):
                shutil.copy(STARTER / "lora/character_zorbo.png", here / name / f"{number}.png")
                (here / name / f"{number}.txt").write_text("foxy, red background")
        subprocess.run([sys.executable, SOURCE / "tools/make_mask.py", here / "mask.png"], check=True)
        for name in ("friend", "without", "with"):
            shutil.copy(STARTER / "lora/character_zorbo.png", here / f"{name}.png")
        (here / "prompts.txt").write_text("fox, noto style\n--prompt \"star\" --steps 1\n")
        (here / "password.txt").write_text("ann:secret\n")
        shutil.copy(STARTER / "lora/character_zorbo.safetensors", here / "fox.safetensors")
        self.add_tuned_checkpoint(here / "tuned.safetensors")
        (here / "models/Stable-diffusion").mkdir()
        (here / "models/Stable-diffusion/ponyFox.safetensors").symlink_to(STARTER / "starter.safetensors")
        (here / "models/ESRGAN").mkdir()
        shutil.copy(SOURCE / "tests/fixtures/upscalers/old-4x.pth", here / "models/ESRGAN/4x-UltraSharp.pth")

    def run(self, command, **more):
        return subprocess.run(["bash", "-c", command], cwd=self.here, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=600, **more)

    def start(self, command):
        return subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.here, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Examples(unittest.TestCase):
    def scratch(self):
        scratch = Scratch()
        self.addCleanup(scratch.remove)
        return scratch

    def try_command(self, scratch, command):
        short = quicker(command)
        with self.subTest(command):
            if ENDLESS.search(command):
                print(f"  ENDLESS {short}")
                process = scratch.start(short)
                line = process.stdout.readline()
                process.send_signal(signal.SIGINT)
                self.assertIn(process.wait(60), (0, 130), process.stderr.read())
                self.assertNotEqual(line, "")
                process.stdout.close()
                process.stderr.close()
                return
            if NETWORK.search(command):
                print(f"  NETWORK {command}")
                done = scratch.run(short)
                self.assertIn(done.returncode, (0, 1, 2), done.stderr)
                self.assertNotIn("Traceback", done.stderr)
                if "check-updates" not in command:  # nothing here came from a site
                    self.assertRegex(done.stderr + done.stdout, r"127\.0\.0\.1:9|cannot be reached", command)
                return
            for tool in TOOLS:
                if re.search(rf"\| {tool}\b", command) and not shutil.which(tool):
                    print(f"  NO {tool} here: {command}")
                    return
            if short != command:
                print(f"  QUICKER {short}")
            done = scratch.run(short)
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")

    def test_help(self):
        scratch = self.scratch()
        scratch.add_files_of_a_user()
        listing = scratch.run("lowrank --help").stdout
        names = re.findall(r"^  ([a-z0-9-]+(?: [a-z-]+)?)  ", listing.split("Commands:")[1].split("\n\n")[0], re.M)
        self.assertGreaterEqual(len(names), 30)
        pages = [listing] + [scratch.run(f"lowrank {name} --help").stdout for name in names]
        commands = []
        for page in pages:
            found = re.findall(r"^  (lowrank .*)$", page.split("Examples:")[1], re.M)
            self.assertTrue(found, page[:60])
            commands += [command for command in found if command not in commands]
        self.assertGreater(len(commands), 50)
        for command in commands:
            self.try_command(scratch, command)

    def test_workbench(self):
        scratch = self.scratch()
        commands = re.findall(r"^(lowrank .*?)(?: +#.*)?$", (SOURCE / "docs/workbench.md").read_text(), re.M)
        self.assertGreater(len(commands), 8)
        for command in commands:
            self.try_command(scratch, command)

    def test_readme(self):
        scratch = self.scratch()
        (scratch.here / "models/starter").symlink_to(STARTER)
        (scratch.here / "docs").symlink_to(SOURCE / "docs")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        text = (SOURCE / "README.md").read_text()
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
        self.assertEqual({kind for kind, _ in blocks}, {"bash", "python", "javascript"})
        for line in re.findall(r"^    (.*)$", text, re.M):
            self.assertFalse(line.startswith("lowrank ") and not line.startswith("lowrank serve --open"), f"no block: {line}")
        server = None
        for kind, body in blocks:
            body = body.replace("7860", port)
            if kind == "bash" and body.startswith("lowrank serve"):
                server = scratch.start(body.split("#")[0].strip() + f" --port {port} --access-log none")
                self.addCleanup(server.stdout.close)
                self.addCleanup(server.stderr.close)
                self.addCleanup(server.wait)
                self.addCleanup(server.kill)
                self.assertIn("Listening", server.stdout.readline())
            elif kind == "bash" and NETWORK.search(body) and body.count("\n") == 1:
                self.try_command(scratch, body.strip())
            elif kind == "bash":
                self.paste(scratch, body)
            elif kind == "python":
                self.run_program(scratch, [sys.executable], "fox.py", body)
                # As it is a second time, and changed: neither is a conflict.
                self.run_program(scratch, [sys.executable], "fox.py", body)
                self.run_program(scratch, [sys.executable], "fox.py", body.replace("a red fox", "a blue fox"))
            elif shutil.which("node"):
                self.run_program(scratch, ["node"], "fox.mjs", body)
        self.assertIsNotNone(server)

    # Stable Diffusion 1.5 and SDXL are tiny models of their families here.
    def test_training(self):
        scratch = self.scratch()
        models = scratch.here / "models/Stable-diffusion"
        models.mkdir()
        for name, fixture, heads in (("sd15", "sd15-tiny", {}), ("sdxl", "sdxl-tiny", {"lowrank.text_heads": "2", "lowrank.text2_heads": "3"})):
            stated(SOURCE / f"tests/fixtures/{fixture}/{fixture}.safetensors", heads, models / f"{name}.safetensors")
            os.utime(models / f"{name}.safetensors", (0, 0))
        (models / "starter.safetensors").symlink_to(STARTER / "starter.safetensors")
        text = (SOURCE / "docs/training.md").read_text()
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        for kind, body in blocks:
            self.assertEqual(kind, "bash")
            self.paste(scratch, body)
        loras = {path.stem for path in (scratch.here / "models/Lora").glob("*.safetensors") if not path.stem.endswith("-state")}
        self.assertLessEqual({"foxy", "foxy15", "foxyxl", "together"}, loras)

    def run_program(self, scratch, command, name, body):
        (scratch.here / name).write_text(body)
        (scratch.here / "fox.png").unlink(missing_ok=True)
        done = subprocess.run([*command, name], cwd=scratch.here, env=scratch.environment, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, f"{name}\n{body}\n{done.stderr}")
        self.assertEqual((scratch.here / "fox.png").read_bytes()[:4], b"\x89PNG")

    def paste(self, scratch, body):
        """A whole block at once, as a paste into a shell, stopping at the first line that fails."""
        lines = []
        for line in body.splitlines():
            command = line.strip()
            if BUILDS.search(command):
                print(f"  BUILDS {command}")
            elif NETWORK.search(command) and command.startswith("lowrank"):
                self.try_command(scratch, command)
            else:
                if quicker(line) != line:
                    print(f"  QUICKER {quicker(line)}")
                lines.append(quicker(line).replace("$PWD/build/release/bin", str(scratch.folder / "bin")))
        done = scratch.run("set -euo pipefail\n" + "\n".join(lines))
        self.assertEqual(done.returncode, 0, f"{body}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    unittest.main(verbosity=1)
