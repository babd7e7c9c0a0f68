#!/usr/bin/env python3
"""Full disks, locked folders and an index that cannot be opened, against the real program.  storage_test.py LOWRANK FIXTURES

Runs as root too: nothing here depends on permissions."""
import contextlib
import ctypes
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from served import Served, tiny_request

LOWRANK, FIXTURES = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()


class Storage(unittest.TestCase):
    def serve(self, *options, **more):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", *options, **more)
        self.addCleanup(server.close)
        return server

    def test_a_log_that_cannot_be_written_ends_nothing(self):
        # Standard error is a file here; beyond the limit it, the queue and all other files take no more bytes.
        server = Served(LOWRANK, FIXTURES)
        self.addCleanup(server.close)
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request())[0], 200)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        status, answer = server.post("/sdapi/v1/txt2img", tiny_request(seed=5))
        self.assertGreaterEqual(status, 500, answer)
        self.assertEqual(server.get("/healthz")[0], 200)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request(seed=6))[0], 200)

    def test_prompts_are_read_by_their_owner_alone(self):
        server = self.serve()
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request())[0], 200)
        for file in server.state.glob("queue.sqlite*"):
            self.assertEqual(file.stat().st_mode & 0o077, 0, file)

    def test_an_index_that_cannot_be_opened_is_no_missing_lora(self):
        server = self.serve(environment={"LOWRANK_INDEX": "/dev/null/index.sqlite"})
        status, answer = server.post("/sdapi/v1/txt2img", tiny_request(prompt="a fox <lora:attention:1>"))
        self.assertEqual(status, 500, answer)
        self.assertIn("/dev/null/index.sqlite", answer["detail"])
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request())[0], 200)

    def test_an_index_of_a_newer_program_is_no_missing_lora(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        server = self.serve(environment={"LOWRANK_INDEX": folder + "/index.sqlite"})
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request(prompt="a fox <lora:attention:1>"))[0], 200)
        server.stop()
        with contextlib.closing(sqlite3.connect(folder + "/index.sqlite")) as database:
            database.execute("PRAGMA user_version = 9999")
        server.start()
        status, answer = server.post("/sdapi/v1/txt2img", tiny_request(prompt="a fox <lora:attention:1>"))
        self.assertNotEqual(status, 200, answer)
        self.assertIn("newer", answer["detail"])

    def test_a_folder_of_models_that_leads_nowhere_is_a_sentence(self):
        server = self.serve()
        models = server.data / "models"
        for name in ("Stable-diffusion", "Lora"):
            shutil.move(models / name, models / "away")
            for target in (name, "no/such/drive"):
                (models / name).symlink_to(target)
                path = "/sdapi/v1/txt2img"
                status, answer = server.post(path, tiny_request(prompt="a fox <lora:attention:1>"))
                self.assertEqual(status, 500, answer)
                self.assertRegex(answer["detail"], f"models/{name}.*(is a broken link|cannot be opened)")
                if name == "Stable-diffusion":
                    status, answer = server.get("/sdapi/v1/sd-models")
                    self.assertEqual(status, 500)
                    self.assertIn("is a broken link", answer["detail"])
                (models / name).unlink()
            shutil.move(models / "away", models / name)
        self.assertEqual(server.post("/sdapi/v1/txt2img", tiny_request(prompt="a fox <lora:attention:1>"))[0], 200)

    def test_a_file_beyond_the_limit_is_told_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder)
            (data / "models/Stable-diffusion").mkdir(parents=True)
            (data / "models/Stable-diffusion/tiny.safetensors").symlink_to(FIXTURES / "sd15-tiny/sd15-tiny.safetensors")
            done = subprocess.run([LOWRANK, "txt2img", "-p", "a fox", "--steps", "1", "--size", "64x64", "--quiet", "-o", str(data / "fox.png"),
                                   "--data-dir", folder], capture_output=True, text=True, timeout=120,
                                  env={**os.environ, "XDG_CACHE_HOME": folder + "/cache", "XDG_DATA_HOME": folder + "/share", "LOWRANK_PACKED_CACHE_GB": "0"},
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY)))
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stderr, r"error: .*fox\.png.*File too large")
            self.assertEqual([p.name for p in data.rglob("*.part")], [])
            self.assertFalse((data / "fox.png").exists())

    def small_disk(self, size):
        """A folder on a disk of its own; skips where none may be mounted."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode != 0:
            self.skipTest("no file system may be mounted here; queue_test.cc has the same with a limit of file size")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], capture_output=True)
        return pathlib.Path(folder)

    def test_a_disk_that_is_full_at_a_job_s_end(self):
        disk = self.small_disk("16m")
        server = self.serve("--state-dir", str(disk))
        status, job = server.post("/v1/jobs", {"kind": "txt2img", "request": tiny_request(width=256, height=256, steps=30)})
        self.assertEqual(status, 202, job)
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 4096):
                pass
        ended = server.wait_for(job["id"])
        self.assertEqual(ended["state"], "failed", ended)
        # A client that waits needs no disk, or is told why not; in either case nothing is left behind.
        status, answer = server.post("/sdapi/v1/txt2img", tiny_request())
        self.assertIn(status, (200, 500), answer)
        self.assertEqual(server.get("/v1/jobs?state=running")[1]["jobs"], [])
        self.assertEqual(server.get("/sdapi/v1/progress")[1]["state"]["job_count"], 0)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        (disk / "filler").unlink()
        server.start()
        self.assertEqual(server.get("/v1/jobs/" + job["id"])[1]["state"], "failed")
        self.assertEqual(server.get("/v1/jobs?state=queued")[1]["jobs"] + server.get("/v1/jobs?state=running")[1]["jobs"], [])

    def test_a_folder_that_cannot_be_read_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder)
            server = Served(LOWRANK, FIXTURES, "--access-log", "none", data=data)
            server.stop()
            closed = [data / "models" / name for name in ("Stable-diffusion/closed", "Lora/closed", "ESRGAN/closed")] + [data / "embeddings/closed"]
            for each in closed:
                each.mkdir(parents=True)
                shutil.copy(FIXTURES / "sd15-tiny/sd15-tiny-lora_attn.safetensors", each / "inside.safetensors")
                os.chmod(each, 0)
            links = [data / "models/Stable-diffusion/away", data / "models/Lora/loop", data / "embeddings/loop"]
            for link in links:
                link.symlink_to(link.name if link.name == "loop" else "no/such/drive")
            environment = {**server.environment, "PATH": os.environ["PATH"]}

            def run(*words):
                return subprocess.run([LOWRANK, *words, "--data-dir", folder], capture_output=True, text=True, timeout=120, env=environment,
                                      preexec_fn=as_anybody)
            try:
                for words in (("model", "list"), ("lora", "list"), ("lora", "scan"),
                              ("txt2img", "-p", "a fox", "--steps", "1", "--size", "64x64", "--quiet", "-o", folder + "/fox.png")):
                    done = run(*words)
                    self.assertEqual(done.returncode, 0, done)
                    for each in closed + links:
                        self.assertRegex(done.stderr, f"warning: {each}: .*(Permission denied|No such file|levels of symbolic links)", words)
                # The server says it once in its log, and whoever lists is told.
                server.start()
                for path in ("/v1/loras", "/v1/checkpoints"):
                    problems = server.get(path)[1]["problems"]
                    for link in links:
                        self.assertEqual(len([p for p in problems if p.startswith(f"{link}: ")]), 1, problems)
                for link in links:
                    self.assertEqual((data / "errors.txt").read_text().count(f"warning: {link}: "), 1)
            finally:
                server.close()
                for each in closed:
                    os.chmod(each, 0o700)


def as_anybody():
    """Root may read everything; without these two rights it may not."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of <linux/capability.h>
            if libc.prctl(24, right, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "a right cannot be given up")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
