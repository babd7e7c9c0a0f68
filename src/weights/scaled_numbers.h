// Numbers stored in 8 bits beside the scale that makes them what they were: W = stored · scale. One place for all who write
// such files, so that checkpoints, folders and LoRAs give the right numbers to whoever reads a TensorView:
//
//   X.weight + X.scale_weight, a key `scaled_fp8`       ComfyUI's scaled float8, one scale for a weight
//   X.weight + X.weight_scale, X.comfy_quant (JSON)     the same since 2025, also by row or block; float8 in bytes (U8) too
//   X.weight + X.scale                                  sdnq: [out, 1], [out, 1, kh, kw], [out, groups, 1] for a weight
//                                                       [out, groups, n], [1, out] for one stored [in, out]
//   K + K.scale, K.scale_weight, K_scale                LoRA factors, which need not end with ".weight"
//
// Forms of quantisation that need more than a product are left as they are: formats/quantised_form.h names them.
// Sources: ComfyUI's QUANTIZATION.md and files; sdnq 0.2.8, whose modules were saved and compared.
#pragma once

#include <string>
#include <vector>

#include "weights/tensor_view.h"

namespace lowrank::weights {

// Gives every such tensor its scaling and takes the keys out of `tensors` that belong to it: scales, marks, and the scales
// of activations, which change no weight. Returns those keys; a note says how many tensors have scales.
std::vector<std::string> apply_scales(std::vector<TensorView>& tensors, std::vector<std::string>& notes);

}  // namespace lowrank::weights
