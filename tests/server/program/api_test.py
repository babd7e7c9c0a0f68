#!/usr/bin/env python3
"""A1111's API as clients use it, against the real program on the tiny model.  api_test.py LOWRANK FIXTURES"""
import base64
import json
import pathlib
import struct
import subprocess
import sys
import threading
import time
import unittest

from served import Served, picture, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


def data_of_png(png):
    """The picture's own bytes, without what the text chunks say."""
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        data += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return data


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def draw(self, **more):
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**more))
        self.assertEqual(status, 200, answer)
        return answer

    def cli(self, *words):
        out = self.server.data / "cli.png"
        subprocess.run([LOWRANK, "txt2img", "--data-dir", str(self.server.data), "--size", "64x64", "--steps", "3",
                        "--seed", "42", "--quiet", "-o", str(out), *words], check=True, capture_output=True)
        return out.read_bytes()

    def test_the_same_file_as_the_command_line_writes(self):
        answer = self.draw(prompt="a (red:1.2) fox <lora:attention:0.8><lora:loha:0.5>", negative_prompt="blurry",
                           sampler_name="DPM++ 2M Karras", cfg_scale=6.5)
        ours = self.cli("-p", "a (red:1.2) fox <lora:attention:0.8><lora:loha:0.5>", "-n", "blurry", "--sampler",
                        "DPM++ 2M Karras", "--cfg", "6.5")
        self.assertEqual(picture(answer["images"][0]), ours)

    def test_lora_sets_in_turn_leave_no_trace(self):
        plain = self.draw()["images"][0]
        with_lora = self.draw(prompt="a fox <lora:attention:1>")["images"][0]
        self.assertNotEqual(plain, with_lora)
        self.assertEqual(self.draw()["images"][0], plain)

    def test_structured_loras_equal_tags(self):
        tag = self.draw(prompt="a fox<lora:sub/loha:0.5>")
        field = self.draw(lora=[{"path": "sub/loha.safetensors", "multiplier": 0.5}])
        self.assertEqual(tag["images"], field["images"])

    def test_seeds_and_order_of_a_batch(self):
        answer = self.draw(n_iter=2, batch_size=2)
        info = json.loads(answer["info"])
        self.assertEqual(info["all_seeds"], [42, 43, 44, 45])
        self.assertEqual(len(answer["images"]), 4)
        self.assertEqual(len(info["infotexts"]), 4)
        one_by_one = self.draw(n_iter=3)
        self.assertEqual(self.draw(seed=44)["images"][0], one_by_one["images"][2])

    def test_info_and_echo(self):
        answer = self.draw(cfg_scale=7, clip_skip=2, prompt="a fox <lora:attention:1>")
        self.assertEqual(answer["parameters"]["cfg_scale"], 7.0)
        self.assertEqual(answer["parameters"]["sampler_index"], "Euler")
        self.assertIsNone(answer["parameters"]["sampler_name"])
        info = json.loads(answer["info"])
        self.assertIn("CFG scale: 7.0", info["infotexts"][0])
        self.assertEqual(info["sampler_name"], "Euler")
        self.assertEqual(info["clip_skip"], 2)
        self.assertEqual(info["sd_model_name"], "sd15-tiny")
        (lora,) = info["lowrank"]["loras"]
        self.assertEqual((lora["name"], lora["unknown"], lora["skipped"]), ("attention", 0, 0))
        self.assertGreater(lora["applied"], 0)

    def test_a_missing_lora_is_named(self):
        info = json.loads(self.draw(prompt="a fox <lora:nothing:1>")["info"])
        self.assertEqual(info["lowrank"]["missing_loras"][0]["name"], "nothing")
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(prompt="<lora:nothing:1>", allow_missing_loras=False))
        self.assertEqual(status, 422)
        self.assertIn("nothing", answer["detail"])

    def test_extras_keep_the_settings_and_may_be_kept(self):
        image = self.draw()["images"][0]
        info = lambda text: self.server.post("/sdapi/v1/png-info", {"image": text})[1]["info"]
        kept = self.server.data / "outputs" / "extras-images"
        body = {"image": image, "upscaler_1": "Lanczos", "upscaling_resize": 2}
        status, answer = self.server.post("/sdapi/v1/extra-single-image", body)
        self.assertEqual((status, kept.exists()), (200, False))
        self.assertEqual(info(answer["image"]), info(image) + ", Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos")
        self.assertEqual(struct.unpack(">II", picture(answer["image"])[16:24]), (128, 128))
        status, job = self.server.post("/v1/jobs", {"kind": "extras", "request": {**body, "save_images": True}})
        self.assertEqual((status, self.server.wait_for(job["id"])["state"]), (202, "completed"))
        (file,) = kept.rglob("*.png")
        self.assertEqual(file.read_bytes(), picture(answer["image"]))
        file.unlink()  # the other tests count what is kept

    def test_what_old_clients_send(self):
        nulls = {name: None for name in ("script_name", "hr_prompt", "hr_sampler_name", "refiner_checkpoint", "styles", "mask",
                                         "s_tmax", "alwayson_scripts", "override_settings")}
        answer = self.draw(**nulls, unknown_field=[1], sampler_name="Euler a", sampler_index="Euler a", eta=1.0, s_churn=0,
                           hr_upscaler="Latent", refiner_switch_at=0, denoising_strength=0.7, seed_resize_from_h=0,
                           seed_resize_from_w=0)
        self.assertIn("Sampler: Euler a", json.loads(answer["info"])["infotexts"][0])
        self.draw(steps="3", seed="42", restore_faces="false")
        self.draw(alwayson_scripts={"ADetailer": {"args": [False]}, "ControlNet": {"args": []}})

    def warnings(self, **more):
        return json.loads(self.draw(**more)["info"])["lowrank"]["warnings"]

    def test_a_misspelt_field_is_told(self):
        status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(promt="a cat", enable_xformers=True))
        self.assertEqual(status, 200, answer)
        warnings = json.loads(answer["info"])["lowrank"]["warnings"]
        self.assertIn("unknown field 'promt' was ignored; did you mean 'prompt'?", warnings)
        self.assertFalse([warning for warning in warnings if "xformers" in warning])

    def test_what_a1111_ignores_is_passed_over_with_a_word(self):
        plain = self.draw()["images"]
        for change, field in (({"lora": ""}, "lora"), ({"lora": "<lora:attention:1>"}, "lora"), ({"lora": {}}, "lora"),
                              ({"lora": ["<lora:attention:1>"]}, "lora"), ({"clip_skip": ""}, "clip_skip"), ({"clip_skip": 0}, "clip_skip"),
                              ({"clip_skip": "two"}, "clip_skip"), ({"hr_sampler_name": "string"}, "hr_sampler_name"),
                              ({"hr_scheduler": "string"}, "hr_scheduler"), ({"hr_checkpoint_name": "string"}, "hr_checkpoint_name"),
                              ({"hr_scale": 0}, "hr_scale"), ({"hr_resize_x": -1}, "hr_resize_x"), ({"styles": ["string"]}, "string"),
                              ({"refiner_checkpoint": "string", "refiner_switch_at": 0}, "refiner_checkpoint"),
                              ({"override_settings": {"an_extension_s": 1}}, "an_extension_s")):
            answer = self.draw(**change)
            told = json.loads(answer["info"])["lowrank"]["warnings"]
            self.assertTrue(any(field in word for word in told), (change, told))
            self.assertEqual(answer["images"], plain, change)
        for change in ({"override_settings": []}, {"alwayson_scripts": []}, {"override_settings": ""}, {"styles": []}, {"styles": ["None", ""]},
                       {"alwayson_scripts": {"ControlNet": []}}, {"firstpass_image": "string"}, {"hr_upscaler": "string"}):
            answer = self.draw(**change)
            self.assertEqual((answer["images"], json.loads(answer["info"])["lowrank"]["warnings"]), (plain, []), change)

    def test_what_acts_is_still_refused(self):
        for change, status, text in (({"hr_sampler_name": "string"}, 400, "hr_sampler_name"), ({"hr_scheduler": "string"}, 400, "hr_scheduler"),
                                     ({"hr_checkpoint_name": "string"}, 422, "hr_checkpoint_name"), ({"hr_scale": 0}, 422, "hr_scale")):
            got, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(enable_hr=True, **change))
            self.assertEqual(got, status, answer)
            self.assertIn(text, json.dumps(answer))
        self.assertEqual(self.server.post("/sdapi/v1/txt2img", tiny_request(refiner_checkpoint="string", refiner_switch_at=0.5))[0], 422)
        self.assertEqual(self.server.post("/sdapi/v1/txt2img", tiny_request(lora=[{"name": "attention", "weight": "much"}]))[0], 422)

    def test_an_empty_model_is_none_asked_for(self):
        folder = self.server.data / "models/Stable-diffusion"
        (folder / "newer.safetensors").write_bytes((folder / "sd15-tiny.safetensors").read_bytes())
        self.addCleanup((folder / "newer.safetensors").unlink)
        self.addCleanup(self.server.post, "/sdapi/v1/options", {"sd_model_checkpoint": "sd15-tiny"})
        self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": "sd15-tiny"})[0], 200)
        for change in ({}, {"override_settings": {"sd_model_checkpoint": ""}}, {"override_settings": {"sd_model_checkpoint": None}}):
            self.assertEqual(json.loads(self.draw(**change)["info"])["sd_model_name"], "sd15-tiny", change)

    def test_known_styles_act_beside_unknown_ones(self):
        (self.server.data / "styles.csv").write_text("name,prompt,negative_prompt\nsnow,in the snow,\n")
        self.addCleanup((self.server.data / "styles.csv").unlink)
        told = json.loads(self.draw(styles=["snow", "rain"])["info"])
        self.assertEqual(told["prompt"], "a fox, in the snow")
        self.assertEqual(len([word for word in told["lowrank"]["warnings"] if "rain" in word]), 1)

    def test_clients_see_no_more_than_there_is(self):
        for path in ("/controlnet/model_list", "/controlnet/module_list", "/controlnet/version", "/sdapi/v1/interrogate"):
            self.assertEqual(self.server.get(path), (404, {"detail": "Not Found"}), path)
        self.assertEqual(self.server.post("/controlnet/detect", {})[0], 404)
        self.assertEqual(self.server.post("/sdapi/v1/interrogate", {"image": "x", "model": "clip"}), (404, {"detail": "Model not found", "error": "HTTPException", "body": "", "errors": ""}))
        for path in ("/controlnet/model_list", "/sdapi/v1/interrogate", "/sdapi/v1/create/embedding", "/sdapi/v1/server-restart"):
            self.assertNotIn(path, self.server.get("/openapi.json")[1]["paths"])
        for path in ("/login_check", "/login_check/"):
            self.assertEqual(self.server.get(path), (200, None))

    def test_login_check_asks_for_the_page_s_password(self):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--gradio-auth", "ann:right")
        self.addCleanup(server.close)
        status, _, data = server.call("GET", "/login_check")
        self.assertEqual((status, json.loads(data)["detail"]), (401, "Not authenticated"))
        login = {"Authorization": "Basic " + base64.b64encode(b"ann:right").decode()}
        self.assertEqual(server.call("GET", "/login_check", headers=login)[::2], (200, b"null"))

    def test_why_a_picture_cannot_be_read(self):
        cut = base64.b64encode(picture(self.draw()["images"][0])[:60]).decode()
        text = base64.b64encode(b"this is no picture at all").decode()
        for path, body, field in (("/sdapi/v1/img2img", lambda i: tiny_request(init_images=[i]), "init_images"),
                                  ("/sdapi/v1/extra-single-image", lambda i: {"image": i}, "image"),
                                  ("/sdapi/v1/png-info", lambda i: {"image": i}, "image")):
            for image in (cut, text, "%%%", "data:image/png;base64"):
                if image == cut and path.endswith("png-info"):
                    continue  # what stands before the cut can be read
                status, answer = self.server.post(path, body(image))
                self.assertEqual(status, 422, answer)
                self.assertRegex(answer["detail"], "^Invalid encoded image: " + field + ": .{8,}", image)

    def test_faults_name_field_and_reason(self):
        for change, field, kind in (({"steps": "many"}, "steps", "type_error.integer"), ({"steps": 0}, "steps", "value_error.number.not_ge"),
                                    ({"steps": 7.5}, "steps", "type_error.integer"), ({"cfg_scale": []}, "cfg_scale", "type_error.float"),
                                    ({"prompt": {}}, "prompt", "type_error.str"), ({"tiling": "perhaps"}, "tiling", "type_error.bool"),
                                    ({"styles": "x"}, "styles", "type_error.list"), ({"override_settings": 1}, "override_settings", "type_error.dict"),
                                    ({"width": 100000}, "width", "value_error.number.not_le")):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**change))
            self.assertEqual(status, 422, change)
            self.assertEqual(answer["detail"][0]["loc"], ["body", field])
            self.assertEqual(answer["detail"][0]["type"], kind)
        for change, status, text in (({"sampler_name": "Nope"}, 400, "Sampler not found"), ({"scheduler": "Nope"}, 400, "Scheduler not found"),
                                     ({"script_name": "Nope"}, 422, "Script 'Nope' not found"),
                                     ({"alwayson_scripts": {"ControlNet": {"args": [{"enabled": True}]}}}, 422, "always on script ControlNet not found"),
                                     ({"override_settings": {"sd_model_checkpoint": "nope"}}, 422, "model 'nope' not found")):
            got, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(**change))
            self.assertEqual((got, answer["detail"], answer["error"]), (status, text, "HTTPException"))
        status, answer = self.server.post("/sdapi/v1/txt2img", '{"prompt": "a", ')
        self.assertEqual((status, answer["detail"][0]["type"], answer["detail"][0]["loc"][0]), (422, "value_error.jsondecode", "body"))
        status, answer = self.server.post("/sdapi/v1/img2img", {"prompt": "a"})
        self.assertEqual((status, answer["detail"]), (404, "Init image not found"))

    def test_options_and_models(self):
        status, models = self.server.get("/sdapi/v1/sd-models")
        tiny = next(m for m in models if m["model_name"] == "sd15-tiny")
        self.assertEqual(set(tiny), {"title", "model_name", "hash", "sha256", "filename", "config", "name"})
        for name in (tiny["title"], "sd15-tiny", "sd15-tiny.safetensors"):
            self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": name}), (200, None))
        status, options = self.server.get("/sdapi/v1/options")
        self.assertTrue(options["sd_model_checkpoint"].startswith("sd15-tiny.safetensors"))
        self.assertEqual(self.server.post("/sdapi/v1/options", {"sd_model_checkpoint": "nope"})[0], 422)
        self.server.post("/sdapi/v1/options", {"jpeg_quality": 90, "outdir_samples": "/etc", "of_an_extension": {"a": 1}})
        _, options = self.server.get("/sdapi/v1/options")
        self.assertEqual((options["jpeg_quality"], options["outdir_samples"], options["of_an_extension"]), (90, "", {"a": 1}))
        self.assertEqual(self.server.post("/sdapi/v1/options", {"jpeg_quality": "high"})[0], 422)
        self.assertEqual(self.server.post("/sdapi/v1/unload-checkpoint")[0], 200)
        self.assertEqual(self.server.post("/sdapi/v1/reload-checkpoint")[0], 200)
        for option in ("sd_model_checkpoint", "sd_vae"):
            for name in (True, 5, "nothing"):
                self.assertEqual(self.server.post("/sdapi/v1/options", {option: name})[0], 422, (option, name))

    def test_override_settings_last_for_one_request(self):
        answer = self.draw(override_settings={"CLIP_stop_at_last_layers": 2, "samples_format": "jpg"})
        self.assertTrue(picture(answer["images"][0]).startswith(b"\xff\xd8"))
        self.assertEqual(json.loads(answer["info"])["clip_skip"], 2)
        _, options = self.server.get("/sdapi/v1/options")
        self.assertEqual((options["CLIP_stop_at_last_layers"], options["samples_format"]), (1, "png"))

    def test_infotext_fills_what_is_missing(self):
        answer = self.draw(prompt="a blue cat", sampler_name="Heun", steps=2)
        text = json.loads(answer["info"])["infotexts"][0]
        status, again = self.server.post("/sdapi/v1/txt2img", {"infotext": text})
        self.assertEqual(status, 200, again)
        self.assertEqual(json.loads(again["info"])["infotexts"][0], text)
        _, info = self.server.post("/sdapi/v1/png-info", {"image": answer["images"][0]})
        self.assertEqual((info["info"], info["parameters"]["Sampler"]), (text, "Heun"))
        # The picture is the same but for how its numbers were written.
        self.assertEqual(again["images"][0], answer["images"][0])

    def test_loras_of_an_infotext_are_found_by_their_hash(self):
        answer = self.draw(prompt="a fox <lora:attention:1>", steps=1)
        text = json.loads(answer["info"])["infotexts"][0]
        self.assertIn('Lora hashes: "attention: ', text)
        self.server.run("lora", "scan", "--hash")
        elsewhere = text.replace("attention", "called-otherwise")
        _, again = self.server.post("/sdapi/v1/txt2img", {"infotext": elsewhere})
        self.assertEqual(json.loads(again["info"])["prompt"], "a fox <lora:attention:1>")
        self.assertEqual(again["images"][0], answer["images"][0])

    def test_an_infotext_of_no_known_program_draws_nothing(self):
        status, answer = self.server.post("/sdapi/v1/txt2img", {"infotext": json.dumps({"wish": "a fox"})})
        self.assertEqual(status, 422)
        self.assertIn("wish", json.dumps(answer))
        body = {"prompt": "a blue cat", "negative_prompt": "bad", "steps": 2, "cfg_scale": 3.0, "seed": 7, "width": 64, "height": 64,
                "sampler_name": "Heun", "override_settings": {"CLIP_stop_at_last_layers": 2}}
        own = json.loads(self.server.post("/sdapi/v1/txt2img", body)[1]["info"])
        read = json.loads(self.server.post("/sdapi/v1/txt2img", {"infotext": json.dumps(body)})[1]["info"])
        self.assertEqual(read["infotexts"], own["infotexts"])

    def test_weights_beyond_all_sense_are_refused(self):
        for prompt in ("(word:" + "9" * 42 + ")", "a AND b :" + "9" * 42):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(prompt=prompt))
            self.assertIn(status, (400, 422), answer)
            self.assertIn("use a smaller one", json.dumps(answer))
        info = json.loads(self.draw(prompt="(word:1,5)", steps=1)["info"])
        self.assertIn("'1,5' is not a weight", json.dumps(info["lowrank"]["warnings"]))

    def test_what_does_not_act_is_named(self):
        (self.server.data / "embeddings").mkdir(exist_ok=True)
        (self.server.data / "embeddings" / "junkone.pt").write_bytes(b"junk")
        answer = self.draw(prompt="a fox, junkone, < lora:attention:1>, <hypernet:x:1> #2 <lora:attention:1>")
        warnings = "\n".join(json.loads(answer["info"])["lowrank"]["warnings"])
        for words in ("'junkone' cannot be used", "'< lora:attention:1>' looks like a network tag",
                      "hypernetworks are not supported", "begins a comment"):
            self.assertIn(words, warnings)
        _, lists = self.server.get("/sdapi/v1/embeddings")
        self.assertIn("junkone", lists["skipped"])
        self.assertIn("junkone.pt", lists["skipped"]["junkone"]["reason"])
        status, refused = self.server.post("/sdapi/v1/txt2img", tiny_request(prompt="a <lora:attention:1e39>"))
        self.assertIn(status, (400, 422), refused)
        self.assertIn("the weight exceeds", json.dumps(refused))

    def test_an_unknown_hires_upscaler_is_told_with_all_that_there_are(self):
        latent = [row["name"] for row in self.server.get("/sdapi/v1/latent-upscale-modes")[1]]
        for name, says in (("Bogus", "unknown upscaler 'Bogus'"), ("", "no upscaler was given")):
            status, answer = self.server.post("/sdapi/v1/txt2img", tiny_request(enable_hr=True, hr_upscaler=name))
            self.assertGreaterEqual(status, 400, answer)
            for words in (says, "Lanczos", *latent):
                self.assertIn(words, json.dumps(answer))

    def test_tokens_are_counted_with_the_vectors_of_embeddings(self):
        """A1111's counter: an embedding of five vectors is five tokens, one that cannot be used is its words."""
        def count(prompt):
            return self.server.post("/v1/prompt/tokens", {"prompt": prompt})[1]["tokens"]
        words = count("a zorblax five")
        folder = self.server.data / "embeddings"
        folder.mkdir(exist_ok=True)
        width = 64  # of the tiny model's text encoder
        for name, columns in (("zorblax", width), ("wide", width * 2)):
            header = json.dumps({"emb_params": {"dtype": "F32", "shape": [5, columns], "data_offsets": [0, 20 * columns]}}).encode()
            (folder / f"{name}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(20 * columns))
            self.addCleanup((folder / f"{name}.safetensors").unlink)
        self.assertNotEqual(words, 7)
        self.assertEqual(count("a zorblax five"), 7)
        self.assertEqual(count("a wide five"), 3)
        embeddings = self.server.get("/sdapi/v1/embeddings")[1]
        self.assertEqual(embeddings["loaded"]["zorblax"]["vectors"], 5)
        self.assertIn("wide", embeddings["skipped"])

    def test_tags_inside_prompt_editing_act_in_their_time(self):
        def rows(prompt):
            return data_of_png(picture(self.draw(prompt=prompt, steps=4)["images"][0]))
        plain, full = rows("a fox"), rows("a fox <lora:attention:1>")
        self.assertNotEqual(plain, full)
        self.assertEqual(rows("a fox [<lora:attention:1>:0]"), full)
        self.assertEqual(rows("a fox [<lora:attention:1>::0]"), plain)
        self.assertNotIn(rows("a fox [<lora:attention:1>::0.5]"), (plain, full))

    def test_settings_of_other_programs(self):
        folder = pathlib.Path(FIXTURES) / "generators"
        expected = json.loads((folder / "expected.json").read_text())
        for name in ("comfyui.png", "comfyui.webp", "swarmui.jpg", "invokeai.png", "fooocus-old.jpg", "a1111-comment.jpg"):
            image = base64.b64encode((folder / name).read_bytes()).decode()
            _, read = self.server.post("/sdapi/v1/png-info", {"image": image})
            self.assertEqual((read["lowrank"]["generator"], read["parameters"]["Prompt"]), (expected[name]["generator"], expected[name]["prompt"]))
            self.assertLessEqual(expected[name]["entries"].items(), read["parameters"].items(), name)
            self.assertIn("Seed: 123456789", read["info"])
        # The same as a text: a graph that was pasted, and settings whose line is broken.
        graph = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 2, "cfg": 3, "sampler_name": "heun", "scheduler": "karras",
                                                                       "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}},
                            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a blue cat"}},
                            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}}})
        broken = "a blue cat\nSteps: 2, Sampler: Heun, Schedule type: Karras, CFG scale: 3, Seed: 7, Size: 64x64, Template: red\nand blue"
        for text in (graph, broken):
            self.assertEqual(self.server.post("/v1/infotext", {"text": text})[1]["parameters"]["Seed"], "7")
            info = json.loads(self.server.post("/sdapi/v1/txt2img", {"infotext": text})[1]["info"])
            self.assertEqual((info["prompt"], info["seed"], info["sampler_name"], info["steps"]), ("a blue cat", 7, "Heun", 2))
        info = json.loads(self.server.post("/sdapi/v1/txt2img", {"infotext": broken.replace("Seed: 7, ", "")})[1]["info"])
        self.assertTrue(any("has no seed" in warning for warning in info["lowrank"]["warnings"]), info["lowrank"])

    def test_lists(self):
        for name in ("samplers", "schedulers", "upscalers", "latent-upscale-modes", "hypernetworks", "face-restorers", "realesrgan-models",
                     "prompt-styles", "embeddings", "scripts", "script-info", "extensions", "cmd-flags", "memory", "sd-vae", "loras"):
            status, answer = self.server.get("/sdapi/v1/" + name)
            self.assertEqual(status, 200, name)
            self.assertIsInstance(answer, (list, dict))
        _, samplers = self.server.get("/sdapi/v1/samplers")
        by_name = {s["name"]: s for s in samplers}
        self.assertEqual(samplers[0]["name"], "DPM++ 2M")
        self.assertEqual(by_name["DPM++ 2M SDE Heun"]["options"], {"scheduler": "exponential", "brownian_noise": "True", "solver_type": "heun"})
        _, schedulers = self.server.get("/sdapi/v1/schedulers")
        karras = next(s for s in schedulers if s["name"] == "karras")
        self.assertEqual((karras["label"], karras["default_rho"], karras["need_inner_model"]), ("Karras", 7.0, False))
        _, loras = self.server.get("/sdapi/v1/loras?q=attention&fields=name,path")
        self.assertEqual([sorted(l) for l in loras], [["name", "path"]])

    def test_progress_interrupt_and_skip(self):
        self.assertEqual(self.idle(), (0.0, 0))
        result = {}

        def ask(name, **more):
            result[name] = self.server.post("/sdapi/v1/txt2img", tiny_request(width=128, height=128, **more))
        worker = threading.Thread(target=ask, args=("interrupted",), kwargs={"steps": 150, "n_iter": 3, "force_task_id": "task(mine)"})
        worker.start()
        seen = self.until(lambda p: p["state"]["sampling_step"] >= 2 and p["current_image"])
        self.assertTrue(picture(seen["current_image"]).startswith(b"\x89PNG"))
        self.assertEqual((seen["state"]["job_count"], seen["state"]["sampling_steps"], seen["current_task"]), (3, 150, "task(mine)"))
        self.assertEqual(seen["state"]["job"], "Batch 1 out of 3")
        self.assertTrue(0 < seen["progress"] < 1)
        _, mine = self.server.post("/internal/progress", {"id_task": "task(mine)"})
        self.assertTrue(mine["active"] and mine["live_preview"].startswith("data:image/png;base64,"))
        self.server.post("/sdapi/v1/skip")
        self.until(lambda p: p["state"]["job_no"] == 1)
        self.assertEqual(self.server.post("/sdapi/v1/interrupt"), (200, {}))
        worker.join(60)
        status, answer = result["interrupted"]
        self.assertEqual((status, len(answer["images"])), (200, 2))
        self.assertEqual(self.idle(), (0.0, 0))
        _, mine = self.server.post("/internal/progress", {"id_task": "task(mine)"})
        self.assertTrue(mine["completed"])

    def idle(self):
        _, progress = self.server.get("/sdapi/v1/progress?skip_current_image=true")
        return progress["progress"], progress["state"]["job_count"]

    def until(self, condition):
        for _ in range(600):
            _, progress = self.server.get("/sdapi/v1/progress?skipCurrentImage=false")
            if condition(progress):
                return progress
            time.sleep(0.05)
        self.fail(f"never came: {progress['state']}")

    def test_saved_pictures_and_gallery(self):
        self.draw(save_images=True, batch_size=2)
        _, gallery = self.server.get("/v1/outputs")
        names = [o["name"] for o in gallery["outputs"]]
        self.assertEqual(gallery["total"], 3)
        self.assertEqual(sorted(n.split("/")[0] for n in names), ["txt2img-grids", "txt2img-images", "txt2img-images"])
        status, headers, data = self.server.call("GET", gallery["outputs"][0]["url"])
        self.assertEqual((status, headers["content-type"]), (200, "image/png"))
        for outside in ("/v1/outputs/../models/Stable-diffusion/sd15-tiny.safetensors", "/v1/outputs/%2e%2e/%2e%2e/etc/passwd.png",
                        "/file=/etc/passwd", "/file=../../../../etc/hostname", "/sd_extra_networks/thumb?filename=/etc/passwd.png"):
            self.assertIn(self.server.call("GET", outside)[0], (400, 403, 404), outside)
        (self.server.data / "outputs" / "link.png").symlink_to("/etc/hostname")
        self.assertEqual(self.server.call("GET", "/v1/outputs/link.png")[0], 404)
        for name in names:
            self.assertEqual(self.server.call("DELETE", "/v1/outputs/" + name)[0], 200)

    def test_lora_cards(self):
        _, cards = self.server.get("/v1/loras?q=attention")
        card = cards["loras"][0]
        self.assertEqual((cards["total"], card["name"], card["kind"], card["rank"]), (1, "attention", "LoRA", "4"))
        status, _, data = self.server.call("PATCH", "/v1/loras/attention", {"type": "style", "rating": 4, "note": "mine"})
        self.assertEqual((status, json.loads(data)["type"], json.loads(data)["rating"]), (200, "style", 4))
        stored = json.loads((self.server.data / "models/Lora/attention.json").read_text())
        self.assertEqual(stored["notes"], "mine")
        _, detail = self.server.get("/v1/loras/attention")
        self.assertEqual((detail["rating"], len(detail["hash"])), (4, 12))
        self.assertEqual(self.server.call("PATCH", "/v1/loras/attention", {"rating": 9})[0], 422)
        self.assertEqual(self.server.get("/v1/loras/nothing")[0], 404)

    def test_openai(self):
        status, answer = self.server.post("/v1/images/generations", {"prompt": "a fox <sd_cpp_extra_args>{\"seed\":42,\"sample_params\":"
                                          "{\"sample_steps\":3}}</sd_cpp_extra_args>", "size": "64x64", "n": 2, "output_format": "webp"})
        self.assertEqual((status, len(answer["data"])), (200, 2))
        self.assertTrue(picture(answer["data"][0]["b64_json"]).startswith(b"RIFF"))
        status, answer = self.server.post("/v1/images/generations", {"prompt": "a", "size": "huge"})
        self.assertEqual((status, answer["error"]["param"], answer["error"]["type"]), (422, "size", "invalid_request_error"))
        self.assertEqual(self.server.post("/v1/images/generations", {"prompt": "a", "response_format": "url"})[0], 400)
        _, models = self.server.get("/v1/models")
        self.assertIn("sd15-tiny", [m["id"] for m in models["data"]])

    def test_paths_and_methods(self):
        self.assertEqual(self.server.get("/sdapi/v1/nothing"), (404, {"detail": "Not Found"}))
        self.assertEqual(self.server.get("/sdapi/v1/samplers/")[0], 404)
        status, headers, _ = self.server.call("GET", "/sdapi/v1/txt2img")
        self.assertEqual((status, headers["allow"]), (405, "POST"))
        status, headers, data = self.server.call("GET", "/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertEqual(self.server.call("GET", "/", headers={"If-None-Match": headers["etag"]})[0], 304)
        self.assertEqual(self.server.call("GET", "/docs")[0], 200)
        self.assertIn(b"lowrank_queue_waiting 0", self.server.call("GET", "/metrics")[2])
        self.assertEqual(self.server.get("/healthz")[1]["status"], "ok")
        self.assertIn("x-process-time", headers)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
