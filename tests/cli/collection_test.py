#!/usr/bin/env python3
"""The commands of the collection, on the real binary: use, safety, several processes, sudden ends.

  collection_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from model_sites import ModelSites, png, safetensors  # noqa: E402

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny"


class CollectionTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.loras = self.folder / "models" / "Lora"
        self.loras.mkdir(parents=True)
        (self.folder / "models" / "Stable-diffusion").mkdir()
        self.environment = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(self.folder / "cache"), XDG_DATA_HOME=str(self.folder / "home"),
                                XDG_CONFIG_HOME=str(self.folder / "config"))
        self.environment.pop("LOWRANK_DATA_DIR", None)

    def start(self, *words, **settings):
        return subprocess.Popen([LOWRANK, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **settings)

    def run_lowrank(self, *words, status=0, **settings):
        result = subprocess.run([LOWRANK, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                                text=True, **settings)
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout} {result.stderr}")
        return result

    def json(self, *words):
        return json.loads(self.run_lowrank(*words, "--json").stdout)

    def listed(self, *words):
        loras = self.json("lora", *(words or ("list",)))["loras"]
        return [lora["relative"] for lora in loras if "models/starter" not in lora["path"]]

    def put(self, name, data=None, **sidecars):
        path = self.loras / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(safetensors() if data is None else data)
        return path

    # ── use ──

    def test_a_card_is_written_and_found_again(self):
        self.put("fox.safetensors")
        self.run_lowrank("lora", "tag", "fox", "animal", "orange fur")
        self.run_lowrank("lora", "tag", "fox", "animal", "--remove")
        self.run_lowrank("lora", "type", "fox", "pose")
        self.run_lowrank("lora", "rate", "fox", "4")
        self.run_lowrank("lora", "note", "fox", "one")
        self.run_lowrank("lora", "note", "fox", "two", "--append", "--weight", "0.65", "--trigger", "foxy", "--negative", "blurry")
        card = json.loads((self.loras / "fox.json").read_text())
        self.assertEqual(card, {"tags": ["orange fur"], "type": "pose", "rating": 4, "notes": "one\ntwo", "activation text": "foxy",
                                "preferred weight": 0.65, "negative text": "blurry"})
        shown = self.json("lora", "show", "fox")
        self.assertEqual((shown["prompt"], shown["type_origin"], shown["rating"]), ("foxy, <lora:fox:0.65>", "user", 4))
        for words in (["--tag", "Orange Fur"], ["--type", "pose"], ["--rating", "4"], ["--trigger", "FOXY"], ["--base", "sd1"], ["--min-size", "1kB"]):
            self.assertEqual(self.listed("list", *words), ["fox"], words)
        for words in (["--tag", "orange"], ["--type", "style"], ["--rating", "5"], ["--base", "sdxl"], ["--max-size", "1kB"], ["--until", "2001-01-01"]):
            self.assertEqual(self.listed("list", *words), [], words)
        self.assertEqual(self.listed("find", "two"), ["fox"])
        self.run_lowrank("lora", "type", "fox", "auto")
        self.run_lowrank("lora", "rate", "fox", "0")
        self.assertEqual(self.json("lora", "show", "fox")["type"], "")
        for words in (["rate", "fox", "6"], ["type", "fox", "animal"], ["tag", "fox", "none", "--remove"], ["note", "fox", "--weight", "x"],
                      ["list", "--type", "x"], ["list", "--since", "yesterday"], ["list", "--max-size", "big"], ["list", "--fits", "nothing"]):
            self.run_lowrank("lora", *words, status=2)

    def test_a_file_that_cannot_be_used_is_shown_with_its_reason(self):
        self.put("cut.safetensors", safetensors()[:-9])
        (self.loras / "cut.json").write_text(json.dumps({"notes": "fetch again"}))
        listed = self.run_lowrank("lora", "list").stdout.splitlines()
        (line,) = [line for line in listed if line.startswith("cut")]
        self.assertRegex(line, r"^cut +unusable .* truncated: expected")
        shown = self.run_lowrank("lora", "show", "cut").stdout
        self.assertRegex(shown, r"unusable +.*truncated")
        self.assertIn("fetch again", shown)
        self.assertIn("truncated", self.json("lora", "show", "cut")["error"])

    def test_previews(self):
        self.put("fox.safetensors")
        picture = self.folder / "p.png"
        picture.write_bytes(png())
        self.run_lowrank("lora", "preview", "fox", "p.png")
        self.assertTrue((self.loras / "fox.png").exists())
        self.assertTrue(self.json("lora", "show", "fox")["preview"].endswith("fox.png"))
        self.run_lowrank("lora", "preview", "fox", "--remove")
        self.assertFalse((self.loras / "fox.png").exists())
        picture.write_bytes(b"no")
        self.run_lowrank("lora", "preview", "fox", "p.png", status=2)

    def test_a_rename_is_followed(self):
        self.put("fox.safetensors")
        self.run_lowrank("lora", "rate", "fox", "5")
        (self.loras / "new").mkdir()
        (self.loras / "fox.safetensors").rename(self.loras / "new" / "vulpes.safetensors")
        shown = self.json("lora", "show", "fox")
        self.assertEqual((shown["relative"], shown["found_by"], shown["rating"]), ("new/vulpes", "former name", 5))

    def test_duplicates_and_conflicts(self):
        self.put("a/fox.safetensors")
        self.put("b/fox.safetensors")
        found = self.json("lora", "dedupe")
        self.assertEqual(len(found["duplicates"][0]["files"]), 2)
        self.assertEqual(found["wasted_bytes"], len(safetensors()))
        self.assertEqual(found["conflicts"][0]["name"], "fox")
        self.assertTrue(found["conflicts"][0]["winner"].endswith("b/fox.safetensors"))

    def test_a_friends_prompt(self):
        self.put("renamed here.safetensors", safetensors(5))
        self.run_lowrank("lora", "scan", "--hash")
        short = self.json("lora", "show", "renamed here")["hashes"]["autov3"]
        text = (f"a fox <lora:theirs:0.8> <lora:nowhere:1>\nNegative prompt: x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Model hash: 0123456789, "
                f'Model: sd15, Lora hashes: "theirs: {short}, nowhere: abcdefabcdef"')
        needed = {item["name"]: item for item in self.json("lora", "missing", text)["needed"]}
        self.assertEqual((needed["theirs"]["as"], needed["theirs"]["by"]), ("renamed here", "hash"))
        self.assertFalse(needed["nowhere"]["found"])
        self.assertEqual(needed["nowhere"]["where"], "lowrank lora import abcdefabcdef")
        self.assertFalse(needed["sd15"]["found"])
        resources = ('x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Hashes: {"lora:a": "' + short + '", "model": "0"}, Civitai resources: '
                     '[{"type":"lora","weight":0.8,"modelVersionId":77,"modelName":"B"}]')
        needed = {item["name"]: item for item in self.json("lora", "missing", resources)["needed"]}
        self.assertTrue(needed["a"]["found"])
        self.assertIn("model-versions/77", needed["B"]["where"])

    def test_hashing_finds_what_has_no_hash_yet(self):
        self.put("x.safetensors", safetensors(6))
        short = "0" * 12
        import hashlib
        import struct
        data = safetensors(6)
        short = hashlib.sha256(data[8 + struct.unpack("<Q", data[:8])[0]:]).hexdigest()[:12]
        text = f"<lora:theirs:1> a\nSteps: 1, Sampler: Euler, CFG scale: 7, Lora hashes: \"theirs: {short}\""
        self.assertIn("--hash", self.run_lowrank("lora", "missing", text).stdout)
        self.assertTrue(self.json("lora", "missing", text, "--hash")["needed"][0]["found"])

    def test_why(self):
        shutil.copy(TINY / "sd15-tiny.safetensors", self.folder / "models/Stable-diffusion/tiny.safetensors")
        shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.loras / "fits.safetensors")
        self.put("wide.safetensors", safetensors(1, cross=2048))
        answer = self.json("lora", "why", "fits", "--model", "tiny")
        self.assertEqual((answer["applies"], answer["unet_modules"], answer["unmet"]), (True, 192, []))
        answer = self.json("lora", "why", "wide", "--model", "tiny")
        self.assertFalse(answer["applies"])
        self.assertIn("SDXL", answer["family"])
        self.assertEqual({c["name"]: c["applies"] for c in answer["checkpoints"]}["tiny"], False)
        self.assertEqual(self.listed("list", "--fits", "tiny"), ["fits"])

    def test_what_list_finds_is_what_why_says(self):
        shutil.copy(TINY / "sd15-tiny.safetensors", self.folder / "models/Stable-diffusion/tiny.safetensors")
        for name in ("lora_attn", "lora_text", "locon", "loha", "lokr"):
            for file in TINY.glob(f"sd15-tiny-{name}*.safetensors"):
                shutil.copy(file, self.loras / file.name)
        for folder in sorted((SOURCE / "tests/fixtures/peft").iterdir()):
            if folder.is_dir():  # of other widths than the checkpoint's
                shutil.copytree(folder, self.loras / folder.name)
        block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_"

        def lora(layer, out, rank, into):
            return {layer + ".lora_down.weight": [rank, into], layer + ".lora_up.weight": [out, rank]}
        text = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
        tiny = {"k": (block + "attn2_to_k", 32, 2, 64), "q": (block + "attn1_to_q", 32, 2, 32), "te": (text, 64, 2, 64)}
        for name, tensors in {
                "right": lora(*tiny["k"]) | lora(*tiny["q"]),
                "one wrong": lora(*tiny["k"]) | lora(tiny["q"][0], 33, 2, 32),
                # Widths alone let these pass.
                "all wrong out": lora(tiny["k"][0], 48, 2, 64),
                "foreign text": lora(tiny["k"][0], 48, 2, 64) | lora(*tiny["q"]),
                "unknown keys": lora(*tiny["q"]) | {"lora_unet_nowhere.unheard_of": [3]},
                "no such layer": lora("lora_unet_down_blocks_7_attentions_0_proj_in", 32, 2, 32),
                "text only": lora(*tiny["te"]),
                "text wide": lora(text, 768, 2, 768),
                "sdxl": lora(tiny["k"][0], 640, 2, 2048) | lora("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 1280, 2, 1280),
                "sdxl text": lora("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 1280, 2, 1280),
                "flux": lora("lora_unet_double_blocks_0_img_attn_proj", 64, 2, 64),
                "ia3": {tiny["q"][0] + ".weight": [32], tiny["q"][0] + ".on_input": [1]},
                "half": {tiny["q"][0] + ".lora_down.weight": [2, 32]}}.items():
            self.put_tensors(f"{name}.safetensors", tensors)
        peft = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0."
        settings = {"peft_type": "VERA", "projection_prng_key": 3}
        for folder, more in {"drawn": {}, "drawn lacking one": {peft.replace(".0.attn", ".5.attn") + "attn9.to_q.vera_lambda_b": [32]}}.items():
            self.put_tensors(f"{folder}/adapter_model.safetensors", {
                peft + "attn1.to_q.vera_lambda_b": [32], peft + "attn1.to_q.vera_lambda_d": [2]} | more | (
                    {key.replace("lambda_b", "lambda_d"): [2] for key in more}))
            (self.loras / folder / "adapter_config.json").write_text(json.dumps(settings))

        applies = {}
        for lora_row in self.json("lora", "list")["loras"]:
            asked = subprocess.run([LOWRANK, "lora", "why", lora_row["path"], "--model", "tiny", "--json"], cwd=self.folder, env=self.environment,
                                   capture_output=True, text=True)
            applies[lora_row["relative"]] = asked.returncode == 0 and json.loads(asked.stdout)["applies"]
        for _ in range(2):  # judged, then remembered
            found = {row["relative"] for row in self.json("lora", "list", "--fits", "tiny")["loras"]}
            self.assertEqual(found, {name for name, does in applies.items() if does})
        expected = {"right": True, "one wrong": True, "all wrong out": False, "foreign text": False, "unknown keys": True, "no such layer": False,
                    "text only": True, "text wide": False, "sdxl": False, "sdxl text": False, "flux": False, "half": False,
                    "drawn/adapter_model": True, "drawn lacking one/adapter_model": False}
        self.assertEqual({name: applies[name] for name in expected}, expected)
        self.assertTrue(any(name.startswith("sd15-tiny") and does for name, does in applies.items()))
        # Another content under the same name is judged anew.
        self.put_tensors("right.safetensors", lora(tiny["k"][0], 48, 2, 64))
        self.assertNotIn("right", self.listed("list", "--fits", "tiny"))

    def put_tensors(self, name, tensors):
        header, offset = {}, 0
        for key, shape in tensors.items():
            length = 4 * math.prod(shape)
            header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + length]}
            offset += length
        text = json.dumps(header).encode()
        return self.put(name, struct.pack("<Q", len(text)) + text + bytes(offset))

    def put_adapter(self, folder, tensors, settings=None):
        """A folder as PEFT writes it: tensors of zeros by name and shape, settings beside them."""
        block = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0."
        path = self.put_tensors(f"{folder}/adapter_model.safetensors", {block + name: shape for name, shape in tensors.items()})
        if settings:
            (path.parent / "adapter_config.json").write_text(json.dumps(settings))
        return path

    def verdicts(self, folder):
        """What list, show, inspect and why say of a file: (why it cannot be used or "", kinds)."""
        name = f"{folder}/adapter_model"
        (row,) = [r for r in self.json("lora", "list")["loras"] if r["relative"] == name]
        shown = self.json("lora", "show", name)
        self.assertEqual(row.get("error", ""), shown.get("error", ""))
        inspected = subprocess.run([LOWRANK, "lora", "inspect", name, "--json"], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        asked = subprocess.run([LOWRANK, "lora", "why", name, "--model", "tiny", "--json"], cwd=self.folder, env=self.environment, capture_output=True,
                               text=True)
        if inspected.returncode:  # refused as a whole: in the same words by both
            self.assertNotEqual(asked.returncode, 0)
            for told in (inspected.stderr, asked.stderr):
                self.assertIn(row["error"].rstrip("."), told)
            return row["error"], ""
        reason = json.loads(inspected.stdout)["unusable"]
        self.assertEqual(row.get("error", ""), f"{row['path']}: {reason}" if reason else "")
        if reason:
            self.assertEqual(json.loads(asked.stdout)["verdict"], "does not apply: " + reason)
        self.assertEqual(row["kind"] if not reason else "", "+".join(sorted(json.loads(inspected.stdout)["kinds"])))
        return reason, row["kind"]

    def test_every_command_gives_one_verdict(self):
        shutil.copy(TINY / "sd15-tiny.safetensors", self.folder / "models/Stable-diffusion/tiny.safetensors")
        lora = {"attn1.to_q.lora_A.weight": [2, 32], "attn1.to_q.lora_B.weight": [32, 2]}
        self.put_adapter("good", lora, {"peft_type": "LORA", "lora_alpha": 4})
        self.put_adapter("router", lora, {"peft_type": "XLORA"})
        self.put_adapter("gralora", {"attn1.to_q.gralora_A": [9]})
        # Drawn in bfloat16: PyTorch 2.15 draws other numbers than earlier versions.
        self.put_adapter("randlora", {"attn1.to_q.randlora_lambda": [4, 8], "attn1.to_q.randlora_gamma": [8, 32]},
                         {"peft_type": "RANDLORA", "r": 4, "randlora_alpha": 640, "projection_prng_key": 3})
        self.put_adapter("fourier", {"attn1.to_q.fourierft_spectrum": [9]})
        self.put_adapter("data", lora, {"peft_type": "LORA", "init_lora_weights": "corda"})
        self.put_adapter("half", {"attn1.to_q.lora_A.weight": [2, 32]}, {"peft_type": "LORA"})
        self.put_adapter("other", {"attn1.to_q.lora_A.weight": [2, 32], "attn1.to_q.lora_B.weight": [32, 3]}, {"peft_type": "LORA"})
        self.put_adapter("vera", {"attn1.to_q.vera_lambda_b": [32], "attn1.to_q.vera_lambda_d": [2]}, {"peft_type": "VERA"})
        for folder in ("loha", "oft", "boft", "ia3", "hra", "miss", "delora", "vera", "c3a", "shira", "hira", "adalora", "kasa", "dora",
                       "fourierft", "randlora", "randlora_sparse", "vera_drawn", "bias_all"):
            shutil.copytree(SOURCE / "tests/fixtures/peft" / folder, self.loras / f"peft_{folder}")
        self.assertEqual(self.verdicts("good"), ("", "LoRA"))
        for folder, words in {"router": "type XLORA", "gralora": "type GRALORA", "randlora": "different numbers; save it with save_projection", "fourier": "put it in the same folder", "data": "'corda'", "half": "incomplete LoRA", "other": "do not match",
                              "vera": "save_projection"}.items():
            self.assertIn(words, self.verdicts(folder)[0])
        for folder, kind in {"loha": "LoHa", "oft": "OFT", "boft": "BOFT", "ia3": "IA3", "hra": "HRA", "miss": "MiSS", "delora": "DeLoRA", "vera": "VeRA",
                             "c3a": "C3A", "shira": "SHiRA", "hira": "HiRA", "adalora": "AdaLoRA", "kasa": "KaSA", "dora": "LoCon+LoRA", "fourierft": "FourierFT", "randlora": "RandLoRA",
                             "randlora_sparse": "RandLoRA", "vera_drawn": "VeRA", "bias_all": "LoCon+LoRA+bias"}.items():
            self.assertEqual(self.verdicts(f"peft_{folder}"), ("", kind))
        # Settings that appear later count at once.
        (self.loras / "good/adapter_config.json").write_text(json.dumps({"peft_type": "PROMPT_TUNING"}))
        self.assertIn("type PROMPT_TUNING", self.verdicts("good")[0])

    def test_fully_means_every_module_and_every_key(self):
        shutil.copy(TINY / "sd15-tiny.safetensors", self.folder / "models/Stable-diffusion/tiny.safetensors")
        whole = {"attn1.to_q.lora_A.weight": [2, 32], "attn1.to_q.lora_B.weight": [32, 2]}
        # PEFT's magnitude is per output of the layer; another size has no place, and what is not known is counted.
        for folder, more, verdict in (("a", {}, "applies fully: 1 of 1 modules, all 2 keys"),
                                      ("b", {"attn1.to_q.unheard_of": [1]}, "applies in part: 1 of 1 modules, 2 of 3 keys"),
                                      ("c", {"attn1.to_q.lora_magnitude_vector": [31]}, "does not apply: none of its modules fit"),
                                      ("d", {"attn1.to_k.lora_A.weight": [2, 32]}, "applies in part: 1 of 2 modules, 2 of 3 keys")):
            path = self.put_adapter(folder, whole | more, {"peft_type": "LORA"})
            answer = self.json("lora", "why", path, "--model", "tiny")
            self.assertEqual(answer["verdict"], verdict)
            self.assertEqual(sum(answer["keys"].values()), len(whole | more))

    def test_recipes(self):
        self.put("fox.safetensors")
        self.run_lowrank("recipe", "save", "soft", "--lora", "fox:0.6:0.4", "-p", "soft light <lora:fox:0.2>", "-n", "harsh")
        recipe = self.json("recipe", "show", "soft")
        self.assertEqual([lora["arguments"] for lora in recipe["loras"]], ["0.2", "0.6:0.4"])
        self.assertEqual((recipe["prompt"], recipe["negative_prompt"]), ("soft light", "harsh"))
        self.assertRegex(recipe["loras"][0]["hash"], "^[0-9a-f]{12}$")
        self.run_lowrank("recipe", "save", "soft", "--lora", "fox", status=2)
        self.run_lowrank("recipe", "export", "soft", "-o", "soft.json")
        self.run_lowrank("recipe", "remove", "soft")
        self.assertEqual(self.json("recipe", "list")["recipes"], [])
        # On a friend's machine the same LoRA has another name.
        (self.loras / "fox.safetensors").rename(self.loras / "vulpes.safetensors")
        shutil.rmtree(self.folder / "cache")
        self.run_lowrank("lora", "scan", "--hash")
        self.assertIn("<lora:vulpes:0.2>", self.run_lowrank("recipe", "import", "soft.json").stdout)
        for name in ("../x", "", ".x", "a/b", "-x"):
            self.run_lowrank("recipe", "save", "--prompt", "x", "--", name, status=2)
        (self.folder / "bad.json").write_text('{"lowrank_recipe": 1, "loras": [{"name": "a>b"}]}')
        self.run_lowrank("recipe", "import", "bad.json", status=2)
        (self.folder / "bad.json").write_text('[]')
        self.run_lowrank("recipe", "import", "bad.json", status=2)
        self.run_lowrank("txt2img", "-p", "x", "--recipe", "none", status=2)

    # ── safety ──

    def test_a_folder_that_cannot_be_written(self):
        if os.geteuid() != 0:
            user = {}
        else:
            user = {"user": "nobody"}
            self.folder.chmod(0o755)
            for name in ("cache", "home"):
                (self.folder / name).mkdir()
                shutil.chown(self.folder / name, "nobody")
        self.put("fox.safetensors")
        for path in (self.loras, self.folder / "models"):
            path.chmod(0o555)
        self.addCleanup(self.loras.chmod, 0o755)
        probe = subprocess.run([LOWRANK, "--version"], capture_output=True, **user)
        if probe.returncode != 0:
            self.skipTest("the binary cannot be run as another user")
        written = json.loads(self.run_lowrank("lora", "note", "fox", "mine", "--json", **user).stdout)["written"]
        self.assertTrue(written.startswith(str(self.folder / "home")), written)
        self.assertFalse((self.loras / "fox.json").exists())
        shown = json.loads(self.run_lowrank("lora", "show", "fox", "--json", **user).stdout)
        self.assertEqual(shown["notes"], "mine")
        # And after the index is lost.
        shutil.rmtree(self.folder / "cache")
        self.environment["XDG_CACHE_HOME"] = "/proc/none"
        shown = json.loads(self.run_lowrank("lora", "show", "fox", "--json", **user).stdout)
        self.assertEqual(shown["notes"], "mine")

    def test_two_processes_at_once(self):
        for n in range(300):
            self.put(f"{n % 7}/l{n}.safetensors", safetensors(n % 200))
        processes = [self.start("lora", "list", "--json") for _ in range(6)]
        for process in processes:
            output, errors = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, errors)
            self.assertEqual(sum("models/starter" not in lora["path"] for lora in json.loads(output)["loras"]), 300)
        notes = [self.start("lora", "tag", "l5", f"tag{n}") for n in range(8)]
        for process in notes:
            process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0)

    def test_kill_at_any_time_leaves_the_index_whole(self):
        for n in range(600):
            self.put(f"{n % 5}/l{n}.safetensors", safetensors(n % 200))
        index = self.folder / "index.sqlite"
        self.environment["LOWRANK_INDEX"] = str(index)
        delay, kills = 0.002, 0
        while kills < 12:
            process = self.start("lora", "scan", "--hash", "--quiet")
            time.sleep(delay)
            process.kill()
            process.communicate()
            kills += 1
            delay *= 1.45
            if index.exists():
                check = subprocess.run(["sqlite3", str(index), "PRAGMA integrity_check"], capture_output=True, text=True) if shutil.which("sqlite3") else None
                if check is not None:
                    self.assertEqual(check.stdout.strip(), "ok")
        self.assertEqual(len(self.listed()), 600)
        self.assertEqual(self.json("lora", "scan", "--hash")["read"], 0)

    def test_kill_while_editing_leaves_a_whole_card(self):
        self.put("fox.safetensors")
        (self.loras / "fox.json").write_text(json.dumps({"notes": "first", "other": ["x"] * 1000}))
        self.run_lowrank("lora", "list")
        for n in range(15):
            process = self.start("lora", "note", "fox", f"note {n}")
            time.sleep(0.002 * n)
            process.kill()
            process.communicate()
            card = json.loads((self.loras / "fox.json").read_text())
            self.assertEqual(card["other"], ["x"] * 1000)
        self.assertEqual([p.name for p in self.loras.iterdir() if p.suffix == ".safetensors"], ["fox.safetensors"])

    def test_watching_follows_changes(self):
        process = self.start("lora", "scan", "--watch", "--json")
        lines, done = [], threading.Event()

        def read():
            text = ""
            for line in process.stdout:
                text += line
                if line.startswith("}"):
                    lines.append(json.loads(text))
                    text = ""
                    done.set()

        reader = threading.Thread(target=read)
        reader.start()
        self.assertTrue(done.wait(20))
        done.clear()
        (self.loras / "new" / "deep").mkdir(parents=True)
        for n in range(30):
            self.put(f"new/deep/l{n}.safetensors", safetensors(n))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and sum(line["read"] for line in lines[1:]) < 30:
            time.sleep(0.05)
        self.assertEqual(sum(line["read"] for line in lines[1:]), 30)
        self.assertLess(len(lines), 8)  # a burst counts as one, or as a few
        before = len(lines)
        (self.loras / "new/deep/l3.safetensors").rename(self.loras / "renamed.safetensors")
        while time.monotonic() < deadline and len(lines) == before:
            time.sleep(0.05)
        self.assertEqual(lines[-1]["renamed"], 1)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0)
        reader.join(20)
        process.stdout.close()
        process.stderr.close()

    def test_odd_names_on_the_command_line(self):
        names = ["-dash", "new\nline", "狐", "a'b\"c", "x" * 243]
        for name in names:
            self.put(f"{name}.safetensors")
        for name in names:
            shown = json.loads(self.run_lowrank("lora", "show", "--json", "--", name).stdout)
            self.assertEqual(shown["name"], name)
        (self.loras / "loop").symlink_to(self.loras)
        self.assertEqual(len(self.listed()), len(names))
        table = self.run_lowrank("lora", "list").stdout
        starters = len(list((SOURCE / "models" / "starter" / "lora").glob("*.safetensors")))
        self.assertEqual(len(table.strip().split("\n")), len(names) + 1 + starters)  # head; a newline makes no line

    # ── documentation ──

    def test_the_tour_of_the_documentation(self):
        """Every command of docs/collection.md is run in order, in one data folder; what it shows must come."""
        sites = ModelSites()
        self.addCleanup(sites.close)
        sites.files["/files/preview.png"] = png()
        sites.add_version(456, 123, "Red Fox", safetensors(2))
        sites.add_repo("ann/fox-lora", {"fox.safetensors": (safetensors(3), True)}, card={"instance_prompt": "foxy"})
        self.environment.update(LOWRANK_CIVITAI_URL=sites.url, HF_ENDPOINT=sites.url)
        shutil.copy(TINY / "sd15-tiny.safetensors", self.folder / "models/Stable-diffusion/tiny.safetensors")
        self.put("style/soft.safetensors", safetensors(4, {"ss_tag_frequency": json.dumps({"1_a": {"soft light": 8}})}))
        (self.folder / "sample.png").write_bytes(png())
        text = (SOURCE / "docs" / "collection.md").read_text()
        commands = 0
        for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
            output, expected = None, []
            for line in block.split("\n") + ["$ true"]:
                if not line.startswith("$ "):
                    expected.append(line)
                    continue
                if output is not None:
                    for wanted in filter(None, (w.strip() for w in expected)):
                        if wanted == "...":
                            continue
                        self.assertIn(" ".join(wanted.split()), " ".join(output.split()), line)
                expected = []
                words = shlex.split(line[2:], comments=True)
                if words[0] != "lowrank":
                    result = subprocess.run(line[2:], shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
                    output = result.stdout + result.stderr
                    continue
                result = self.run_lowrank(*words[1:])
                output = result.stdout + result.stderr
                commands += 1
        self.assertGreater(commands, 25)


if __name__ == "__main__":
    unittest.main(verbosity=1)
