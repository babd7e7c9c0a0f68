#!/usr/bin/env python3
"""A person with checkpoints of every family: pictures with a LoRA through the API and the command line, and what refers from one
family to another. Truth is by property: both ways give the same pixels, a LoRA without weight is none, a refiner that never
takes over changes nothing.  families_test.py LOWRANK FIXTURES"""
import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from pixels import Pixels
from served import Served, picture

LOWRANK, FIXTURES = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
SIDE = 64
# Family of the names: checkpoint → its LoRA's file beside it, name and label.
FAMILIES = {"sd15-tiny": ("attention", "SD 1.x", 512), "sd2-tiny": ("two", "SD 2.x", 768), "sdxl-tiny": ("xl", "SDXL", 1024)}
REFINER = "sdxl-refiner-tiny"


def tensors_of(path):
    """(header, the bytes behind it)"""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def write_stated(source, goldens, target):
    """A copy of a tiny checkpoint that states what shapes cannot tell (tests/fixtures/README.md), as the golden tests make it."""
    header, body = tensors_of(source)
    known, values = tensors_of(goldens)

    def fact(name):
        if name not in known:
            return None
        begin, end = known[name]["data_offsets"]
        return int.from_bytes(values[begin:end], "little", signed=True)

    has_two = "config.clip_l_heads" in known or "open_clip.penultimate_normed" not in known
    stated = {"lowrank.unet_head_width": fact("config.unet_head_width"), "lowrank.text_heads": fact("config.clip_l_heads"),
              "lowrank.text2_heads" if has_two else "lowrank.text_heads": fact("config.open_clip_heads")}
    header["__metadata__"] = {key: str(value) for key, value in stated.items() if value is not None}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(struct.pack("<Q", len(text)) + text + body)


def make_data(folder):
    checkpoints, loras = folder / "models/Stable-diffusion", folder / "models/Lora"
    checkpoints.mkdir(parents=True)
    loras.mkdir(parents=True)
    for name in ("sd2-tiny", "sdxl-tiny", REFINER):
        write_stated(FIXTURES / name / f"{name}.safetensors", FIXTURES / name / f"{name}-goldens.safetensors", checkpoints / f"{name}.safetensors")
    (loras / "two.safetensors").symlink_to(FIXTURES / "sd2-tiny/sd2-tiny-lora_kohya.safetensors")
    (loras / "xl.safetensors").symlink_to(FIXTURES / "sdxl-tiny/sdxl-tiny-lora_kohya.safetensors")


