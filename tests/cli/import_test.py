#!/usr/bin/env python3
"""lora import and check-updates of the real binary against a local server that answers as Civitai and Hugging Face do.

  import_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from model_sites import ModelSites, png, safetensors  # noqa: E402

LOWRANK = pathlib.Path(sys.argv[1]).resolve()
del sys.argv[1:3]


class ImportTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.loras = self.folder / "models" / "Lora"
        self.loras.mkdir(parents=True)
        self.sites = ModelSites()
        self.addCleanup(self.sites.close)
        self.sites.files["/files/preview.png"] = png()
        self.environment = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(self.folder / "cache"), XDG_DATA_HOME=str(self.folder / "data"),
                                XDG_CONFIG_HOME=str(self.folder / "config"), LOWRANK_CIVITAI_URL=self.sites.url, HF_ENDPOINT=self.sites.url)
        for name in ("LOWRANK_DATA_DIR", "CIVITAI_TOKEN", "CIVITAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "https_proxy",
                     "all_proxy"):
            self.environment.pop(name, None)
        self.fox = safetensors(1)

    def run_lowrank(self, *words, status=0):
        result = subprocess.run([LOWRANK, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout} {result.stderr}")
        return result

    def imports(self, *words, status=0):
        return json.loads(self.run_lowrank("lora", "import", *words, "--json", status=status).stdout)["imports"]

    def parts(self):
        return sorted(p for p in self.folder.rglob(".lowrank-*.part"))

    def add_fox(self, **settings):
        return self.sites.add_version(456, 123, "Red Fox", settings.pop("data", self.fox), **settings)

    # ── Civitai ──

    def test_a_page_becomes_a_file_in_its_folder_with_card_and_preview(self):
        self.add_fox()
        done = self.imports("https://civitai.com/models/123/red-fox")[0]
        path = self.folder / "models/Lora/SD1/character/Red Fox.safetensors"
        self.assertEqual((done["state"], pathlib.Path(self.folder / done["path"]).resolve()), ("imported", path.resolve()))
        self.assertEqual(path.read_bytes(), self.fox)
        info = json.loads(path.with_name("Red Fox.civitai.info").read_text())
        self.assertEqual((info["id"], info["model"]["tags"], info["creator"]["username"]), (456, ["character", "fox"], "ann"))
        card = json.loads(path.with_name("Red Fox.json").read_text())
        self.assertEqual((card["activation text"], card["sd version"], card["description"]), ("foxy", "SD1", "All about Red Fox & more"))
        self.assertEqual(path.with_name("Red Fox.preview.png").read_bytes(), png())
        shown = json.loads(self.run_lowrank("lora", "show", "Red Fox", "--json").stdout)
        self.assertEqual((shown["type"], shown["type_origin"], shown["prompt"]), ("character", "civitai", "foxy, <lora:Red Fox:1>"))
        self.assertEqual(self.parts(), [])

    def test_every_form_of_a_source_leads_there(self):
        self.add_fox()
        digest = hashlib.sha256(self.fox).hexdigest()
        for source in ("https://civitai.com/models/123?modelVersionId=456", "https://civitai.com/api/download/models/456", "civitai:123",
                       "civitai:123@456", "urn:air:sd1:lora:civitai:123@456", digest, digest[:10].upper(), f"{self.sites.url}/models/123",
                       "https://civitai.com/model-versions/456", "https://civitai.red/models/123?modelVersionId=456",
                       "https://www.civitai.red/api/download/models/456"):
            done = self.imports(source)[0]
            self.assertEqual(done["state"], "imported", source)
            shutil.rmtree(self.loras)
            self.loras.mkdir()
        for source in ("https://example.com/models/1", "civitai:x", "ftp://civitai.com/models/1", "https://notcivitai.red/models/1", "nothing", "owner/re po", "../a/b", "12"):
            self.run_lowrank("lora", "import", source, status=2)
        self.assertFalse(any("example.com" in path for path, _ in self.sites.requests))

    def test_twice_is_once(self):
        self.add_fox()
        self.imports("civitai:123")
        self.run_lowrank("lora", "scan", "--hash")
        before = len(self.sites.requests)
        self.assertEqual(self.imports("civitai:123")[0]["state"], "already here")
        self.assertFalse(any("/files/456" in path for path, _ in self.sites.requests[before:]))

    def test_equal_names_of_different_files_keep_both(self):
        self.add_fox(file_name="a.safetensors")
        self.sites.add_version(457, 124, "Other", safetensors(2), file_name="a.safetensors")
        self.imports("civitai:123", "civitai:124", "--flat", "--jobs", "1")
        names = sorted(p.name for p in self.loras.glob("*.safetensors"))
        self.assertEqual(len(names), 2)
        self.assertEqual((self.loras / "a.safetensors").read_bytes(), self.fox)

    def test_several_at_once(self):
        for number in range(8):
            self.sites.add_version(500 + number, 600 + number, f"l{number}", safetensors(number + 1, pad=200))
        done = self.imports(*[f"civitai:{600 + n}" for n in range(8)], "--jobs", "4")
        self.assertEqual([d["state"] for d in done], ["imported"] * 8)
        for number in range(8):
            found = list(self.loras.rglob(f"l{number}.safetensors"))
            self.assertEqual(found[0].read_bytes(), safetensors(number + 1, pad=200))

    def test_a_failure_does_not_stop_the_others(self):
        self.add_fox()
        done = self.imports("civitai:999", "civitai:123", status=2)
        self.assertEqual(sorted(d["state"] for d in done), ["failed", "imported"])

    def test_a_dangerous_or_unsafe_file_is_not_fetched(self):
        version = self.add_fox()
        version["files"][0]["pickleScanResult"] = "Danger"
        self.assertIn("dangerous", self.run_lowrank("lora", "import", "civitai:123", status=2).stderr)
        version["files"][0].update(pickleScanResult="Success", name="fox.pt", metadata={"format": "PickleTensor"})
        self.assertIn("--allow-pickle", self.run_lowrank("lora", "import", "civitai:123", status=2).stderr)
        self.assertFalse(any("/files/456" in path for path, _ in self.sites.requests))

    def test_other_kinds_go_to_their_folders(self):
        self.sites.add_version(1, 1, "neg", self.fox, kind="TextualInversion")
        self.sites.add_version(2, 2, "vae", self.fox, kind="VAE")
        self.sites.add_version(3, 3, "pose", self.fox, kind="Poses")
        self.imports("civitai:1", "civitai:2")
        self.assertTrue((self.folder / "embeddings/neg.safetensors").exists())
        self.assertTrue((self.folder / "models/VAE/vae.safetensors").exists())
        self.assertIn("Poses", self.run_lowrank("lora", "import", "civitai:3", status=2).stderr)

    def test_answers_full_of_nulls(self):
        version = self.add_fox()
        for key in ("trainedWords", "description", "images", "stats", "baseModel", "air", "baseModelType"):
            version[key] = None
        version["files"][0].update(hashes=None, metadata=None, sizeKB=None, primary=None, virusScanResult=None)
        self.sites.models.clear()
        done = self.imports("https://civitai.com/api/download/models/456")[0]
        self.assertEqual(done["state"], "imported")
        self.assertTrue(any("no SHA-256" in remark for remark in done["remarks"]))

    # ── faults ──

    def test_path_tricks_in_names_stay_inside(self):
        for number, name in enumerate(("../../../escape.safetensors", "/etc/cron.d/x.safetensors", "..\\..\\w.safetensors", "a\0b.safetensors",
                                       "-rf.safetensors", ".hidden.safetensors", "x" * 400 + ".safetensors", "<lora:a:1>.safetensors", "..", "")):
            self.sites.add_version(700 + number, 800 + number, f"n{number}", safetensors(number + 1), file_name=name or " ")
            done = self.imports(f"civitai:{800 + number}")[0]
            path = (self.folder / done["path"]).resolve()
            self.assertTrue(path.is_relative_to(self.loras.resolve()), path)
            self.assertFalse(path.name.startswith((".", "-")), path)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["cache", "models"])

    def test_a_cut_connection_goes_on_where_it_was(self):
        data = safetensors(3, pad=300)
        self.add_fox(data=data)
        self.sites.faults["/files/456"] = ["cut", "cut", "refuse"]
        self.assertEqual(self.imports("civitai:123")[0]["state"], "imported")
        ranges = [headers.get("Range") for path, headers in self.sites.requests if path.startswith("/files/456")]
        self.assertEqual(ranges[0], None)
        self.assertEqual(ranges[1], f"bytes={len(data) // 2}-")
        self.assertEqual(next(self.loras.rglob("*.safetensors")).read_bytes(), data)

    def interrupted(self, data, number=signal.SIGINT):
        """Starts an import that is slow and ends it when a part lies there."""
        self.add_fox(data=data)
        self.sites.slow = 0.05
        process = subprocess.Popen([LOWRANK, "lora", "import", "civitai:123"], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any(p.stat().st_size > 100000 for p in self.parts()):
            time.sleep(0.02)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        self.sites.slow = 0
        self.assertEqual(list(self.loras.rglob("*.safetensors")), [])
        self.assertEqual(len(self.parts()), 1)
        return process.returncode, errors.decode()

    def test_ctrl_c_leaves_a_part_that_the_next_try_uses(self):
        data = safetensors(4, pad=1500)
        status, errors = self.interrupted(data)
        self.assertEqual(status, 130, errors)
        self.assertTrue(self.imports("civitai:123")[0]["resumed"])
        self.assertEqual(next(self.loras.rglob("*.safetensors")).read_bytes(), data)
        self.assertEqual(self.parts(), [])

    def test_kill_leaves_a_part_that_the_next_try_uses(self):
        data = safetensors(4, pad=1500)
        self.assertEqual(self.interrupted(data, signal.SIGKILL)[0], -signal.SIGKILL)
        self.assertTrue(self.imports("civitai:123")[0]["resumed"])
        self.assertEqual(next(self.loras.rglob("*.safetensors")).read_bytes(), data)

    def test_a_file_that_changed_begins_anew(self):
        data = safetensors(4, pad=1500)
        self.interrupted(data)
        part = self.parts()[0]
        part.write_bytes(b"\0" * part.stat().st_size)  # not the beginning of this file
        self.assertEqual(self.imports("civitai:123")[0]["state"], "imported")
        self.assertEqual(next(self.loras.rglob("*.safetensors")).read_bytes(), data)

    def test_a_server_without_ranges_begins_anew(self):
        data = safetensors(4, pad=1500)
        self.interrupted(data)
        self.sites.faults["/files/456"] = ["no ranges"]
        self.assertEqual(self.imports("civitai:123")[0]["state"], "imported")
        self.assertEqual(next(self.loras.rglob("*.safetensors")).read_bytes(), data)

    def test_a_wrong_hash_is_thrown_away(self):
        self.add_fox(sha256="ab" * 32)
        self.assertIn("does not match its checksum", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)
        self.assertEqual(list(self.loras.rglob("*.safetensors")) + self.parts(), [])

    def test_other_bytes_are_thrown_away(self):
        self.add_fox()
        self.sites.faults["/files/456"] = ["other bytes"]
        self.run_lowrank("lora", "import", "civitai:123", status=1)
        self.assertEqual(list(self.loras.rglob("*.safetensors")), [])

    def test_a_web_page_instead_of_the_file(self):
        self.add_fox()
        self.sites.faults["/files/456"] = ["html"]
        error = self.run_lowrank("lora", "import", "civitai:123", status=2).stderr
        self.assertIn("web page instead of the file", error)
        self.assertIn("CIVITAI_TOKEN", error)
        # Under the right type and without a hash, only its form betrays it.
        version = self.sites.versions[456]
        version["files"][0]["hashes"] = {}
        self.sites.files["/files/456"] = b"<!DOCTYPE html><html>Log in</html>"
        version["files"][0]["sizeKB"] = None
        self.assertIn("web page", self.run_lowrank("lora", "import", "civitai:123", status=2).stderr)
        self.assertEqual(list(self.loras.rglob("*.safetensors")) + self.parts(), [])

    def test_a_huge_declared_size_is_refused(self):
        self.add_fox()
        self.sites.versions[456]["files"][0]["sizeKB"] = None
        self.sites.faults["/files/456"] = ["huge"]
        self.assertIn("1000000000000000 bytes", self.run_lowrank("lora", "import", "civitai:123", status=2).stderr)
        self.assertIn("--max-size", self.run_lowrank("lora", "import", "civitai:123", "--max-size", "1kB", status=2).stderr)
        self.assertLess(sum(p.stat().st_size for p in self.parts()), 10000)

    def test_statuses_are_told_apart(self):
        for status, exit_status, says in ((401, 2, "token"), (403, 2, "token"), (404, 2, "does not exist on"), (410, 2, "does not exist on")):
            self.add_fox()
            self.sites.faults["/files/456"] = [status]
            self.assertIn(says, self.run_lowrank("lora", "import", "civitai:123", status=exit_status).stderr)
        self.sites.api_faults = [404]
        self.assertIn("does not exist on", self.run_lowrank("lora", "import", "https://civitai.com/api/download/models/456", status=2).stderr)

    def test_what_passes_is_tried_again(self):
        self.add_fox()
        self.sites.faults["/files/456"] = [503, (429, "1"), "cut"]
        self.sites.api_faults = [500, (429, "1"), "cut"]
        started = time.monotonic()
        self.assertEqual(self.imports("civitai:123")[0]["state"], "imported")
        self.assertGreaterEqual(time.monotonic() - started, 2)  # both Retry-After were honoured

    def test_a_long_retry_after_is_told_instead_of_waited_for(self):
        self.add_fox()
        self.sites.faults["/files/456"] = [(429, "86400")]
        self.assertIn("86400 seconds", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)

    def test_an_api_that_answers_nonsense(self):
        self.add_fox()
        self.sites.api_faults = ["html"]
        self.assertIn("is not JSON", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)
        self.sites.versions[456] = {"id": "x"}
        self.run_lowrank("lora", "import", "https://civitai.com/api/download/models/456", status=1)

    def test_redirects_that_are_not_followed(self):
        self.add_fox()
        self.sites.faults["/files/456"] = ["to file"] * 3
        self.assertIn("redirects to an unsafe address", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)
        self.sites.faults["/files/456"] = ["loop"] * 50
        self.assertIn("in a loop", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)

    def test_nobody_is_there(self):
        self.environment["LOWRANK_CIVITAI_URL"] = "http://127.0.0.1:1"
        self.assertIn("cannot be reached", self.run_lowrank("lora", "import", "civitai:123", status=1).stderr)

    # ── tokens ──

    def test_a_token_is_sent_to_its_own_site_only_and_never_shown(self):
        self.add_fox()
        self.sites.needs_token = "s3cr3t-token"
        error = self.run_lowrank("lora", "import", "civitai:123", status=2).stderr
        self.assertIn("CIVITAI_TOKEN", error)
        self.environment["CIVITAI_TOKEN"] = "s3cr3t-token"
        before = len(self.sites.requests)
        result = self.run_lowrank("lora", "import", "civitai:123")
        for path, headers in self.sites.requests[before:]:
            is_api = path.startswith("/api/")
            self.assertEqual(headers.get("Authorization"), "Bearer s3cr3t-token" if is_api else None, path)
        self.sites.faults["/files/456"] = [403]
        shutil.rmtree(self.loras)
        result = self.run_lowrank("lora", "import", "civitai:123", status=2)
        everything = result.stdout + result.stderr
        for file in self.folder.rglob("*"):
            if file.is_file():
                everything += file.read_bytes().decode("latin-1")
        self.assertNotIn("s3cr3t-token", everything)
        self.assertNotIn("X-Amz-Signature", everything)

    def test_a_token_file_must_be_private(self):
        self.add_fox()
        self.sites.needs_token = "s3cr3t-token"
        tokens = self.folder / "config/lowrank/tokens"
        tokens.parent.mkdir(parents=True)
        tokens.write_text("# mine\ncivitai = s3cr3t-token\nhuggingface = other\n")
        tokens.chmod(0o644)
        error = self.run_lowrank("lora", "import", "civitai:123", status=2).stderr
        self.assertIn("chmod 600", error)
        tokens.chmod(0o600)
        self.assertEqual(self.imports("civitai:123")[0]["state"], "imported")

    # ── Hugging Face ──

    def test_a_single_file_repository(self):
        self.sites.add_repo("ann/fox-lora", {"README.md": (b"# Fox", False), "fox.safetensors": (self.fox, True), "sample.png": (png(), True)},
                            card={"base_model": "runwayml/stable-diffusion-v1-5", "instance_prompt": "foxy",
                                  "widget": [{"text": "foxy", "output": {"url": "sample.png"}}]})
        for source in ("ann/fox-lora", "hf:ann/fox-lora@main:fox.safetensors", "https://huggingface.co/ann/fox-lora",
                       "https://huggingface.co/ann/fox-lora/blob/main/fox.safetensors", f"{self.sites.url}/ann/fox-lora/resolve/main/fox.safetensors"):
            done = self.imports(source)[0]
            path = self.folder / done["path"]
            self.assertEqual((done["state"], path.relative_to(self.loras.parent.parent / "models/Lora").as_posix()), ("imported", "SD1/fox.safetensors"))
            self.assertEqual(path.read_bytes(), self.fox)
            self.assertTrue(path.with_name("fox.preview.png").exists())
            self.assertEqual(json.loads(path.with_name("fox.json").read_text())["activation text"], "foxy")
            shutil.rmtree(self.loras)
            self.loras.mkdir()

    def test_the_layouts_of_diffusers_and_peft(self):
        self.sites.add_repo("ann/dreambooth", {"pytorch_lora_weights.safetensors": (self.fox, True), "pytorch_lora_weights.bin": (b"x", True),
                                               "checkpoint-500/pytorch_lora_weights.safetensors": (b"y", True)})
        # Deeper copies make it ambiguous: the file is named.
        error = self.run_lowrank("lora", "import", "ann/dreambooth", status=2).stderr
        self.assertIn("ann/dreambooth:FILE", error)
        self.imports("ann/dreambooth:pytorch_lora_weights.safetensors")
        self.assertTrue((self.loras / "SD1/dreambooth.safetensors").exists())
        config = json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}).encode()
        self.sites.add_repo("ann/peft", {"unet/adapter_model.safetensors": (safetensors(5), True), "unet/adapter_config.json": (config, False),
                                         "text_encoder/adapter_model.safetensors": (safetensors(6), True),
                                         "text_encoder/adapter_config.json": (config, False)})
        done = self.imports("ann/peft")
        self.assertEqual([d["state"] for d in done], ["imported", "imported"])
        for part in ("unet", "text_encoder"):
            self.assertEqual((self.loras / f"SD1/peft/{part}/adapter_config.json").read_bytes(), config)
            self.assertTrue((self.loras / f"SD1/peft/{part}/adapter_model.safetensors").exists())

    def test_what_is_missing_at_hugging_face(self):
        self.sites.add_repo("ann/empty", {"README.md": (b"x", False), "model.bin": (b"x", True)})
        self.assertIn("--allow-pickle", self.run_lowrank("lora", "import", "ann/empty", status=2).stderr)
        self.assertIn("does not exist on", self.run_lowrank("lora", "import", "ann/nothing", status=2).stderr)
        self.assertIn("no file", self.run_lowrank("lora", "import", "ann/empty:x.safetensors", status=2).stderr)

    def test_what_is_no_lora_is_not_put_among_them(self):
        checkpoint = struct.pack("<Q", 80) + b'{"model.diffusion_model.a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}'.ljust(80) + b"\0\0\0\0"
        self.sites.add_repo("ann/sd", {"sd.safetensors": (checkpoint, True)})
        self.assertIn("sd.safetensors", self.run_lowrank("lora", "import", "ann/sd", status=2).stderr)
        self.assertEqual(list(self.loras.rglob("*.safetensors")) + self.parts(), [])
        self.assertEqual(self.imports("ann/sd", "--kind", "checkpoint")[0]["state"], "imported")
        self.assertTrue((self.folder / "models/Stable-diffusion/sd.safetensors").exists())

    # ── what is here already ──

    def test_updates_are_found(self):
        self.add_fox()
        self.imports("civitai:123")
        self.assertIn("none has a newer version", self.run_lowrank("lora", "check-updates").stdout)
        old = self.sites.models[123]["modelVersions"]
        self.sites.models[123]["modelVersions"] = [{"id": 460, "name": "XL", "baseModel": "SDXL 1.0", "publishedAt": "2024-07-01T00:00:00Z"},
                                                   {"id": 459, "name": "v2", "baseModel": "SD 1.5", "publishedAt": "2024-06-01T00:00:00Z"}, *old]
        found = json.loads(self.run_lowrank("lora", "check-updates", "--json").stdout)["loras"]
        self.assertEqual(found[0]["update"], {"name": "v2", "published": "2024-06-01", "url": "https://civitai.com/models/123?modelVersionId=459"})

    def test_metadata_of_a_file_that_is_here(self):
        self.add_fox()
        (self.loras / "mine.safetensors").write_bytes(self.fox)
        (self.loras / "mine.json").write_text('{"notes": "keep", "activation text": "my words"}')
        self.run_lowrank("lora", "import", "mine", "--metadata-only")
        card = json.loads((self.loras / "mine.json").read_text())
        self.assertEqual((card["notes"], card["activation text"]), ("keep", "my words"))
        self.assertEqual(json.loads((self.loras / "mine.civitai.info").read_text())["id"], 456)
        self.assertTrue((self.loras / "mine.preview.png").exists())

    def test_a_local_file_with_its_own_metadata(self):
        import base64
        data = safetensors(9, {"ss_tag_frequency": json.dumps({"1_a": {"foxy": 9, "snow": 2}}), "modelspec.description": "A fox.",
                               "ssmd_cover_images": json.dumps([base64.b64encode(png()).decode()])})
        outside = self.folder / "download.safetensors"
        outside.write_bytes(data)
        before = len(self.sites.requests)
        done = self.imports(str(outside), "--from-metadata")[0]
        self.assertEqual(done["state"], "imported")
        path = self.loras / "SD1/download.safetensors"
        self.assertEqual(path.read_bytes(), data)
        card = json.loads(path.with_name("download.json").read_text())
        self.assertEqual((card["activation text"], card["sd version"], card["description"]), ("foxy", "SD1", "A fox."))
        self.assertEqual(path.with_name("download.preview.png").read_bytes(), png())
        self.assertEqual(len(self.sites.requests), before)
        self.assertEqual(self.imports("download", "--from-metadata")[0]["state"], "already here")
        outside.write_bytes(b"<html>")
        self.run_lowrank("lora", "import", str(outside), "--name", "x", status=2)
        self.assertEqual([p.name for p in self.loras.rglob("*.safetensors")], ["download.safetensors"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
