#!/usr/bin/env python3
"""How the program brings its page to people, and what the page asks of it.  page_test.py LOWRANK FIXTURES"""
import json
import os
import re
import sys
import tempfile
import time
import unittest
import urllib.parse
import pathlib

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


class Open(unittest.TestCase):
    def serve(self, *options, display=":7", has_opener=True):
        """A server, and the file that a stand-in for xdg-open writes its words to."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        asked = pathlib.Path(folder.name) / "asked"
        opener = pathlib.Path(folder.name) / "xdg-open"
        opener.write_text(f"#!/bin/sh\necho \"$@\" > {asked}.part\nmv {asked}.part {asked}\n")
        opener.chmod(0o755 if has_opener else 0o644)
        path = f"{folder.name}:{os.environ['PATH']}" if has_opener else folder.name
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options,
                        environment={"PATH": path, "DISPLAY": display, "WAYLAND_DISPLAY": ""})
        self.addCleanup(server.close)
        return server, asked

    def test_open_shows_the_address_in_the_browser(self):
        for option in ("--open", "--autolaunch"):
            server, asked = self.serve(option)
            for _ in range(400):
                if asked.exists():
                    break
                time.sleep(0.025)
            self.assertEqual(asked.read_text(), f"http://127.0.0.1:{server.port}\n")
            self.assertEqual(server.call("GET", "/")[0], 200)

    def test_nothing_is_opened_or_said_without_a_desktop_or_an_opener(self):
        for more in ({"has_opener": False}, {"display": ""}):
            server, asked = self.serve("--open", **more)
            self.assertEqual(server.call("GET", "/healthz")[0], 200)
            self.assertEqual(server.stop(), 0)
            self.assertEqual((server.data / "errors.txt").read_text(), "")
            self.assertFalse(asked.exists())


def until(look, seconds=60):
    """What `look` gives first that is true."""
    end = time.time() + seconds
    while time.time() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it has not come")


class Drawing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def submit(self, kind="txt2img", **more):
        status, job = self.server.post("/v1/jobs", {"kind": kind, "request": tiny_request(**more)})
        self.assertEqual(status, 202, job)
        return job["id"]

    def state(self, job):
        return self.server.get("/v1/jobs/" + job)[1]

    def cancel(self, job):
        self.assertEqual(self.server.post(f"/v1/jobs/{job}/cancel")[0], 200)
        return self.server.wait_for(job)

    def drawn(self, job, steps=2):
        return until(lambda: (self.state(job).get("progress") or {}).get("step", 0) >= steps)

    def test_who_watches_the_list_of_jobs_gets_previews(self):
        job = self.submit(steps=1000, width=256, height=256)
        self.addCleanup(self.server.post, f"/v1/jobs/{job}/cancel")
        self.drawn(job)
        self.assertEqual(self.state(job)["progress"]["preview"], 0)  # nobody has looked yet

        def preview():
            (entry,) = [j for j in self.server.get("/v1/jobs?previews=true")[1]["jobs"] if j["id"] == job]
            return entry["progress"]["preview"]
        number = until(preview)
        status, headers, picture = self.server.call("GET", f"/v1/jobs/{job}/preview?n={number}")
        self.assertEqual((status, headers["content-type"], picture[:4]), (200, "image/png", b"\x89PNG"))

    def test_what_was_drawn_of_a_cancelled_picture_is_kept(self):
        job = self.submit(steps=1000, width=256, height=256, save_images=True)
        self.drawn(job)
        waiting = self.submit(steps=3)
        view = self.cancel(job)
        self.assertEqual((view["state"], view["pictures"], view["has_result"]), ("cancelled", 1, True))
        status, headers, picture = self.server.call("GET", f"/v1/jobs/{job}/pictures/0")
        self.assertEqual((status, picture[:4]), (200, b"\x89PNG"))
        status, result = self.server.get(f"/v1/jobs/{job}/result?images=false")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(result["info"])["all_seeds"], [42])
        self.assertTrue(self.server.get("/v1/outputs")[1]["total"] >= 1)
        self.assertEqual(self.server.wait_for(waiting)["state"], "completed")

    def test_of_a_cancelled_batch_the_finished_pictures_are_kept(self):
        job = self.submit(steps=20, width=128, height=128, n_iter=50)
        until(lambda: (self.state(job).get("progress") or {}).get("batch", 0) >= 2)
        view = self.cancel(job)
        self.assertEqual(view["state"], "cancelled")
        self.assertGreaterEqual(view["pictures"], 2)
        self.assertLess(view["pictures"], 50)

    def test_all_can_be_cancelled_at_once(self):
        first = self.submit(steps=1000, width=256, height=256)
        self.drawn(first)
        more = [self.submit(steps=500) for _ in range(5)]
        other = self.submit(kind="img2img", init_images=[self.png()])
        status, answer = self.server.post("/v1/jobs/cancel", {"kinds": ["txt2img"]})
        self.assertEqual((status, set(answer["cancelled"])), (200, {first, *more}))
        for job in (first, *more):
            self.assertEqual(self.server.wait_for(job)["state"], "cancelled")
        self.assertEqual(self.server.wait_for(other)["state"], "completed")
        self.assertEqual(self.server.post("/v1/jobs/cancel")[1], {"cancelled": []})

    def png(self):
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cli"))
        from model_sites import png
        import base64
        return base64.b64encode(png(1)).decode()

    def test_copied_settings_are_read(self):
        text = "a fox\nNegative prompt: blurry\nSteps: 25, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Clip skip: 2"
        parameters = self.server.post("/v1/infotext", {"text": text})[1]["parameters"]
        for label, value in (("Prompt", "a fox"), ("Negative prompt", "blurry"), ("Steps", "25"), ("Seed", "5"), ("Size-1", "512"), ("Clip skip", "2")):
            self.assertEqual(parameters[label], value)
        self.assertEqual(self.server.post("/v1/infotext", {"text": "a fox, blurry"})[1]["parameters"], {})


class Checkpoints(unittest.TestCase):
    def setUp(self):
        self.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        self.addCleanup(self.server.close)
        self.folder = self.server.data / "models/Stable-diffusion"
        self.tiny = (self.folder / "sd15-tiny.safetensors").read_bytes()

    def put(self, name, content, seconds=100):
        """A file that is newer than all others."""
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (time.time() + seconds,) * 2)
        return path

    def list(self):
        return self.server.get("/v1/checkpoints")[1]

    def draw(self, **more):
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**more))
        return status, json.loads(answer["info"]) if status == 200 else answer

    def test_the_newest_that_cannot_be_used_is_passed_over(self):
        lora = (self.server.data / "models/Lora/attention.safetensors").read_bytes()
        for name, content in (("cut.safetensors", self.tiny[: len(self.tiny) // 2]), ("header.safetensors", self.tiny[:1000]),
                              ("empty.safetensors", b""), ("lora.safetensors", lora)):
            with self.subTest(name):
                path = self.put(name, content)
                entries = until(lambda: [c for c in self.list()["checkpoints"] if c["name"] == path.stem])
                self.assertTrue(entries[0]["problem"])
                self.assertTrue(self.list()["taken"].startswith("sd15-tiny.safetensors"))
                self.assertTrue(self.server.get("/sdapi/v1/options")[1]["sd_model_checkpoint"].startswith("sd15-tiny"))
                status, info = self.draw()
                self.assertEqual((status, info.get("sd_model_name")), (200, "sd15-tiny"))
                models = json.loads(self.server.run("model", "list", "--json"))["models"]
                self.assertEqual([m["name"] for m in models if m["default"]], ["sd15-tiny"])
                path.unlink()
        good = self.put("good.safetensors", self.tiny)
        until(lambda: self.list()["taken"].startswith("good.safetensors"))
        self.assertEqual(self.draw()[1]["sd_model_name"], good.stem)

    def test_a_chosen_checkpoint_that_has_gone_keeps_nobody_from_drawing(self):
        chosen = self.put("chosen.safetensors", self.tiny)
        self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": "chosen"})[0], 200)
        chosen.unlink()
        found = self.list()
        self.assertEqual((found["chosen"], found["is_chosen_there"]), ("chosen", False))
        self.assertTrue(found["taken"].startswith("sd15-tiny"))
        self.assertTrue(self.server.get("/sdapi/v1/options")[1]["sd_model_checkpoint"].startswith("sd15-tiny"))
        status, info = self.draw()
        self.assertEqual((status, info["sd_model_name"]), (200, "sd15-tiny"))
        self.assertRegex(" ".join(info["lowrank"]["warnings"]), "'chosen' no longer exists")
        # What a request itself asks for is never taken from elsewhere.
        self.assertEqual(self.draw(override_settings={"sd_model_checkpoint": "chosen"})[0], 422)

    def test_a_chosen_vae_that_has_gone_keeps_nobody_from_drawing(self):
        folder = self.server.data / "models/VAE"
        folder.mkdir()
        (folder / "own.safetensors").write_bytes(self.tiny)
        self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_vae": "own.safetensors"})[0], 200)
        (folder / "own.safetensors").unlink()
        status, info = self.draw()
        self.assertEqual(status, 200, info)
        self.assertRegex(" ".join(info["lowrank"]["warnings"]), "VAE 'own.safetensors' no longer exists")
        self.assertEqual(self.draw(override_settings={"sd_vae": "own.safetensors"})[0], 422)

    def test_the_starters_card_can_be_drawn_as_it_stands(self):
        (starter,) = [c for c in self.list()["checkpoints"] if c["is_starter"]]
        settings = starter["card"]["settings"]
        self.assertIn(settings["sampler_name"], [s["name"] for s in self.server.get("/sdapi/v1/samplers")[1]])
        self.assertIn(settings["scheduler"], [s["label"] for s in self.server.get("/sdapi/v1/schedulers")[1]])
        self.assertTrue(starter["card"]["description"])
        names = re.findall(r"<lora:([^:>]+)", settings["prompt"])
        self.assertTrue(names)
        status, answer = self.server.post("/v1/loras/missing", {"text": settings["prompt"]})
        self.assertEqual((answer["missing"], [f["name"] for f in answer["found"]]), ([], names))

    def test_the_starters_checkpoint_is_not_missing(self):
        text = "a fox\nSteps: 20, Sampler: Euler a, CFG scale: 5, Seed: 1, Size: 128x128, Model: starter"
        answer = self.server.post("/v1/loras/missing", {"text": text})[1]
        self.assertEqual((answer["missing"], [f["kind"] for f in answer["found"]]), ([], ["checkpoint"]))

    def test_a_card_of_odd_content_says_nothing_wrong(self):
        (self.folder / "sd15-tiny.json").write_text(json.dumps(
            {"description": 7, "settings": {"steps": "many", "cfg_scale": 1e9, "width": 96, "sampler_name": "Euler", "else": 1}}))
        (tiny,) = [c for c in self.list()["checkpoints"] if c["name"] == "sd15-tiny"]
        self.assertEqual(tiny["card"], {"description": None, "notes": None, "settings": {"width": 96, "sampler_name": "Euler"}})
        (self.folder / "sd15-tiny.json").write_text("[1, 2")
        self.assertEqual(self.list()["checkpoints"][0]["card"]["settings"], None)


class Cards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        source = (cls.server.data / "models/Lora/attention.safetensors").read_bytes()
        cls.names = ("zoo/apple", "a/pear10", "a/pear2", "deep/down/Banana", "mine/pose_lotus", "character_zorbo")
        for name in cls.names:
            path = cls.server.data / "models/Lora" / (name + ".safetensors")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def cards(self, **query):
        status, answer = self.server.get("/v1/loras?" + urllib.parse.urlencode(query))
        self.assertEqual(status, 200, answer)
        return answer["loras"]

    def test_by_name_is_by_the_name_that_is_shown(self):
        names = [card["name"] for card in self.cards(sort="name")]
        mine = [name for name in names if name in ("apple", "Banana", "pear2", "pear10", "character_zorbo")]
        self.assertEqual(mine, ["apple", "Banana", "character_zorbo", "pear2", "pear10"])

    def test_a_lora_for_another_model_is_told_in_plain_words(self):
        layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
        files = {"xl": ({layer + ".lora_down.weight": [2, 2048], layer + ".lora_up.weight": [320, 2]}, "SDXL"),
                 "two": ({layer + ".lora_down.weight": [2, 1024], layer + ".lora_up.weight": [320, 2]}, "SD 2.x"),
                 "flux": ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": [2, 64],
                           "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight": [64, 2]}, "FLUX")}
        for name, (shapes, family) in files.items():
            header, size = {}, 0
            for key, (rows, columns) in shapes.items():
                header[key] = {"dtype": "F16", "shape": [rows, columns], "data_offsets": [size, size + 2 * rows * columns]}
                size += 2 * rows * columns
            text = json.dumps(header).encode()
            folder = self.server.data / "models/Lora/others"
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
            (card,) = self.cards(folder="others", q=name)
            self.assertFalse(card["fits"])
            self.assertTrue(card["fits_reason"].startswith(f"Made for {family}"), card["fits_reason"])
            self.assertNotRegex(card["fits_reason"], "wide|key|lora_unet|/")
        (self.server.data / "models/Lora/others/cut.safetensors").write_bytes(b"x" * 10)
        (card,) = self.cards(folder="others", q="cut")
        self.assertTrue(card["fits_reason"].startswith("others/cut.safetensors: "), card["fits_reason"])
        for path in (self.server.data / "models/Lora/others").iterdir():
            path.unlink()

    def test_a_card_fits_where_the_filter_finds_it_and_where_why_says_so(self):
        block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_"
        folder = self.server.data / "models/Lora/odd"
        folder.mkdir(exist_ok=True)
        for name, (layer, rows, columns) in {"fits": ("attn1_to_q", 32, 32), "too_long": ("attn1_to_q", 48, 32), "nowhere": ("attn7_to_q", 32, 32),
                                             "kv_too_long": ("attn2_to_k", 48, 64)}.items():
            shapes = {f"{block}{layer}.lora_down.weight": [2, columns], f"{block}{layer}.lora_up.weight": [rows, 2]}
            header, size = {}, 0
            for key, (high, wide) in shapes.items():
                header[key] = {"dtype": "F16", "shape": [high, wide], "data_offsets": [size, size + 2 * high * wide]}
                size += 2 * high * wide
            text = json.dumps(header).encode()
            (folder / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
        cards = {card["name"]: card for card in self.cards(folder="odd")}
        self.assertEqual({name: card["fits"] for name, card in cards.items()}, {"fits": True, "too_long": False, "nowhere": False, "kv_too_long": False})
        chosen = self.server.get("/sdapi/v1/options")[1]["sd_model_checkpoint"]
        self.assertEqual([card["name"] for card in self.cards(folder="odd", fits=chosen)], ["fits"])
        for name, card in cards.items():
            self.assertEqual(bool(card["fits_reason"]), not card["fits"])
            self.assertEqual(self.server.get(f"/v1/loras/{name}")[1]["fits"], card["fits"])
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    def test_folders_are_a_filter(self):
        self.assertEqual({c["relative"] for c in self.cards(folder="deep")}, {"deep/down/Banana"})
        self.assertEqual({c["relative"] for c in self.cards(folder="a")}, {"a/pear2", "a/pear10"})
        self.assertNotIn("/", "".join(c["relative"] for c in self.cards(folder=".")))
        for folder in self.server.get("/v1/loras/facets")[1]["folders"]:
            self.assertEqual(len(self.cards(folder=folder["folder"] or ".")), folder["count"], folder)

    def test_a_misspelt_word_finds_what_comes_near_and_says_so(self):
        for words, name in (("banan", "Banana"), ("bannana", "Banana"), ("aplle", "apple"), ("umbrela", "object_umbrella")):
            status, answer = self.server.get("/v1/loras?" + urllib.parse.urlencode({"q": words}))
            self.assertEqual(answer["loras"][0]["name"], name, words)  # captions of others may hold the word too
            self.assertEqual(bool(answer["near"]), words != "banan", words)
        self.assertIn("object_umbrella", self.server.run("lora", "find", "umbrela"))
        self.assertEqual(self.server.get("/v1/loras?q=quaternion")[1], {"loras": [], "total": 0, "near": [], "problems": []})

    def test_each_card_has_its_own_preview_details_and_tag(self):
        cards = self.cards()
        self.assertEqual(len({c["relative"] for c in cards}), len(cards))
        for card in cards:
            with self.subTest(card["relative"]):
                if card["preview"]:
                    self.assertEqual(self.server.call("GET", card["preview"])[0], 200)
                detail = self.server.get("/v1/loras/" + urllib.parse.quote(card["relative"], safe=""))[1]
                self.assertEqual(detail["relative"], card["relative"])
                answer = self.server.post("/v1/loras/missing", {"text": f"a <lora:{card['tag_name']}:1>"})[1]
                self.assertEqual([f["relative"] for f in answer["found"]], [card["relative"]])
        places = {c["relative"]: c for c in cards}
        self.assertTrue(places["pose_lotus"]["preview"])  # the starter's
        self.assertIsNone(places["mine/pose_lotus"]["preview"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
