// What a checkpoint lacks though its other parameters ask for it. Networks are built from what is there, so a block that
// is missing would make another network, and a bias that is missing another picture, without a word.
#pragma once

#include <string>
#include <vector>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

// In a settled order; empty: nothing is known to be missing. Rules, each of Stable Diffusion's networks:
//   - every weight has its bias and every bias its weight, except the embeddings, the projection of the text and the queries, keys and values of the
//     U-Net's attention, which have weights only;
//   - what is numbered (blocks, their parts, layers, levels) is numbered from 0 without a gap;
//   - a U-Net has three parts in its middle, and for n blocks a level on the way down n + 1 on the way up, with attention
//     in the same levels.
// Shapes are the model's matter.
std::vector<std::string> missing_parameters(Component component, const ParameterViews& views);

}  // namespace lowrank::formats
