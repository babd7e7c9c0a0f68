#!/usr/bin/env python3
"""What the server answers is what /openapi.json says it answers: no member that is not described, none that is missing.

  answers_test.py LOWRANK FIXTURES
"""
import base64
import json
import struct
import sys
import unittest
import zlib

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


def png(side=64):
    """A grey picture."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes([x * 3 % 256 for x in range(side * 3)]) for _ in range(side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Checker:
    """JSON Schema as the document uses it; OpenAPI 3.0.3's nullable."""
    def __init__(self, whole):
        self.schemas = whole["components"]["schemas"]

    def flat(self, schema):
        """Properties and required names of an object with all its bases; None for what is no object of named members."""
        if "$ref" in schema:
            return self.flat(self.schemas[schema["$ref"].split("/")[-1]])
        parts = [self.flat(part) for part in schema.get("allOf", [])]
        if "properties" not in schema and not any(parts):
            return None
        properties, required = dict(schema.get("properties", {})), set(schema.get("required", []))
        for part in parts:
            if part:
                properties.update(part[0])
                required |= part[1]
        return properties, required

    def faults(self, value, schema, place="answer"):
        if value is None and schema.get("nullable"):
            return []
        if "oneOf" in schema:
            found = [self.faults(value, part, place) for part in schema["oneOf"]]
            return [] if any(not f for f in found) else found[0]
        members = self.flat(schema)
        if members:
            if not isinstance(value, dict):
                return [f"{place} is no object"]
            properties, required = members
            faults = [f"{place}.{name} is not described" for name in value if name not in properties]
            faults += [f"{place}.{name} is missing" for name in required - set(value)]
            for name in value:
                if name in properties:
                    faults += self.faults(value[name], properties[name], f"{place}.{name}")
            return faults
        if "enum" in schema:
            return [] if value in schema["enum"] else [f"{place} is {value!r}"]
        if "$ref" in schema:
            return self.faults(value, self.schemas[schema["$ref"].split("/")[-1]], place)
        kind = schema.get("type")
        if kind == "array":
            if not isinstance(value, list):
                return [f"{place} is no list"]
            return [f for i, item in enumerate(value) for f in self.faults(item, schema["items"], f"{place}[{i}]")]
        if kind == "object":
            if not isinstance(value, dict):
                return [f"{place} is no object"]
            return [f for name, item in value.items() for f in self.faults(item, schema.get("additionalProperties", {}), f"{place}.{name}")]
        types = {"string": str, "boolean": bool, "integer": int, "number": (int, float), None: object}
        is_wrong = not isinstance(value, types[kind]) or isinstance(value, bool) and kind in ("integer", "number")
        return [f"{place} is {value!r}, not {kind}"] if is_wrong else []


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        cls.whole = cls.server.get("/openapi.json")[1]
        cls.checker = Checker(cls.whole)
        cls.seen = set()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def ask(self, route, body=None, query="", **names):
        method, path = route.split(" ")
        schema = self.whole["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]
        self.assertNotEqual(schema, {}, route)
        for name, value in names.items():
            path = path.replace("{" + name + "}", value)
        status, _, data = self.server.call(method, path + query, body)
        self.assertIn(status, (200, 201, 202), (route, data[:300]))
        answer = json.loads(data)
        self.assertEqual(self.checker.faults(answer, schema), [], route)
        self.seen.add(route)
        return answer

    def test_every_described_answer_holds_what_is_described(self):
        job = self.ask("POST /v1/jobs", {"kind": "txt2img", "request": tiny_request(prompt="a fox <lora:attention:1> <lora:none:1>", save_images=True)})
        self.server.wait_for(job["id"])
        self.ask("GET /v1/jobs")
        ended = self.ask("GET /v1/jobs/{id}", id=job["id"])
        self.assertEqual(ended["state"], "completed", ended)
        result = self.ask("GET /v1/jobs/{id}/result", id=job["id"])
        self.assertEqual(self.checker.faults(json.loads(result["info"]), {"$ref": "#/components/schemas/ResultInfo"}), [])
        self.ask("POST /sdapi/v1/png-info", {"image": result["images"][0]})
        long = self.ask("POST /v1/jobs", {"kind": "txt2img", "request": tiny_request(steps=1000, n_iter=50)})
        self.ask("POST /v1/jobs/{id}/cancel", id=long["id"])
        self.ask("POST /v1/jobs/cancel", {})
        self.server.wait_for(long["id"])
        extras = self.ask("POST /v1/jobs", {"kind": "extras", "request": {"image": result["images"][0], "upscaler_1": "Lanczos", "upscaling_resize": 2}})
        self.server.wait_for(extras["id"])
        self.ask("GET /v1/jobs/{id}/result", id=extras["id"])
        (output, *_) = self.ask("GET /v1/outputs")["outputs"]
        self.ask("DELETE /v1/outputs/{name}", name=output["name"])
        self.ask("DELETE /v1/jobs/{id}", id=extras["id"])
        # The collection
        (first, *_) = self.ask("GET /v1/loras")["loras"]
        self.ask("GET /v1/loras/{name}", name="attention")
        self.ask("PATCH /v1/loras/{name}", {"rating": 3, "tags": ["a"], "note": "n"}, name="attention")
        self.ask("PUT /v1/loras/{name}/preview", {"image": base64.b64encode(png()).decode()}, name="attention")
        self.ask("DELETE /v1/loras/{name}/preview", name="attention")
        self.ask("GET /v1/loras/facets")
        self.ask("GET /v1/loras/duplicates")
        self.ask("POST /v1/loras/missing", {"text": "a fox <lora:attention:1> <lora:none:1>"})
        (checkpoint, *_) = self.ask("GET /v1/checkpoints")["checkpoints"]
        self.ask("PATCH /v1/checkpoints/{name}", {"subfamily": "none"}, name=checkpoint["name"])
        self.ask("POST /v1/infotext", {"text": "a fox\nSteps: 3, Sampler: Euler a, Size: 64x64"})
        self.ask("POST /v1/prompt/tokens", {"prompt": "a fox"})
        # Training
        self.ask("POST /v1/datasets", {"name": "foxes", "trigger": "fox", "repeats": 1})
        picture = self.ask("POST /v1/datasets/{name}/pictures", png(), "?file=one.png", name="foxes")
        self.ask("PUT /v1/datasets/{name}/captions/{file}", {"caption": "a fox"}, name="foxes", file=picture["file"])
        self.ask("PATCH /v1/datasets/{name}", {"folder": "1_fox", "trigger": "fox", "repeats": 2}, name="foxes")
        whole = self.ask("GET /v1/datasets/{name}", None, "?resolution=64", name="foxes")
        self.ask("GET /v1/datasets")
        training = self.ask("POST /v1/jobs", {"kind": "train", "request": {"train_data_dir": "train/foxes", "output_name": "foxy", "resolution": "64", "max_train_steps": 2, "network_dim": 1}})
        ended = self.server.wait_for(training["id"])
        self.assertEqual(ended["state"], "completed", ended)
        self.ask("GET /v1/jobs/{id}", id=training["id"])
        self.ask("GET /v1/jobs/{id}/result", id=training["id"])
        self.ask("GET /v1/trainings")
        self.ask("GET /v1/trainings/{name}", name="foxy")
        self.ask("DELETE /v1/trainings/{name}", name="foxy")
        self.ask("DELETE /v1/datasets/{name}/pictures/{file}", name="foxes", file=whole["pictures"][0]["file"])
        # A1111's lists, and the server
        for route in ("GET /sdapi/v1/sd-vae", "GET /sdapi/v1/samplers", "GET /sdapi/v1/schedulers", "GET /sdapi/v1/upscalers", "GET /sdapi/v1/latent-upscale-modes",
                      "GET /sdapi/v1/prompt-styles", "GET /sdapi/v1/embeddings", "GET /sdapi/v1/options", "GET /sdapi/v1/memory", "GET /healthz"):
            self.ask(route)
        self.ask("POST /sdapi/v1/unload-checkpoint", {})
        described = {f"{method.upper()} {path}" for path, methods in self.whole["paths"].items() for method, operation in methods.items()
                     if operation["responses"]["200"]["content"].get("application/json", {}).get("schema")}
        self.assertEqual(described - self.seen, set())

    def test_a_member_too_many_or_too_few_is_found(self):
        faults = self.checker.faults({"total": 1, "outputs": [{"name": "a", "url": "b", "bytes": "3"}], "more": 1}, {"$ref": "#/components/schemas/OutputList"})
        self.assertEqual(len(faults), 3, faults)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
