// What a result says of itself: the facts of its parents that still hold, whose child it is, and modelspec's fields.
#pragma once

#include <span>
#include <string>

#include "edit/output.h"
#include "edit/source.h"

namespace lowrank::edit {

struct Parentage {
  const Source* source = nullptr;
  std::string weight;  // as it was asked for: "0.8", "te=0.5 unet=1"; "": not weighted
};

// Facts on which all parents agree are kept, training facts of a single parent too; captions' words are counted together;
// trigger phrases and authors are listed. `operation` ("merge"), the parents with their hashes, weights and whole metadata
// stand in `lowrank.parents` as JSON, their names in modelspec.merged_from. `title`: the output's name.
Metadata child_metadata(std::span<const Parentage> parents, const std::string& operation,
                        const std::string& title);

// What kohya's programs read of a network: its rank and alpha, "Dynamic" where modules differ.
struct NetworkFacts {
  std::string module, rank, alpha;
};
void set_network(Metadata& metadata, const NetworkFacts& facts);

}  // namespace lowrank::edit
