#!/usr/bin/env python3
"""Files of tensors as users have them, on the real program: scaled float8, quantised, incomplete, odd, enormous.

  tensor_files_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import array
import bisect
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny"
SIZES = {"F32": 4, "F16": 2, "I64": 8, "F8_E4M3": 1, "U8": 1, "I8": 1}


def read_tensors(path):
    """{name: (dtype, shape, bytes)} and the metadata."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + length + begin:8 + length + end])
    return tensors, metadata


def write_tensors(path, tensors, metadata=None):
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def float8(code):
    """F8_E4M3 by its definition: bias 7, no infinities."""
    exponent, mantissa = code >> 3 & 15, code & 7
    value = (1 + mantissa / 8) * 2.0 ** (exponent - 7) if exponent else mantissa / 8 * 2.0 ** -6
    return -value if code & 0x80 else value


POSITIVE = [float8(code) for code in range(0x7F)]


def nearest_code(value):
    at = bisect.bisect_left(POSITIVE, abs(value))
    if at == len(POSITIVE) or (at > 0 and abs(value) - POSITIVE[at - 1] < POSITIVE[at] - abs(value)):
        at -= 1
    return at | (0x80 if value < 0 else 0)


def as_float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class TensorFilesTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.loras = self.folder / "models" / "Lora"
        self.models = self.folder / "models" / "Stable-diffusion"
        for folder in (self.loras, self.models):
            folder.mkdir(parents=True)

    def run_lowrank(self, *words, status=0):
        environment = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(self.folder / "cache"), XDG_DATA_HOME=str(self.folder / "data"),
                           XDG_CONFIG_HOME=str(self.folder / "config"), LOWRANK_DATA_DIR=str(self.folder))
        result = subprocess.run([LOWRANK, *map(str, words)], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=120)
        self.assertEqual(result.returncode, status, f"{words}: {result.stdout} {result.stderr}")
        return result

    def draw(self, name, *words, status=0):
        result = self.run_lowrank("txt2img", "-p", "a fox", "--model", name, "--steps", "2", "--seed", "1", "--width", "64", "--height", "64",
                                  "-o", f"{name}.png", *words, status=status)
        if status:
            return result.stderr
        return self.pixels(self.folder / f"{name}.png")

    @staticmethod
    def pixels(path):
        """The picture's own chunks: the texts beside them name the checkpoint and differ."""
        data, at, picture = path.read_bytes(), 8, b""
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            if data[at + 4:at + 8] in (b"IHDR", b"IDAT"):
                picture += data[at + 8:at + 8 + length]
            at += 12 + length
        return picture

    def scaled(self, tensors, suffix, scale_shape, form=None):
        """Two checkpoints: linear layers of the U-Net in float8 with scales, and the same numbers in float32."""
        stored, plain, changed = {}, {}, 0
        for name, (dtype, shape, data) in tensors.items():
            is_scaled = name.startswith("model.diffusion_model.") and name.endswith((".to_q.weight", ".to_out.0.weight", ".emb_layers.1.weight"))
            if not is_scaled:
                stored[name] = plain[name] = (dtype, shape, data)
                continue
            values = struct.unpack(f"<{len(data) // SIZES[dtype]}{'e' if dtype == 'F16' else 'f'}", data)
            rows = shape[0] if scale_shape == "rows" else 1
            width = len(values) // rows
            scales = [as_float32(max(map(abs, values[r * width:(r + 1) * width])) / 400) or 1.0 for r in range(rows)]
            codes = bytes(nearest_code(value / scales[i // width]) for i, value in enumerate(values))
            layer = name[:-len(".weight")]
            stored[name] = ("F8_E4M3", shape, codes)
            stored[layer + suffix] = ("F32", [rows, 1] if scale_shape == "rows" else [], array.array("f", scales).tobytes())
            if form:
                stored[layer + ".comfy_quant"] = ("U8", [len(form)], form)
            plain[name] = ("F32", shape, array.array("f", [float8(code) * scales[i // width] for i, code in enumerate(codes)]).tobytes())
            changed += 1
        self.assertGreater(changed, 10)
        return stored, plain

    def test_scaled_float8_draws_as_its_numbers(self):
        tensors, metadata = read_tensors(TINY / "sd15-tiny.safetensors")
        for number, (suffix, shape, form) in enumerate([(".scale_weight", "one", None),
                                                        (".weight_scale", "rows", b'{"format": "float8_e4m3fn_rowwise"}'),
                                                        (".scale", "rows", None)]):
            stored, plain = self.scaled(tensors, suffix, shape, form)
            if suffix == ".scale_weight":
                stored["scaled_fp8"] = ("F8_E4M3", [0], b"")
            write_tensors(self.models / f"scaled{number}.safetensors", stored, metadata)
            write_tensors(self.models / f"plain{number}.safetensors", plain, metadata)
            self.assertEqual(self.draw(f"scaled{number}"), self.draw(f"plain{number}"), suffix)
        told = self.run_lowrank("model", "inspect", "scaled0").stdout
        self.assertIn("tensors are stored with scales", told)
        self.assertNotIn("scale_weight", told)

    def test_quantised_checkpoints_are_named(self):
        tensors, metadata = read_tensors(TINY / "sd15-tiny.safetensors")
        name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
        elements = tensors[name][1][0] * tensors[name][1][1]
        nf4 = dict(tensors)
        nf4[name] = ("U8", [elements // 2, 1], bytes(elements // 2))
        nf4[name + ".absmax"] = ("U8", [16], bytes(16))
        nf4[name + ".quant_map"] = ("F32", [16], bytes(64))
        nf4[name + ".quant_state.bitsandbytes__nf4"] = ("U8", [4], b"{}  ")
        write_tensors(self.models / "nf4.safetensors", nf4, metadata)
        (self.models / "model.safetensors").write_bytes(b"GGUF" + bytes(60))
        for told in (self.draw("nf4", status=2), self.run_lowrank("model", "inspect", "nf4", status=2).stderr):
            self.assertIn("quantised (bitsandbytes nf4)", told)
            self.assertIn("16 bits", told)
            self.assertNotIn("broken", told)
        self.assertIn("GGUF", self.run_lowrank("model", "inspect", "model", status=2).stderr)

    def test_missing_biases_are_refused_in_words(self):
        tensors, metadata = read_tensors(TINY / "sd15-tiny.safetensors")
        gone = [name for name in tensors if name.startswith("model.diffusion_model.") and name.endswith(".bias")][:100]
        write_tensors(self.models / "biases.safetensors", {name: value for name, value in tensors.items() if name not in gone}, metadata)
        norm = "model.diffusion_model.input_blocks.1.1.norm.bias"
        write_tensors(self.models / "norm.safetensors", {name: value for name, value in tensors.items() if name != norm}, metadata)
        self.assertIn(f"the U-Net lacks {len(gone)} of its parameters", self.draw("biases", status=2))
        self.assertIn("'input_blocks.1.1.norm.bias'", self.draw("norm", status=2))
        listed = json.loads(self.run_lowrank("model", "list", "--json").stdout)["models"]
        for name in ("biases", "norm"):
            self.assertTrue([model for model in listed if model["name"] == name and "lacks" in model.get("error", "")], listed)

    def test_odd_metadata_spoils_nothing(self):
        write_tensors(self.models / "tiny.safetensors", *read_tensors(TINY / "sd15-tiny.safetensors"))
        tensors, _ = read_tensors(TINY / "sd15-tiny-lora_attn.safetensors")
        plain = self.loras / "plain.safetensors"
        write_tensors(plain, tensors)
        for name, metadata in {"null": None, "numbers": {"steps": 5, "ss_output_name": "fox"}, "list": ["a"], "nested": {"a": {"b": [1]}}}.items():
            write_tensors(self.loras / f"{name}.safetensors", tensors)
            data = (self.loras / f"{name}.safetensors").read_bytes()
            (length,) = struct.unpack_from("<Q", data)
            header = b'  {"__metadata__":' + json.dumps(metadata).encode() + b"," + data[9:8 + length]
            (self.loras / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length:])
        listed = {lora["name"]: lora for lora in json.loads(self.run_lowrank("lora", "list", "--json").stdout)["loras"]}
        pictures = set()
        for name in ("plain", "null", "numbers", "list", "nested"):
            self.assertEqual(listed[name].get("error", ""), "", listed[name])
            inspected = json.loads(self.run_lowrank("lora", "inspect", name, "--json").stdout)
            self.assertEqual(bool(inspected["notes"]), name != "plain", inspected["notes"])
            self.assertIn("applies fully", self.run_lowrank("lora", "why", name, "--model", "tiny").stdout)
            pictures.add(self.draw("tiny", "-p", f"a fox <lora:{name}:1>"))
        self.assertEqual(len(pictures), 1)
        self.assertEqual(json.loads(self.run_lowrank("lora", "inspect", "numbers", "--json").stdout)["metadata"], {"ss_output_name": "fox"})

    def test_the_index_sees_what_was_written_under_an_old_date(self):
        tensors, _ = read_tensors(TINY / "sd15-tiny-lora_attn.safetensors")
        path = self.loras / "a.safetensors"

        def listed():
            self.run_lowrank("lora", "scan", "--hash")
            (lora,) = [lora for lora in json.loads(self.run_lowrank("lora", "list", "--json").stdout)["loras"] if lora["name"] == "a"]
            return lora["alias"], lora["hashes"]["sha256"]

        write_tensors(path, tensors, {"ss_output_name": "fox"})
        before, times = listed(), path.stat()
        name = next(iter(tensors))
        dtype, shape, data = tensors[name]
        write_tensors(path, {**tensors, name: (dtype, shape, bytes(len(data)))}, {"ss_output_name": "cat"})
        self.assertEqual(path.stat().st_size, times.st_size)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        after = listed()
        self.assertEqual((before[0], after[0]), ("fox", "cat"))
        self.assertEqual(after[1], hashlib.sha256(path.read_bytes()).hexdigest())

    def test_bits_of_floats_are_no_factors(self):
        write_tensors(self.models / "tiny.safetensors", *read_tensors(TINY / "sd15-tiny.safetensors"))
        tensors, metadata = read_tensors(TINY / "sd15-tiny-lora_attn.safetensors")
        bits = {name: ("U16" if dtype == "F16" else "U32" if dtype == "F32" else dtype, shape, data) for name, (dtype, shape, data) in tensors.items()
                if not name.endswith(".alpha")}
        write_tensors(self.loras / "bits.safetensors", bits, metadata)
        told = self.draw("tiny", "-p", "a fox <lora:bits:1>", status=2)
        self.assertIn("integers", told)
        self.assertIn("integers", self.run_lowrank("lora", "why", "bits", "--model", "tiny").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
