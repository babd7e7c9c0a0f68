#!/usr/bin/env python3
"""Other people's programs against the real server.  clients_test.py LOWRANK FIXTURES WORK_FOLDER

The npm clients are installed into WORK_FOLDER (once) by their lock file; the README's examples are run as they stand.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from served import Served

LOWRANK, FIXTURES, WORK = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent.parent.parent / "README.md"


def installed():
    source, target = HERE.parent / "clients", WORK / "clients"
    lock = target / "package-lock.json"
    if not lock.exists() or lock.read_bytes() != (source / lock.name).read_bytes() or not (target / "done").exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, target)
        subprocess.run(["npm", "ci", "--prefer-offline", "--loglevel=error"], cwd=target, check=True)
        (target / "done").touch()
    shutil.copy(source / "clients_test.mjs", target)
    return target


class Clients(unittest.TestCase):
    def test_npm_clients(self):
        server = Served(LOWRANK, FIXTURES, "--access-log", "none", "--api-auth", "ann:secret,bob:secret")
        self.addCleanup(server.close)
        done = subprocess.run(["node", "clients_test.mjs", str(server.port)], cwd=installed(), capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_readme_examples(self):
        text = README.read_text().split("## Use it from your program", 1)[1].split("\n## ", 1)[0]
        blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
        blocks = [(language, code) for language, code in blocks if not code.startswith("lowrank serve")]  # this test does that itself
        self.assertEqual([language for language, _ in blocks], ["bash", "python", "javascript"])
        server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        self.addCleanup(server.close)
        for language, code in blocks:
            with self.subTest(language), tempfile.TemporaryDirectory() as folder:
                # Fewer steps and pixels: the examples are the same, the wait is shorter.
                code = code.replace("7860", str(server.port)).replace("<lora:3dmm_style:0.8>", "<lora:attention:0.8>")
                code = re.sub(r"(steps\W+)\d+", r"\g<1>2", code)
                code = re.sub(r"((?:width|height)\W+)\d+", r"\g<1>64", code)
                code = code.replace("size\": \"128x128", "size\": \"64x64")
                name = pathlib.Path(folder) / {"bash": "a.sh", "python": "a.py", "javascript": "a.mjs"}[language]
                name.write_text(code)
                command = {"bash": ["bash", "-euo", "pipefail"], "python": [sys.executable], "javascript": ["node"]}[language]
                done = subprocess.run([*command, str(name)], cwd=folder, capture_output=True, text=True, timeout=120, env=dict(os.environ))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertTrue((pathlib.Path(folder) / "fox.png").read_bytes().startswith(b"\x89PNG"), language)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
