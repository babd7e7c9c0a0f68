#!/usr/bin/env python3
"""Where models are looked for: A1111's folders and other programs', what is passed over, what is told instead of nothing.

  folders_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from model_sites import png, safetensors  # noqa: E402

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny"


class FoldersTest(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.data = self.top / "data"
        self.data.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_"))}
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(self.top / "home"))

    def run_lowrank(self, *words, status=0, cwd=None):
        result = subprocess.run([LOWRANK, *words], cwd=cwd or self.data, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=60, text=True)
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout} {result.stderr}")
        return result

    def put(self, *paths, data=None):
        for path in paths:
            file = self.data / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(safetensors() if data is None else data)

    def checkpoint(self, path):
        (self.data / path).parent.mkdir(parents=True, exist_ok=True)
        (self.data / path).symlink_to(TINY / "sd15-tiny.safetensors")

    def loras(self):
        listed = json.loads(self.run_lowrank("lora", "list", "--json", "--data-dir", str(self.data)).stdout)["loras"]
        return sorted(lora["relative"] for lora in listed if "models/starter" not in lora["path"])

    def models(self):
        result = self.run_lowrank("model", "list", "--json", "--data-dir", str(self.data))
        return {model["name"]: model["default"] for model in json.loads(result.stdout)["models"]}, result.stderr

    # ── what is no model ──

    def test_twins_of_macos_and_waste_baskets_are_passed_over(self):
        for place in ("models/Lora", "models/Stable-diffusion", "models/VAE", "embeddings"):
            self.put(*(f"{place}/{name}" for name in ("._fox.safetensors", ".hidden.safetensors", "$RECYCLE.BIN/a.safetensors",
                                                      ".Trash-1000/files/b.safetensors", "System Volume Information/c.safetensors",
                                                      "@eaDir/d.safetensors", "__MACOSX/e.safetensors", "lost+found/f.safetensors")))
        self.put("models/Lora/fox.safetensors", "models/Lora/sub/.git/x.safetensors")
        self.assertEqual(self.loras(), ["fox"])
        self.assertEqual(list(self.models()[0]), ["starter"])
        scanned = json.loads(self.run_lowrank("lora", "scan", "--hash", "--json", "--data-dir", str(self.data)).stdout)
        self.assertEqual(scanned["hashed"], 1 + 7)  # and the starter's

    # ── other programs' folders ──

    def test_folders_of_comfyui_are_found(self):
        self.put("models/loras/fox.safetensors", "models/loras/sub/cat.safetensors")
        self.checkpoint("models/checkpoints/sd15/tiny.safetensors")
        self.assertEqual(self.loras(), ["fox", "sub/cat"])
        self.assertEqual(self.models(), ({"tiny": True, "starter": False}, ""))
        for name in ("tiny", "sd15/tiny.safetensors"):
            self.run_lowrank("model", "inspect", name, "--data-dir", str(self.data))
        self.assertIn("fox", self.run_lowrank("lora", "why", "fox", "--model", "tiny", "--data-dir", str(self.data)).stdout)
        self.run_lowrank("lora", "import", "--flat", "--data-dir", str(self.data), str(TINY / "sd15-tiny-lora_attn.safetensors"))
        self.assertTrue((self.data / "models/loras/sd15-tiny-lora_attn.safetensors").exists())
        self.assertFalse((self.data / "models/Lora").exists())

    def test_capitals_do_not_count(self):
        self.put("Models/lora/fox.safetensors")
        self.checkpoint("Models/stable-diffusion/tiny.safetensors")
        self.assertEqual(self.loras(), ["fox"])
        self.assertEqual(self.models(), ({"tiny": True, "starter": False}, ""))
        # The current folder counts as a data folder too.
        self.assertIn("fox\n", self.run_lowrank("lora", "list", "--names").stdout)

    def test_stability_matrix(self):
        self.put("Models/Lora/fox.safetensors")
        self.checkpoint("Models/StableDiffusion/tiny.safetensors")
        self.assertEqual((self.loras(), self.models()[0]), (["fox"], {"tiny": True, "starter": False}))

    def test_both_programs_in_one_folder(self):
        self.put("models/Lora/a.safetensors", "models/loras/b.safetensors", "models/loras/a.safetensors")
        self.checkpoint("models/Stable-diffusion/one.safetensors")
        self.checkpoint("models/checkpoints/two.safetensors")
        self.assertEqual(self.loras(), ["a", "a", "b"])
        self.assertEqual(set(self.models()[0]), {"one", "two", "starter"})
        # As before, A1111's own folder wins the name.
        shown = json.loads(self.run_lowrank("lora", "show", "a", "--json", "--data-dir", str(self.data)).stdout)
        self.assertIn("models/Lora/a.safetensors", shown["path"])

    def test_a_link_to_the_same_folder_doubles_nothing(self):
        self.put("models/Lora/fox.safetensors")
        (self.data / "models/loras").symlink_to("Lora")
        self.assertEqual(self.loras(), ["fox"])
        self.assertEqual(self.run_lowrank("lora", "list", "--data-dir", str(self.data)).stderr, "")

    # ── nothing stands in silently ──

    def test_the_starter_says_so_when_it_stands_in(self):
        self.put("models/MyModels/sd/dream.safetensors")
        self.assertIn("models/MyModels/sd/dream.safetensors is in a folder that is not searched", self.models()[1])
        self.put("models/stray.safetensors")
        self.assertIn("is not searched", self.models()[1])
        self.assertIn("is not searched", self.run_lowrank("lora", "list", "--data-dir", str(self.data)).stderr)
        self.assertIn("is not searched", self.run_lowrank("lora", "show", "dream", "--data-dir", str(self.data), status=2).stderr)
        self.assertIn("is not searched", self.run_lowrank("txt2img", "-p", "fox", "--steps", "1", "-o", "x.png", "--data-dir", str(self.data)).stderr)
        self.checkpoint("models/checkpoints/tiny.safetensors")
        self.assertEqual(self.models()[1], "")

    def test_checkpoints_of_other_families_are_not_passed_over_in_silence(self):
        self.put("models/checkpoints/other.safetensors")
        models, said = self.models()
        self.assertTrue(models["starter"])
        self.assertIn(f"none of the 1 in {self.data}/models/checkpoints can be used", said)
        self.assertIn("other.safetensors", said)

    def test_an_older_checkpoint_does_not_stand_in_for_a_broken_one_in_silence(self):
        self.put("models/Stable-diffusion/older.safetensors", data=(TINY / "sd15-tiny.safetensors").read_bytes())
        self.assertEqual(self.models()[1], "")
        self.put("models/Stable-diffusion/newer.safetensors")
        os.utime(self.data / "models/Stable-diffusion/older.safetensors", (1e9, 1e9))
        said = self.models()[1]
        self.assertIn("older is used", said)
        self.assertIn("newer.safetensors", said)

    def test_a_models_folder_that_was_named_itself(self):
        self.put("loras/fox.safetensors")
        self.assertIn("looks like a models folder itself", self.models()[1])
        shutil.rmtree(self.data / "loras")
        self.assertIn(f"{self.data} has no models folder", self.models()[1])

    def test_folders_that_hold_no_checkpoints_are_no_cause_to_warn(self):
        self.put("models/clip_vision/a.safetensors", "models/ControlNet/b.safetensors", "models/vae/c.safetensors")
        (self.data / "models/Stable-diffusion").mkdir()
        self.assertEqual(self.models()[1], "")

    def test_without_a_folder_the_home_folder_is_the_data_folder(self):
        # A copy of the program alone, as installed: it lies in no source tree.
        bin_folder = self.top / "opt/bin"
        bin_folder.mkdir(parents=True)
        shutil.copy(LOWRANK, bin_folder / "lowrank")
        where = lambda: json.loads(subprocess.run([bin_folder / "lowrank", "model", "list", "--json"], cwd=self.data, env=self.environment,
                                                  capture_output=True, check=True).stdout)["data_dir"]
        self.assertEqual(where(), str(self.top / "home/lowrank"))
        self.assertFalse((self.top / "home/lowrank").exists())
        (self.data / "models").mkdir()
        self.assertEqual(where(), ".")

    # ── the collection ──

    def test_a_diffusers_folder_has_no_hash_and_no_warning(self):
        for part in ("unet", "vae", "text_encoder"):
            (self.data / "models/Stable-diffusion/pipe" / part).mkdir(parents=True)
        (self.data / "models/Stable-diffusion/pipe/model_index.json").write_text("{}")
        shutil.copytree(self.data / "models/Stable-diffusion/pipe", self.data / "models/Stable-diffusion/twin")
        for words in (["scan", "--hash"], ["dedupe"]):
            self.assertEqual(self.run_lowrank("lora", *words, "--data-dir", str(self.data)).stderr.replace("\r", "").strip(), "")

    def test_a_file_that_is_not_there_is_no_prompt(self):
        for name in ("friend.png", "./friend", "/nowhere/friend", "my friend.JPG", "prompts.txt"):
            self.assertIn("no such file", self.run_lowrank("lora", "missing", name, status=2).stderr)
        self.assertIn("no such file", self.run_lowrank("recipe", "save", "x", "--from", "friend.png", status=2).stderr)
        self.assertIn("missing", self.run_lowrank("lora", "missing", "a fox <lora:foxy:0.8>").stdout)
        self.assertIn("names a LoRA", self.run_lowrank("lora", "missing", "a fox, 1/2 profile").stdout)

    def test_what_is_said_of_the_starters_loras_stays_out_of_the_program(self):
        starter = SOURCE / "models/starter/lora"
        before = {file.name: file.read_bytes() for file in starter.iterdir()}
        self.run_lowrank("lora", "tag", "character_zorbo", "robot", "grey")
        self.run_lowrank("lora", "rate", "character_zorbo", "4")
        shown = json.loads(self.run_lowrank("lora", "show", "character_zorbo", "--json").stdout)
        self.assertEqual(shown["rating"], 4)
        self.assertIn("grey", shown["tags"])
        (self.data / "x.png").write_bytes(png())
        self.assertIn("is part of the starter model", self.run_lowrank("lora", "preview", "character_zorbo", "x.png", status=2).stderr)
        self.assertIn("is part of the starter model", self.run_lowrank("lora", "preview", "character_zorbo", "--remove", status=2).stderr)
        self.assertEqual({file.name: file.read_bytes() for file in starter.iterdir()}, before)


if __name__ == "__main__":
    unittest.main(verbosity=1)
