// Weights by block, as in `<lora:name:1:lbw=1,1,0,…>`: a factor for each block of the U-Net and one for the
// text encoder, and rules for single elements of blocks. Grammar and presets: sd-webui-lora-block-weight.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"

namespace lowrank::adapter {

// The block of a layer: "IN04", "M00", "OUT11" for the U-Net, "BASE" for the text encoder, "" outside of all
// blocks.
std::string block_of(const formats::LayerAddress& layer);

struct BlockWeightText {
  std::string weights = {};         // a preset's name or 12, 17, 20 or 26 values; empty: all 1
  std::string elements = {};        // names of element rules, comma separated; empty: none
  std::optional<double> base = {};  // of X values; absent: 1
  std::uint64_t seed = 0;           // of R and U values
};

class BlockWeights {
 public:
  BlockWeights() = default;  // 1 everywhere

  // What cannot be understood (another count of values, an unknown preset or rule) is left at 1 and told in
  // `warnings`.
  static BlockWeights parse(const BlockWeightText& text, std::vector<std::string>& warnings);

  // The factor for one layer. With a list, blocks that its form does not name have 0, layers outside of
  // blocks 1.
  double at(const formats::LayerAddress& layer) const;

  bool is_neutral() const { return !by_block_ && rules_.empty(); }

 private:
  struct Rule {
    int first = 0, last = 0;  // in the order BASE, IN00 … IN11, M00, OUT00 … OUT11
    std::string element;      // a word of the layer's path
    double ratio = 1;
  };
  std::optional<std::map<std::string, double, std::less<>>> by_block_;
  std::vector<Rule> rules_;
};

}  // namespace lowrank::adapter
