#!/usr/bin/env python3
"""Names of layers, tags and embeddings through the real binary: one LoRA under every writer's names gives one picture,
what a prompt says either acts or is named, and what `lora show` offers works.

  names_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from png_pixels import pixels

LOWRANK = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
TINY = SOURCE / "tests" / "fixtures" / "sd15-tiny"
del sys.argv[1:3]


def read(path):
    """{key: (dtype, shape, bytes)} of a safetensors file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {key: (entry["dtype"], entry["shape"], data[8 + length + entry["data_offsets"][0]:8 + length + entry["data_offsets"][1]])
            for key, entry in header.items()}


def write(path, tensors, metadata=None):
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for key, (dtype, shape, data) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def dotted(rest):
    """Inside a block, from kohya's underscores to dots."""
    rest = re.sub(r"^transformer_blocks_(\d+)_", r"transformer_blocks.\1.", rest)
    rest = re.sub(r"(attn[12])_to_out_0$", r"\1.to_out.0", rest)
    rest = re.sub(r"(attn[12])_(to_[qkv])$", r"\1.\2", rest)
    return rest.replace("ff_net_0_proj", "ff.net.0.proj").replace("ff_net_2", "ff.net.2")


def checkpoint_path(name):
    """The checkpoint's path of an attention layer in kohya's diffusers naming (lora-formats.md 2.4)."""
    if m := re.match(r"down_blocks_(\d)_attentions_(\d)_(.*)", name):
        return f"input_blocks.{1 + 3 * int(m[1]) + int(m[2])}.1.{dotted(m[3])}"
    if m := re.match(r"up_blocks_(\d)_attentions_(\d)_(.*)", name):
        return f"output_blocks.{3 * int(m[1]) + int(m[2])}.1.{dotted(m[3])}"
    return "middle_block.1." + dotted(re.match(r"mid_block_attentions_0_(.*)", name)[1])


def text_path(name):
    return re.sub(r"encoder_layers_(\d+)_(self_attn|mlp)_", r"encoder.layers.\1.\2.", name)


def renamed(tensors, rename):
    out = {}
    for key, value in tensors.items():
        module, suffix = key.split(".", 1)
        out[rename(module) + "." + suffix] = value
    return out


class NamesTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "models" / "Stable-diffusion").mkdir(parents=True)
        (self.folder / "models" / "Stable-diffusion" / "tiny.safetensors").symlink_to(TINY / "sd15-tiny.safetensors")
        (self.folder / "embeddings").mkdir()

    def lora(self, name):
        path = self.folder / "models" / "Lora" / (name + ".safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def run_lowrank(self, *words, status=0):
        environment = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(self.folder / "cache"),
                           XDG_DATA_HOME=str(self.folder / "data"), XDG_CONFIG_HOME=str(self.folder / "config"),
                           OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")
        environment.pop("LOWRANK_DATA_DIR", None)
        result = subprocess.run([LOWRANK, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=300)
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        if status is not None:
            self.assertEqual(result.returncode, status, f"{words}: {result.stderr}")
        return result

    def draw(self, prompt, *more):
        path = self.folder / "picture.png"
        path.unlink(missing_ok=True)
        result = self.run_lowrank("txt2img", "-p", prompt, "--steps", "2", "-W", "64", "-H", "64", "--seed", "1", "-o", str(path),
                                  *more)
        return pixels(path), result.stdout + result.stderr

    # ── one LoRA under every writer's names ──

    def same_picture(self, original, files):
        shutil.copy(TINY / original, self.lora("original"))
        expected, _ = self.draw("a fox <lora:original:1>")
        self.assertNotEqual(expected, self.draw("a fox")[0])
        for name, tensors in files.items():
            write(self.lora(name), tensors)
            verdict = json.loads(self.run_lowrank("lora", "why", name, "--json").stdout)
            inspected = self.run_lowrank("lora", "inspect", name).stdout
            picture, said = self.draw(f"a fox <lora:{name}:1>")
            self.assertEqual(picture, expected, f"{name}: {said}\n{verdict}\n{inspected}")

    def test_u_net_names(self):
        tensors = read(TINY / "sd15-tiny-lora_attn.safetensors")
        path = lambda module: checkpoint_path(module.removeprefix("lora_unet_"))
        self.same_picture("sd15-tiny-lora_attn.safetensors", {
            "omi": renamed(tensors, lambda m: "unet." + path(m)),
            "mecha": renamed(tensors, lambda m: "lycoris_unet_" + path(m).replace(".", "_")),
            "parallel": {"module." + key: value for key, value in tensors.items()},
            "compiled": renamed(tensors, lambda m: m.replace("lora_unet_", "lora_unet__orig_mod_")),
        })

    def test_text_encoder_names(self):
        tensors = read(TINY / "sd15-tiny-lora_te.safetensors")
        bare = lambda module: module.removeprefix("lora_te_text_model_")
        peft = {key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): value
                for key, value in renamed(tensors, lambda m: "base_model.model." + text_path(bare(m))).items()}
        self.same_picture("sd15-tiny-lora_te.safetensors", {
            "flat-kohya": renamed(tensors, lambda m: "lora_te_" + bare(m)),
            "flat-lycoris": renamed(tensors, lambda m: "lycoris_" + bare(m)),
            "flat-peft": peft,
            "flat-diffusers": renamed(tensors, lambda m: "text_encoder." + text_path(bare(m))),
            "mecha-te": renamed(tensors, lambda m: "lycoris_te_" + bare(m)),
            "omi-te": renamed(tensors, lambda m: "clip_l.text_model." + text_path(bare(m))),
            "comfy-te": renamed(tensors, lambda m: "text_encoders.clip_l.transformer.text_model." + text_path(bare(m))),
        })

    def test_flattened_convolutions(self):
        tensors = read(TINY / "sd15-tiny-locon_all.safetensors")
        flat = {}
        for key, (dtype, shape, data) in tensors.items():
            if len(shape) == 4:
                shape = [shape[0], shape[1] * shape[2] * shape[3]]
            flat[key] = (dtype, shape, data)
        self.same_picture("sd15-tiny-locon_all.safetensors", {"flattened": flat})

    # ── what cannot be used is named, the same everywhere ──

    def test_kinds_that_are_named(self):
        module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
        half = lambda *shape: ("F16", list(shape), b"\0\0" * int(__import__("math").prod(shape)))
        write(self.lora("tlora"), {module + ".q_layer.weight": half(4, 32), module + ".p_layer.weight": half(32, 4),
                                   module + ".lambda_layer": half(1, 4), module + ".alpha": half()})
        write(self.lora("numbered"), {"unet:0:up": half(32, 4), "unet:0:down": half(4, 32)})
        shutil.copy(SOURCE / "tests" / "fixtures" / "pickle" / "list.pt", self.lora("x").with_name("list.pt"))
        for name, words in (("tlora", "T-LoRA"), ("numbered", "first LoRA trainer"), ("list", "first LoRA trainer")):
            for command in (("lora", "show", name), ("txt2img", "-p", f"a <lora:{name}:1>", "--steps", "1", "-o", "x.png"),
                            ("lora", "why", name)):
                result = self.run_lowrank(*command, status=None)
                self.assertIn(words, re.sub(r"\s+", " ", result.stdout + result.stderr), command)
                self.assertNotIn("is not a LoRA", result.stdout + result.stderr)
            self.assertIn(name, self.run_lowrank("lora", "list").stdout)
            self.assertEqual(json.loads(self.run_lowrank("lora", "show", name, "--json").stdout)["tag"], "")

    # ── tags ──

    def test_offered_tags_work(self):
        names = ["a#b", "a=b", "x=2", "a:b", "a>b", "\"q\"", "#1 styles/fox", "none"]
        for name in names:
            shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.lora(name))
        expected, _ = self.draw('a fox <lora:a:b:1>', "--disable-extra-networks")
        with_it, _ = self.draw('a fox <lora:"a:b":1>')
        self.assertNotEqual(with_it, expected)
        for name in names:
            tag = json.loads(self.run_lowrank("lora", "show", name, "--json").stdout)["tag"]
            picture, said = self.draw(f"a fox {tag}")
            self.assertEqual(picture, with_it, f"{name}: {tag}: {said}")

    def test_what_does_not_act_is_named(self):
        shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.lora("z"))
        for prompt, words in (("a fox #1 <lora:z:1>", "comment"),
                              ("a fox <hypernet:x:1>", "hypernetworks"),
                              ("{<lora:z:1>|<lora:z:0.5>}", "braces"),
                              ("a <lora:z:1", "not closed"),
                              ("a < lora:z:1>", "space"),
                              ("a &lt;lora:z:1&gt;", "HTML"),
                              ("a \uff1clora:z:1\uff1e", "uses characters other than"),
                              ("a <LORA:z:1>", "write 'lora'")):
            said = self.draw(prompt)[1]
            self.assertIn(words, said, prompt)
            self.assertIn(words, self.run_lowrank("prompt", "explain", prompt).stdout, prompt)
        result = self.run_lowrank("txt2img", "-p", "a <lora:z:1e39>", "--steps", "1", "-o", "x.png", status=2)
        self.assertIn("the weight exceeds", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_explain_shows_when_a_tag_acts(self):
        shutil.copy(TINY / "sd15-tiny-lora_attn.safetensors", self.lora("z"))
        prompt = "a fox [<lora:z:1>::0.5]"
        self.assertIn("calls 0–5", self.run_lowrank("prompt", "explain", prompt, "--steps", "10").stdout)
        loras = json.loads(self.run_lowrank("prompt", "explain", prompt, "--steps", "10", "--json").stdout)["networks"]["loras"]
        self.assertEqual(loras[0]["calls"], [[0, 5]])
        self.assertIn("no LoRA named 'nothere'", self.run_lowrank("prompt", "explain", "a <lora:nothere:1>").stdout)

    # ── embeddings ──

    def test_embeddings(self):
        vectors = lambda count, width: ("F32", [count, width], struct.pack("<f", 0.25) * (count * width))
        write(self.folder / "embeddings" / "goodone.safetensors", {"emb_params": vectors(2, 64)})
        write(self.folder / "embeddings" / "wideone.safetensors", {"emb_params": vectors(2, 768)})
        (self.folder / "embeddings" / "junkone.pt").write_bytes(b"junk")
        (self.folder / "embeddings" / "pointerone.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
        bundle = read(TINY / "sd15-tiny-lora_attn.safetensors")
        bundle["bundle_emb.zorbo.string_to_param.*"] = vectors(3, 64)
        write(self.lora("bundled"), bundle)
        prompt = "goodone, wideone, junkone, pointerone, zorbo <lora:bundled:1>"
        explained = self.run_lowrank("prompt", "explain", prompt).stdout
        drawn = self.draw(prompt)[1]
        for said in (explained, drawn):
            for name, reason in (("wideone", "768"), ("junkone", ""), ("pointerone", "git-lfs")):
                self.assertIn(f"the embedding '{name}' cannot be used", said)
                self.assertIn(reason, said)
            self.assertNotIn("'goodone'", said)
        self.assertIn("{goodone: 2 vectors}", explained)
        self.assertIn("{zorbo: 3 vectors}", explained)
        self.assertRegex(self.run_lowrank("lora", "show", "bundled").stdout, r"trigger words +zorbo")
        self.assertNotIn("{zorbo", self.run_lowrank("prompt", "explain", "zorbo").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
