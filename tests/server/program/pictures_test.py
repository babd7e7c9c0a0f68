#!/usr/bin/env python3
"""The server's pictures are the command line's, file for file; what is read out of pictures, and how they are made
larger.  pictures_test.py LOWRANK FIXTURES"""
import base64
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import threading
import unittest
import zlib

from pixels import Pixels
from served import Served, picture, tiny_request

LOWRANK, FIXTURES = sys.argv[1], pathlib.Path(sys.argv[2])
SOURCE, MASK = FIXTURES / "image/masking/source.png", FIXTURES / "image/masking/mask.png"


def encoded(path):
    return base64.b64encode(pathlib.Path(path).read_bytes()).decode()


def with_chunks(png, *chunks):
    """The PNG with more chunks behind its header."""
    more = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return base64.b64encode(png[:33] + more + png[33:]).decode()


class Pictures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Served(LOWRANK, FIXTURES, "--access-log", "none")
        checkpoints = cls.server.data / "models/Stable-diffusion"
        shutil.copy(FIXTURES / "sd15-tiny/sd15-tiny.safetensors", checkpoints / "second.safetensors")
        assert cls.server.post("/sdapi/v1/options", {"sd_model_checkpoint": "sd15-tiny"})[0] == 200
        folder = cls.server.data / "models/ESRGAN"
        folder.mkdir()
        (folder / "4x-tiny.pth").symlink_to((FIXTURES / "upscalers/old-4x.pth").resolve())
        (folder / "4x-compact.pth").symlink_to((FIXTURES / "upscalers/compact-4x.pth").resolve())

        folder = cls.server.data / "models/VAE-approx"
        folder.mkdir()
        for half in ("decoder", "encoder"):
            (folder / f"taesd_{half}.pth").symlink_to((FIXTURES / f"tiny-autoencoder/taesd_{half}.pth").resolve())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def draw(self, route, **more):
        status, answer = self.server.post("/sdapi/v1/" + route, {"prompt": "a fox", "steps": 3, "seed": 42, "cfg_scale": 6.5, **more})
        self.assertEqual(status, 200, answer)
        return picture(answer["images"][0]), json.loads(answer["info"])

    def cli(self, command, *words):
        out = self.server.data / "cli.png"
        subprocess.run([LOWRANK, command, "--data-dir", str(self.server.data), "-p", "a fox", "--model", "sd15-tiny", "--steps", "3", "--seed", "42",
                        "--cfg", "6.5", "--sampler", "Euler", "--quiet", "-o", str(out), *words], check=True, capture_output=True)
        return out.read_bytes()

    def test_txt2img_equals_the_command_line(self):
        ours, _ = self.draw("txt2img", prompt="a (red:1.2) fox <lora:attention:0.8><lora:loha:0.5>", negative_prompt="blurry", width=64, height=72,
                            sampler_name="DPM++ SDE", subseed=7, subseed_strength=0.3, clip_skip=2)
        self.assertEqual(ours, self.cli("txt2img", "-p", "a (red:1.2) fox <lora:attention:0.8><lora:loha:0.5>", "-n", "blurry", "--size", "64x72",
                                        "--sampler", "DPM++ SDE", "--subseed", "7", "--subseed-strength", "0.3", "--clip-skip", "2"))

    def test_hires_fix_equals_the_command_line(self):
        for upscaler in ("Latent", "4x-tiny"):
            ours, _ = self.draw("txt2img", width=64, height=64, enable_hr=True, hr_scale=1.5, hr_upscaler=upscaler, denoising_strength=0.6,
                                hr_second_pass_steps=2, hr_sampler_name="Heun", hr_prompt="a cat <lora:attention:1>")
            self.assertEqual(ours, self.cli("txt2img", "--size", "64x64", "--hires", "--hires-scale", "1.5", "--hires-upscaler", upscaler, "--denoising",
                                            "0.6", "--hires-steps", "2", "--hires-sampler", "Heun", "--hires-prompt", "a cat <lora:attention:1>"), upscaler)

    def test_img2img_equals_the_command_line(self):
        ours, _ = self.draw("img2img", init_images=[encoded(SOURCE)], width=64, height=80, denoising_strength=0.6, resize_mode=1)
        self.assertEqual(ours, self.cli("img2img", "-i", str(SOURCE), "--size", "64x80", "--denoising", "0.6", "--resize-mode", "1"))

    def test_inpainting_equals_the_command_line(self):
        for area, padding in ((True, 8), (False, 0)):
            ours, _ = self.draw("img2img", init_images=[encoded(SOURCE)], mask=encoded(MASK), width=64, height=64, denoising_strength=0.7,
                                inpaint_full_res=area, inpaint_full_res_padding=padding, inpainting_fill=1, mask_blur=2)
            self.assertEqual(ours, self.cli("img2img", "-i", str(SOURCE), "-m", str(MASK), "--size", "64x64", "--denoising", "0.7", "--inpaint-area",
                                            "Only masked" if area else "Whole picture", "--inpaint-padding", str(padding), "--masked-content",
                                            "original", "--mask-blur", "2"), area)

    def test_colour_correction_is_an_option(self):
        request = {"init_images": [encoded(SOURCE)], "width": 64, "height": 64, "denoising_strength": 0.9}
        plain, _ = self.draw("img2img", **request)
        ours, info = self.draw("img2img", override_settings={"img2img_color_correction": True}, **request)
        self.assertNotEqual(Pixels(ours).rows, Pixels(plain).rows)
        self.assertIn("Color correction: True", info["infotexts"][0])
        self.assertEqual(ours, self.cli("img2img", "-i", str(SOURCE), "--size", "64x64", "--denoising", "0.9", "--color-correction"))

    def test_taesd_in_place_of_the_vae(self):
        size = {"width": 64, "height": 64}
        full, info = self.draw("txt2img", **size)
        self.assertNotIn("VAE Decoder", info["infotexts"][0])
        ours, info = self.draw("txt2img", override_settings={"sd_vae_decode_method": "TAESD"}, **size)
        self.assertIn("VAE Decoder: TAESD", info["infotexts"][0])
        self.assertNotEqual(Pixels(ours).rows, Pixels(full).rows)
        self.assertEqual(ours, self.cli("txt2img", "--size", "64x64", "--vae-decoder", "TAESD"))
        status, again = self.server.post("/sdapi/v1/txt2img", {"infotext": info["infotexts"][0]})
        self.assertEqual((status, picture(again["images"][0])), (200, ours))
        both = {"sd_vae_decode_method": "TAESD", "sd_vae_encode_method": "TAESD"}
        ours, info = self.draw("img2img", init_images=[encoded(SOURCE)], denoising_strength=0.6, override_settings=both, **size)
        self.assertIn("VAE Encoder: TAESD, VAE Decoder: TAESD", info["infotexts"][0])
        self.assertEqual(ours, self.cli("img2img", "-i", str(SOURCE), "--size", "64x64", "--denoising", "0.6", "--vae-encoder", "TAESD", "--vae-decoder", "TAESD"))
        for name in both:
            status, answer = self.server.post("/sdapi/v1/options", {name: "Quick"})
            self.assertEqual((status, answer["detail"][0]["loc"]), (422, ["body", name]))

    def test_previews_are_of_the_kind_asked_for(self):
        shown = self.server.data / "preview.png"
        for kind, side in (("TAESD", 64), ("Approx NN", 64), ("Full", 64), ("Approx cheap", 8)):
            self.cli("txt2img", "--size", "64x64", "--preview", str(shown), "--preview-type", kind)
            self.assertEqual(Pixels(shown.read_bytes()).width, side, kind)
            self.assertEqual(self.server.post("/sdapi/v1/options", {"show_progress_type": kind})[0], 200)
            worker = threading.Thread(target=self.server.post, args=("/sdapi/v1/txt2img", {"prompt": "a fox", "steps": 150, "width": 64, "height": 64}))
            worker.start()
            seen = None
            while worker.is_alive() and not seen:
                seen = self.server.get("/sdapi/v1/progress")[1]["current_image"]
            self.server.post("/sdapi/v1/interrupt")
            worker.join(60)
            self.assertTrue(seen, kind)
            self.assertEqual(Pixels(picture(seen)).width, side, kind)
        self.assertEqual(self.server.post("/sdapi/v1/options", {"show_progress_type": "Best"})[0], 422)

    def test_an_infotext_brings_back_other_checkpoints(self):
        first, info = self.draw("txt2img", width=64, height=64, enable_hr=True, hr_scale=1.5, denoising_strength=0.6, hr_checkpoint_name="second",
                                hr_sampler_name="Heun", hr_scheduler="Karras", refiner_checkpoint="second", refiner_switch_at=0.5)
        text = info["infotexts"][0]
        for part in ("Hires checkpoint: second", "Hires sampler: Heun", "Hires schedule type: Karras", "Refiner: second", "Refiner switch at: 0.5"):
            self.assertIn(part, text)
        status, again = self.server.post("/sdapi/v1/txt2img", {"infotext": text})
        self.assertEqual((status, json.loads(again["info"])["infotexts"][0]), (200, text))
        self.assertEqual(picture(again["images"][0]), first)
        status, answer = self.server.post("/sdapi/v1/txt2img", {"infotext": text.replace("Refiner: second", "Refiner: lost")})
        self.assertEqual((status, answer["detail"][0]["loc"]), (422, ["body", "refiner_checkpoint"]))

    def test_png_info(self):
        drawn, info = self.draw("txt2img", width=64, height=64, negative_prompt="blurry, dark", clip_skip=2)
        image = with_chunks(drawn, (b"gAMA", struct.pack(">I", 45455)), (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)), (b"tEXt", b"Comment\0mine"))
        status, answer = self.server.post("/sdapi/v1/png-info", {"image": image})
        self.assertEqual((status, answer["info"]), (200, info["infotexts"][0]))
        self.assertEqual((answer["items"]["Comment"], answer["items"]["gamma"]), ("mine", 0.45455))
        self.assertAlmostEqual(answer["items"]["dpi"][0], 72.009, 3)
        self.assertNotIn("parameters", answer["items"])
        expected = {"Prompt": "a fox", "Negative prompt": "blurry, dark", "Steps": "3", "Sampler": "Euler", "CFG scale": "6.5", "Seed": "42",
                    "Size-1": "64", "Size-2": "64", "Clip skip": "2",
                    # What A1111 assumes of what is not written.
                    "RNG": "GPU", "Hires checkpoint": "Use same checkpoint", "Hires sampler": "Use same sampler"}
        self.assertEqual({key: answer["parameters"].get(key) for key in expected}, expected)
        self.assertEqual(self.server.post("/sdapi/v1/png-info", {"image": encoded(FIXTURES / "image/rgb.png")})[1],
                         {"info": "", "items": {}, "parameters": {}})
        self.assertEqual(self.server.post("/sdapi/v1/png-info", {"image": "AAAA"})[0], 422)

    def test_extras_equal_the_command_line(self):
        drawn, info = self.draw("txt2img", width=64, height=64)
        (self.server.data / "drawn.png").write_bytes(drawn)
        for request, words in (({"upscaler_1": "4x-tiny", "upscaling_resize": 2}, ["--upscaler", "4x-tiny", "--scale", "2.0"]),
                               ({"upscaler_1": "4x-compact", "upscaling_resize": 4}, ["--upscaler", "4x-compact", "--scale", "4.0"]),
                               ({"upscaler_1": "Lanczos", "upscaler_2": "Nearest", "extras_upscaler_2_visibility": 0.5, "resize_mode": 1,
                                 "upscaling_resize_w": 100, "upscaling_resize_h": 60},
                                ["--upscaler", "Lanczos", "--upscaler-2", "Nearest", "--upscaler-2-visibility", "0.5", "--width", "100", "--height", "60"])):
            status, answer = self.server.post("/sdapi/v1/extra-single-image", {"image": base64.b64encode(drawn).decode(), **request})
            self.assertEqual(status, 200, answer)
            out = self.server.data / "larger.png"
            subprocess.run([LOWRANK, "extras", "--data-dir", str(self.server.data), str(self.server.data / "drawn.png"), *words, "-o", str(out), "--quiet"],
                           check=True, capture_output=True)
            self.assertEqual(picture(answer["image"]), out.read_bytes(), words)
            self.assertIn("Postprocess upscaler: " + request["upscaler_1"], answer["html_info"])
        _, read = self.server.post("/sdapi/v1/png-info", {"image": answer["image"]})
        self.assertTrue(read["info"].startswith(info["infotexts"][0]) and "Postprocess upscaler 2: Nearest" in read["info"])
        status, answer = self.server.post("/sdapi/v1/extra-single-image", {"image": base64.b64encode(drawn).decode(), "upscaler_1": "nope"})
        self.assertEqual((status, answer["detail"][0]["loc"]), (422, ["body", "upscaler_1"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
