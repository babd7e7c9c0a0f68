#!/usr/bin/env python3
"""Imports as jobs of the real program, against a local stand-in for Civitai and Hugging Face.  imports_test.py LOWRANK FIXTURES"""
import hashlib
import http.client
import json
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cli"))
from model_sites import ModelSites, png, safetensors  # noqa: E402
from served import Served, tiny_request  # noqa: E402

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
LARGE = safetensors(4, pad=1500)  # 3.3 MB: 50 pieces of the slow server


class Imports(unittest.TestCase):
    def setUp(self):
        self.sites = ModelSites()
        self.addCleanup(self.sites.close)
        self.sites.files["/files/preview.png"] = png()
        self.fox = safetensors(1)

    def serve(self, *options, **environment):
        environment = {"LOWRANK_CIVITAI_URL": self.sites.url, "HF_ENDPOINT": self.sites.url, **environment}
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options, environment=environment)
        self.addCleanup(server.close)
        return server

    def submit(self, server, source, status=202, **more):
        got, job = server.post("/v1/jobs", {"kind": "import", "request": {"source": source, **more}})
        self.assertEqual(got, status, job)
        return job

    def imported(self, server, source, **more):
        """What a completed import gives."""
        job = self.submit(server, source, **more)
        view = server.wait_for(job["id"])
        self.assertEqual(view["state"], "completed", view)
        return server.get(f"/v1/jobs/{job['id']}/result")[1]["imported"]

    def until(self, condition):
        end = time.time() + 60
        while time.time() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        self.fail("it never came")

    def progress(self, server, job):
        return server.get("/v1/jobs/" + job["id"])[1].get("progress") or {}

    def test_a_page_becomes_a_lora_that_pictures_use(self):
        self.sites.add_version(456, 123, "Red Fox", self.fox)
        server = self.serve()
        (done,) = self.imported(server, "https://civitai.com/models/123/red-fox")
        self.assertEqual((done["state"], done["file"], done["relative"]), ("imported", "models/Lora/SD1/character/Red Fox.safetensors", "SD1/character/Red Fox"))
        self.assertEqual((done["prompt"], done["kind"], done["bytes"], done["resumed"]), ("foxy, <lora:Red Fox:1>", "lora", len(self.fox), False))
        self.assertEqual((server.data / done["file"]).read_bytes(), self.fox)
        _, card = server.get("/v1/loras/Red%20Fox")
        self.assertEqual((card["type"], card["type_origin"], card["trigger"], card["sha256"]), ("character", "civitai", "foxy", hashlib.sha256(self.fox).hexdigest()))
        self.assertEqual(server.call("GET", card["preview"])[2], png())
        # It is wider than the tiny checkpoint, which a picture with it says; that it was found is what counts.
        _, answer = server.post("/sdapi/v1/txt2img", tiny_request(prompt=done["prompt"]))
        (refused,) = json.loads(answer["info"])["lowrank"]["missing_loras"]
        self.assertIn("Red Fox.safetensors: made for SD 1.x", refused["reason"])
        # Again: the hash is known from the download, nothing is fetched.
        before = len(self.sites.requests)
        (again,) = self.imported(server, hashlib.sha256(self.fox).hexdigest()[:10])
        self.assertEqual((again["state"], again["relative"]), ("already here", "SD1/character/Red Fox"))
        self.assertFalse(any("/files/456" in path for path, _ in self.sites.requests[before:]))
        (forced,) = self.imported(server, "civitai:123", force=True)
        self.assertTrue(any("/files/456" in path for path, _ in self.sites.requests[before:]))
        self.assertEqual(forced["state"], "already here")

    def test_wishes(self):
        self.sites.add_version(456, 123, "Red Fox", self.fox)
        self.sites.add_version(457, 124, "Neg", safetensors(2), kind="TextualInversion")
        server = self.serve()
        (done,) = self.imported(server, "civitai:123", type="outfits", name="mine", preview=False)
        self.assertEqual(done["relative"], "SD1/clothing/mine")
        _, card = server.get("/v1/loras/mine")
        self.assertEqual((card["type"], card["type_origin"], card["preview"]), ("clothing", "user", None))
        (done,) = self.imported(server, "civitai:124")
        self.assertEqual((done["kind"], done["file"], "prompt" in done), ("embedding", "embeddings/Neg.safetensors", False))

    def test_a_repository_of_several_files(self):
        config = json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}).encode()
        self.sites.add_repo("ann/peft", {"unet/adapter_model.safetensors": (self.fox, True), "unet/adapter_config.json": (config, False),
                                         "text_encoder/adapter_model.safetensors": (safetensors(2), True), "text_encoder/adapter_config.json": (config, False)})
        server = self.serve()
        done = self.imported(server, "ann/peft")
        self.assertEqual(len(done), 2)
        for entry in done:
            self.assertTrue((server.data / entry["file"]).with_name("adapter_config.json").exists())

    def test_progress_events_and_pictures_meanwhile(self):
        self.sites.add_version(456, 123, "Red Fox", LARGE)
        self.sites.slow = 0.05
        server = self.serve()
        job = self.submit(server, "civitai:123")
        names, fetched = [], []

        def follow():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("GET", f"/v1/jobs/{job['id']}/events")
            for line in connection.getresponse():
                if line.startswith(b"event: "):
                    names.append(line.decode().split()[1])
                if line.startswith(b"data: ") and names[-1] == "progress":
                    fetched.append(json.loads(line[6:]))
        reader = threading.Thread(target=follow)
        reader.start()
        now = self.until(lambda: self.progress(server, job).get("bytes") and self.progress(server, job))
        self.assertEqual((now["total_bytes"], now["file"]), (len(LARGE), "Red Fox (v1.0)"))
        self.assertTrue(0 < now["progress"] <= 1 and now["bytes"] <= len(LARGE))
        # The engine is free, and A1111's clients see an idle server.
        status, _ = server.post("/sdapi/v1/txt2img", tiny_request())
        self.assertEqual(status, 200)
        self.assertEqual(server.get("/v1/jobs/" + job["id"])[1]["state"], "running")
        _, told = server.get("/sdapi/v1/progress")
        self.assertEqual((told["state"]["job_count"], told["progress"]), (0, 0))
        self.assertEqual(server.wait_for(job["id"])["state"], "completed")
        reader.join(60)
        self.assertEqual((names[-1], set(names[:-1])), ("completed", {"running", "progress"} | ({"queued"} & set(names))))
        sizes = [event["bytes"] for event in fetched if event["file"]]
        self.assertEqual((sizes, sizes[-1]), (sorted(sizes), len(LARGE)))

    def test_cancel_keeps_the_part_for_the_next_try(self):
        self.sites.add_version(456, 123, "Red Fox", LARGE)
        self.sites.slow = 0.05
        server = self.serve()
        job = self.submit(server, "civitai:123")
        self.until(lambda: self.progress(server, job).get("bytes", 0) > 200000)
        self.assertEqual(server.post(f"/v1/jobs/{job['id']}/cancel")[0], 200)
        self.assertEqual(server.wait_for(job["id"])["state"], "cancelled")
        self.assertEqual(list((server.data / "models/Lora").rglob("Red*")), [])
        self.sites.slow = 0
        (done,) = self.imported(server, "civitai:123")
        self.assertTrue(done["resumed"])
        self.assertEqual((server.data / done["file"]).read_bytes(), LARGE)

    def test_after_kill_and_stop_it_goes_on(self):
        self.sites.add_version(456, 123, "Red Fox", LARGE)
        self.sites.slow = 0.05
        server = self.serve()
        job = self.submit(server, "civitai:123")
        self.until(lambda: self.progress(server, job).get("bytes", 0) > 200000)
        server.kill()
        server.start()
        self.until(lambda: self.progress(server, job).get("bytes", 0) > 600000)
        self.assertEqual(server.stop(), 0)
        self.sites.slow = 0
        server.start()
        view = server.wait_for(job["id"])
        self.assertEqual((view["state"], view["attempts"]), ("completed", 2))
        (done,) = server.get(f"/v1/jobs/{job['id']}/result")[1]["imported"]
        self.assertTrue(done["resumed"])
        self.assertEqual((server.data / done["file"]).read_bytes(), LARGE)
        begins = [int(headers["Range"][6:].split("-")[0]) for path, headers in self.sites.requests if "/files/456" in path and "Range" in headers]
        self.assertEqual((len(begins), begins), (2, sorted(begins)))
        self.assertGreater(begins[0], 0)

    def test_faults_of_the_site_are_told(self):
        self.sites.add_version(456, 123, "Red Fox", self.fox)
        server = self.serve()
        for fault, says in ((404, "does not exist on"), (403, "token"), ("html", "web page instead of the file"), ("other bytes", "does not match its checksum"),
                            ("to file", "redirects to an unsafe address"), ("loop", "in a loop")):
            self.sites.faults["/files/456"] = [fault] * (20 if fault == "loop" else 1)
            job = self.submit(server, "civitai:123")
            view = server.wait_for(job["id"])
            self.assertEqual(view["state"], "failed")
            self.assertIn(says, view["error"])
            self.sites.faults.clear()
        view = server.wait_for(self.submit(server, "civitai:999")["id"])
        self.assertIn("does not exist on", view["error"])
        self.assertEqual(list((server.data / "models/Lora").rglob("Red*")), [])

    def test_only_the_sites_are_asked(self):
        server = self.serve()
        for source in ("https://example.com/models/1", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "/etc/passwd",
                       "models/Lora/attention.safetensors", str(server.data / "models/Lora/attention.safetensors"), "http://civitai.com.evil.example/models/1",
                       "http://evil.example/civitai.com/models/1", "https://ann:pw@civitai.com/models/1", "ftp://civitai.com/models/1", self.sites.other_url + "/models/1",
                       "../../etc/passwd", "a" * 3000, ""):
            answer = self.submit(server, source, status=422)
            self.assertEqual(answer["detail"][0]["loc"], ["body", "source"], answer)
        for more, field in (({"type": "beast"}, "type"), ({"kind": "virus"}, "kind"), ({"name": "../x"}, "name"), ({"name": ".x"}, "name"), ({"force": "perhaps"}, "force")):
            self.assertEqual(self.submit(server, "civitai:1", status=422, **more)["detail"][0]["loc"], ["body", field])
        self.assertEqual(self.sites.requests, [])

    def test_a_repository_cannot_send_the_server_elsewhere(self):
        # The address of its sample picture is the repository owner's to write.
        self.sites.files["/files/inner"] = png()
        self.sites.add_repo("ann/fox", {"fox.safetensors": (self.fox, True)}, card={"widget": [{"text": "x", "output": {"url": self.sites.other_url + "/files/inner?a.png"}}]})
        self.sites.repos[("ann/fox", "main")]["cardData"]["widget"][0]["output"]["url"] = self.sites.other_url + "/files/inner/a.png"
        server = self.serve()
        (done,) = self.imported(server, "ann/fox")
        self.assertTrue(any("is neither on Civitai nor on Hugging Face" in remark for remark in done["remarks"]), done)
        self.assertFalse(any("/files/inner" in path for path, _ in self.sites.requests))

    def test_a_site_cannot_send_the_server_inside(self):
        # What is asked at a site's own name goes through a proxy here, since no such name is known in a test; an answer
        # that leads into this network is not followed.
        version = self.sites.add_version(456, 123, "Red Fox", self.fox)
        version["files"][0]["downloadUrl"] = "http://files.civitai.com/files/456"
        self.sites.faults["/files/456"] = ["loop"]  # leads to 127.0.0.1
        server = self.serve(http_proxy=self.sites.url, no_proxy="127.0.0.1")
        view = server.wait_for(self.submit(server, "civitai:123")["id"])
        self.assertEqual(view["state"], "failed")
        self.assertIn("inside this network", view["error"])
        self.assertEqual(len([path for path, _ in self.sites.requests if "/files/456" in path]), 1)

    def test_tokens_come_from_the_server_and_stay_there(self):
        secret, foreign = "s3cr3t-token", "f0re1gn-token"
        self.sites.add_version(456, 123, "Red Fox", self.fox)
        self.sites.needs_token = secret
        server = self.serve(CIVITAI_TOKEN=secret)
        told = [self.submit(server, f"https://civitai.com/api/download/models/456?token={foreign}", token=foreign)]
        told += [server.wait_for(told[0]["id"]), server.get(f"/v1/jobs/{told[0]['id']}/result")[1], server.get("/v1/jobs")[1]]
        told += [server.get("/sdapi/v1/options")[1], server.get("/internal/sysinfo")[1], server.call("GET", f"/v1/jobs/{told[0]['id']}/events")[2].decode()]
        self.assertEqual(told[1]["state"], "completed", told[1])
        self.sites.faults["/files/456"] = [403]
        failed = server.wait_for(self.submit(server, "civitai:123", force=True)["id"])
        everything = json.dumps(told) + json.dumps(failed)
        for file in server.data.rglob("*"):
            if file.is_file() and not file.is_symlink():
                everything += file.read_bytes().decode("latin-1")
        for word in (secret, foreign, "X-Amz-Signature"):
            self.assertNotIn(word, everything)
        for path, headers in self.sites.requests:
            self.assertNotIn(foreign, path + str(headers))
            self.assertEqual("Authorization" in headers, path.startswith("/api/"), path)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
