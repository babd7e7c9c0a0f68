// One axis of an X/Y/Z plot: what changes along it, and through which values. Source: A1111's
// scripts/xyz_grid.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "request/generation_request.h"

namespace lowrank::request {

struct Axis {
  enum class Kind { kNothing, kField, kPromptReplace, kPromptOrder, kSize };
  Kind kind = Kind::kNothing;
  std::string label = "Nothing";           // as it stands over the pictures: "Steps"
  std::string api = {};                    // kField: the row of the field table
  std::vector<std::string> values = {""};  // kPromptOrder: a comma-separated order each
  std::string text = {};                   // the values as they were written

  bool is_seed() const { return api == "seed" || api == "subseed"; }
  // How much longer than anything else a change takes: a model is read. Source: A1111's cost of an axis.
  double cost() const;
};

// `name` is A1111's label ("CFG Scale", "Prompt S/R", "Checkpoint name" …), or a field by its API name or
// flag. `values` is A1111's text: items between commas, quotes around one that holds a comma; whole numbers
// also as 1-5, 1-10 (+3) or 1-10 [4] (that many, evenly), fractions likewise. Throws Error(kBadInput) naming
// what is not understood.
Axis parse_axis(std::string_view name, std::string_view values);

// The request with the axis' value number `index`. Throws Error(kBadInput) when the value does not fit, or
// "Prompt S/R" does not find what it is to replace.
void apply_axis(GenerationRequest& request, const Axis& axis, std::size_t index);

// "Steps: 20"; for prompts just the value, "" for nothing.
std::string axis_caption(const Axis& axis, std::size_t index);

// All labels that parse_axis() knows, fields aside.
std::vector<std::string_view> axis_labels();

// A1111 1.10's axes by their number, "Nothing" first; also those that do not exist here, which parse_axis() refuses.
std::vector<std::string_view> a1111_axes(bool is_img2img);

}  // namespace lowrank::request
