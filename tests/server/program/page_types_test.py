#!/usr/bin/env python3
"""The page's types are those of the server's OpenAPI document, and its tests know the fields as the server describes them.

  page_types_test.py LOWRANK FIXTURES [--write]     --write: makes both files anew
"""
import json
import pathlib
import re
import subprocess
import sys
import unittest

from served import Served

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
WEB = pathlib.Path(__file__).resolve().parents[3] / "web"
# The requests whose fields the page shows.
BODIES = ("Txt2imgRequest", "Img2imgRequest", "ExtrasRequest", "TrainingRequest")
ROUTES = (("/sdapi/v1/options", "post"), ("/v1/datasets", "post"), ("/v1/loras/{name}", "patch"))


def made():
    """Both files as they should be, by their paths."""
    server = Served(LOWRANK, FIXTURES, "--access-log", "none")
    try:
        whole = server.get("/openapi.json")[1]
    finally:
        server.close()
    types = subprocess.run(["node", str(WEB / "tools/api_types.mjs")], input=json.dumps(whole), capture_output=True, text=True, check=True).stdout
    fields = {"components": {"schemas": {name: whole["components"]["schemas"][name] for name in BODIES}}, "paths": {}}
    for path, method in ROUTES:
        fields["paths"].setdefault(path, {})[method] = {"requestBody": whole["paths"][path][method]["requestBody"]}
    return {WEB / "src/api/schema.ts": types, WEB / "tests/fields.json": json.dumps(fields, indent=1, ensure_ascii=False) + "\n"}


class PageTypes(unittest.TestCase):
    def test_they_are_made_of_what_the_server_says(self):
        for path, text in made().items():
            self.assertEqual(path.read_text(), text, f"{path} is stale: run {pathlib.Path(__file__).name} LOWRANK FIXTURES --write, then the page's tests.")

    def test_the_page_has_no_types_of_its_own_for_what_it_fetches(self):
        client = (WEB / "src/api/client.ts").read_text()
        for route in re.findall(r"call\('([^']+)'", client):
            self.assertIn(json.dumps(route), (WEB / "src/api/schema.ts").read_text())
        self.assertEqual(re.findall(r"^export interface \w+", client, re.M), [])
        # Past the typed layer only pictures are fetched, by addresses that the server gave.
        others = [path for path in (WEB / "src").rglob("*.ts*") if path.name != "client.ts"]
        calls = {call for path in others for call in re.findall(r"\bfetch\(([^,)]*)", path.read_text())}
        self.assertEqual(calls, {"picture", "from", "api.pictureUrl(last.id"})


if __name__ == "__main__":
    if "--write" in sys.argv:
        for path, text in made().items():
            path.write_text(text)
    else:
        unittest.main(argv=sys.argv[:1], verbosity=1)
