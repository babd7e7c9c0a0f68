#!/usr/bin/env python3
"""The queue of the real program: jobs survive kill -9, each ends exactly once.  queue_test.py LOWRANK FIXTURES"""
import http.client
import json
import random
import sqlite3
import sys
import threading
import time
import unittest

from served import Served, picture, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
LONG = {"prompt": "a fox", "steps": 150, "width": 128, "height": 128}


class Queue(unittest.TestCase):
    def serve(self, *options):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options)
        self.addCleanup(server.close)
        return server

    def submit(self, server, kind="txt2img", key=None, **request):
        status, job = server.post("/v1/jobs", {"kind": kind, "request": request or tiny_request(), **({"idempotency_key": key} if key else {})})
        self.assertIn(status, (200, 202), job)
        return job

    def running(self, server, job):
        for _ in range(400):
            if server.get("/v1/jobs/" + job)[1]["state"] == "running":
                return
            time.sleep(0.05)
        self.fail("the job never ran")

    def rows(self, server):
        with sqlite3.connect(server.state / "queue.sqlite") as database:
            return {row[0]: row[1:] for row in database.execute("SELECT id, state, ends FROM jobs")}

    def test_a_job_from_order_to_deletion(self):
        server = self.serve()
        job = self.submit(server)
        done = server.wait_for(job["id"])
        self.assertEqual((done["state"], done["pictures"], done["has_result"]), ("completed", 1, True))
        _, result = server.get(f"/v1/jobs/{job['id']}/result")
        _, direct = server.post("/sdapi/v1/txt2img", tiny_request())
        self.assertEqual(result["images"], direct["images"])
        status, headers, data = server.call("GET", f"/v1/jobs/{job['id']}/pictures/0")
        self.assertEqual((status, headers["content-type"], data), (200, "image/png", picture(direct["images"][0])))
        self.assertEqual(server.call("GET", f"/v1/jobs/{job['id']}/pictures/1")[0], 404)
        self.assertEqual(server.post(f"/v1/jobs/{job['id']}/cancel")[0], 409)
        self.assertEqual(server.call("DELETE", "/v1/jobs/" + job["id"])[0], 200)
        self.assertEqual(server.get("/v1/jobs/" + job["id"])[0], 404)

    def test_idempotency_keys(self):
        server = self.serve()
        first = self.submit(server, key="one")
        self.assertEqual(self.submit(server, key="one")["id"], first["id"])
        status, answer = server.post("/v1/jobs", {"request": tiny_request(seed=43), "idempotency_key": "one"})
        self.assertEqual(status, 409, answer)
        server.wait_for(first["id"])
        self.assertEqual(self.submit(server, key="one")["id"], first["id"])

    def test_cancel_waiting_and_running_and_positions(self):
        server = self.serve()
        running, second, third = (self.submit(server, **LONG) for _ in range(3))
        self.running(server, running["id"])
        self.assertEqual([server.get("/v1/jobs/" + j["id"])[1]["position"] for j in (running, second, third)], [None, 1, 2])
        self.assertEqual(server.get(f"/v1/jobs/{second['id']}/result")[0], 409)
        self.assertEqual(server.call("DELETE", "/v1/jobs/" + running["id"])[0], 409)
        for job in (second, third, running):
            self.assertEqual(server.post(f"/v1/jobs/{job['id']}/cancel")[0], 200)
            self.assertEqual(server.wait_for(job["id"])["state"], "cancelled")

    def test_events_tell_the_whole_story(self):
        server = self.serve()
        blocker = self.submit(server, **LONG)
        job = self.submit(server, **tiny_request())
        names = []

        def follow():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("GET", f"/v1/jobs/{job['id']}/events")
            for line in connection.getresponse():
                if line.startswith(b"event: "):
                    names.append(line.decode().split()[1])
        reader = threading.Thread(target=follow)
        reader.start()
        time.sleep(0.5)
        server.post(f"/v1/jobs/{blocker['id']}/cancel")
        reader.join(60)
        self.assertEqual(names, ["queued", "running", "progress", "progress", "progress", "completed"])

    def test_a_full_queue_says_when_to_come_back(self):
        server = self.serve("--max-queue", "2")
        jobs = [self.submit(server, **LONG)]
        self.running(server, jobs[0]["id"])
        jobs += [self.submit(server, **LONG) for _ in range(2)]
        status, headers, data = server.call("POST", "/v1/jobs", {"request": LONG})
        self.assertEqual((status, "retry-after" in headers), (503, True), data)

    def test_a_vanished_client_ends_its_job(self):
        server = self.serve()
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/sdapi/v1/txt2img", json.dumps(LONG))
        for _ in range(200):
            if server.get("/v1/jobs?state=running")[1]["jobs"]:
                break
            time.sleep(0.05)
        connection.close()
        job = server.get("/v1/jobs")[1]["jobs"][0]
        self.assertEqual(server.wait_for(job["id"], 20)["state"], "cancelled")

    def test_stop_puts_the_running_job_back(self):
        server = self.serve()
        job = self.submit(server, **dict(LONG, steps=40))
        waiting = self.submit(server)
        self.running(server, job["id"])
        self.assertEqual(server.stop(), 0)
        self.assertEqual({state for state, _ in self.rows(server).values()}, {"queued"})
        server.start()
        for each in (job, waiting):
            self.assertEqual(server.wait_for(each["id"])["state"], "completed")

    def test_results_are_bounded(self):
        server = self.serve("--keep-results-mb", "0")
        job = self.submit(server)
        self.assertFalse(server.wait_for(job["id"])["has_result"])
        self.assertEqual(server.get(f"/v1/jobs/{job['id']}/result")[0], 410)

    def test_two_servers_do_not_share_a_queue(self):
        server = self.serve()
        with self.assertRaisesRegex(RuntimeError, "another server uses"):
            Served(LOWRANK, FIXTURES, data=server.data)

    def test_training_takes_its_turn(self):
        server = self.serve()
        folder = server.data / "training" / "1_foxy"
        folder.mkdir(parents=True)
        _, answer = server.post("/sdapi/v1/txt2img", tiny_request())
        (folder / "one.png").write_bytes(picture(answer["images"][0]))
        (folder / "one.txt").write_text("a foxy thing")
        status, refused = server.post("/v1/jobs", {"kind": "train", "request": {"train_data_dir": "../..", "output_name": "a/b"}})
        self.assertEqual((status, sorted(f["loc"][1] for f in refused["detail"])), (422, ["output_name", "train_data_dir"]))
        job = self.submit(server, kind="train", train_data_dir="training", output_name="foxy", max_train_steps=2,
                          resolution="64", pretrained_model="sd15-tiny")
        picture_job = self.submit(server, **tiny_request(prompt="foxy <lora:foxy:1>", allow_missing_loras=False))
        # The request is checked when it arrives, the LoRA is looked for when its turn comes.
        self.assertEqual(server.wait_for(job["id"])["state"], "completed", server.get("/v1/jobs/" + job["id"]))
        _, result = server.get(f"/v1/jobs/{job['id']}/result")
        self.assertEqual((result["file"], result["tag"], result["steps"]), ("foxy.safetensors", "<lora:foxy:1>", 2))
        self.assertEqual(server.wait_for(picture_job["id"])["state"], "completed")

    def test_a_hundred_jobs_with_cancels_disconnects_and_two_kills(self):
        chance = random.Random(7)
        server = self.serve()
        submitted = [self.submit(server, key=f"key-{i}", **tiny_request(seed=i, steps=2)) for i in range(100)]
        asked_to_end = set()
        for round_ in range(2):
            for _ in range(8):  # clients that do not wait
                connection = http.client.HTTPConnection("127.0.0.1", server.port)
                connection.request("POST", "/sdapi/v1/txt2img", json.dumps(tiny_request(steps=2)))
                connection.close()
            for job in chance.sample(submitted, 10):
                if server.post(f"/v1/jobs/{job['id']}/cancel")[0] == 200:
                    asked_to_end.add(job["id"])
            time.sleep(0.7)
            server.kill()
            self.assertTrue(all(ends == (state not in ("queued", "running")) for state, ends in self.rows(server).values()))
            server.start()
            for i in (0, 50, 99):  # a client that never got its answer asks again
                self.assertEqual(self.submit(server, key=f"key-{i}", **tiny_request(seed=i, steps=2))["id"], submitted[i]["id"])
        ends = {job["id"]: server.wait_for(job["id"]) for job in submitted}
        for id_, view in ends.items():
            if view["state"] == "cancelled":
                self.assertIn(id_, asked_to_end)
            else:
                self.assertEqual((view["state"], view["pictures"]), ("completed", 1), view)
        for job in server.get("/v1/jobs?limit=500")[1]["jobs"]:
            server.wait_for(job["id"])
        self.assertEqual({ends for _, ends in self.rows(server).values()}, {1})
        _, progress = server.get("/sdapi/v1/progress")
        self.assertEqual((progress["progress"], progress["state"]["job_count"]), (0.0, 0))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
