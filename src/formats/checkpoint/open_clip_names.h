// The text encoders of SD 2.x and SDXL in open_clip's naming, read under the canonical names, which are transformers':
//
//   open_clip  transformer.resblocks.0.attn.in_proj_weight   canonical encoder.layers.0.self_attn.{q,k,v}_proj.weight
//   open_clip  text_projection  [in, out]                    canonical text_projection.weight  [out, in]
//
// Source: the module lists of mlfoundations/open_clip and huggingface/transformers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weights/tensor_view.h"

namespace lowrank::formats {

using NamedViews = std::vector<std::pair<std::string, weights::TensorView>>;

// The parameters that one tensor holds, over the same bytes; none: the name (without root) is none of the encoder's.
// Throws Error(kBadInput) for a fused matrix whose rows are not three equal parts, kUnsupported for one whose numbers have
// scales.
NamedViews open_clip_parameters(std::string_view name, const weights::TensorView& view);

// The rows of query (place 0), key (1) or value (2) of a tensor that holds all three below one another; `view` has a number of
// rows that 3 divides, and no scales.
weights::TensorView third_of_rows(const weights::TensorView& view, std::size_t place);

// Which canonical layers a layer of open_clip's naming stands for, flattened or not: one, or the three of `in_proj`.
std::vector<std::string> open_clip_layers(std::string_view layer);

// open_clip's name of a canonical parameter; the same one for query, key and value of a layer. The name must be of a parameter
// that the encoder has.
std::string open_clip_name(std::string_view parameter);

}  // namespace lowrank::formats
