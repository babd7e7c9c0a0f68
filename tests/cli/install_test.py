#!/usr/bin/env python3
"""The program as `make install` lays it out: found from any folder, whatever becomes of the build folder; and what a server
leaves where.

  install_test.py LOWRANK_BINARY SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request

LOWRANK, SOURCE, BUILD = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
del sys.argv[1:4]


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.here = self.top / "anywhere"
        self.here.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_"))}
        self.environment.update(HOME=str(self.top / "home"), LC_ALL="C.UTF-8", OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")
        (self.top / "home").mkdir()

    def install(self, prefix, *more, **environment):
        done = subprocess.run(["bash", SOURCE / "tools/install.sh", BUILD, prefix, *more], env=dict(self.environment, **environment),
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def run_lowrank(self, program, *words, **more):
        done = subprocess.run([program, *words], cwd=self.here, env=self.environment, capture_output=True, text=True, timeout=300, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def files(self, folder):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def test_all_that_belongs_to_it_is_there_and_works_from_any_folder(self):
        prefix = self.top / "some where/lowrank"
        told = self.install(prefix)
        self.assertIn(f"{prefix}/bin/lowrank", told)
        self.assertIn("PATH", told)
        files = self.files(prefix)
        for name in ("bin/lowrank", "lib/lowrank/liblowrank_engine.so", "share/lowrank/models/starter/starter.safetensors",
                     "share/lowrank/models/starter/lora/character_zorbo.safetensors", "share/man/man1/lowrank.1", "share/doc/lowrank/LICENSE",
                     "share/bash-completion/completions/lowrank", "share/zsh/site-functions/_lowrank", "share/fish/vendor_completions.d/lowrank.fish"):
            self.assertIn(name, files)
        # Moved, it still finds its parts, and nothing of it leads into the build folder.
        moved = self.top / "moved"
        shutil.move(prefix, moved)
        for part in ("bin/lowrank", "lib/lowrank/liblowrank_engine.so"):
            self.assertNotIn(str(BUILD), subprocess.run(["readelf", "-d", moved / part], capture_output=True, text=True).stdout)
        (self.top / "links").mkdir()
        (self.top / "links/lowrank").symlink_to(moved / "bin/lowrank")
        for program in (moved / "bin/lowrank", self.top / "links/lowrank"):
            self.assertIn(str(moved / "share/lowrank/models/starter"), self.run_lowrank(program, "model", "list"))
            self.assertIn("character_zorbo", self.run_lowrank(program, "lora", "list", "--names"))
            self.run_lowrank(program, "txt2img", "-p", "zorbo <lora:character_zorbo:1>", "--steps", "1", "-o", self.here / "robot.png")
            self.assertEqual((self.here / "robot.png").read_bytes()[:4], b"\x89PNG")
            (self.here / "robot.png").unlink()
        # Without -o the picture goes to the data folder, which is nowhere else than at home.
        self.assertIn(f"{self.top}/home/lowrank/outputs/", self.run_lowrank(moved / "bin/lowrank", "txt2img", "-p", "fox", "--steps", "1"))
        self.assertEqual(self.files(self.here), [])
        if shutil.which("man"):
            page = subprocess.run(["man", "-l", moved / "share/man/man1/lowrank.1"], capture_output=True, text=True, env=self.environment)
            self.assertEqual(page.returncode, 0, page.stderr)
        subprocess.run(["bash", "-n", moved / "share/bash-completion/completions/lowrank"], check=True)

    def test_a_program_links_with_the_installed_library(self):
        prefix = self.top / "prefix"
        self.install(prefix)
        # The two pieces of docs/cpp.md as they stand there.
        blocks = re.findall(r"```(cmake|cpp)\n(.*?)```", (SOURCE / "docs/cpp.md").read_text(), re.S)
        project = self.top / "project"
        project.mkdir()
        for kind, text in blocks:
            (project / {"cmake": "CMakeLists.txt", "cpp": "fox.cc"}[kind]).write_text(text.replace(".steps = 20", ".steps = 1"))
        build = self.top / "project-build"
        for command in (["cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}"], ["cmake", "--build", build]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.run_lowrank(build / "fox")
        self.assertEqual((self.here / "fox.png").read_bytes()[:4], b"\x89PNG")
        # The next minor version may be another API (docs/versioning.md).
        listed = project / "CMakeLists.txt"
        listed.write_text(re.sub(r"LowRank 0\.(\d+)", lambda found: f"LowRank 0.{int(found[1]) + 1}", listed.read_text()))
        refused = subprocess.run(["cmake", "-S", project, "-B", self.top / "other", f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True, text=True,
                                 timeout=300)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("LowRank", refused.stderr)

    def test_destdir_and_uninstall(self):
        stage = self.top / "stage"
        self.install("/usr", DESTDIR=str(stage))
        self.assertTrue(all(name.startswith("usr/") for name in self.files(stage)), self.files(stage))
        self.assertTrue(os.access(stage / "usr/bin/lowrank", os.X_OK))
        first = self.files(stage)
        self.install("/usr", DESTDIR=str(stage))  # a second time over the first
        self.assertEqual(self.files(stage), first)
        (stage / "usr/share/lowrank/mine.txt").write_text("kept")
        self.install("/usr", "--uninstall", DESTDIR=str(stage))
        self.assertEqual(self.files(stage), ["usr/share/lowrank/mine.txt"])
        self.assertFalse((stage / "usr/lib/lowrank").exists())

    # ── the server ──

    def serve(self, *words, cwd):
        process = subprocess.Popen([LOWRANK, "serve", "--port", "0", "--access-log", "none", *words], cwd=cwd, env=self.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        first = process.stdout.readline()
        self.assertRegex(first, r"^Listening on http://\S+:\d+  ", first or process.stderr.read())
        return process, first

    def end(self, process):
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return process.stdout.read(), process.stderr.read()

    def test_the_state_of_a_server_lies_in_one_place(self):
        data = self.top / "data"
        (data / "models").mkdir(parents=True)
        states = self.top / "home/.local/state/lowrank"
        for cwd, words in ((data, []), (self.here, ["--data-dir", str(data)]), (data / "models", ["--data-dir", ".."])):
            process, _ = self.serve(*words, cwd=cwd)
            (state,) = states.iterdir()  # one for this data folder, whatever leads to it
            self.assertTrue((state / "queue.sqlite").exists())
            self.end(process)
        self.assertEqual((self.files(data), self.files(self.here)), ([], []))
        self.environment["XDG_STATE_HOME"] = str(self.top / "elsewhere")
        self.end(self.serve(cwd=data)[0])
        self.assertTrue(list((self.top / "elsewhere/lowrank").glob("server-*/queue.sqlite")))
        process, _ = self.serve("--state-dir", str(self.top / "named"), cwd=data)
        self.end(process)
        self.assertTrue((self.top / "named/queue.sqlite").exists())

    def test_state_of_an_earlier_version_is_not_passed_over_in_silence(self):
        (self.here / "models").mkdir()
        (self.here / "lowrank-server").mkdir()
        (self.here / "lowrank-server/queue.sqlite").write_bytes(b"")
        self.assertIn("is from an earlier version and is ignored", self.end(self.serve(cwd=self.here)[0])[1])

    def test_listen_prints_addresses_that_others_can_open(self):
        process, first = self.serve("--listen", "--listen-without-auth", cwd=self.here)
        out, _ = self.end(process)
        addresses = re.findall(r"^From other machines: http://([0-9.]+):\d+$", out, re.M)
        # What the system itself says of its interfaces.
        shown = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        wanted = {address for address in shown if ":" not in address and not address.startswith(("127.", "169.254."))}
        self.assertEqual(set(addresses), wanted)
        self.assertNotIn("0.0.0.0", first + out)
        # Not asked for the network, none is named; an IPv6 address stands in brackets.
        self.assertNotIn("From other machines", self.end(self.serve(cwd=self.here)[0])[0])
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            return
        process, first = self.serve("--server-name", "::1", "--listen-without-auth", cwd=self.here)
        url = re.search(r"http://\S+", first).group()
        self.assertTrue(url.startswith("http://[::1]:"), first)
        self.assertEqual(urllib.request.urlopen(url + "/healthz", timeout=20).status, 200)
        self.end(process)

    def test_the_source_tree_stays_clean(self):
        """What the program writes when one stands in a clone is ignored there."""
        clone = self.top / "clone"
        subprocess.run(["git", "init", "-q", clone], check=True)
        shutil.copy(SOURCE / ".gitignore", clone)
        shutil.copytree(SOURCE / "models/starter", clone / "models/starter")
        git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "all"], check=True)
        self.here = clone
        self.run_lowrank(LOWRANK, "txt2img", "-p", "fox", "--steps", "1", "-o", "fox.png")
        self.run_lowrank(LOWRANK, "txt2img", "-p", "fox", "--steps", "1")
        self.run_lowrank(LOWRANK, "lora", "tag", "character_zorbo", "robot")
        self.run_lowrank(LOWRANK, "recipe", "save", "soft", "--lora", "3dmm_style:0.5")
        self.run_lowrank(LOWRANK, "lora", "import", SOURCE / "models/starter/lora/pose_lotus.safetensors", "--name", "mine")
        self.end(self.serve(cwd=clone)[0])
        self.assertEqual(subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout, "")


if __name__ == "__main__":
    unittest.main(verbosity=1)