def xyz(*axes):
    """script_args of X/Y/Z plot in A1111's order, all else as it stands in a new form, with the single pictures."""
    args = []
    for axis in (*axes, *[("Nothing", "")] * (3 - len(axes))):
        args += [axis[0], axis[1], []]
    return args + [True, True, False, False, False, False, False, 0, False]


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.data = pathlib.Path(cls.folder.name)
        make_data(cls.data)
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none", data=cls.data)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def ask(self, model, prompt="a fox", route="txt2img", **more):
        body = {"prompt": prompt, "steps": 2, "width": SIDE, "height": SIDE, "seed": 42, "sampler_name": "Euler",
                "override_settings": {"sd_model_checkpoint": model}, **more}
        status, answer = self.server.post("/sdapi/v1/" + route, body)
        self.assertEqual(status, 200, answer)
        return [picture(image) for image in answer["images"]], json.loads(answer["info"])

    def draw(self, model, prompt="a fox", **more):
        images, info = self.ask(model, prompt, **more)
        self.assertEqual(info["sd_model_name"], model)
        return images[0]

    def command(self, model, *words, prompt="a fox", command="txt2img", steps=2):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "picture.png"
            self.server.run(command, *words, "-p", prompt, "--model", model, "--steps", str(steps), "--sampler", "Euler", "-W", str(SIDE), "-H", str(SIDE), "--seed", "42", "-o", str(file))
            return file.read_bytes()

    def same(self, one, other):
        one, other = Pixels(one), Pixels(other)
        self.assertEqual(one.size, other.size)
        self.assertEqual(one.rows, other.rows)

    def alike(self, one, other):
        """From another process: sums in another order may round a value to its neighbour."""
        one, other = Pixels(one), Pixels(other)
        self.assertEqual(one.size, other.size)
        for row, there in zip(one.rows, other.rows):
            self.assertLessEqual(max(abs(a - b) for a, b in zip(row, there)), 1)

    def differ(self, one, other):
        self.assertNotEqual(Pixels(one).rows, Pixels(other).rows)

    def test_a_lora_of_each_family_by_api_and_command_line(self):
        for model, (lora, label, _) in FAMILIES.items():
            with self.subTest(model):
                plain, tag = self.draw(model), f"a fox <lora:{lora}:1>"
                images, info = self.ask(model, tag)
                self.differ(plain, images[0])
                self.same(plain, self.draw(model, f"a fox <lora:{lora}:0>"))
                self.alike(images[0], self.command(model, prompt=tag))
                (report,) = info["lowrank"]["loras"]
                self.assertEqual((report["base_model"], report["skipped"], report["unknown"]), (label, 0, 0))
                self.assertGreater(report["applied"], 0)
                self.assertIn(f"Model: {model}", info["infotexts"][0])

    def test_each_family_continues_pictures_repaints_and_enlarges_them(self):
        mask = base64.b64encode(self.mask()).decode()
        for model, (lora, _, _) in FAMILIES.items():
            with self.subTest(model):
                tag = f"a cat <lora:{lora}:0.8>"
                start = self.draw(model)
                init = base64.b64encode(start).decode()
                with tempfile.TemporaryDirectory() as folder:
                    file, masked = pathlib.Path(folder) / "start.png", pathlib.Path(folder) / "mask.png"
                    file.write_bytes(start)
                    masked.write_bytes(self.mask())
                    new = self.draw(model, tag, route="img2img", init_images=[init], denoising_strength=0.7)
                    self.differ(start, new)
                    self.alike(new, self.command(model, "--init", str(file), "--denoising-strength", "0.7", prompt=tag, command="img2img"))
                    part = self.draw(model, tag, route="img2img", init_images=[init], denoising_strength=0.9, mask=mask, mask_blur=0, inpainting_fill=1, inpaint_full_res=False)
                    self.alike(part, self.command(model, "--init", str(file), "--mask", str(masked), "--mask-blur", "0", "--denoising-strength", "0.9",
                                                 "--masked-content", "original", "--inpaint-area", "Whole picture", prompt=tag, command="img2img"))
                # The left half is black in the mask: it stays.
                before, after = Pixels(start), Pixels(part)
                self.assertEqual(before.crop(0, 0, SIDE // 2, SIDE), after.crop(0, 0, SIDE // 2, SIDE))
                self.assertNotEqual(before.crop(SIDE // 2, 0, SIDE // 2, SIDE), after.crop(SIDE // 2, 0, SIDE // 2, SIDE))
                hires = {"enable_hr": True, "hr_scale": 2, "hr_second_pass_steps": 1, "denoising_strength": 0.6, "hr_upscaler": "Latent"}
                large, info = self.ask(model, tag, **hires)
                self.assertEqual(Pixels(large[0]).size, (2 * SIDE, 2 * SIDE))
                self.assertIn("Hires upscale: 2", info["infotexts"][0])
                self.alike(large[0], self.command(model, "--enable-hr", "--hr-scale", "2", "--hr-second-pass-steps", "1", "--denoising-strength", "0.6",
                                                 "--hr-upscaler", "Latent", prompt=tag))
                tiled, info = self.ask(model, tiling=True)
                self.differ(start, tiled[0])
                self.assertIn("Tiling: True", info["infotexts"][0])
                self.alike(tiled[0], self.command(model, "--tiling"))

    @staticmethod
    def mask():
        """Black on the left, white on the right."""
        import zlib
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        rows = b"".join(b"\0" + b"\0" * (3 * SIDE // 2) + b"\xff" * (3 * SIDE // 2) for _ in range(SIDE))
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) +
                chunk(b"IEND", b""))

    def test_the_base_hands_over_to_the_refiner(self):
        model, prompt = "sdxl-tiny", "a fox <lora:xl:1>"
        alone = self.draw(model, prompt, steps=4)
        for never in (1, 0):
            images, info = self.ask(model, prompt, steps=4, refiner_checkpoint=REFINER, refiner_switch_at=never)
            self.same(alone, images[0])
            self.assertTrue(any(f"the refiner {REFINER} is not used, as refiner_switch_at is {never}.0;" in w for w in info["lowrank"]["warnings"]), info)
        images, info = self.ask(model, prompt, steps=4, refiner_checkpoint=REFINER, refiner_switch_at=0.5)
        self.differ(alone, images[0])
        self.assertIn(f"Refiner: {REFINER}", info["infotexts"][0])
        self.assertIn("Refiner switch at: 0.5", info["infotexts"][0])
        # The LoRA is made for the base: it acts there, and that it does not on the refiner is told.
        self.assertEqual([report["name"] for report in info["lowrank"]["loras"]], ["xl"])
        self.assertEqual(info["lowrank"]["missing_loras"], [])
        self.assertIn(f"<lora:xl> acts on the base alone: it does not fit the refiner {REFINER}.", info["lowrank"]["warnings"])
        self.alike(images[0], self.command(model, "--refiner-checkpoint", REFINER, "--refiner-switch-at", "0.5", prompt=prompt, steps=4))
        # On the command line a refiner that is named acts, from where A1111's page has it.
        usual = self.draw(model, prompt, steps=8, refiner_checkpoint=REFINER, refiner_switch_at=0.8)
        self.differ(usual, self.draw(model, prompt, steps=8))
        self.alike(usual, self.command(model, "--refiner", REFINER, prompt=prompt, steps=8))

    def test_an_axis_of_checkpoints_over_the_families(self):
        names = ", ".join(FAMILIES)
        images, info = self.ask("sd15-tiny", script_name="X/Y/Z plot", script_args=xyz(("Checkpoint name", names), ("Seed", "1, 2")))
        singles = [self.draw(model, seed=seed) for seed in (1, 2) for model in FAMILIES]
        self.assertEqual(len(images), 1 + len(singles), info["infotexts"][0])
        for image, single in zip(images[1:], singles):
            self.same(image, single)
        with tempfile.TemporaryDirectory() as folder:
            self.server.run("xyz", "-p", "a fox", "--model", "sd15-tiny", "--steps", "2", "--sampler", "Euler", "-W", str(SIDE), "-H", str(SIDE), "--seed", "42",
                            "--x", f"Checkpoint name: {names}", "--y", "Seed: 1, 2", "-o", f"{folder}/[index]-[number]")
            (sheet,) = pathlib.Path(folder).glob("*-sheet.png")
            self.alike(images[0], sheet.read_bytes())

    def test_one_server_changes_between_the_families_and_back(self):
        first = {model: self.draw(model) for model in FAMILIES}
        for model in ("sdxl-tiny", "sd15-tiny", "sdxl-tiny", "sd2-tiny"):
            self.same(first[model], self.draw(model))
        # As a client that sets the option.
        for model in FAMILIES:
            self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": model})[0], 200)
            options = self.server.get("/sdapi/v1/options")[1]
            self.assertEqual(options["sd_model_checkpoint"].split(".")[0], model)
            images, info = self.ask("", override_settings={})
            self.assertEqual(info["sd_model_name"], model)
            self.same(first[model], images[0])
        titles = {entry["model_name"] for entry in self.server.get("/sdapi/v1/sd-models")[1]}
        self.assertLessEqual({*FAMILIES, REFINER}, titles)

    def test_a_pictures_settings_draw_it_again(self):
        for model, (lora, _, _) in FAMILIES.items():
            with self.subTest(model):
                image = self.draw(model, f"a fox <lora:{lora}:0.7>", negative_prompt="blurry", cfg_scale=5, sampler_name="Euler a")
                status, read = self.server.post("/sdapi/v1/png-info", {"image": base64.b64encode(image).decode()})
                self.assertEqual(status, 200)
                self.assertEqual(read["parameters"]["Model"], model)
                # The checkpoint is the one that the text names, not the one that the server had last.
                other = next(name for name in FAMILIES if name != model)
                self.draw(other)
                status, again = self.server.post("/sdapi/v1/txt2img", {"infotext": read["info"]})
                self.assertEqual(status, 200, again)
                self.same(image, picture(again["images"][0]))
                with tempfile.TemporaryDirectory() as folder:
                    file, new = pathlib.Path(folder) / "old.png", pathlib.Path(folder) / "new.png"
                    file.write_bytes(image)
                    self.server.run("txt2img", "--from", str(file), "-o", str(new))
                    self.alike(image, new.read_bytes())

    def test_which_lora_fits_which_checkpoint(self):
        for model, (own, _, _) in FAMILIES.items():
            fitting = self.server.run("lora", "list", "--fits", model, "--names").split()
            for other, (lora, label, _) in FAMILIES.items():
                why = json.loads(self.server.run("lora", "why", lora, "--model", model, "--json"))
                self.assertEqual(why["applies"], model == other, (model, lora, why["verdict"]))
                self.assertEqual(why["base_model"], label)
                self.assertEqual(lora in fitting, model == other, (model, lora))
            status, cards = self.server.get(f"/v1/loras?fits={model}&fields=name")
            self.assertEqual(sorted(card["name"] for card in cards["loras"]), sorted(set(fitting)))
        said = self.server.run("lora", "why", "xl", "--model", "sd15-tiny")
        self.assertIn("made for SDXL", said)
        self.assertIn("this is an SD 1.x checkpoint; these of your checkpoints fit: sdxl-tiny\n", said)

    def test_a_refused_lora_names_the_checkpoints_that_fit_everywhere(self):
        cases = [("sd15-tiny", "xl", "SDXL", "sdxl-tiny"), ("sdxl-tiny", "attention", "SD 1.x", "sd15-tiny"), ("sdxl-tiny", "two", "SD 2.x", "sd2-tiny"),
                 ("sd2-tiny", "xl", "SDXL", "sdxl-tiny")]
        for model, lora, label, fitting in cases:
            with self.subTest(f"{lora} on {model}"):
                sentence = f"this is an {FAMILIES[model][1]} checkpoint; these of your checkpoints fit: {fitting}."
                plain = self.draw(model)
                images, info = self.ask(model, f"a fox <lora:{lora}:1>")
                self.same(plain, images[0])
                (missing,) = info["lowrank"]["missing_loras"]
                self.assertIn(f"made for {label}", missing["reason"])
                self.assertIn(sentence, missing["reason"])
                status, answer = self.server.post("/sdapi/v1/txt2img", {"prompt": f"<lora:{lora}:1>", "steps": 1, "width": SIDE, "height": SIDE,
                                                                        "allow_missing_loras": False, "override_settings": {"sd_model_checkpoint": model}})
                self.assertGreaterEqual(status, 400)
                self.assertIn(sentence, json.dumps(answer))
                done = subprocess.run([LOWRANK, "txt2img", "-p", f"<lora:{lora}:1>", "--model", model, "-o", "/dev/null/x.png", "--steps", "1",
                                       "--data-dir", str(self.data)], env=self.server.environment, capture_output=True, text=True, timeout=120)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(sentence, done.stderr)
                self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": model})
                card = self.server.get(f"/v1/loras/{lora}")[1]
                self.assertFalse(card["fits"])
                self.assertTrue(card["fits_reason"].endswith(f"checkpoint. These of your checkpoints fit: {fitting}."), card["fits_reason"])

    def test_checkpoints_say_in_which_size_they_draw(self):
        listed = {entry["name"]: entry for entry in self.server.get("/v1/checkpoints")[1]["checkpoints"]}
        models = {entry["name"]: entry for entry in json.loads(self.server.run("model", "list", "--json"))["models"]}
        for model, (_, label, side) in FAMILIES.items():
            self.assertEqual((listed[model]["family"], listed[model]["native_size"]), (label, side))
            self.assertEqual(listed[model]["sizes"][0], {"width": side, "height": side})
            self.assertEqual((models[model]["base_model"], models[model]["native_size"]), (label, side))
        # Those that the SDXL report's appendix I lists, in both directions.
        self.assertLessEqual({(1152, 896), (896, 1152), (1216, 832), (832, 1216), (1344, 768), (768, 1344)},
                             {(size["width"], size["height"]) for size in listed["sdxl-tiny"]["sizes"]})

    def test_subfamilies_are_set_filtered_and_a_hint_only(self):
        def edit(path, subfamily):
            status, _, data = self.server.call("PATCH", path, {"subfamily": subfamily})
            return status, json.loads(data)

        status, card = edit("/v1/loras/xl", "pony")
        self.assertEqual((status, card["subfamily"], card["subfamily_origin"]), (200, "Pony", "user"))
        status, checkpoint = edit("/v1/checkpoints/sdxl-tiny", "Illustrious")
        self.assertEqual((status, checkpoint["subfamily"], checkpoint["subfamily_origin"]), (200, "Illustrious", "user"))
        self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": "sdxl-tiny"})
        card = self.server.get("/v1/loras/xl")[1]
        self.assertTrue(card["fits"])
        self.assertEqual(card["subfamily_hint"], "made for Pony; this checkpoint is Illustrious: it may look different")
        self.assertIn("made for Pony", self.server.run("lora", "why", "xl", "--model", "sdxl-tiny"))
        self.differ(self.draw("sdxl-tiny"), self.draw("sdxl-tiny", "a fox <lora:xl:1>"))
        names = lambda query: [entry["name"] for entry in self.server.get("/v1/loras?fields=name&" + query)[1]["loras"]]
        self.assertEqual(names("subfamily=Pony"), ["xl"])
        self.assertNotIn("xl", names("subfamily=none"))
        self.assertIn("xl", names("fits=sdxl-tiny"))
        self.assertIn("SDXL (Illustrious)", self.server.run("model", "list"))
        self.assertEqual(edit("/v1/loras/xl", "horse")[0], 422)
        self.assertEqual(edit("/v1/checkpoints/sdxl-tiny", "horse")[0], 422)
        # A word that the keys contradict is kept, and both are shown.
        status, card = edit("/v1/loras/attention", "Pony")
        self.assertEqual(card["subfamily_conflict"], "Pony is a kind of SDXL, but its layers are those of SD 1.x")
        self.assertEqual(card["family"], "SD 1.x")
        self.assertIn("Pony is a kind of SDXL", self.server.run("lora", "show", "attention"))
        for path in ("/v1/loras/xl", "/v1/loras/attention", "/v1/checkpoints/sdxl-tiny"):
            self.assertEqual(edit(path, "")[1]["subfamily"], None)
        self.server.run("model", "subfamily", "sdxl-tiny", "Pony")
        self.assertEqual({entry["name"]: entry["subfamily"] for entry in self.server.get("/v1/checkpoints")[1]["checkpoints"]}["sdxl-tiny"], "Pony")
        self.server.run("model", "subfamily", "sdxl-tiny", "auto")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
