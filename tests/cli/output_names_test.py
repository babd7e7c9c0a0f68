#!/usr/bin/env python3
"""Every command that makes pictures × every kind of output pattern: nothing that exists is overwritten.

  output_names_test.py LOWRANK_BINARY FIXTURES_FOLDER
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

LOWRANK = pathlib.Path(sys.argv[1]).resolve()
FIXTURES = pathlib.Path(sys.argv[2]).resolve()
del sys.argv[1:3]

FOREIGN = b"not a picture of LowRank"


def photo(size=64):
    """A PNG without any text, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(size)) for y in range(size))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def exif_marker(orientation):
    """A JPEG segment with nothing but EXIF's Orientation. EXIF 2.3."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


class OutputNamesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.work)
        models = cls.work / "data/models/Stable-diffusion"
        models.mkdir(parents=True)
        (models / "tiny.safetensors").symlink_to(FIXTURES / "sd15-tiny/sd15-tiny.safetensors")
        photos = cls.work / "photos"
        photos.mkdir()
        for name in ("a.png", "b.png"):
            (photos / name).write_bytes(photo())
        (cls.work / "prompts.txt").write_text("a fox\na hare\n")
        cls.run_lowrank("txt2img", *cls.common("--size", "64x64"), "-p", "a fox", "-o", str(cls.work / "from.png"))
        (cls.work / "own").mkdir()
        cls.run_lowrank("txt2img", *cls.common("--size", "64x64", "--seed", "9"), "-p", "an owl",
                        "-o", str(cls.work / "own/owl.png"))

    @classmethod
    def common(cls, *more):
        return ("--data-dir", str(cls.work / "data"), "--steps", "1", "--quiet", *more)

    @classmethod
    def run_lowrank(cls, *words, status=0, limit=None):
        environment = dict(os.environ, LC_ALL="C.UTF-8", OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1",
                           XDG_CACHE_HOME=str(cls.work / "cache"), XDG_DATA_HOME=str(cls.work / "home"),
                           XDG_CONFIG_HOME=str(cls.work / "config"))
        command = [str(LOWRANK), *map(str, words)]
        if limit is not None:
            command = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command]
        result = subprocess.run(command, cwd=cls.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=120)
        if result.returncode != status:
            raise AssertionError(f"{words}: status {result.returncode}: {result.stderr}")
        return result

    def commands(self):
        """Words and the number of pictures, without the sheet."""
        size, seed = ("--size", "64x64"), ("--seed", "42")
        photos = str(self.work / "photos")
        return {
            "txt2img": (("txt2img", *self.common(*size, *seed), "-p", "a fox"), 1),
            "batches": (("txt2img", *self.common(*size, *seed), "-p", "a fox", "--batch-count", "2", "--batch-size", "2"), 4),
            "--from": (("txt2img", *self.common(), "--from", str(self.work / "from.png")), 1),
            "--from batch": (("txt2img", *self.common(), "--from", str(self.work / "from.png"), "--batch-size", "2"), 2),
            "img2img": (("img2img", *self.common(*seed), "-i", photos + "/a.png", "-p", "a fox"), 1),
            "img2img folder": (("img2img", *self.common(*seed), "-i", photos, "-p", "a fox"), 2),
            "xyz": (("xyz", *self.common(*size, *seed), "-p", "a fox", "--x", "CFG Scale: 3, 5"), 2),
            "matrix": (("matrix", *self.common(*size, *seed), "-p", "a fox|red"), 2),
            "prompts": (("prompts", *self.common(*size, *seed), "--file", str(self.work / "prompts.txt")), 2),
            "extras": (("extras", "--data-dir", str(self.work / "data"), "--quiet", "--upscaler", "Lanczos",
                        str(self.work / "own/owl.png")), 1),
            "extras folder": (("extras", "--data-dir", str(self.work / "data"), "--quiet", "--upscaler", "Lanczos",
                               photos), 2),
        }

    def reported(self, text):
        """All files that the JSON names."""
        files = []

        def walk(value, key=""):
            if isinstance(value, dict):
                for name, inner in value.items():
                    walk(inner, name)
            elif isinstance(value, list):
                for inner in value:
                    walk(inner, key)
            elif key in ("file", "files", "sheet") and value is not None:
                files.append(pathlib.Path(value))
        walk(json.loads(text))
        return files

    def test_no_command_and_no_pattern_overwrites_anything(self):
        patterns = ["x.png", "fox-[number].png", "[seed].jpg"]
        rarer = ["[name]-v[number]-[seed]", "[index].webp", "f[number]/x.png", ""]
        for command, (words, count) in self.commands().items():
            for pattern in patterns + (rarer if command in ("batches", "img2img folder", "extras folder") else []):
                is_extras = command.startswith("extras")
                if is_extras and ("[" in pattern or (pattern and count > 1)):
                    continue  # its names are plain files or folders
                with self.subTest(command=command, pattern=pattern):
                    out = pathlib.Path(tempfile.mkdtemp(dir=self.work))
                    # What stands where the pictures of a plain name would go.
                    foreign = [out / name for name in ("x-2.png", "x-sheet.png", "42.jpg", "1.webp", "fox-00007-b.png")]
                    for file in foreign:
                        file.write_bytes(FOREIGN)
                    seen = {}
                    for turn in range(2):
                        result = self.run_lowrank(*words, "--json", "-o", str(out) + "/" + pattern)
                        files = self.reported(result.stdout)
                        sheets = sum("-sheet" in file.name for file in files)
                        self.assertEqual(len(files), count + sheets, result.stdout)
                        self.assertEqual(len(set(files)), len(files), "two pictures under one name")
                        for file in files:
                            self.assertTrue(file.is_file(), file)
                            may = turn == 1 and count == 1 and pattern == "x.png"
                            if file in seen:
                                self.assertTrue(may, f"{file} was overwritten")
                                self.assertIn("was replaced", result.stderr)
                        for file, content in seen.items():
                            if file not in files:
                                self.assertEqual(file.read_bytes(), content, f"{file} was changed")
                        seen.update((file, file.read_bytes()) for file in files)
                        for file in foreign:
                            self.assertEqual(file.read_bytes(), FOREIGN, file)
                    if pattern == "fox-[number].png":
                        self.assertIn(out / "fox-00008.png", seen)
                        self.assertIn(out / f"fox-{7 + 2 * count:05}.png", seen)

    def test_a_file_of_somebody_else_stays_and_that_is_said(self):
        for name, content in (("photo.png", photo()), ("text.png", FOREIGN), ("other.png", photo(8))):
            target = self.work / "mine" / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
            result = self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "-o", target)
            self.assertEqual(target.read_bytes(), content)
            self.assertIn(f"{target} already exists", result.stderr)
            self.assertIn(target.stem + "-2.png", result.stdout)

    def test_a_source_is_never_its_own_result(self):
        source = self.work / "own/source.png"
        shutil.copy(self.work / "from.png", source)  # LowRank's own
        before = source.read_bytes()
        self.run_lowrank("img2img", *self.common(), "-i", source, "-p", "a fox", "-o", source)
        self.assertEqual(source.read_bytes(), before)
        self.run_lowrank("extras", "--data-dir", self.work / "data", "--upscaler", "Lanczos", source, "-o", source)
        self.assertEqual(source.read_bytes(), before)
        folder = self.work / "sources"
        folder.mkdir()
        for name in "ab":
            shutil.copy(source, folder / f"{name}.png")
        self.run_lowrank("img2img", *self.common(), "-i", folder, "-p", "a fox", "-o", str(folder) + "/[name].png")
        for name in "ab":
            self.assertEqual((folder / f"{name}.png").read_bytes(), before)
            self.assertTrue((folder / f"{name}-2.png").is_file())

    def test_a_preview_replaces_only_previews(self):
        photo_file = self.work / "own/photo.png"
        photo_file.write_bytes(photo())
        result = self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "--preview", photo_file,
                                  "-o", self.work / "own/never.png", status=2)
        self.assertIn("--preview", result.stderr)
        self.assertEqual(photo_file.read_bytes(), photo())
        for _ in range(2):
            self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "--preview",
                             self.work / "own/preview.png", "-o", str(self.work / "own") + "/p-[number].png")
        finished = next((self.work / "own").glob("p-*.png"))
        before = finished.read_bytes()
        self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "--preview", finished,
                         "-o", self.work / "own/never.png", status=2)
        self.assertEqual(finished.read_bytes(), before)

    def test_a_device_is_no_place_for_pictures(self):
        result = self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "-o", "/dev/null", status=2)
        self.assertIn("/dev/null: is a device", result.stderr)

    def test_a_picture_is_used_as_it_is_to_be_seen(self):
        # 32×64 stored, 64×32 seen: img2img keeps the picture's size.
        made = self.work / "own/tall.jpg"
        self.run_lowrank("txt2img", *self.common("--size", "32x64"), "-p", "a fox", "-o", made)
        bare = made.read_bytes()
        (self.work / "own/held.jpg").write_bytes(bare[:2] + exif_marker(6) + bare[2:])
        result = self.run_lowrank("img2img", *self.common(), "-i", self.work / "own/held.jpg", "-p", "a fox", "-o",
                                  self.work / "own/wide.png")
        wide = (self.work / "own/wide.png").read_bytes()
        self.assertEqual(struct.unpack(">II", wide[16:24]), (64, 32), result.stdout)
        self.run_lowrank("extras", "--data-dir", self.work / "data", "--upscaler", "Lanczos", "--scale", "2",
                         self.work / "own/held.jpg", "-o", self.work / "own/large.png")
        self.assertEqual(struct.unpack(">II", (self.work / "own/large.png").read_bytes()[16:24]), (128, 64))

    def test_past_the_limit_on_file_sizes_there_is_a_sentence_and_nothing_is_left(self):
        out = self.work / "limited"
        out.mkdir()
        result = self.run_lowrank("txt2img", *self.common("--size", "64x64"), "-p", "a fox", "-o", out / "x.png",
                                  status=1, limit=4)
        self.assertEqual(result.stderr.count("error:"), 1, result.stderr)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(list(out.iterdir()), [])
        result = self.run_lowrank("contact-sheet", "-o", out / "sheet.png", *[self.work / "photos/a.png"] * 9,
                                  status=1, limit=1)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(list(out.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
