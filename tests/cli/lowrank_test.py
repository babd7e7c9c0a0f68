#!/usr/bin/env python3
"""The light commands of the real binary, with ordinary and odd input.

  lowrank_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

LOWRANK = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny"
del sys.argv[1:3]


def png(text, keyword=b"parameters", size=4):
    """A grey PNG with a tEXt chunk, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x80" * size for _ in range(size))
    chunks = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
    if text is not None:
        chunks += chunk(b"tEXt", keyword + b"\0" + text)
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class LowrankTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        models = self.folder / "models"
        for name in ("Stable-diffusion", "Lora/sub", "VAE"):
            (models / name).mkdir(parents=True)
        (models / "Stable-diffusion" / "tiny.safetensors").symlink_to(TINY / "sd15-tiny.safetensors")
        (models / "Lora" / "attention.safetensors").symlink_to(TINY / "sd15-tiny-lora_attn.safetensors")
        (models / "Lora" / "sub" / "loha.safetensors").symlink_to(TINY / "sd15-tiny-loha_attn.safetensors")
        (models / "Lora" / "broken.safetensors").write_bytes(b"\xff" * 20)

    def run_lowrank(self, *words, status=0):
        environment = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(self.folder / "cache"),
                           XDG_DATA_HOME=str(self.folder / "data"), XDG_CONFIG_HOME=str(self.folder / "config"))
        environment.pop("LOWRANK_DATA_DIR", None)
        result = subprocess.run([LOWRANK, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=60)
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        self.assertEqual(result.returncode, status, f"{words}: {result.stderr}")
        return result

    def refused(self, *words, says):
        started = time.monotonic()
        result = self.run_lowrank(*words, status=2)
        print(f"  refused {' '.join(map(str, words))[:60]} in {1000 * (time.monotonic() - started):.0f} ms")
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(says, result.stderr)

    def test_help_of_every_command(self):
        listing = self.run_lowrank("--help").stdout
        commands = re.findall(r"^  ([a-z0-9-]+(?: [a-z]+)?)  ", listing.split("Commands:")[1].split("\n\n")[0], re.M)
        self.assertGreaterEqual(len(commands), 15)
        for command in commands:
            text = self.run_lowrank(*command.split(), "--help").stdout
            self.assertIn("Usage: lowrank " + command, text)
            self.assertIn("Examples:", text)
            self.assertEqual(text, self.run_lowrank("help", *command.split()).stdout)

    def test_version(self):
        for word in ("--version", "-v", "-V", "version"):
            self.assertRegex(self.run_lowrank(word).stdout, r"^lowrank \d+\.\d+\.\d+\n$")

    def test_what_is_missing_is_said_before_the_engine_is_opened(self):
        self.refused("txt2img", says="txt2img needs a prompt: -p")
        self.refused("txt2img", "--seed", "1", "-o", "x.png", says="txt2img needs a prompt: -p")
        self.refused("txt2img", "a red fox", says="if it is the prompt, write -p \"a red fox\"")
        self.refused("img2img", "-p", "a fox", says="needs a picture to start from: -i FILE")
        self.refused("xyz", "-p", "a fox", says="needs an axis: --x")
        self.refused("xyz", "--x", "Steps: 1, 2", says="needs a prompt")
        self.refused("matrix", says="needs a prompt of several parts")
        self.refused("prompts", says="needs a file of prompts, one a line: -f FILE")
        self.refused("train", "lora", says="--train-data-dir DIR")
        self.refused("train", "base", "--data", "x", says="a file to write: --out")
        self.refused("model", "random", says="a file to write: --out")

    def test_bad_words(self):
        self.refused("txt2imgg", says="Did you mean txt2img?")
        self.refused("lora", "lst", says="Did you mean list?")
        self.refused("lora", says="needs one of list, find, scan")
        self.refused("lora", "list", "extra", says="one word too many")
        self.refused("lora", "list", "--jsn", says="--json")
        self.refused("lora", "list", "--json=yes", says="takes no value")
        self.refused("lora", "list", "--data-dir", says="needs a value")
        self.refused("lora", "list", "--data-dir", "no-such-folder", says="no-such-folder")
        self.refused("lora", "show", says="needs NAME")
        self.refused("txt2img", "--steps", "0", says="between 1 and 1000")
        self.refused("txt2img", "--steps", "many", says="whole number")
        self.refused("txt2img", "--cfg-scale", "nan", says="must be a number")
        self.refused("txt2img", "--width", "65", says="multiple of 8")
        self.refused("txt2img", "--size", "12by12", says="WIDTHxHEIGHT")
        self.refused("txt2img", "--quality", "101", says="between 1 and 100")
        self.refused("txt2img", "--format", "gif", says="png, jpg")
        self.refused("txt2img", "-p", "--steps", "3", says="if that is the value")
        self.refused("txt2img", "--seed", "99999999999999999999", says="--seed")
        self.refused("txt2img", "--step", "3", says="Did you mean --steps")
        self.refused("train", "lora", "--network-dim", "0", says="between 1 and 4096")
        self.refused("train", "lora", "--lr-scheduler", "cosin", says="Did you mean cosine")
        self.refused("train", "lora", "--network-args", "conv_dim=x", says="--network-args is 'conv_dim=x'")
        self.refused("train", "base", "--learning-rate", "0", says="--learning-rate is 0")
        self.refused("completion", "tcsh", says="bash, zsh, fish")
        self.refused("\x1b[31m", says="there is no command")

    def test_lora_list(self):
        text = self.run_lowrank("lora", "list").stdout
        self.assertRegex(text, r"(?m)^attention +LoRA +4 +SD 1\.x")
        self.assertRegex(text, r"(?m)^sub/loha +LoHa")
        self.assertRegex(text, r"(?m)^broken +unusable")
        listed = json.loads(self.run_lowrank("lora", "list", "--json").stdout)["loras"]
        mine = [lora for lora in listed if lora["path"].startswith("./models/Lora")]
        self.assertEqual([lora["relative"] for lora in mine], ["attention", "broken", "sub/loha"])
        self.assertIn("error", mine[1])
        self.assertIn("attention\n", self.run_lowrank("lora", "list", "--names").stdout)

    def test_lora_list_leaves_out_what_training_keeps(self):
        def safetensors(metadata):
            header = json.dumps({"__metadata__": metadata, "lora_unet_x.lora_down.weight":
                                 {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}).encode()
            return struct.pack("<Q", len(header)) + header + bytes(8)
        loras = self.folder / "models" / "Lora"
        (loras / "fox-state.safetensors").write_bytes(safetensors({"lowrank.phase": "lora", "lowrank.step": "3"}))
        (loras / "fox-latents.safetensors").write_bytes(safetensors({"lowrank.latents_of": "0" * 64}))
        (loras / "solid-state.safetensors").write_bytes(safetensors({"ss_output_name": "solid-state"}))
        listed = json.loads(self.run_lowrank("lora", "list", "--json").stdout)["loras"]
        names = [lora["relative"] for lora in listed if lora["path"].startswith("./models/Lora")]
        self.assertIn("solid-state", names)
        self.assertNotIn("fox-state", names)
        self.assertNotIn("fox-latents", names)

    def test_lora_list_notices_a_changed_file(self):
        self.run_lowrank("lora", "list")
        link = self.folder / "models" / "Lora" / "attention.safetensors"
        link.unlink()
        shutil.copy(TINY / "sd15-tiny-lokr_all.safetensors", link)
        self.assertRegex(self.run_lowrank("lora", "list").stdout, r"(?m)^attention +.*LoKr")

    def test_equal_names_are_told(self):
        shutil.copy(TINY / "sd15-tiny-loha_attn.safetensors", self.folder / "models" / "Lora" / "sub" / "attention.safetensors")
        result = self.run_lowrank("lora", "list")
        self.assertIn("several files are called 'attention'", result.stderr)

    def test_lora_show_and_inspect(self):
        sidecar = {"activation text": "foxy", "preferred weight": 0.7, "description": "red \x1b[31m"}
        (self.folder / "models" / "Lora" / "attention.json").write_text(json.dumps(sidecar))
        text = self.run_lowrank("lora", "show", "attention").stdout
        self.assertIn("foxy, <lora:attention:0.7>", text)
        self.assertNotIn("\x1b", text)
        shown = json.loads(self.run_lowrank("lora", "show", "attention", "--json").stdout)
        self.assertEqual(shown["activation_text"], "foxy")
        inspected = json.loads(self.run_lowrank("lora", "inspect", "sub/loha", "--json").stdout)
        self.assertEqual({module["kind"] for module in inspected["modules"]}, {"LoHa"})
        self.assertIn("192 modules", self.run_lowrank("lora", "inspect", "attention").stdout)
        self.assertIn("lora_down.weight [4, ", self.run_lowrank("lora", "inspect", "attention", "--all").stdout)
        self.refused("lora", "show", "attentio", says="did you mean attention?")
        self.assertIn("broken.safetensors", self.run_lowrank("lora", "show", "broken").stdout)
        self.refused("lora", "inspect", "broken", says="broken.safetensors")
        self.refused("lora", "inspect", "models/Stable-diffusion/tiny.safetensors", says="tiny.safetensors")

    def test_models(self):
        models = json.loads(self.run_lowrank("model", "list", "--json").stdout)["models"]
        self.assertEqual(models[0]["name"], "tiny")
        self.assertTrue(models[0]["default"])
        self.assertEqual(models[0]["base_model"], "SD 1.x")
        facts = json.loads(self.run_lowrank("model", "inspect", "tiny", "--json").stdout)
        self.assertEqual(facts["unet_width"], 32)
        self.refused("model", "inspect", "tinny", says="Did you mean tiny?")
        self.refused("model", "inspect", "models/Lora/attention.safetensors", says="a LoRA")

    def test_png_info(self):
        text = 'a fox, "red"\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x32'
        (self.folder / "fox.png").write_bytes(png(text.encode("latin-1")))
        self.assertEqual(self.run_lowrank("png-info", "fox.png").stdout, text + "\n")
        info = json.loads(self.run_lowrank("png-info", "--json", "fox.png").stdout)
        self.assertEqual((info["prompt"], info["negative_prompt"]), ('a fox, "red"', "blurry"))
        self.assertEqual(info["entries"]["Sampler"], "Euler a")
        (self.folder / "escape.png").write_bytes(png(b"a\x1b[2Jb"))
        self.assertNotIn("\x1b", self.run_lowrank("png-info", "escape.png").stdout)
        (self.folder / "plain.png").write_bytes(png(None))
        self.refused("png-info", "plain.png", says="holds no settings")
        self.refused("png-info", "missing.png", says="missing.png")
        (self.folder / "empty.png").write_bytes(b"")
        self.refused("png-info", "empty.png", says="empty.png")
        self.refused("png-info", says="needs FILE")

    def test_settings_of_other_programs(self):
        folder = SOURCE / "tests" / "fixtures" / "generators"
        expected = json.loads((folder / "expected.json").read_text())
        for name, wanted in expected.items():
            info = json.loads(self.run_lowrank("png-info", "--json", folder / name).stdout)
            self.assertEqual((info["generator"], info["prompt"], info["negative_prompt"]),
                             (wanted["generator"], wanted["prompt"], wanted["negative"]), name)
            self.assertLessEqual(wanted["entries"].items(), info["entries"].items(), name)
        named = json.loads(self.run_lowrank("lora", "missing", "--json", folder / "civitai.jpg").stdout)["needed"]
        self.assertEqual([(f["kind"], f["name"]) for f in named],
                         [("lora", "Red Fox"), ("lora", "civitai-43"), ("checkpoint", "Base")])
        self.assertIn("model-versions/42", named[0]["where"])
        self.refused("lora", "missing", "nowhere.png", says="nowhere.png: there is no such file")

    def test_the_starter_model_is_not_missing(self):
        starter = SOURCE / "models" / "starter" / "starter.safetensors"
        digits = hashlib.sha256(starter.read_bytes()).hexdigest()[:10]
        text = f"a fox\nSteps: 20, Sampler: Euler, CFG scale: 5, Seed: 1, Size: 64x64, Model hash: {digits}, Model: starter"
        (self.folder / "own.png").write_bytes(png(text.encode()))
        needed = json.loads(self.run_lowrank("lora", "missing", "--json", "own.png").stdout)["needed"]
        self.assertEqual([(f["name"], f["found"]) for f in needed], [("starter", True)])
        self.assertIn("here", self.run_lowrank("lora", "missing", "own.png").stdout)

    def test_recipes_in_other_encodings(self):
        recipe = json.dumps({"lowrank_recipe": 1, "name": "dusk", "prompt": "dämmerung", "loras": []}, ensure_ascii=False)
        (self.folder / "dusk.json").write_bytes(recipe.encode("utf-16"))
        self.assertIn("dämmerung", self.run_lowrank("recipe", "import", "dusk.json").stdout)
        (self.folder / "latin.json").write_bytes(recipe.encode("cp1252"))
        self.refused("recipe", "import", "latin.json", "--name", "x", says="latin.json: byte")

    def test_contact_sheet(self):
        for name in "abc":
            (self.folder / f"{name}.png").write_bytes(png(b"caption " + name.encode(), size=32))
        self.run_lowrank("contact-sheet", "--columns", "2", "-o", "sheet.png", "a.png", "b.png", "c.png")
        width, height = struct.unpack(">II", (self.folder / "sheet.png").read_bytes()[16:24])
        self.assertGreaterEqual(width, 64)
        self.assertGreaterEqual(height, 64)
        self.refused("contact-sheet", "-o", "x.bmp", "a.png", says="bmp")
        self.refused("contact-sheet", "--columns", "0", "a.png", says="between 1 and 64")
        self.assertFalse((self.folder / "x.bmp").exists())

    def test_contact_sheet_overwrites_nothing(self):
        (self.folder / "a.png").write_bytes(png(b"a fox"))
        (self.folder / "sheet.png").write_bytes(b"mine")
        result = self.run_lowrank("contact-sheet", "-o", "sheet.png", "a.png")
        self.assertEqual((self.folder / "sheet.png").read_bytes(), b"mine")
        self.assertIn("sheet-2.png", result.stdout)
        self.assertIn("sheet.png was there already", result.stderr)
        # Its own older sheet may go.
        result = self.run_lowrank("contact-sheet", "-o", "sheet-2.png", "a.png", "a.png")
        self.assertIn("sheet-2.png", result.stdout)
        self.assertIn("is replaced", result.stderr)
        # What it says of itself are no settings.
        self.refused("recipe", "save", "sheet", "--from", "sheet-2.png", says="holds no settings")
        # Not a picture that it is made of.
        shutil.copy(self.folder / "sheet-2.png", self.folder / "part.png")
        before = (self.folder / "part.png").read_bytes()
        self.run_lowrank("contact-sheet", "-o", "part.png", "part.png", "a.png")
        self.assertEqual((self.folder / "part.png").read_bytes(), before)

    def test_prompt_explain(self):
        self.assertIn("fox", self.run_lowrank("prompt", "explain", "a (red:1.3) fox <lora:x:0.5>").stdout)
        explained = json.loads(self.run_lowrank("prompt", "explain", "a [cat:dog:0.5]", "--steps", "10", "--json").stdout)
        self.assertIsInstance(explained, dict)
        self.run_lowrank("prompt", "explain", "--", "--weird")
        self.refused("prompt", "explain", "a", "--style", "none", says="there is no style 'none'")
        self.refused("prompt", "explain", "a", "--steps", "0", says="between 1 and 150")

    def test_completion_and_manual_page(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.run_lowrank("completion", shell).stdout
            self.assertIn("seed-resize-width", script)
            if shutil.which(shell):
                file = self.folder / "script"
                file.write_text(script)
                subprocess.run([shell, "-n", file], check=True)
        page = self.run_lowrank("man").stdout
        self.assertTrue(page.startswith(".TH LOWRANK 1"))
        self.assertIn("\\-\\-negative", page)
        script = self.folder / "complete.sh"
        script.write_text(self.run_lowrank("completion", "bash").stdout + "compopt() { :; }\n"
                          'COMP_WORDS=(lowrank txt2img --sampler "Euler"); COMP_CWORD=3; _lowrank\n'
                          'printf "%s\\n" "${COMPREPLY[@]}"\n')
        replies = subprocess.run(["bash", script], capture_output=True, text=True, check=True).stdout.split("\n")
        self.assertEqual(replies[:2], ["Euler\\ a", "Euler"])

    def completed(self, *words):
        """What bash offers for the last of the words."""
        script = self.folder / "complete.sh"
        script.write_text(self.run_lowrank("completion", "bash").stdout + "compopt() { :; }\n"
                          f"COMP_WORDS=({' '.join(map(shlex.quote, (str(LOWRANK), *words)))}); COMP_CWORD={len(words)}; _lowrank\n"
                          'printf "%s\\n" "${COMPREPLY[@]}"\n')
        environment = dict(os.environ, **{name: str(self.folder / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")})
        done = subprocess.run(["bash", script], capture_output=True, text=True, check=True, cwd=self.folder, env=environment)
        return done.stdout.split()

    def test_names_are_completed(self):
        self.run_lowrank("recipe", "save", "soft", "--lora", "attention:0.5")
        for words, names in ((["txt2img", "--model", "ti"], ["tiny"]), (["txt2img", "--model", ""], ["tiny", "starter"]),
                             (["txt2img", "--model", "=", "ti"], ["tiny"]), (["txt2img", "--refiner", "ti"], ["tiny"]),
                             (["txt2img", "--hires-model", "ti"], ["tiny"]), (["lora", "list", "--fits", "ti"], ["tiny"]),
                             (["train", "lora", "--pretrained-model", "ti"], ["tiny"]), (["lora", "why", "attention", "--model", "ti"], ["tiny"]),
                             (["lora", "show", "at"], ["attention"]), (["model", "inspect", "st"], ["starter"]),
                             (["txt2img", "--recipe", "so"], ["soft"]), (["recipe", "show", "so"], ["soft"]),
                             (["txt2img", "--model", "mod"], ["models"]), (["lora", "import", "mod"], ["models"])):
            self.assertEqual(self.completed(*words), names, words)
        elsewhere = self.folder / "elsewhere"
        (elsewhere / "models/Stable-diffusion").mkdir(parents=True)
        (elsewhere / "models/Stable-diffusion/other.safetensors").symlink_to(TINY / "sd15-tiny.safetensors")
        for form in (["--data-dir", str(elsewhere)], ["--data-dir", "=", str(elsewhere)]):
            self.assertEqual(self.completed("txt2img", *form, "--model", "o"), ["other"])

    def test_options_equal_those_of_the_engine(self):
        """Facts that the light side repeats, compared with their owners below the engine line; and the help with its tables."""
        for command, table in (("lora", "lora_table.cc"), ("base", "base_table.cc")):
            rows = re.findall(r'^    \{\.flag = "([a-z0-9-]+)",(?: \.value = "([^"]+)",)? \.help = "((?:[^"\\]|\\.)*)"',
                              (SOURCE / "src/request/training" / table).read_text(), re.M)
            text = " ".join(self.run_lowrank("train", command, "--help").stdout.split())
            self.assertGreater(len(rows), 10)
            for flag, value, help_text in rows:
                help_text = help_text.replace('\\"', '"')
                self.assertIn(f"--{flag} {value + ' ' if value else ''}{help_text}", text)
        labels = re.findall(r'\.label = "([^"]+)"', (SOURCE / "src/sampling/sampler_table.cc").read_text())
        text = " ".join(self.run_lowrank("txt2img", "--help").stdout.split())
        self.assertIn("Values of --sampler: " + ", ".join(labels) + ".", text)

    def test_start_time_is_printed(self):
        for number in range(98):
            shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.folder / "models" / "Lora" / f"l{number}.safetensors")
        for words in (["lora", "list"], ["lora", "list"], ["lora", "show", "l7"], ["model", "list"], ["prompt", "explain", "a fox"]):
            started = time.monotonic()
            self.run_lowrank(*words)
            print(f"  lowrank {' '.join(words)}, 100 LoRAs: {1000 * (time.monotonic() - started):.0f} ms")


if __name__ == "__main__":
    unittest.main(verbosity=1)
