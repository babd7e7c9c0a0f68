#!/usr/bin/env python3
"""The collection over HTTP, against the real program.  collection_test.py LOWRANK FIXTURES"""
import base64
import hashlib
import json
import os
import pathlib
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cli"))
from model_sites import png, safetensors  # noqa: E402
from safety_test import png_header  # noqa: E402
from served import Served, picture, tiny_request  # noqa: E402

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]


class Collection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        loras = cls.server.data / "models/Lora"
        # name: (content, card); what they are is decided here, so the answers to all filters are known.
        cls.made = {
            "zoo/red fox": (safetensors(1, {"ss_base_model_version": "sd_v1", "ss_tag_frequency": json.dumps({"1_a": {"fox": 9, "Red Fur": 4}})}),
                            {"type": "character", "rating": 5, "activation text": "foxy, red fur"}),
            "zoo/blue fox": (safetensors(2, {"ss_tag_frequency": json.dumps({"1_a": {"fox": 3}})}),
                             {"type": "character", "rating": 2, "tags": ["Winter"], "preferred weight": 0.7}),
            "ink": (safetensors(3, {"modelspec.trigger_phrase": "ink wash"}), {"type": "style"}),
            "pony hat": (safetensors(4, cross=2048), {"type": "clothing", "sd version": "Pony", "rating": 4}),
            "pony scarf": (safetensors(5, cross=2048), {"type": "clothing", "sd version": "Pony V6"}),
        }
        for name, (content, card) in cls.made.items():
            path = loras / (name + ".safetensors")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            path.with_suffix(".json").write_text(json.dumps(card))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def cards(self, **filters):
        status, answer = self.server.get("/v1/loras?" + urllib.parse.urlencode(filters))
        self.assertEqual(status, 200, answer)
        return answer

    def names(self, **filters):
        answer = self.cards(**filters)
        self.assertEqual(answer["total"], len(answer["loras"]), filters)
        return {card["relative"] for card in answer["loras"]} & set(self.made)

    def test_filters(self):
        for filters, expected in (({"q": "fox"}, {"zoo/red fox", "zoo/blue fox"}), ({"q": "fo bl"}, {"zoo/blue fox"}), ({"q": "\"*'; DROP"}, set()),
                                  ({"type": "character"}, {"zoo/red fox", "zoo/blue fox"}), ({"type": "outfit"}, {"pony hat", "pony scarf"}),
                                  ({"type": "clothing", "rating": 4}, {"pony hat"}), ({"tag": "FOX"}, {"zoo/red fox", "zoo/blue fox"}),
                                  ({"tag": "red fur"}, {"zoo/red fox"}), ({"tag": "winter"}, {"zoo/blue fox"}), ({"tag": "wint"}, set()),
                                  ({"tag": "red"}, set()), ({"trigger": "ink wash"}, {"ink"}), ({"trigger": "ink"}, set()),
                                  ({"trigger": "foxy"}, {"zoo/red fox"}), ({"base_model": "Pony"}, {"pony hat"}), ({"base_model": "pony"}, {"pony hat", "pony scarf"}),
                                  ({"base_model": "sdxl"}, {"pony hat", "pony scarf"}), ({"base_model": "SD 1.x"}, {"zoo/red fox", "zoo/blue fox", "ink"}),
                                  ({"base_model": "SD1"}, {"zoo/red fox", "zoo/blue fox", "ink"}), ({"rating": 5, "q": "f"}, {"zoo/red fox"})):
            self.assertEqual(self.names(**filters), expected, filters)
        for filters in ({"type": "beast"}, {"sort": "beauty"}, {"rating": 9}, {"limit": -1}, {"fits": "no such checkpoint"}):
            status, answer = self.server.get("/v1/loras?" + urllib.parse.urlencode(filters))
            self.assertEqual((status, answer["detail"][0]["loc"]), (422, ["query", next(iter(filters))]), answer)

    def test_fits_a_checkpoint(self):
        # The tiny checkpoint's cross-attention is 64 wide, so none of the made ones fits, and its own LoRA does.
        fitting = {card["name"] for card in self.cards(fits="sd15-tiny")["loras"]}
        self.assertIn("attention", fitting)
        self.assertFalse(fitting & {"red fox", "blue fox", "ink", "pony hat"})
        title = next(m["title"] for m in self.server.get("/sdapi/v1/sd-models")[1] if m["model_name"] == "sd15-tiny")
        self.assertEqual({card["name"] for card in self.cards(fits=title)["loras"]}, fitting)
        cli = json.loads(self.server.run("lora", "list", "--fits", "sd15-tiny", "--json"))["loras"]
        self.assertEqual({lora["name"] for lora in cli}, fitting)

    def test_pages_and_sort_keys(self):
        whole = self.cards(sort="rating")
        ratings = [card["rating"] for card in whole["loras"]]
        self.assertEqual(ratings, sorted(ratings, reverse=True))
        sizes = [card["bytes"] for card in self.cards(sort="size")["loras"]]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        pieces = [self.cards(sort="rating", limit=2, offset=at) for at in range(0, whole["total"] + 2, 2)]
        self.assertEqual([card["relative"] for piece in pieces for card in piece["loras"]], [card["relative"] for card in whole["loras"]])
        self.assertEqual({piece["total"] for piece in pieces}, {whole["total"]})
        self.assertEqual(self.cards(tag="fox", limit=1)["total"], 2)
        self.assertEqual([sorted(card) for card in self.cards(limit=1, fields="name,rating")["loras"]], [["name", "rating"]])

    def test_facets_count_what_the_filters_find(self):
        _, facets = self.server.get("/v1/loras/facets")
        self.assertEqual(facets["total"], self.cards()["total"])
        self.assertEqual(sum(entry["count"] for entry in facets["types"]), facets["total"])
        for entry in facets["types"]:
            self.assertEqual(self.cards(type=entry["type"] or "none")["total"], entry["count"], entry)
        for entry in facets["base_models"]:
            self.assertEqual(self.cards(base_model=entry["base_model"])["total"], entry["count"], entry)
        for entry in facets["tags"]:
            self.assertEqual(self.cards(tag=entry["tag"])["total"], entry["count"], entry)
        counts = [entry["count"] for entry in facets["tags"]]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertIn({"tag": "fox", "count": 2}, self.server.get("/v1/loras/facets?tags=1000")[1]["tags"])
        self.assertEqual(len(self.server.get("/v1/loras/facets?tags=1")[1]["tags"]), 1)

    def test_server_and_command_line_tell_the_same(self):
        served = {card["relative"]: card for card in self.cards()["loras"]}
        told = {lora["relative"]: lora for lora in json.loads(self.server.run("lora", "list", "--json"))["loras"]}
        self.assertEqual(set(served), set(told))
        for name, lora in told.items():
            for ours, theirs in (("kind", "kind"), ("rank", "rank"), ("base_model", "base_model"), ("bytes", "bytes"), ("trigger", "trigger"),
                                 ("rating", "rating"), ("labels", "tags"), ("preferred_weight", "preferred_weight")):
                self.assertEqual(served[name][ours], lora[theirs], (name, ours))
        # What one says the other knows at once.
        self.server.run("lora", "rate", "ink", "3")
        self.assertEqual(self.server.get("/v1/loras/ink")[1]["rating"], 3)
        self.assertEqual(self.server.call("PATCH", "/v1/loras/ink", {"rating": 0, "note": "thin lines", "tags": ["wet"]})[0], 200)
        shown = json.loads(self.server.run("lora", "show", "ink", "--json"))
        self.assertEqual((shown["rating"], shown["notes"], shown["tags"]), (0, "thin lines", ["wet"]))
        self.assertEqual(self.server.get("/v1/loras/ink")[1]["notes"], "thin lines")

    def test_files_that_come_and_go_are_seen_at_once(self):
        new = self.server.data / "models/Lora/new folder/deep/vole.safetensors"
        self.assertEqual(self.server.get("/v1/loras/vole")[0], 404)
        new.parent.mkdir(parents=True)
        new.write_bytes(safetensors(9))
        self.assertEqual(self.server.get("/v1/loras/vole")[1]["relative"], "new folder/deep/vole")
        other = new.with_name("water vole.safetensors")
        new.rename(other)
        status, detail = self.server.get("/v1/loras/vole")
        self.assertEqual((status, detail["name"], detail["former_names"]), (200, "water vole", ["new folder/deep/vole", "vole"]))
        other.unlink()
        self.assertEqual(self.server.get("/v1/loras/water%20vole")[0], 404)

    def test_a_detail_tells_hash_prompt_and_what_is_wrong(self):
        _, detail = self.server.get("/v1/loras/zoo%2Fred%20fox")
        content = self.made["zoo/red fox"][0]
        behind_header = content[8 + int.from_bytes(content[:8], "little"):]
        self.assertEqual((detail["hash"], detail["sha256"]), (hashlib.sha256(behind_header).hexdigest()[:12], hashlib.sha256(content).hexdigest()))
        self.assertEqual((detail["prompt"], detail["tags"][0]), ("foxy, red fur, <lora:red fox:1>", {"tag": "fox", "count": 9}))
        self.assertEqual(self.server.get("/v1/loras/" + detail["hash"])[1]["name"], "red fox")
        broken = self.server.data / "models/Lora/broken.safetensors"
        broken.write_bytes(content[:-7])
        status, detail = self.server.get("/v1/loras/broken")
        self.assertEqual((status, detail["fits"]), (200, False))
        self.assertIn("truncated", detail["error"])
        broken.unlink()

    def test_duplicates(self):
        loras = self.server.data / "models/Lora"
        (loras / "twice").mkdir()
        made = [loras / "twice/one.safetensors", loras / "twice/two.safetensors", loras / "zoo/two.safetensors"]
        made[0].write_bytes(safetensors(11))
        made[1].write_bytes(safetensors(11))
        made[2].write_bytes(safetensors(12))
        end = time.time() + 60
        while (answer := self.server.get("/v1/loras/duplicates")[1])["pending"] and time.time() < end:
            time.sleep(0.05)
        groups = [group for group in answer["duplicates"] if any("twice" in file["relative"] for file in group["files"])]
        self.assertEqual(len(groups), 1)
        self.assertEqual({file["relative"] for file in groups[0]["files"]}, {"twice/one", "twice/two"})
        self.assertEqual(groups[0]["hash"], hashlib.sha256(safetensors(11)).hexdigest())
        self.assertEqual((groups[0]["wasted_bytes"], groups[0]["files"][0]["bytes"]), (len(safetensors(11)),) * 2)
        (conflict,) = [entry for entry in answer["names"] if entry["name"] == "two"]
        self.assertEqual({file["relative"] for file in conflict["files"]}, {"twice/two", "zoo/two"})
        self.assertEqual(self.server.get("/v1/loras/two")[1]["relative"], conflict["winner"])
        for path in made:
            path.unlink()

    def test_missing(self):
        short = self.server.get("/v1/loras/ink")[1]["hash"]
        text = ("a fox <lora:red fox:1> <lora:unknown:0.5> <lora:wash:1>\nSteps: 20, Sampler: Euler, Model: sd15-tiny, "
                f'Lora hashes: "wash: {short}, unknown: 0123456789ab"')
        status, answer = self.server.post("/v1/loras/missing", {"text": text})
        self.assertEqual(status, 200)
        found = {entry["name"]: entry for entry in answer["found"]}
        self.assertEqual(sorted(found), ["red fox", "sd15-tiny", "wash"])
        self.assertEqual((found["wash"]["prompt_name"], found["wash"]["by"]), ("ink", "hash"))
        (missing,) = answer["missing"]
        self.assertEqual((missing["name"], missing["hash"], missing["import"]), ("unknown", "0123456789ab", "0123456789ab"))
        self.assertIn("0123456789ab", missing["where"])
        _, answer = self.server.post("/v1/loras/missing", {"text": "<lora:nobody:1>"})
        self.assertIn("search for 'nobody'", answer["missing"][0]["where"])
        _, answer = self.server.post("/v1/loras/missing", {"text": 'x\nSteps: 1, Civitai resources: [{"type":"lora","modelVersionId":77,"modelName":"Vole"}]'})
        self.assertEqual(answer["missing"][0]["where"], "https://civitai.com/model-versions/77")
        self.assertEqual(self.server.post("/v1/loras/missing", {"text": ""}), (200, {"missing": [], "found": []}))
        self.assertEqual(self.server.post("/v1/loras/missing", {})[0], 422)

    def test_a_preview_is_set_and_taken_away(self):
        url, file = "/v1/loras/zoo%2Fblue%20fox/preview", self.server.data / "models/Lora/zoo/blue fox.png"
        self.assertEqual(self.server.call("GET", url)[0], 404)
        self.assertEqual(self.server.call("DELETE", url)[0], 404)
        jpeg = picture(self.server.post("/sdapi/v1/txt2img", tiny_request(override_settings={"samples_format": "jpg"}))[1]["images"][0])
        seen = set()
        for body, headers in ((png(), {"Content-Type": "image/png"}), (jpeg, {"Content-Type": "image/jpeg"}),
                              ({"image": base64.b64encode(png(16)).decode()}, {"Content-Type": "application/json"}),
                              ({"image": "data:image/png;base64," + base64.b64encode(png(24)).decode()}, {"Content-Type": "application/json"})):
            status, _, data = self.server.call("PUT", url, body, headers)
            self.assertEqual(status, 200, data)
            card = json.loads(data)
            seen.add(card["preview"])
            status, headers, shown = self.server.call("GET", card["preview"])
            self.assertEqual((status, headers["content-type"], shown), (200, "image/png", file.read_bytes()))
        self.assertEqual(len(seen), 4)  # the address changes with the picture, so that no browser shows the old one
        # The settings inside a picture travel with it.
        self.assertIn("Steps: 3", self.server.post("/sdapi/v1/png-info", {"image": base64.b64encode(jpeg).decode()})[1]["info"])
        before = file.read_bytes()
        bomb = base64.b64decode(png_header(60000, 60000))
        for body, kind in ((bomb, "image/png"), (b"", "image/png"), (b"GIF89a", "image/gif"), (b"<svg/>", "image/svg+xml"), (png()[:40], "image/png"),
                           ('{"image": "%%%%"}', "application/json"), ('{"image": "https://example.org/a.png"}', "application/json"),
                           ("{}", "application/json"), ("{", "application/json")):
            status, _, data = self.server.call("PUT", url, body, {"Content-Type": kind})
            self.assertEqual(status, 422, (body[:20], data))
        self.assertEqual(file.read_bytes(), before)
        self.assertEqual(self.server.call("PUT", "/v1/loras/nobody/preview", png())[0], 404)
        status, _, data = self.server.call("DELETE", url)
        self.assertEqual((status, json.loads(data)["preview"], file.exists()), (200, None, False))
        # A picture that it covered comes back.
        under = file.with_name("blue fox.preview.png")
        under.write_bytes(png(32))
        self.server.call("PUT", url, png())
        self.assertEqual(json.loads(self.server.call("DELETE", url)[2])["preview"] is None, False)
        self.assertEqual(self.server.call("GET", url)[2], png(32))
        self.server.call("DELETE", url)

    def test_a_type_must_be_one(self):
        status, _, data = self.server.call("PATCH", "/v1/loras/ink", {"type": "beast"})
        self.assertEqual((status, json.loads(data)["detail"][0]["loc"]), (422, ["body", "type"]))
        self.server.call("PATCH", "/v1/loras/ink", {"type": ""})
        self.assertNotIn("type", json.loads((self.server.data / "models/Lora/ink.json").read_text()))
        self.server.call("PATCH", "/v1/loras/ink", {"type": "style"})

    def test_many_clients_at_once(self):
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda i: self.server.get(("/v1/loras?limit=3", "/v1/loras/facets", "/v1/loras/ink", "/sdapi/v1/loras")[i % 4])[0], range(80)))
        self.assertEqual(set(answers), {200})

    @unittest.skipIf(os.geteuid() == 0, "root writes everywhere")
    def test_notes_about_a_folder_that_cannot_be_written(self):
        folder = self.server.data / "models/Lora/locked"
        folder.mkdir()
        (folder / "vole.safetensors").write_bytes(safetensors(21))
        folder.chmod(0o555)
        self.addCleanup(folder.chmod, 0o755)
        self.assertEqual(self.server.call("PATCH", "/v1/loras/vole", {"rating": 4})[0], 200)
        self.assertEqual(self.server.get("/v1/loras/vole")[1]["rating"], 4)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
