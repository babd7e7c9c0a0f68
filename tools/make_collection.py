#!/usr/bin/env python3
"""Makes a collection of sparse LoRA files, for measuring: real headers of rank 4 to 32 LoRAs of Stable Diffusion 1.5
(264 modules, 113 kB each, with training metadata), tensors that are holes. 10,000 take 1.2 GB of disk.

  make_collection.py DATA_FOLDER [COUNT] [--sidecars]
"""
import json
import os
import pathlib
import struct
import sys

THINGS = ["fox", "hat", "castle", "robot", "river", "knight", "garden", "dragon", "lamp", "ocean"]
STYLES = ["style", "character", "pose", "outfit", "concept"]


def modules():
    """Names and widths of what kohya's scripts train in SD 1.5: 192 layers of the U-Net, 72 of the text encoder."""
    blocks = [(f"down_blocks_{i}_attentions_{j}", c) for i, c in ((0, 320), (1, 640), (2, 1280)) for j in (0, 1)]
    blocks += [("mid_block_attentions_0", 1280)]
    blocks += [(f"up_blocks_{i}_attentions_{j}", c) for i, c in ((1, 1280), (2, 640), (3, 320)) for j in (0, 1, 2)]
    for block, c in blocks:
        yield f"lora_unet_{block}_proj_in", c, c
        yield f"lora_unet_{block}_proj_out", c, c
        inner = f"lora_unet_{block}_transformer_blocks_0"
        for attention in ("attn1", "attn2"):
            for part in ("to_q", "to_k", "to_v", "to_out_0"):
                yield f"{inner}_{attention}_{part}", 768 if attention == "attn2" and part in ("to_k", "to_v") else c, c
        yield f"{inner}_ff_net_0_proj", c, 8 * c
        yield f"{inner}_ff_net_2", 4 * c, c
    for layer in range(12):
        prefix = f"lora_te_text_model_encoder_layers_{layer}"
        for part, i, o in (("self_attn_q_proj", 768, 768), ("self_attn_k_proj", 768, 768), ("self_attn_v_proj", 768, 768),
                           ("self_attn_out_proj", 768, 768), ("mlp_fc1", 768, 3072), ("mlp_fc2", 3072, 768)):
            yield f"{prefix}_{part}", i, o


def entries(rank, layers):
    """The tensors of a header as JSON text without its brackets, and the bytes that they describe."""
    listed, offset = {}, 0
    for name, i, o in layers:
        for suffix, shape in ((".alpha", []), (".lora_down.weight", [rank, i]), (".lora_up.weight", [o, rank])):
            length = 2
            for dimension in shape:
                length *= dimension
            listed[name + suffix] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + length]}
            offset += length
    return json.dumps(listed, separators=(",", ":"))[1:-1], offset


def header(metadata, listed):
    text = f'{{"__metadata__":{json.dumps(metadata, separators=(",", ":"))},{listed}}}'.encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def main():
    root = pathlib.Path(sys.argv[1]) / "models" / "Lora"
    count = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 10_000
    layers = list(modules())
    tensors = [entries(4 << k, layers) for k in range(4)]
    for n in range(count):
        thing, style = THINGS[n % 10], STYLES[n // 10 % 5]
        folder = root / f"set {n % 97:02}"
        folder.mkdir(parents=True, exist_ok=True)
        tags = {f"{thing}": 90, f"{style} of a {thing}": 80, **{f"tag {(7 * n + i) % 900}": 60 - i for i in range(48)}}
        metadata = {"ss_output_name": f"{thing}-{n}", "ss_network_module": "networks.lora", "ss_base_model_version": "sd_v1", "ss_steps": "1600",
                    "ss_tag_frequency": json.dumps({f"10_{thing}": tags}), "ss_session_id": str(n)}
        listed, length = tensors[n % 4]
        head = header(metadata, listed)
        path = folder / f"{thing}_{style}_{n:05}.safetensors"
        with open(path, "wb") as file:
            file.write(head)
            file.truncate(len(head) + length)
        if "--sidecars" in sys.argv and n % 2 == 0:
            path.with_suffix(".json").write_text(json.dumps({"activation text": f"{thing} {n}", "preferred weight": 0.8}))
            os.close(os.open(path.with_suffix(".png"), os.O_CREAT | os.O_WRONLY))


if __name__ == "__main__":
    main()
