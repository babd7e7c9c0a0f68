#!/usr/bin/env python3
"""One table of request fields: command line, OpenAPI, C++ header and page say of each field what its row says.

  fields_test.py LOWRANK FIXTURES
"""
import json
import pathlib
import re
import subprocess
import sys
import unittest

from served import Served

LOWRANK, FIXTURES = sys.argv[1], sys.argv[2]
SOURCE = pathlib.Path(__file__).resolve().parents[3]

# Where A1111's API differs from its own settings, on purpose: (field, key) -> value.
API_DIFFERS = {
    ("steps", "default"): 50, ("width", "default"): 512, ("height", "default"): 512, ("width", "minimum"): 64, ("height", "minimum"): 64,
    ("seed_resize_from_w", "default"): -1, ("seed_resize_from_h", "default"): -1, ("allow_missing_loras", "default"): True,
    ("seed", "maximum"): None, ("subseed", "maximum"): None,
}


def rows():
    """api, flag, member, minimum, maximum of each row as the source writes them."""
    text = (SOURCE / "src/request/field_table.cc").read_text()
    text = text[text.index("kFields[] = {"):text.index("kExtrasFields[] = {")]
    found = re.findall(r'^    \{"(\w+)", "([\w-]+)", "([^"]*)", &R::(\w+), ([^,]+), ([^,]+), "', text, re.M)
    assert len(found) > 70
    return found


def defaults(path, struct):
    """Members of a struct with their default, as text."""
    text = (SOURCE / path).read_text()
    text = text[text.index(f"struct {struct} {{"):]
    text = re.sub(r"//.*", "", text[:text.index("\n};")])
    values = {}
    for statement in text.split(";"):
        statement = re.sub(r"^\s*(struct \w+ \{)?\s*[\w:<>]+\s+", "", statement, count=1)
        for name, value in re.findall(r"(\w+)\s*=\s*(\"[^\"]*\"|[\w.+-]+)", statement):
            values[name] = value.strip('"')
    return values


def number(text):
    return None if text.strip() == "{}" else 9.2e18 if text.strip() == "kMaxSeed" else float(text)


