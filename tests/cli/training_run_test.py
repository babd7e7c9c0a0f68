#!/usr/bin/env python3
"""`lowrank train lora` as a run: its TOML file, presets, charts, sheet, twenty kills at any time, and two processes that
train together.

  training_run_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import csv
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from png_pixels import pixels

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
FIXTURES = SOURCE / "tests" / "fixtures"


def png(width, height, left=(230, 40, 20)):
    """A picture of two colours, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = b"\0" + b"".join(bytes(left if x * 2 < width else (10, 60, 200)) for x in range(width))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))


def read(path):
    """Bytes of every tensor, their shapes and types, and the metadata."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    return {name: (t["dtype"], t["shape"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]) for name, t in header.items()}, metadata


class Folder(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        models = self.top / "models" / "Stable-diffusion"
        models.mkdir(parents=True)
        shutil.copy(FIXTURES / "sd15-tiny" / "sd15-tiny.safetensors", models)
        pictures = self.top / "pictures" / "2_twotone"
        pictures.mkdir(parents=True)
        for i in range(6):
            (pictures / f"{i}.png").write_bytes(png(64, 64, (40 * i, 40, 20)))
            (pictures / f"{i}.txt").write_text(f"twotone, number {i}")
        (self.top / "prompts.txt").write_text("twotone --s 2 --d 5\n")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_", "MASTER_", "RANK", "WORLD_"))}
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(self.top / "home"), OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")
        self.words = ["train", "lora", "--pretrained-model", "sd15-tiny", "--train-data-dir", "pictures", "--resolution", "64",
                      "--network-dim", "4", "--threads", "1", "--learning-rate", "0.002"]

    def start(self, *words, **environment):
        return subprocess.Popen([LOWRANK, *map(str, words)], cwd=self.top, env=self.environment | environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_lowrank(self, *words, status=0):
        process = self.start(*words)
        out, error = process.communicate(timeout=240)
        self.assertEqual(process.returncode, status, f"{words}: {out} {error}")
        return out + error

    def loras(self, folder):
        return {path.name: read(path)[0] for path in sorted(folder.glob("*.safetensors")) if not path.name.endswith("-state.safetensors")}



class Run(Folder):
    def test_a_toml_file_holds_all_options_and_the_command_line_overrides_it(self):
        (self.top / "run.toml").write_text('[model]\npretrained_model_name_or_path = "sd15-tiny"\n[data]\ntrain_data_dir = "pictures"\nresolution = 64\n'
                                           '[training]\noutput_dir = "out"\noutput_name = "fox"\nnetwork_dim = 8\nmax_train_steps = 3\nxformers = true\n')
        said = self.run_lowrank("train", "lora", "--config-file", "run.toml", "--network-dim", "2", "--threads", "1")
        self.assertIn("run.toml:11: xformers has no effect", said)
        metadata = read(self.top / "out" / "fox.safetensors")[1]
        self.assertEqual((metadata["ss_network_dim"], metadata["ss_steps"]), ("2", "3"))
        # kohya's ending may be left out; a preset comes before the file, wherever it stands.
        with open(self.top / "run.toml", "a") as file:
            file.write('preset = "style"\n')
        self.run_lowrank("train", "lora", "--config_file", "run", "--output-name", "styled", "--threads", "1")
        metadata = read(self.top / "out" / "styled.safetensors")[1]
        self.assertEqual((metadata["ss_network_dim"], metadata["ss_network_alpha"], metadata["ss_steps"]), ("8", "16.0", "3"))
        # What is no option is told with all others, before anything is done.
        (self.top / "bad.toml").write_text('train_data_dir = "pictures"\nnetwork_dimm = 4\nlearning_rte = 1\n')
        said = self.run_lowrank("train", "lora", "--config-file", "bad.toml", status=2)
        self.assertIn("bad.toml:2: 'network_dimm' is no option. Did you mean network_dim", said)
        self.assertIn("bad.toml:3: 'learning_rte' is no option.", said)
        (self.top / "empty.toml").write_text("# nothing\n")
        self.assertIn("train_data_dir", self.run_lowrank("train", "lora", "--config-file", "empty.toml", status=2))

    def test_presets_are_shown_with_their_reasons(self):
        text = self.run_lowrank("train", "presets")
        for name in ("character", "style", "concept", "pose", "clothing", "object"):
            self.assertIn(f"\n{name}\n", "\n" + text)
        one = json.loads(self.run_lowrank("train", "presets", "style", "--json"))
        self.assertEqual([preset["name"] for preset in one], ["style"])
        self.assertTrue(all(option["why"] for option in one[0]["options"]))
        # What is shown is what is done.
        self.run_lowrank(*self.words[:8], "--threads", "1", "--preset", "style", "--max-train-steps", "1", "--output-name", "s")
        metadata = read(self.top / "models" / "Lora" / "s.safetensors")[1]
        for option in one[0]["options"]:
            if option["option"] in ("network-dim", "learning-rate", "caption-dropout-rate"):
                self.assertEqual(float(metadata["ss_" + option["option"].replace("-", "_")]), float(option["value"]))

    def test_a_sheet_shows_the_saved_epochs_and_proposes_one(self):
        self.run_lowrank(*self.words, "--max-train-epochs", "3", "--train-batch-size", "2", "--save-every-n-epochs", "1", "--output-name", "fox", "--validation-split", "0.2")
        losses = {}
        for path in (self.top / "models" / "Lora").glob("fox*.safetensors"):
            if not path.name.endswith("-state.safetensors"):
                losses[path.stem] = float(read(path)[1]["lowrank.validation_loss"])
        self.assertEqual(set(losses), {"fox-000001", "fox-000002", "fox"})
        said = self.run_lowrank("train", "sheet", "fox", "--weights", "0.5,1", "--steps", "2", "--size", "64x64", "--threads", "1", "-o", "sheet/")
        self.assertIn(f"Proposal: {min(losses, key=losses.get)} ", said)
        pictures = sorted((self.top / "sheet").glob("*.png"))
        self.assertEqual(len(pictures), 7, pictures)
        [sheet] = [path for path in pictures if path.stem.endswith("-sheet")]
        width, height = struct.unpack(">II", sheet.read_bytes()[16:24])
        self.assertGreaterEqual(width, 128)
        self.assertGreaterEqual(height, 192)
        self.assertIn("no LoRA", self.run_lowrank("train", "sheet", "hare", status=2).replace("no such LoRA", "no LoRA").replace("not found", "no LoRA"))

    def test_twenty_kills_at_any_time_change_nothing(self):
        steps = 360
        words = [*self.words, "--max-train-steps", steps, "--state-every-n-steps", "5", "--save-every-n-steps", "90", "--sample-prompts", "prompts.txt",
                 "--sample-every-n-steps", "120", "--flip-aug", "--shuffle-caption", "--caption-dropout-rate", "0.1", "--validation-split", "0.2",
                 "--validate-every-n-steps", "60", "--output-name", "fox"]
        def order(name):
            return [*words, "--output-dir", name, "--logging-dir", f"{name}-logs"]
        # Killed before its first state, a run begins anew and has a folder of charts of its own.
        def charts(name):
            return max((self.top / f"{name}-logs").glob("*/steps.csv"), key=lambda file: file.stat().st_mtime, default=None)
        def done(name):
            file = charts(name)
            lines = file.read_text().splitlines() if file else []
            return int(lines[-1].split(",")[0]) if len(lines) > 1 and lines[-1].split(",")[0].isdigit() else 0
        self.run_lowrank(*order("whole"))
        chance = random.Random(20)
        kills = 0
        for number in range(20):
            process = self.start(*order("killed"))
            # Some while it begins, the others a few steps on and a little later. However fast the machine, none reaches the end.
            target = done("killed") + chance.randint(3, 8)
            until = time.monotonic() + (chance.uniform(0, 1.5) if number % 5 == 0 else 120)
            while done("killed") < target and process.poll() is None and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.02))
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        self.assertGreaterEqual(kills, 18, "most of the kills came before the end")
        self.run_lowrank(*order("killed"))
        whole, killed = self.loras(self.top / "whole"), self.loras(self.top / "killed")
        self.assertEqual(sorted(killed), ["fox-step00000090.safetensors", "fox-step00000180.safetensors", "fox-step00000270.safetensors", "fox.safetensors"])
        self.assertEqual(killed, whole)
        samples = {path.name: pixels(path) for path in (self.top / "whole" / "sample").glob("*.png")}
        self.assertEqual(len(samples), 3)
        self.assertEqual({path.name: pixels(path) for path in (self.top / "killed" / "sample").glob("*.png")}, samples)
        def curve(name):
            return [line.split(",")[:3] for line in charts(name).read_text().splitlines()]
        self.assertEqual(curve("killed"), curve("whole"))
        self.assertEqual([path.name for path in (self.top / "killed").iterdir() if path.name.startswith(".") and path.name != ".lock"], [], "nothing half-written is left")


class Together(Folder):
    """Processes that find each other by torchrun's environment."""
    def together(self, orders, port=None):
        port = port or free_port()
        return [self.start(*words, RANK=str(rank), WORLD_SIZE=str(len(orders)), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
                for rank, words in enumerate(orders)]

    def ended(self, processes, timeout=120):
        results = []
        for process in processes:
            out, error = process.communicate(timeout=timeout)
            results.append((process.returncode, out + error))
        return results

    def numbers(self, path):
        return {name: struct.unpack(f"<{len(data) // 4}f", data) for name, (kind, _, data) in read(path)[0].items()}

    def curve(self, logs):
        [file] = logs.glob("*/steps.csv")
        return [float(row["loss"]) for row in csv.DictReader(file.read_text().splitlines())]

    def order(self, name, batch, steps=12):
        return [*self.words, "--max-train-steps", steps, "--train-batch-size", batch, "--output-name", "fox", "--output-dir", name, "--save-precision", "float",
                "--logging-dir", f"{name}-logs", "--flip-aug", "--shuffle-caption", "--caption-dropout-rate", "0.1", "--state-every-n-steps", "3"]

    def test_two_processes_equal_one_with_twice_the_batch(self):
        self.run_lowrank(*self.order("one", 4))
        results = self.ended(self.together([self.order("two", 2)] * 2))
        self.assertEqual([status for status, _ in results], [0, 0], results)
        self.assertIn("2 processes train together", results[0][1])
        self.assertNotIn("LoRA:", results[1][1], "one of them tells")
        for mine, other in zip(self.curve(self.top / "two-logs"), self.curve(self.top / "one-logs"), strict=True):
            self.assertAlmostEqual(mine, other, delta=2e-5 * other)
        one, two = self.numbers(self.top / "one" / "fox.safetensors"), self.numbers(self.top / "two" / "fox.safetensors")
        self.assertEqual(set(one), set(two))
        for name in one:
            # Twelve steps of at most the learning rate: what rounding moves is a thousandth of that.
            for a, b in zip(one[name], two[name], strict=True):
                self.assertAlmostEqual(a, b, delta=12 * 0.002 * 2e-2, msg=name)
        self.assertEqual(read(self.top / "two" / "fox.safetensors")[1]["ss_total_batch_size"], "4")

    def test_the_death_of_one_ends_the_others_and_the_run_goes_on(self):
        self.ended(self.together([self.order("whole", 2, 60)] * 2))
        for victim in (0, 1):
            name = f"killed{victim}"
            processes = self.together([self.order(name, 2, 60)] * 2)
            until = time.monotonic() + 60
            while time.monotonic() < until and not any(len(file.read_text().splitlines()) > 8 for file in (self.top / f"{name}-logs").glob("*/steps.csv")):
                time.sleep(0.005)
            processes[victim].send_signal(signal.SIGKILL)
            results = self.ended(processes, timeout=30)
            status, said = results[1 - victim]
            self.assertEqual(status, 1, results)
            self.assertIn(f"process {1 - victim} of 2 lost the others", said)
            self.assertEqual([status for status, _ in self.ended(self.together([self.order(name, 2, 60)] * 2))], [0, 0])
            self.assertEqual(read(self.top / name / "fox.safetensors")[0], read(self.top / "whole" / "fox.safetensors")[0])

    def test_processes_that_differ_are_told_in_words(self):
        other = [*self.order("differ", 2), "--network-dim", "8"]
        results = self.ended(self.together([self.order("differ", 2), other]))
        self.assertEqual([status for status, _ in results], [1, 2], results)
        self.assertIn("--network-dim 4, but now uses --network-dim 8", results[1][1])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
