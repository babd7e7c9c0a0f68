#!/usr/bin/env python3
"""`lowrank train lora` on SDXL and SD 2.x from end to end: a run that is stopped and resumed writes the bytes of one that
is not, in kohya's names and with kohya's metadata, and the file draws.

  family_training_test.py LOWRANK_BINARY SOURCE_FOLDER
"""
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
import zlib

from png_pixels import pixels

LOWRANK, SOURCE = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
del sys.argv[1:3]
FIXTURES = SOURCE / "tests" / "fixtures"
UNTIL = time.monotonic() + 300
# What shapes do not tell of the small models, see tests/fixtures/README.md.
HEADS = {"sd15-tiny": {}, "sd2-tiny": {"lowrank.unet_head_width": "16", "lowrank.text_heads": "3"},
         "sdxl-tiny": {"lowrank.text_heads": "2", "lowrank.text2_heads": "3"},
         "sdxl-refiner-tiny": {"lowrank.unet_head_width": "16", "lowrank.text2_heads": "3"}}


def png(width, height):
    """A picture of two colours, written from the specification."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = b"\0" + b"".join(bytes((230, 40, 20) if x * 2 < width else (10, 60, 200)) for x in range(width))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))


def tensors(path):
    """Names, shapes and values of 16-bit tensors, and the metadata."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]] for name, t in header.items()}, metadata


