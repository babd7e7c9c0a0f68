#!/usr/bin/env python3
"""Training sets and trainings over HTTP, against the real program on the tiny model.  training_test.py LOWRANK FIXTURES"""
import pathlib
import re
import struct
import subprocess
import sys
import time
import unittest
import urllib.parse
import zlib

from served import Served

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


def png(width, height, value=128):
    """A grey PNG, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((value + x + y) % 256 for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def quoted(text):
    return urllib.parse.quote(text, safe="/")


class Sets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        cls.train = cls.server.data / "train"

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def make(self, name, trigger="my cat", repeats=3):
        status, made = self.server.post("/v1/datasets", {"name": name, "trigger": trigger, "repeats": repeats})
        self.assertEqual(status, 201, made)
        return made

    def upload(self, name, file, data, status=201):
        got, answer = self.server.post(f"/v1/datasets/{quoted(name)}/pictures?file={urllib.parse.quote(file)}", data)
        self.assertEqual(got, status, answer)
        return answer

    def detail(self, name, query=""):
        status, answer = self.server.get(f"/v1/datasets/{quoted(name)}{query}")
        self.assertEqual(status, 200, answer)
        return answer

    def test_a_set_from_nothing(self):
        made = self.make("cats & dogs")
        self.assertEqual((made["folders"][0]["folder"], made["is_ready"]), ("3_my cat", False))
        self.assertTrue((self.train / "cats & dogs/3_my cat").is_dir())
        self.assertEqual(self.server.post("/v1/datasets", {"name": "cats & dogs", "trigger": "x"})[0], 409)
        first = self.upload("cats & dogs", "über.png", png(80, 60))
        self.assertEqual((first["file"], first["width"], first["height"], first["caption"], first["learned"]),
                         ("3_my cat/über.png", 80, 60, None, "my cat"))
        # The ending follows the content, a taken name gets a number, and no name leaves the folder.
        self.assertEqual(self.upload("cats & dogs", "über.jpg", png(60, 60))["file"], "3_my cat/über-2.png")
        self.assertEqual(self.upload("cats & dogs", "../../../evil.png", png(120, 60))["file"], "3_my cat/evil.png")
        detail = self.detail("cats & dogs", "?resolution=512&enable_bucket=true")
        # kohya's buckets for 512: nearest shapes to 2:1, 4:3 and 1:1.
        self.assertEqual([(p["file"], p["bucket"]["width"], p["bucket"]["height"]) for p in detail["pictures"]],
                         [("3_my cat/evil.png", 704, 320), ("3_my cat/über-2.png", 512, 512), ("3_my cat/über.png", 576, 448)])
        self.assertEqual(detail["buckets"], [{"width": w, "height": h, "pictures": 3} for w, h in ((512, 512), (576, 448), (704, 320))])
        self.assertEqual((detail["pictures_per_epoch"], detail["is_ready"], detail["faults"]), (9, True, []))
        # 2:1 at 704x320 is enlarged to 704x352: 32 of 352 rows go.
        self.assertAlmostEqual(detail["pictures"][0]["cut"], 32 / 352)
        self.assertIsNone(self.detail("cats & dogs")["pictures"][0]["bucket"])
        listed = next(s for s in self.server.get("/v1/datasets")[1]["datasets"] if s["name"] == "cats & dogs")
        self.assertEqual((listed["count"], listed["train_data_dir"]), (3, "train/cats & dogs"))
        status, headers, small = self.server.call("GET", detail["pictures"][0]["url"] + "&size=32")
        self.assertEqual((status, headers["content-type"], small[:4], small[8:12]), (200, "image/webp", b"RIFF", b"WEBP"))
        self.assertEqual(self.server.call("GET", detail["pictures"][0]["url"] + "&size=0")[2], png(120, 60))

    def test_captions_are_written_and_taken_away(self):
        self.make("captions")
        self.upload("captions", "a.png", png(64, 64))
        folder = self.train / "captions/3_my cat"
        put = lambda file, body: self.server.call("PUT", "/v1/datasets/captions/captions/" + quoted(file), body)
        self.assertEqual(put("3_my cat/a.png", {"caption": " my cat,\n sitting "})[0], 200)
        self.assertEqual((folder / "a.txt").read_text(), "my cat,  sitting\n")
        self.assertEqual(self.detail("captions")["pictures"][0]["caption"], "my cat,  sitting")
        self.assertEqual(put("3_my cat/a.png", {"caption": None})[0], 200)
        self.assertEqual(self.detail("captions")["pictures"][0]["learned"], "my cat")
        self.assertEqual([p.name for p in folder.iterdir()], ["a.png"])
        self.assertEqual(put("3_my cat/a.png", {})[0], 422)
        self.assertEqual(put("3_my cat/b.png", {"caption": "x"})[0], 404)
        # A caption is line one; another program's .caption counts where there is no .txt.
        (folder / "a.caption").write_text("from elsewhere\nsecond line")
        self.assertEqual(self.detail("captions")["pictures"][0]["caption"], "from elsewhere")
        self.assertEqual(self.server.call("DELETE", "/v1/datasets/captions/pictures/" + quoted("3_my cat/a.png"))[0], 200)
        self.assertEqual(list(folder.iterdir()), [])

    def test_repeats_and_trigger_are_changed_later(self):
        self.make("later")
        self.upload("later", "a.png", png(64, 64))
        change = lambda **body: self.server.call("PATCH", "/v1/datasets/later", body)[0]
        self.assertEqual(change(folder="3_my cat", trigger="my dog", repeats=12), 200)
        self.assertEqual(self.detail("later")["pictures"][0]["file"], "12_my dog/a.png")
        self.assertEqual(change(folder="3_my cat", trigger="my dog", repeats=1), 404)
        self.assertEqual(change(folder="12_my dog", trigger="a/b", repeats=1), 422)
        self.assertEqual(change(folder="12_my dog", trigger="my dog", repeats=0), 422)

    def test_what_the_trainer_would_refuse_is_told_picture_by_picture(self):
        folder = self.train / "broken" / "1_"
        folder.mkdir(parents=True)
        (folder / "cut.png").write_bytes(png(64, 64)[:60])
        (folder / "mute.png").write_bytes(png(64, 64))
        (folder / "good.png").write_bytes(png(64, 64))
        (folder / "good.txt").write_text("a grey square")
        (self.train / "broken" / "no number").mkdir()
        (self.train / "broken" / "lost.png").write_bytes(png(8, 8))
        detail = self.detail("broken", "?resolution=64")
        errors = {p["file"]: p["error"] for p in detail["pictures"]}
        self.assertIn("cut.png", errors["1_/cut.png"])
        self.assertIn("no caption", errors["1_/mute.png"])
        self.assertIsNone(errors["1_/good.png"])
        self.assertEqual(len(detail["faults"]), 2, detail["faults"])
        self.assertFalse(detail["is_ready"])
        self.assertEqual(self.server.get("/v1/datasets/broken?resolution=63")[0], 422)
        self.upload("broken", "text.png", b"no picture", status=422)
        self.upload("broken", "empty.png", b"", status=422)

    def test_no_path_leaves_the_folder(self):
        self.make("inside")
        self.upload("inside", "a.png", png(64, 64))
        secret = self.server.data / "secret.png"
        secret.write_bytes(png(16, 16))
        (self.server.data / "outside" / "1_x").mkdir(parents=True, exist_ok=True)
        (self.server.data / "outside" / "1_x" / "s.png").write_bytes(png(16, 16))
        (self.train / "link").symlink_to(self.server.data / "outside")
        (self.train / "inside" / "1_link").symlink_to(self.server.data / "outside" / "1_x")
        (self.train / "inside" / "3_my cat" / "linked.png").symlink_to(secret)
        self.assertNotIn("link", [s["name"] for s in self.server.get("/v1/datasets")[1]["datasets"]])
        self.assertEqual([p["file"] for p in self.detail("inside")["pictures"]], ["3_my cat/a.png"])
        for path in ("/v1/datasets/link", "/v1/datasets/..", "/v1/datasets/%2e%2e", "/v1/datasets/inside/pictures/../../secret.png",
                     "/v1/datasets/inside/pictures/%2e%2e/%2e%2e/secret.png", "/v1/datasets/inside/pictures/1_link/s.png",
                     "/v1/datasets/inside/pictures/3_my%20cat/linked.png", "/v1/datasets/inside/pictures/3_my%20cat/..%2f..%2fa.png"):
            self.assertEqual(self.server.call("GET", path)[0], 404, path)
            self.assertIn(self.server.call("DELETE", path)[0], (404, 405), path)
        for body in ({"name": "../x", "trigger": "t"}, {"name": "a/b", "trigger": "t"}, {"name": ".x", "trigger": "t"},
                     {"name": "ok", "trigger": "../t"}, {"name": "ok", "trigger": ""}, {"name": "ok", "trigger": "t", "repeats": 0}):
            self.assertEqual(self.server.post("/v1/datasets", body)[0], 422, body)
        self.assertTrue(secret.exists())
        self.assertFalse((self.train / "ok").exists())


class Trainings(unittest.TestCase):
    def serve(self):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        self.addCleanup(server.close)
        server.post("/v1/datasets", {"name": "set", "trigger": "grey", "repeats": 1})
        for i in range(4):
            server.post(f"/v1/datasets/set/pictures?file={i}.png", png(64, 64, 60 * i))
        return server

    def submit(self, server, **more):
        request = {"train_data_dir": "train/set", "output_name": "grey", "max_train_steps": 6, "resolution": "64",
                   "learning_rate": 0.001, "pretrained_model": "sd15-tiny", **more}
        status, job = server.post("/v1/jobs", {"kind": "train", "request": request})
        self.assertEqual(status, 202, job)
        return job["id"]

    def training(self, server, name="grey", query=""):
        status, run = server.get(f"/v1/trainings/{name}{query}")
        self.assertEqual(status, 200, run)
        return run

    def test_losses_and_sample_pictures_are_kept(self):
        server = self.serve()
        self.assertEqual(server.get("/v1/trainings")[1], {"trainings": []})
        job = self.submit(server, sample_prompts="grey thing --s 2\n\na fox --s 2 --d 7", sample_every_n_steps=3)
        done = server.wait_for(job)
        self.assertEqual(done["state"], "completed", done)
        run = self.training(server)
        self.assertEqual([step for step, _ in run["losses"]], [1, 2, 3, 4, 5, 6])
        self.assertTrue(all(0 < loss < 10 for _, loss in run["losses"]), run["losses"])
        self.assertEqual((run["job"], run["state"], run["step"], run["steps"], run["resume_step"]), (job, "completed", 6, 6, None))
        self.assertEqual(run["request"]["train_data_dir"], "train/set")
        self.assertEqual([(s["step"], s["index"]) for s in run["samples"]], [(3, 0), (3, 1), (6, 0), (6, 1)])
        status, headers, data = server.call("GET", run["samples"][-1]["url"])
        self.assertEqual((status, headers["content-type"], data[:8]), (200, "image/png", b"\x89PNG\r\n\x1a\n"))
        thin = self.training(server, query="?points=2")["losses"]
        losses = [loss for _, loss in run["losses"]]
        self.assertEqual([step for step, _ in thin], [3, 6])
        for point, three in zip(thin, (losses[:3], losses[3:])):
            self.assertAlmostEqual(point[1], sum(three) / 3, places=9)
        # The result of the trainer tells the mean of the same losses.
        result = server.get(f"/v1/jobs/{job}/result")[1]
        self.assertAlmostEqual(result["loss"], sum(losses) / 6, places=9)
        # No state or sample lies among the LoRAs.
        self.assertEqual(sorted(p.name for p in (server.data / "models/Lora").iterdir()), ["attention.safetensors", "grey.safetensors", "sub"])
        server.kill()
        server.start()
        self.assertEqual(self.training(server)["losses"], run["losses"])
        # What is finished is not replaced unasked, nor is anything of its history lost.
        before = (server.data / "models/Lora/grey.safetensors").read_bytes()
        request = {"train_data_dir": "train/set", "output_name": "grey", "max_train_steps": 9, "resolution": "64"}
        status, answer = server.post("/v1/jobs", {"kind": "train", "request": request})
        self.assertEqual((status, answer["detail"][0]["loc"][-1]), (422, "output_name"), answer)
        self.assertIn("fresh", answer["detail"][0]["msg"])
        self.assertEqual((server.data / "models/Lora/grey.safetensors").read_bytes(), before)
        self.assertEqual(self.training(server)["losses"], run["losses"])
        # The next training of this name begins a new history.
        server.wait_for(self.submit(server, max_train_steps=2, fresh=True))
        self.assertEqual([step for step, _ in self.training(server)["losses"]], [1, 2])
        self.assertEqual(self.training(server)["samples"], [])
        self.assertEqual(server.call("DELETE", "/v1/trainings/grey")[0], 200)
        self.assertEqual(server.get("/v1/trainings/grey")[0], 404)
        self.assertTrue((server.data / "models/Lora/grey.safetensors").exists())

    def test_stop_and_go_on(self):
        server = self.serve()
        whole = server.wait_for(self.submit(server, output_name="whole", max_train_steps=40))
        self.assertEqual(whole["state"], "completed", whole)
        job = self.submit(server, max_train_steps=40)
        for _ in range(1000):
            run = server.get("/v1/trainings/grey")[1]
            if run.get("step", 0) >= 3:
                break
            time.sleep(0.01)
        self.assertEqual(server.call("DELETE", "/v1/trainings/grey")[0], 409)
        self.assertEqual(server.post(f"/v1/jobs/{job}/cancel")[0], 200)
        self.assertEqual(server.wait_for(job)["state"], "cancelled")
        stopped = self.training(server)
        self.assertEqual(stopped["resume_step"], stopped["step"])
        self.assertLess(stopped["step"], 40)
        status, again = server.post("/v1/jobs", {"kind": "train", "request": stopped["request"]})
        self.assertEqual((status, server.wait_for(again["id"])["state"]), (202, "completed"))
        # A run that was stopped goes on as if it had not been: same losses, one curve.
        self.assertEqual(self.training(server)["losses"], self.training(server, "whole")["losses"])

    def step_of(self, server, job, least):
        for _ in range(4000):
            run = server.get("/v1/trainings/grey")[1]
            # Until its first step the curve is the earlier run's.
            if run.get("job") == job and least <= run.get("step", 0) < run["request"]["max_train_steps"]:
                return
            time.sleep(0.01)
        self.fail(f"step {least} never came")

    def test_a_run_that_replaces_a_lora_goes_on_too(self):
        server = self.serve()
        self.assertEqual(server.wait_for(self.submit(server, max_train_steps=2))["state"], "completed")
        job = self.submit(server, max_train_steps=64, fresh=True)
        self.step_of(server, job, 51)  # beyond the first saved state
        server.kill()
        server.start()
        self.assertEqual(server.wait_for(job)["state"], "completed")
        notes = server.get(f"/v1/jobs/{job}/result")[1]["notes"]
        self.assertTrue(any("50" in note for note in notes), notes)
        # Stopped, and resumed on request.
        request = {"max_train_steps": 20, "fresh": True}
        job = self.submit(server, **request)
        self.step_of(server, job, 4)
        server.post(f"/v1/jobs/{job}/cancel")
        self.assertEqual(server.wait_for(job)["state"], "cancelled")
        stopped = self.training(server)
        job = self.submit(server, **request, resume=True)
        self.assertEqual(server.wait_for(job)["state"], "completed")
        notes = server.get(f"/v1/jobs/{job}/result")[1]["notes"]
        self.assertTrue(any(str(stopped["resume_step"]) in note for note in notes), notes)
        losses = self.training(server)["losses"]
        self.assertEqual([step for step, _ in losses], list(range(1, 21)))
        self.assertEqual(losses[:len(stopped["losses"])], stopped["losses"])
        # It has all its steps; more of them go on from its kept state.
        base = {"train_data_dir": "train/set", "output_name": "grey", "resolution": "64", "learning_rate": 0.001, "pretrained_model": "sd15-tiny"}
        status, answer = server.post("/v1/jobs", {"kind": "train", "request": {**base, **request, "resume": True}})
        self.assertEqual((status, answer["detail"][0]["loc"][-1]), (422, "max_train_steps"), answer)
        self.assertEqual((self.training(server)["resume_step"], self.training(server)["finished_step"]), (None, 20))
        job = self.submit(server, max_train_steps=25, fresh=True, resume=True)
        self.assertEqual(server.wait_for(job)["state"], "completed")
        self.assertEqual([step for step, _ in self.training(server)["losses"]], list(range(1, 26)))
        self.assertEqual(self.training(server)["losses"][:20], losses)
        # Of another name there is nothing to go on with.
        status, answer = server.post("/v1/jobs", {"kind": "train", "request": {**base, "output_name": "other", "resume": True}})
        self.assertEqual((status, answer["detail"][0]["loc"][-1]), (422, "resume"), answer)

    def test_a_killed_server_goes_on_by_itself(self):
        server = self.serve()
        job = self.submit(server, max_train_steps=120)
        for _ in range(2000):
            if server.get("/v1/trainings/grey")[1].get("step", 0) >= 60:  # beyond the first saved state
                break
            time.sleep(0.01)
        server.kill()
        server.start()
        self.assertEqual(server.wait_for(job)["state"], "completed")
        self.assertEqual([step for step, _ in self.training(server)["losses"]], list(range(1, 121)))

    def test_bad_requests_are_refused_at_once(self):
        server = self.serve()
        for more, field in (({"sample_prompts": "fox --q 3"}, "sample_prompts"), ({"sample_prompts": "a <lora:x:1>"}, "sample_prompts"),
                            ({"sample_prompts": "fox\n" * 17}, "sample_prompts"), ({"sample_every_n_steps": -1}, "sample_every_n_steps"),
                            ({"resume": "/etc/passwd"}, "resume"), ({"output_name": "../x"}, "output_name")):
            request = {"train_data_dir": "train/set", "output_name": "grey", "resolution": "64", **more}
            status, answer = server.post("/v1/jobs", {"kind": "train", "request": request})
            self.assertEqual((status, [fault["loc"][-1] for fault in answer["detail"]]), (422, [field]), answer)
        for path in ("..", "%2e%2e", ".hidden", "none"):
            self.assertEqual(server.get("/v1/trainings/" + path)[0], 404, path)
        self.assertEqual(server.call("GET", "/v1/trainings/..%2f..%2fx/samples/a.png")[0], 404)

    def options_of_help(self):
        """FLAG -> help of `lowrank train lora --help`."""
        done = subprocess.run([LOWRANK, "train", "lora", "--help"], capture_output=True, text=True, check=True)
        options, flag = {}, None
        for line in done.stdout.split("Options:")[1].splitlines():
            if head := re.match(r"  (?:-\w,|   ) --([a-z0-9-]+)", line):
                flag = head[1]
            if flag:
                options[flag] = options.get(flag, "") + " " + line.strip()
        return options

    def test_a_request_takes_what_the_command_line_takes(self):
        server = self.serve()
        schema = server.get("/openapi.json")[1]["components"]["schemas"]["TrainingRequest"]
        fields = schema["properties"]
        options = self.options_of_help()
        others = {"output-dir", "threads", "data-dir", "prompt-limits", "help", "config-file", "logging-dir", "log-prefix", "dataset-config", "reg-data-dir"}
        self.assertEqual({name.replace("_", "-") for name in fields}, set(options) - others)
        self.assertGreater(len(fields), 40)
        for name, field in fields.items():
            text = options[name.replace("_", "-")]
            if field["type"] != "boolean" and "default" in field:
                self.assertRegex(text, rf"default {re.escape(str(field['default']))}[;)]" if field["type"] == "string" else r"default [-0-9.e]+[;)]")
            if field["type"] == "boolean":
                self.assertFalse(field["default"], name)
            if field.get("maximum", 1e9) < 1e6:
                self.assertIn(f"{field['minimum']:g} to {field['maximum']:g}", text)
        # What the document calls the default is taken; what lies beyond its limits is refused and named.
        defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
        self.submit(server, **{**defaults, "output_name": "defaults", "max_train_steps": 1})
        beyond = {name: field["minimum"] - 1 for name, field in fields.items() if "minimum" in field}
        request = {"train_data_dir": "train/set", **beyond}
        status, answer = server.post("/v1/jobs", {"kind": "train", "request": request})
        self.assertEqual((status, sorted(fault["loc"][-1] for fault in answer["detail"])), (422, sorted(beyond)), answer)

    def test_what_is_no_option_of_a_request_is_named(self):
        server = self.serve()
        request = {"train_data_dir": "train/set", "network_dimm": 8, "threads": 2, "output_dir": "x", "enable_bucket": "maybe", "seed": [1], "flip_aug": None}
        status, answer = server.post("/v1/jobs", {"kind": "train", "request": request})
        said = {fault["loc"][-1]: fault["msg"] for fault in answer["detail"]}
        self.assertEqual((status, sorted(said)), (422, ["enable_bucket", "network_dimm", "output_dir", "seed", "threads"]), answer)
        self.assertIn("Did you mean network_dim", said["network_dimm"])
        self.assertIn("--threads", said["threads"])
        request = {"train_data_dir": "train/set", "network_train_unet_only": True, "network_train_text_encoder_only": True}
        self.assertEqual(server.post("/v1/jobs", {"kind": "train", "request": request})[0], 422)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