class Fields(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = rows()
        cls.defaults = defaults("src/request/generation_request.h", "GenerationRequest")
        server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        try:
            schemas = server.get("/openapi.json")[1]["paths"]
        finally:
            server.close()
        cls.schemas = {}
        for kind in ("txt2img", "img2img"):
            body = schemas[f"/sdapi/v1/{kind}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
            cls.schemas.update(body["properties"])

    def test_the_command_line_has_them_all(self):
        helps = {command: " ".join(subprocess.run([LOWRANK, command, "--help"], capture_output=True, text=True, check=True).stdout.split())
                 for command in ("txt2img", "img2img")}
        for api, flag, _, member, low, high in self.rows:
            described = [text for text in helps.values() if f" --{flag} " in text]
            self.assertTrue(described, flag)
            is_number = any(f" --{flag} N " in text for text in described)  # others are chosen by A1111's words
            if is_number and api not in ("seed", "subseed", "eta_noise_seed_delta"):
                shown = f"{number(low):g} to {number(high):g}"
                self.assertTrue(any(re.search(rf" --{re.escape(flag)} N .{{0,200}}?\((default [^;)]*; )?{re.escape(shown)}[;)]", text) for text in described), (flag, shown))

    def test_openapi_says_the_same(self):
        compared = 0
        for api, _, _, member, low, high in self.rows:
            schema = self.schemas.get(api)
            if schema is None:
                continue  # an option, not a parameter
            for key, value in (("minimum", number(low)), ("maximum", number(high))):
                expected = API_DIFFERS.get((api, key), value)
                self.assertEqual(schema.get(key), expected, (api, key))
            if schema.get("default") is not None:
                expected = API_DIFFERS.get((api, "default"))
                if expected is None and member in self.defaults:
                    text = self.defaults[member]
                    expected = {"true": True, "false": False}.get(text, text)
                    if isinstance(schema["default"], (int, float)) and not isinstance(schema["default"], bool):
                        expected = float(text)
                if expected is not None:
                    self.assertEqual(schema["default"], expected, api)
                    compared += 1
        self.assertGreater(compared, 20)

    def test_the_public_header_has_the_same_defaults(self):
        public = defaults("include/lowrank/lowrank.h", "Generation")
        compared = {name for name in public if name in self.defaults}
        self.assertGreaterEqual(compared, {"steps", "scheduler", "cfg_scale", "seed", "batch_size", "batch_count", "clip_skip", "vae"})
        for name in compared:
            self.assertEqual(public[name], self.defaults[name], name)

    def test_the_command_table_repeats_no_default(self):
        """What an option is without being given stands where it is read: in the struct whose row it is, in a constant of the
        room that uses it. Only what the command alone reads is a literal there."""
        table = (SOURCE / "src/cli/command_table.cc").read_text()
        self.assertEqual(sorted(re.findall(r'\.default_value = ("[^"]*")', table)), ['"0"', '"0"', '"0.6, 0.8, 1"', '"4"', '"contact-sheet.png"', '"cpu"', '"sd15"'])
        download = (SOURCE / "src/library/import/download.h").read_text()
        gigabytes = int(re.search(r"kUsualMaxGb = (\d+)", download).group(1))
        shown = subprocess.run([LOWRANK, "lora", "import", "--help"], capture_output=True, text=True, check=True).stdout
        self.assertIn(f"(default {gigabytes}GB)", " ".join(shown.split()))
        self.assertIn("max_bytes = kUsualMaxGb * 1'000'000'000", download)  # as the command line reads "GB"

    def test_forms_begin_with_the_default_and_end_within_the_range(self):
        """x-form: what the page shows. A default of its own stands in the row, else it is the struct's."""
        table = (SOURCE / "src/request/field_table.cc").read_text()
        compared = 0
        for api, _, _, member, low, high in self.rows:
            schema = self.schemas.get(api)
            if schema is None:
                continue
            form = schema["x-form"]
            own = re.search(r'^    \{"%s", .*\.form = \{(.*?)\}\}\},$' % api, table, re.M)
            own = dict(re.findall(r'\.(\w+) = ("[^"]*"|[\d.]+)', own.group(1))) if own else {}
            for key, name in (("minimum", "min"), ("maximum", "max"), ("step", "step")):
                self.assertEqual(form.get(key), float(own[name]) if name in own else None, (api, key))
            if number(low) is not None and number(high) is not None:
                self.assertLessEqual(number(low), form.get("minimum", number(low)), api)
                self.assertGreaterEqual(number(high), form.get("maximum", number(high)), api)
            text = self.defaults.get(member)
            if "first_value" not in own and text is not None:
                expected = {"true": True, "false": False}.get(text, text)
                self.assertEqual(form["default"], float(text) if isinstance(form["default"], (int, float)) and not isinstance(form["default"], bool) else expected, api)
                compared += 1
        self.assertGreater(compared, 20)
        self.assertEqual(self.schemas["steps"]["x-form"], {"default": 20, "maximum": 150})

    def test_the_page_states_no_range_and_no_default_again(self):
        """Controls have their numbers from the server; what is left belongs to no field: shares of the steps, a brush, progress."""
        own = {("lora_chips.tsx", "0", "95"), ("lora_chips.tsx", "5", "100"), ("mask_editor.tsx", "2", "60"), ("compare.tsx", "0", "100")}
        found = set()
        for path in (SOURCE / "web/src").rglob("*.tsx"):
            text = path.read_text()
            found |= {(path.name, low, high) for low, high in re.findall(r"min(?:=\{|: )(-?[\d.]+)[},].*?max(?:=\{|: )(-?[\d.]+)[},]", text)}
        self.assertEqual(found, own)
        form = (SOURCE / "web/src/lib/form.ts").read_text()
        defaults = form[form.index("export const DEFAULTS"):]
        self.assertEqual(re.findall(r"^  (\w+): (?:[\d.-]+|'[^']*'|true|false),$", defaults[:defaults.index("\n};")], re.M), ["mode", "compare"])
        for name in ("training.ts", "form.ts"):
            text = re.sub(r"/\*\*.*?\*/", "", (SOURCE / "web/src/lib" / name).read_text(), flags=re.S)
            self.assertNotRegex(text, r"\b(150|512|768|800|1600|4096|4294967295|0\.0005)\b(?!x)", name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