def stated(path, metadata, to):
    """A copy of a safetensors file that states something."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header["__metadata__"] = header.get("__metadata__", {}) | metadata
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    to.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


class FamilyTraining(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        models = self.top / "models" / "Stable-diffusion"
        models.mkdir(parents=True)
        for name, heads in HEADS.items():
            stated(FIXTURES / name / f"{name}.safetensors", heads, models / f"{name}.safetensors")
        pictures = self.top / "data" / "1_twotone"
        pictures.mkdir(parents=True)
        for name, size in (("a", (100, 70)), ("b", (64, 64)), ("c", (80, 120))):
            (pictures / f"{name}.png").write_bytes(png(*size))
            (pictures / f"{name}.txt").write_text(f"twotone, {name}")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWRANK_", "XDG_"))}
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(self.top / "home"), OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")

    def run_lowrank(self, *words, is_refused=False):
        result = subprocess.run([LOWRANK, *words], cwd=self.top, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=max(10, UNTIL - time.monotonic()), text=True)
        self.assertEqual(result.returncode != 0, is_refused, f"{words}: {result.stdout} {result.stderr}")
        return result

    def command(self, model, name, steps, *words):
        return ["train", "lora", "--data-dir", ".", "--pretrained-model", model, "--train-data-dir", "data", "--output-name", name,
                "--resolution", "64", "--enable-bucket", "--flip-aug", "--network-dim", "2", "--learning-rate", "0.1", "--seed", "5",
                "--threads", "2", "--save-every-n-steps", "2", "--max-train-steps", str(steps), *words]

    def lora(self, name):
        return self.top / "models" / "Lora" / f"{name}.safetensors"

    def draw(self, model, prompt, name):
        file = self.top / name
        self.run_lowrank("txt2img", "--data-dir", ".", "--model", model, "-p", prompt, "--size", "64x64", "--steps", "2", "--seed", "1", "-o", str(file))
        return pixels(file)

    def stop_and_resume(self, model, *words):
        """Stops a long run behind its second step and lets it go on for two more; gives the LoRA of as many steps in one."""
        running = subprocess.Popen([LOWRANK, *self.command(model, "parts", 2000, *words)], cwd=self.top, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(running.stdout.close)
        while not self.lora("parts-step00000002").exists() and running.poll() is None and time.monotonic() < UNTIL:
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130, said)
        steps = int(tensors(self.lora("parts-state"))[1]["lowrank.step"]) + 2
        self.assertGreaterEqual(steps, 4)
        said = self.run_lowrank(*self.command(model, "parts", steps, *words)).stdout
        self.assertIn(f"after step {steps - 2} of {steps}", said)
        self.assertIn("--resolution " + {"sdxl-tiny": "1024", "sd2-tiny": "768"}[model], said)
        self.run_lowrank(*self.command(model, "whole", steps, *words))
        whole, metadata = tensors(self.lora("whole"))
        self.assertEqual(whole, tensors(self.lora("parts"))[0])
        return whole, metadata

    def expect_use(self, model, label):
        """The file says what it is for, draws something, and at weight 0 nothing."""
        why = self.run_lowrank("lora", "why", "whole", "--model", model, "--data-dir", ".").stdout
        self.assertIn(label, why)
        self.assertNotIn("unknown", why.lower().replace("0 unknown", ""))
        plain, none, whole = (self.draw(model, f"twotone{tag}", f"{i}.png") for i, tag in
                              enumerate(("", " <lora:whole:0>", " <lora:whole:1>")))
        self.assertEqual(plain, none)
        self.assertNotEqual(plain, whole)

    def test_sdxl(self):
        whole, metadata = self.stop_and_resume("sdxl-tiny", "--text-encoder-lr", "0.1", "0", "--network-args", "conv_dim=2 conv_alpha=1")
        modules = {name.split(".")[0] for name in whole}
        self.assertEqual({name.split("_text_model")[0] for name in modules if "text_model" in name}, {"lora_te1", "lora_te2"})
        for name in ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "lora_te2_text_model_encoder_layers_3_mlp_fc2",
                     "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", "lora_unet_input_blocks_3_0_op",
                     "lora_unet_middle_block_1_proj_in", "lora_unet_output_blocks_2_2_conv", "lora_unet_input_blocks_4_0_skip_connection"):
            self.assertIn(name, modules)
        # Each encoder has its own rate, and the last layer of the first is not read.
        is_zero = lambda name: not any(whole[f"{name}.lora_up.weight"])
        self.assertFalse(is_zero("lora_te1_text_model_encoder_layers_1_mlp_fc1"))
        self.assertTrue(is_zero("lora_te1_text_model_encoder_layers_2_mlp_fc1"))
        self.assertTrue(is_zero("lora_te2_text_model_encoder_layers_1_mlp_fc1"))
        # As kohya's sdxl_train_network.py and library/sai_model_spec.py write them.
        self.assertEqual({key: metadata[key] for key in ("ss_base_model_version", "ss_v2", "ss_text_encoder_lr", "ss_zero_terminal_snr",
                                                         "modelspec.architecture", "modelspec.implementation", "modelspec.prediction_type")},
                         {"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False", "ss_text_encoder_lr": "[0.1, 0.0]",
                          "ss_zero_terminal_snr": "False", "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
                          "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
                          "modelspec.prediction_type": "epsilon"})
        self.expect_use("sdxl-tiny", "SDXL")
        refused = self.run_lowrank("txt2img", "--data-dir", ".", "--model", "sd15-tiny", "-p", "a <lora:whole:1>", "-o", "x.png", is_refused=True).stderr
        self.assertIn("SDXL", refused)

    def test_sd2(self):
        whole, metadata = self.stop_and_resume("sd2-tiny", "--sample-prompts", str(self.prompts()), "--sample-every-n-steps", "2")
        self.assertIn("lora_te_text_model_encoder_layers_2_self_attn_v_proj.lora_down.weight", whole)
        # The fourth layer of the file's text encoder is one that SD 2.x does not run.
        self.assertFalse([name for name in whole if "encoder_layers_3_" in name])
        self.assertEqual((metadata["ss_base_model_version"], metadata["ss_v2"], metadata["modelspec.architecture"]),
                         ("sd_v2_v", "True", "stable-diffusion-v2-768-v/lora"))
        self.assertTrue(list((self.top / "models" / "Lora" / "sample").glob("whole_000002_*.png")))
        self.expect_use("sd2-tiny", "SD 2.x")

    def prompts(self):
        (self.top / "prompts.txt").write_text("twotone --w 64 --h 64 --s 2\n")
        return self.top / "prompts.txt"

    def refused(self, *arguments, says):
        result = self.run_lowrank(*self.command(*arguments), is_refused=True)
        self.assertIn(says, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_what_cannot_be_trained_is_refused_before_anything_is_spent(self):
        self.refused("sdxl-refiner-tiny", "refused", 1, says="the SDXL refiner")
        self.refused("sd15-tiny", "refused", 1, "--text-encoder-lr", "1e-4", "1e-5", says="SD 1.x checkpoints have one text encoder")
        self.refused("sd15-tiny", "refused", 1, "--zero-terminal-snr", says="needs a checkpoint that predicts v")
        self.refused("sdxl-tiny", "refused", 1, "--clip-skip", "2", says="must be 1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
