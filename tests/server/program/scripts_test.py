#!/usr/bin/env python3
"""X/Y/Z plot, prompt matrix and prompts from file over the API, each cell against a request of its own and the grid
against the command line.  scripts_test.py LOWRANK FIXTURES"""
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import unittest

from pixels import Pixels
from served import Served, picture, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
LEFT, LINE = 48, 10  # three quarters of a cell of 64 pixels; a line of the smallest letters with its space


def xyz(*axes, **more):
    """script_args in A1111's order. An axis: (type, text) or (type, text, chosen)."""
    args = []
    for axis in (*axes, *[("Nothing", "")] * (3 - len(axes))):
        args += [axis[0], axis[1], axis[2] if len(axis) > 2 else []]
    names = ("draw_legend", "include_lone_images", "include_sub_grids", "no_fixed_seeds", "vary_seeds_x", "vary_seeds_y",
             "vary_seeds_z", "margin_size", "csv_mode")
    defaults = (True, False, False, False, False, False, False, 0, False)
    return args + [more.get(name, value) for name, value in zip(names, defaults)]


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def draw(self, route="txt2img", **more):
        status, answer = self.server.post("/sdapi/v1/" + route, tiny_request(**more))
        self.assertEqual(status, 200, answer)
        return [picture(image) for image in answer["images"]], json.loads(answer["info"])

    def plot(self, *axes, request=None, **more):
        return self.draw(script_name="X/Y/Z plot", script_args=xyz(*axes, **more), **(request or {}))

    def same_cell(self, grid, x, y, image):
        cell = Pixels(image)
        self.assertEqual(grid.crop(x, y, *cell.size), cell.crop(0, 0, *cell.size))

    def test_every_cell_is_what_a_request_of_its_own_gives(self):
        images, info = self.plot(("Steps", "1-2"), ("Sampler", "Euler, Heun"), include_lone_images=True)
        singles = [self.draw(steps=steps, sampler_name=sampler)[0][0] for sampler in ("Euler", "Heun") for steps in (1, 2)]
        self.assertEqual(images[1:], singles)
        grid, top = Pixels(images[0]), 2 * LINE
        self.assertEqual(grid.size, (LEFT + 128, top + 128))
        for i, image in enumerate(singles):
            self.same_cell(grid, LEFT + i % 2 * 64, top + i // 2 * 64, image)
        self.assertTrue(grid.is_white(0, 0, LEFT, top))
        self.assertFalse(grid.is_white(LEFT, 0, 64, top))
        self.assertFalse(grid.is_white(0, top, LEFT, 64))
        self.assertEqual((info["index_of_first_image"], len(info["infotexts"]), info["all_seeds"]), (1, 5, [42] * 4))
        self.assertIn('Script: X/Y/Z plot, X Type: Steps, X Values: 1-2, Y Type: Sampler, Y Values: "Euler, Heun"', info["infotexts"][0])
        for text, steps, sampler in zip(info["infotexts"][1:], (1, 2, 1, 2), ("Euler", "Euler", "Heun", "Heun")):
            self.assertIn(f"Steps: {steps}, Sampler: {sampler},", text)
            self.assertNotIn("Script", text)

    def test_the_same_grid_as_the_command_line(self):
        images, _ = self.plot(("CFG Scale", "1.5, 6.5"), ("Prompt S/R", "fox, cat"), ("Seed", "1, 2"))
        folder = self.server.data / "cli"
        subprocess.run([LOWRANK, "xyz", "--data-dir", str(self.server.data), "--size", "64x64", "--steps", "3", "--seed", "42", "--quiet",
                        "-p", "a fox", "--sampler", "Euler", "--x", "CFG Scale: 1.5, 6.5", "--y", "Prompt S/R: fox, cat", "--z",
                        "Seed: 1, 2", "-o", str(folder / "[index]-[seed]-[cfg]-[number]")], check=True, capture_output=True)
        (sheet,) = folder.glob("*-sheet.png")
        self.assertEqual(Pixels(sheet.read_bytes()).rows, Pixels(images[0]).rows)
        info = subprocess.run([LOWRANK, "png-info", str(sheet)], check=True, capture_output=True, text=True).stdout
        self.assertIn("Z Type: Seed", info)

    def test_sheets_of_the_third_axis_lie_side_by_side(self):
        images, info = self.plot(("Steps", "1, 2"), ("Nothing", ""), ("Clip skip", "1, 2"), include_sub_grids=True, include_lone_images=True)
        self.assertEqual(len(images), 1 + 2 + 4)
        whole, first, second = (Pixels(image) for image in images[:3])
        self.assertEqual(first.size, (128, 64 + 2 * LINE))
        # The title's letters grow with the sheet that it stands over, but these are small.
        self.assertEqual(whole.size, (256, first.height + 2 * LINE))
        for i, sheet in enumerate((first, second)):
            self.assertEqual(whole.crop(128 * i, 2 * LINE, *sheet.size), sheet.rows)
        self.assertIn("Z Type: Clip skip", info["infotexts"][0])
        self.assertNotIn("Z Type", info["infotexts"][1])
        self.assertEqual(images[3:], [self.draw(steps=s, clip_skip=c)[0][0] for c in (1, 2) for s in (1, 2)])

    def test_axes_by_number_by_label_and_by_choice(self):
        by_label = self.plot(("Sampler", "", ["Euler", "LMS"]))[0]
        _, infos = self.server.get("/sdapi/v1/script-info")
        labels = {i["is_img2img"]: i["args"][0]["choices"] for i in infos if i["name"] == "x/y/z plot"}
        # As A1111 1.10 numbers them.
        self.assertEqual([labels[False].index(l) for l in ("Nothing", "Seed", "Steps", "CFG Scale", "Sampler")], [0, 1, 4, 6, 9])
        self.assertEqual([labels[True].index(l) for l in ("Steps", "Image CFG Scale", "Sampler")], [4, 6, 9])
        self.assertEqual(self.plot((9, "", ["Euler", "LMS"]))[0], by_label)
        self.assertEqual(self.plot((9, "Euler,LMS"), csv_mode=True)[0], by_label)
        self.assertEqual(self.plot(("9", "Euler,LMS", ""))[0], by_label)

    def test_seeds(self):
        _, info = self.plot(("Steps", "1, 1, 1"), request={"seed": -1}, include_lone_images=True)
        self.assertEqual(len(set(info["all_seeds"])), 1)
        _, info = self.plot(("Steps", "1, 1"), ("Clip skip", "1, 1"), ("ENSD", "0, 0"), vary_seeds_x=True, vary_seeds_z=True)
        self.assertEqual(info["all_seeds"], [42, 43, 42, 43, 44, 45, 44, 45])
        _, info = self.plot(("Seed", "-1, 7"), ("Steps", "1, 1"))
        first, seven, again, _ = info["all_seeds"]
        self.assertEqual((first, seven), (again, 7))
        self.assertIn(f'Fixed X Values: "{first}, 7"', info["infotexts"][0])

    def test_a_legend_may_be_left_out_and_margins_added(self):
        grid = Pixels(self.plot(("Steps", "1, 2"), ("CFG Scale", "2, 3"), draw_legend=False, margin_size=6)[0][0])
        self.assertEqual(grid.size, (134, 134))
        self.assertTrue(grid.is_white(64, 0, 6, 134) and grid.is_white(0, 64, 134, 6))

    def test_img2img(self):
        (init,), _ = self.draw(seed=1)
        from base64 import b64encode
        request = {"init_images": [b64encode(init).decode()], "denoising_strength": 0.5}
        images, info = self.draw("img2img", script_name="x/y/z PLOT", script_args=xyz(("Denoising", "0.3, 0.9"), include_lone_images=True), **request)
        self.assertEqual(images[1:], [self.draw("img2img", **{**request, "denoising_strength": d})[0][0] for d in (0.3, 0.9)])
        self.assertIsNone(json.loads(self.server.call("POST", "/sdapi/v1/img2img", tiny_request(
            script_name="X/Y/Z plot", script_args=xyz(("Steps", "1")), **request))[2])["parameters"]["init_images"])

    def test_prompt_matrix(self):
        images, info = self.draw(prompt="a fox|red|in snow", script_name="Prompt matrix", script_args=[False, True, "positive", "space", 4])
        prompts = ["a fox", "a fox red", "a fox in snow", "a fox red in snow"]
        self.assertEqual(info["all_prompts"], prompts)
        self.assertEqual(info["all_seeds"], [42, 43, 44, 45])
        self.assertEqual(images[1:], [self.draw(prompt=p, seed=42 + i)[0][0] for i, p in enumerate(prompts)])
        grid = Pixels(images[0])
        self.assertEqual(grid.size, (LEFT + 132, 2 * LINE + 132))
        for i, image in enumerate(images[1:]):
            self.same_cell(grid, LEFT + i % 2 * 68, 2 * LINE + i // 2 * 68, image)
        images, info = self.draw(negative_prompt="a|b", script_name="prompt matrix", script_args=[True, False, "negative"])
        self.assertEqual((info["all_negative_prompts"], info["all_prompts"]), (["a", "b, a"], ["a fox"] * 2))

    def test_prompts_from_file(self):
        lines = "a cat\n--prompt \"a dog\" --steps 2 --negative_prompt blurry\n\n--sampler_name Heun --prompt x --seed 9"
        images, info = self.draw(prompt="", n_iter=2, script_name="Prompts from file or textbox", script_args=[True, False, "start", lines])
        self.assertEqual(info["all_seeds"], [42, 43, 44, 45, 9, 10])
        self.assertEqual(images[:2], self.draw(prompt="a cat", n_iter=2)[0])
        self.assertEqual(images[2:4], self.draw(prompt="a dog", negative_prompt="blurry", steps=2, seed=44, n_iter=2)[0])
        self.assertEqual(images[4:], self.draw(prompt="x", sampler_name="Heun", seed=9, n_iter=2)[0])
        self.assertEqual(info["index_of_first_image"], 0)
        for args, prompt in (([False, False, "start", "red"], "red a fox"), ([False, False, "end", "red"], "a fox red"), ([False, False, "red"], "red a fox")):
            self.assertEqual(self.draw(script_name="prompts from file or textbox", script_args=args)[1]["prompt"], prompt)

    def test_loras_of_the_request_act_in_every_cell(self):
        images, info = self.plot(("Prompt S/R", "fox, cat"), request={"lora": [{"name": "attention", "weight": 0.5}]}, include_lone_images=True)
        self.assertEqual(images[2], self.draw(prompt="a cat<lora:attention:0.5>")[0][0])
        self.assertEqual([lora["name"] for lora in info["lowrank"]["loras"]], ["attention"])

    def test_saved_files(self):
        self.plot(("Steps", "1, 2"), request={"save_images": True})
        names = sorted(path.relative_to(self.server.data / "outputs").parts[0] for path in (self.server.data / "outputs").rglob("*.png"))
        self.assertEqual(names, ["txt2img-grids", "txt2img-images", "txt2img-images"])

    def test_an_interrupted_plot_shows_what_there_is(self):
        result = []
        worker = threading.Thread(target=lambda: result.append(self.plot(("Seed", "1-6"), request={"steps": 60}, include_lone_images=True)))
        worker.start()
        for _ in range(600):
            _, progress = self.server.get("/sdapi/v1/progress?skip_current_image=true")
            if progress["state"]["job_no"] == 1:
                break
            time.sleep(0.02)
        self.assertEqual((progress["state"]["job"], progress["state"]["job_count"]), ("2 out of 6", 6))
        self.server.post("/sdapi/v1/interrupt")
        worker.join(60)
        images, info = result[0]
        self.assertLess(len(images), 7)
        self.assertEqual(len(info["all_seeds"]), len(images) - 1)
        last = Pixels(images[0]).crop(5 * 64, 2 * LINE, 64, 64)
        self.assertEqual({byte for row in last for byte in row}, {0})

    def test_lists(self):
        names = ["prompt matrix", "prompts from file or textbox", "x/y/z plot"]
        self.assertEqual(self.server.get("/sdapi/v1/scripts")[1], {"txt2img": names, "img2img": names})
        _, infos = self.server.get("/sdapi/v1/script-info")
        self.assertEqual([(i["name"], i["is_img2img"], i["is_alwayson"]) for i in infos],
                         [(n, k, False) for k in (False, True) for n in names])
        self.assertEqual([len(i["args"]) for i in infos[:3]], [5, 4, 18])
        margin = infos[2]["args"][16]
        self.assertEqual((margin["label"], margin["minimum"], margin["maximum"], margin["step"]), ("Grid margins (px)", 0, 500, 2))

    def test_what_cannot_be_done_is_refused_by_name(self):
        for name, args, words in (("X/Y/Z plot", xyz(("Nonsense", "1")), "unknown axis 'Nonsense'"),
                                  ("X/Y/Z plot", xyz(("Face restore", "1")), "Face restore"),
                                  ("X/Y/Z plot", xyz((99, "1")), "axis number 99"),
                                  ("X/Y/Z plot", xyz(("Steps", "many")), "many"),
                                  ("X/Y/Z plot", xyz(("Steps", "")), "no values"),
                                  ("X/Y/Z plot", xyz(("Steps", "1-20"), ("CFG Scale", "1-20")), "256"),
                                  ("X/Y/Z plot", xyz(("Steps", "0")), "between 1 and 1000"),
                                  ("X/Y/Z plot", xyz(("Size", "4096x4096")), "pixels"),
                                  ("X/Y/Z plot", xyz(("Checkpoint name", "/etc/passwd")), "model '/etc/passwd' not found"),
                                  ("X/Y/Z plot", xyz(("VAE", "../x")), "VAE '../x' not found"),
                                  ("X/Y/Z plot", xyz(("Refiner checkpoint", "nope")), "model 'nope' not found"),
                                  ("X/Y/Z plot", xyz(("Prompt S/R", "dog, cat")), "did not find 'dog'"),
                                  ("X/Y/Z plot", xyz(("Steps", "1"), margin_size=501), "argument 16, Grid margins (px)"),
                                  ("X/Y/Z plot", xyz(("Steps", {})), "argument 1, X values"),
                                  ("Prompt matrix", [False, False, "both"], "argument 2, Select prompt"),
                                  ("Prompts from file or textbox", [False, False, "start", ""], "no prompts"),
                                  ("Prompts from file or textbox", [False, False, "start", "a\n--sd_model /etc/passwd"], "not found"),
                                  ("Prompts from file or textbox", [False, False, "start", "a\n--what 1"], "line 2"),
                                  ("Prompts from file or textbox", [False, False, "start", "a\n--batch_size 64 --n_iter 5"], "pictures")):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(script_name=name, script_args=args))
            self.assertEqual(status, 422, (name, args, answer))
            self.assertIn(words, json.dumps(answer["detail"], ensure_ascii=False), (name, args))
        for change, status in (({"script_name": "Loopback"}, 422), ({"script_name": 7}, 422), ({"script_name": "X/Y/Z plot", "script_args": 5}, 422),
                               ({"script_name": "X/Y/Z plot", "script_args": xyz(("Sampler", "Nope"))}, 400)):
            self.assertEqual(self.server.post("/sdapi/v1/txt2img", tiny_request(**change))[0], status, change)


class BeforeTheFirstPicture(unittest.TestCase):
    """What cannot be drawn is refused, all of it by name, before anything is: on the command line and over the API."""
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        cls.out = cls.server.data / "drawn"

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def refused(self, command, *words, says):
        done = subprocess.run([LOWRANK, command, "--data-dir", str(self.server.data), *words], env=self.server.environment, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 2, (words, done.stdout, done.stderr))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for said in says:
            self.assertIn(said, done.stderr, words)
        self.assertEqual(list(self.out.rglob("*")) if self.out.exists() else [], [], words)

    def draw(self, command, *words, says):
        self.refused(command, "--size", "64x64", "--steps", "1", "--quiet", "-o", f"{self.out}/", *words, says=says)

    def test_every_kind_of_axis(self):
        for axis, says in (("Sampler: Euler a, Bogus, Nope", ("'Bogus'", "'Nope'", "choose one of")),
                           ("Schedule type: Karras, Bogus, Nope", ("'Bogus'", "'Nope'")),
                           ("Checkpoint name: sd15-tiny, one, two", ("'one'", "'two'")),
                           ("VAE: None, one, two", ("'one'", "'two'")),
                           ("Styles: one, two", ("'one'", "'two'")),
                           ("Refiner checkpoint: one, two", ("'one'", "'two'")),
                           ("RNG source: CPU, dice, coins", ("'dice'", "'coins'")),
                           ("Prompt S/R: fox, <lora:one:1>, <lora:attention:1>, <lora:two:1>", ("'one'", "'two'")),
                           ("Prompt order: fox, dog", ("'dog'",)),
                           ("Steps: 1, 0, many", ("0", "many")),
                           ("CFG Scale: 7, x, 101", ("'x'", "101")),
                           ("Clip skip: 1, 99", ("99",)),
                           ("Size: 64x64, big, 8x9999", ("'big'", "'8x9999'")),
                           ("Seed: 1, -7", ("-7",)),
                           ("emphasis: Original, loud", ("'loud'",))):
            self.draw("xyz", "-p", "a fox", "--x", axis, says=says)
            self.draw("xyz", "-p", "a fox", "--x", "Seed: 1, 2", "--z", axis, says=says)

    def test_axes_of_hires_fix_and_of_several_at_once(self):
        hires = ("-p", "a fox", "--hires", "--hires-scale", "1.5")
        self.draw("xyz", *hires, "--x", "Hires upscaler: Latent, one, two", says=("'one'", "'two'"))
        self.draw("xyz", *hires, "--x", "Hires sampler: Euler, one, two", says=("'one'", "'two'"))
        self.draw("xyz", "-p", "a fox", "--x", "Sampler: one", "--y", "VAE: two", "--z", "Prompt S/R: fox, <lora:three:1>",
                  says=("'one'", "'two'", "'three'"))
        self.draw("xyz", "-p", "a fox", "--x", "Nonsense: 1", "--y", "Folly: 2", says=("'Nonsense'", "'Folly'"))

    def test_values_and_names_in_one_sentence(self):
        self.draw("xyz", "-p", "a fox", "--x", "Steps: 1, many", "--y", "Sampler: Bogus", "--z", "Prompt S/R: fox, <lora:one:1>",
                  says=("'many'", "'Bogus'", "'one'"))
        self.draw("xyz", "-p", "a fox", "--x", "Nonsense: 1", "--y", "Sampler: Bogus", says=("'Nonsense'", "'Bogus'"))
        self.draw("xyz", "-p", "a fox", "--x", "Size: 63x64, 100000x8", says=("63 pixels", "'100000x8'"))
        self.draw("xyz", "-p", "a fox", "--x", "CFG Scale: 3-1, 5", says=("'3-1'", "CFG Scale"))
        self.draw("xyz", "-p", "a fox", "--x", "Steps: 1-5 [0]", says=("'1-5 [0]'",))
        self.draw("xyz", "-p", "a fox", "--x", "Steps: 1", "--x", "CFG Scale: 2", says=("--x", "twice"))
        file = self.server.data / "two-stages.txt"
        file.write_text('--prompt "a dog" --steps many\na fox <lora:one:1>\n')
        self.draw("prompts", "-f", str(file), says=("line 1", "many", "'one'"))

    def xyz(self, *words):
        out = self.server.data / "plots"
        self.addCleanup(shutil.rmtree, out, ignore_errors=True)
        done = subprocess.run([LOWRANK, "xyz", "--data-dir", str(self.server.data), "-p", "a fox", "--size", "64x64", "--seed", "1", "--quiet",
                               "--steps", "1", "-o", f"{out}/", *words], env=self.server.environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done, out

    def test_a_plot_of_one_cell_has_its_sheet(self):
        done, out = self.xyz("--x", "Steps: 2", "--y", "CFG Scale: 3")
        sheets = list(out.rglob("*sheet*"))
        self.assertEqual(len(sheets), 1, done.stdout)
        text = subprocess.run([LOWRANK, "png-info", str(sheets[0])], capture_output=True, text=True).stdout
        self.assertIn("X Type: Steps", text)
        self.assertIn("Y Type: CFG Scale", text)

    def test_axes_without_effect_are_told(self):
        self.assertIn("'Denoising' has no effect", self.xyz("--x", "Denoising: 0.2, 0.4")[0].stderr)
        self.assertIn("'Hires steps' has no effect", self.xyz("--x", "Hires steps: 1, 2")[0].stderr)
        self.assertNotIn("no effect", self.xyz("--x", "Steps: 1, 2")[0].stderr)

    def test_no_style_is_a_choice(self):
        (self.server.data / "styles.csv").write_text("name,prompt,negative_prompt\nBlue,blue sky,\n")
        self.addCleanup((self.server.data / "styles.csv").unlink)
        done, out = self.xyz("--x", "Styles: None, Blue", "--no-sheet")
        texts = [subprocess.run([LOWRANK, "png-info", str(file)], capture_output=True, text=True).stdout.splitlines()[0]
                 for file in sorted(out.rglob("*.png"))]
        self.assertEqual(texts, ["a fox", "a fox, blue sky"])

    def test_files_that_are_no_model_of_this_kind(self):
        loras, models = self.server.data / "models/Lora", self.server.data / "models/Stable-diffusion"
        (loras / "broken.safetensors").write_bytes(b"\xff" * 20)
        (models / "lora.safetensors").symlink_to((loras / "attention.safetensors").resolve())
        self.addCleanup((loras / "broken.safetensors").unlink)
        self.addCleanup((models / "lora.safetensors").unlink)
        self.draw("xyz", "--model", "sd15-tiny", "-p", "a fox", "--x", "Prompt S/R: fox, <lora:broken:1>", says=("broken.safetensors",))
        self.draw("xyz", "--model", "sd15-tiny", "-p", "a fox", "--x", "Checkpoint name: sd15-tiny, lora", says=("lora.safetensors",))

    def test_files_of_prompts_and_matrices(self):
        file = self.server.data / "prompts.txt"
        file.write_text("a fox\n--prompt \"a cat\" --what 1\n--prompt \"a dog\" --steps many\n--prompt \"a <lora:one:1>\"\n")
        self.draw("prompts", "-f", str(file), says=("line 2", "--what", "line 3", "many"))
        file.write_text("a fox\na <lora:one:1>\n--prompt \"a dog\" --sampler_name Bogus\na <lora:two:1> <lora:attention:1>\n")
        self.draw("prompts", "-f", str(file), says=("'one'", "'two'", "'Bogus'"))
        self.draw("matrix", "-p", "a fox|<lora:one:1>|<lora:two:1>", says=("'one'", "'two'"))

    def test_single_pictures_name_all_that_is_missing(self):
        self.draw("txt2img", "-p", "a <lora:one:1> <lora:two:1>", "--sampler", "Bogus", "--style", "x", "--style", "y",
                  says=("'one'", "'two'", "'Bogus'", "'x'", "'y'"))

    def test_folders(self):
        photos, masks = self.server.data / "photos", self.server.data / "masks"
        photos.mkdir()
        masks.mkdir()
        image = picture(self.server.post("/sdapi/v1/txt2img", tiny_request())[1]["images"][0])
        for name in ("1.png", "2.png", "4.png"):
            (photos / name).write_bytes(image)
        (masks / "1.png").write_bytes(image)
        self.draw("img2img", "-p", "a fox", "-i", str(photos), "-m", str(masks), says=("2.png", "4.png"))
        (photos / "3.png").write_bytes(image[:200])
        (photos / "5.png").write_bytes(b"nothing")
        self.draw("img2img", "-p", "a fox", "-i", str(photos), says=("3.png", "5.png"))
        self.draw("img2img", "-p", "a <lora:one:1>", "-i", str(photos), says=("'one'",))
        self.refused("extras", "--upscaler", "Lanczos", "--quiet", "-o", f"{self.out}/", str(photos), says=("3.png", "5.png"))

    def test_over_the_api(self):
        def refused(status, *axes, says, **more):
            answered, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(save_images=True, script_name="X/Y/Z plot", script_args=xyz(*axes), **more))
            self.assertEqual(answered, status, answer)
            for said in says:
                self.assertIn(said, json.dumps(answer), axes)
            self.assertEqual(list((self.server.data / "outputs").rglob("*.png")), [])
        refused(422, ("Checkpoint name", "one, two"), ("VAE", "three"), says=("'one'", "'two'", "'three'"))
        refused(400, ("Sampler", "one, two"), says=("'one'", "'two'"))
        refused(422, ("Steps", "1, 0, many"), says=("0", "many"))
        refused(422, ("Prompt S/R", "fox, <lora:one:1>, <lora:two:1>"), says=("'one'", "'two'"), allow_missing_loras=False)
        refused(422, ("Styles", "one, two"), says=("'one'", "'two'"))
        # Missing LoRAs are passed over in A1111, but these are what the plot compares.
        refused(422, ("Prompt S/R", "fox, <lora:one:1>, <lora:two:1>"), says=("'one'", "'two'"))
        refused(422, ("Steps", "1, many"), ("Sampler", "Bogus"), says=("'many'", "'Bogus'"))
        refused(422, ("Nonsense", "1"), ("Checkpoint name", "one"), says=("'Nonsense'", "'one'"))

    def test_lenient_plots_over_the_api(self):
        def drawn(*axes, **more):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**({"steps": 1, "script_name": "X/Y/Z plot", "script_args": xyz(*axes)} | more)))
            self.assertEqual(status, 200, answer)
            return json.loads(answer["info"])
        drawn(("Prompt S/R", "fox, <lora:one:1>"), allow_missing_loras=True)
        drawn(("Steps", "1, 2"), prompt="a fox <lora:one:1>")
        self.assertIn("no effect", json.dumps(drawn(("Denoising", "0.2, 0.4"))["lowrank"]["warnings"]))
        # As plain requests' sizes are, and as A1111 does it.
        self.assertIn("Size: 64x64", drawn(("Size", "70x66"))["infotexts"][0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
