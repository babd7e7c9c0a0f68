"""A `lowrank serve` of one's own on the tiny model, and plain HTTP to it. Used by the tests of the real program."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time


FOREIGN = {"LOWRANK_INDEX", "LOWRANK_DATA_DIR", "LOWRANK_CIVITAI_URL", "HF_ENDPOINT", "CIVITAI_TOKEN", "CIVITAI_API_KEY", "HF_TOKEN",
           "HUGGING_FACE_HUB_TOKEN", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"}


class Served:
    def __init__(self, lowrank, fixtures, *options, data=None, environment=None):
        self.lowrank, self.options = str(lowrank), list(options)
        self.folder = None if data else tempfile.TemporaryDirectory()
        self.data = pathlib.Path(data or self.folder.name)
        tiny = pathlib.Path(fixtures).resolve() / "sd15-tiny"
        for place, name, target in (("models/Stable-diffusion", "sd15-tiny.safetensors", "sd15-tiny.safetensors"),
                                    ("models/Lora", "attention.safetensors", "sd15-tiny-lora_attn.safetensors"),
                                    ("models/Lora/sub", "loha.safetensors", "sd15-tiny-loha_attn.safetensors")):
            folder = self.data / place
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / name).exists():
                (folder / name).symlink_to(tiny / target)
        # Index, notes and tokens of its own: what the person who runs the tests has does not count.
        self.environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment.update({name: str(self.data / "home" / name.lower()) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")},
                                **(environment or {}))
        self.process = None
        self.start()

    def start(self):
        if self.process:
            self.process.stdout.close()
            self.errors.close()
        self.errors = open(self.data / "errors.txt", "ab")
        self.process = subprocess.Popen(
            [self.lowrank, "serve", "--port", "0", "--data-dir", str(self.data), *self.options],
            stdout=subprocess.PIPE, stderr=self.errors, env=self.environment, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"(https?)://[^:]+:(\d+)", line)
        if not found:
            self.process.wait()
            self.process.stdout.close()
            self.errors.close()
            raise RuntimeError("no server: " + (self.data / "errors.txt").read_text())
        self.port = int(found.group(2))

    @property
    def state(self):
        """Where queue and options lie."""
        (folder,) = (self.data / "home/xdg_state_home/lowrank").glob("server-*")
        return folder

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        self.errors.close()
        if self.folder:
            self.folder.cleanup()

    def call(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def get(self, path, **more):
        status, _, data = self.call("GET", path, **more)
        return status, json.loads(data) if data else None

    def run(self, *words):
        """The command line on the same data folder and index."""
        done = subprocess.run([self.lowrank, *words, "--data-dir", str(self.data)], env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def post(self, path, body=None, **more):
        status, _, data = self.call("POST", path, body, **more)
        return status, json.loads(data) if data else None

    def wait_for(self, job, seconds=120):
        """The job when it has ended."""
        end = time.time() + seconds
        while time.time() < end:
            status, view = self.get("/v1/jobs/" + job)
            if status == 200 and view["state"] not in ("queued", "running"):
                return view
            time.sleep(0.05)
        raise AssertionError(f"job {job} has not ended")


def tiny_request(**more):
    return {"prompt": "a fox", "steps": 3, "width": 64, "height": 64, "seed": 42, **more}


def picture(text):
    return base64.b64decode(text, validate=True)
