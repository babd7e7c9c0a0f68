#!/usr/bin/env python3
"""Every field and path of /openapi.json with values that nobody should send: no 5xx, no crash, no hang, and each refusal
says what is wrong.  hostile_test.py LOWRANK FIXTURES"""
import json
import re
import sys
import unittest
import urllib.parse

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]

VALUES = (None, True, False, -1, 0, 1.5, 2 ** 31, 2 ** 63, -2 ** 63, 10 ** 30, 1e308, -1e308, "", "a", "-1", "1e400", "nan", "\ud83d\ude00", "\n",
          "a" * 5000, "../../../etc/passwd", "/etc/passwd", "<script>", "%s%n", "'; DROP TABLE jobs; --", "data:image/png;base64,iVBORw0KGgo=", [], {},
          [None], [[]], [{}], [1], ["a"], [{"name": "a"}], {"a": {}}, {"ControlNet": 1}, {"ControlNet": {"args": 1}}, {"sd_model_checkpoint": []},
          {"samples_format": "exe"})
PLACES = ("x", "..", "%2e%2e", "%00", "%ff", "a%2fb", "..%2f..%2fetc%2fpasswd", "-1", "99999999999999999999", "a" * 2000, "%F0%9F%98%80", "'", "%25s")
QUERIES = ("", "x", "-1", "0", "1e9", "99999999999999999999", "true", "nan", "%00", "%ff", "../../etc/passwd", "a" * 2000)
# Streams that do not end by themselves, and what ends the server.
LEFT_OUT = re.compile(r"/events$|/server-(kill|stop|restart)$")
# Fields without which a request is refused before the others are looked at.
NEEDED = {"/sdapi/v1/txt2img": tiny_request(steps=1), "/sdapi/v1/img2img": None, "/sdapi/v1/extra-single-image": None,
          "/sdapi/v1/extra-batch-images": None, "/sdapi/v1/png-info": None, "/v1/images/generations": {"prompt": "a", "size": "64x64", "n": 1,
          "model": "sd15-tiny"}, "/v1/prompt/tokens": {"prompt": "a"}, "/v1/jobs": {"kind": "txt2img", "request": tiny_request(steps=1)}}


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--max-steps", "5", "--max-pixels", "65536", "--max-queue", "2000")
        cls.description = cls.server.get("/openapi.json")[1]
        image = cls.server.post("/sdapi/v1/txt2img", tiny_request(steps=1))[1]["images"][0]
        cls.bodies = dict(NEEDED)
        cls.bodies["/sdapi/v1/img2img"] = tiny_request(steps=1, init_images=[image])
        cls.bodies["/sdapi/v1/extra-single-image"] = {"image": image}
        cls.bodies["/sdapi/v1/extra-batch-images"] = {"imageList": [{"data": image, "name": "a"}]}
        cls.bodies["/sdapi/v1/png-info"] = {"image": image}

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def operations(self):
        for path, methods in self.description["paths"].items():
            for method, operation in methods.items():
                if not LEFT_OUT.search(path):
                    yield path, method.upper(), operation

    def check(self, method, path, body=None):
        """What came back must be an answer, or a refusal with a reason."""
        status, headers, data = self.server.call(method, path, body, timeout=60)
        told = f"{method} {path[:200]} {str(body)[:300]} → {status} {data[:300]}"
        self.assertTrue(status < 500 or status == 501, told)
        if status < 400:
            return
        answer = json.loads(data)
        if "error" in answer and isinstance(answer["error"], dict):
            self.assertTrue(answer["error"]["message"] and answer["error"]["type"], told)
        elif isinstance(answer["detail"], str):
            self.assertGreater(len(answer["detail"]), 3, told)
        else:
            self.assertTrue(answer["detail"], told)
            for fault in answer["detail"]:
                self.assertTrue(fault["loc"] and fault["msg"] and fault["type"], told)

    def test_fields(self):
        # What img2img has in common with txt2img is read by the same code.
        properties = [set(self.description["paths"][f"/sdapi/v1/{route}"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"])
                      for route in ("txt2img", "img2img")]
        tried = {("/sdapi/v1/img2img", name) for name in properties[0] & properties[1]}
        for path, method, operation in self.operations():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema is None:
                continue
            base = self.bodies.get(path, {})
            target = re.sub(r"\{[^}]*\}", "x", path)
            for name in schema["properties"]:
                if (path, name) in tried:
                    continue
                for value in VALUES if path != "/sdapi/v1/options" else VALUES[::4]:
                    self.check(method, target, {**base, name: value})
            for value in VALUES:
                self.check(method, target, json.dumps(value))
        self.well()

    def test_paths_and_queries(self):
        for path, method, operation in self.operations():
            for place in PLACES if "{" in path else ("x",):
                self.check(method, re.sub(r"\{[^}]*\}", place, path), "{}" if method in ("POST", "PATCH") else None)
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query":
                    for value in QUERIES:
                        self.check(method, re.sub(r"\{[^}]*\}", "x", path) + "?" + parameter["name"] + "=" + urllib.parse.quote(value, safe="%/"))
        self.well()

    def test_broken_json(self):
        for path, method, operation in self.operations():
            if "requestBody" in operation:
                for body in ("", "{", "nul", '{"a":}', '{"a" 1}', "[" * 1000, '"', "{}x", "\x00", b"\xff\xfe{", '{"a": 1, "a": 2}', "1" * 5000):
                    self.check(method, re.sub(r"\{[^}]*\}", "x", path), body)
        self.well()

    def well(self):
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.server.get("/healthz")[1]["status"], "ok")
        for job in self.server.get("/v1/jobs?limit=500&state=queued")[1]["jobs"]:
            self.server.post(f"/v1/jobs/{job['id']}/cancel")
        self.assertEqual(self.server.post("/sdapi/v1/txt2img", tiny_request(steps=1))[0], 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
