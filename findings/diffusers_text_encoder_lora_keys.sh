#!/usr/bin/env bash
# diffusers writes the LoRA of one text encoder in two key forms at once: attention as "lora_linear_layer.down/up", the MLP as
# "lora_A/lora_B".
#
# convert_state_dict_to_diffusers, which diffusers' own training scripts call before save_lora_weights, renames by a table whose
# rows all name an attention projection (".q_proj.lora_A" and so on); fc1 and fc2 have no row and keep PEFT's names. Training
# scripts that target attention alone never show it; with the MLP among target_modules, as LoRA files by other trainers have it, a
# quarter of the file's modules or more bear other names than the rest. Since transformers 5 the encoder's modules lie at
# "encoder.layers" and not "text_model.encoder.layers", so that the names also lack the part that readers of earlier files look for.
# diffusers reads its file back completely; a reader that decides on one form per file, or looks for "text_model.", drops layers.
# Seen on 2026-11-28 with diffusers 0.42.1, transformers 5.24.0, peft 0.21.2, torch 2.15.0:
#
#   text_encoder.encoder.layers.0.mlp.fc1.lora_A.weight                          8 keys of the MLP
#   text_encoder.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight 16 keys of attention
#   read back by diffusers: 12 of 12 modules, largest difference 0
#
# Fetches some 3 GB from PyPI into a temporary folder (its torch brings CUDA's libraries); ends with 1 when what is seen changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install torch==2.15.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 numpy==2.4.6
cat > "$work/run.py" <<'PY'
import copy
import os
import sys

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

torch.manual_seed(0)
base = CLIPTextModel(CLIPTextConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                    num_attention_heads=2, bos_token_id=48, eos_token_id=49))
targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
trained = inject_adapter_in_model(LoraConfig(r=2, lora_alpha=2, target_modules=targets, init_lora_weights=False),
                                  copy.deepcopy(base))
folder = sys.argv[1]
StableDiffusionPipeline.save_lora_weights(
    folder, text_encoder_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(trained)))
state = load_file(os.path.join(folder, "pytorch_lora_weights.safetensors"))
mlp = [key for key in state if ".mlp." in key and (".lora_A." in key or ".lora_B." in key)]
attention = [key for key in state if ".self_attn." in key and ".lora_linear_layer." in key]
short = [key for key in state if key.startswith("text_encoder.encoder.layers.")]
print("\n".join(sorted(state)[:6]))
print(f"{len(mlp)} keys of the MLP as lora_A/lora_B, {len(attention)} of attention as lora_linear_layer, {len(state)} in all; "
      f"{len(short)} without text_model.")

again = copy.deepcopy(base)
StableDiffusionPipeline.load_lora_into_text_encoder(state, network_alphas=None, text_encoder=again, prefix="text_encoder",
                                                    adapter_name="again")
ids = torch.tensor([[48, 1, 2, 3, 49]])
with torch.no_grad():
    moved = (base(ids)[0] - trained(ids)[0]).abs().max().item()
    apart = (again(ids)[0] - trained(ids)[0]).abs().max().item()
print(f"the LoRA moves the output by {moved:.2f}; read back by diffusers it is {apart:.1g} away")
seen = (len(mlp), len(attention), len(state), len(short)) == (8, 16, 24, 24) and moved > 0.1 and apart < 1e-5
print("as described" if seen else "CHANGED: not as the head of this script says")
sys.exit(0 if seen else 1)
PY
mkdir "$work/out"
"$work/venv/bin/python" "$work/run.py" "$work/out" 2>/dev/null
