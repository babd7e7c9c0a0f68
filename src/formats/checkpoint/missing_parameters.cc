#include "formats/checkpoint/missing_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace lowrank::formats {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";
// Lists whose members stand in a row. Others skip numbers where a layer has no parameters ("in_layers.0", "in_layers.2").
constexpr std::array<std::string_view, 8> kLists = {
    "input_blocks", "output_blocks", "middle_block", "transformer_blocks", "layers", "block", "down", "up"};

bool has_weights_only(Component component, std::string_view layer) {
  if (is_text_encoder(component)) return layer.starts_with("embeddings.") || layer == "text_projection";
  if (component == Component::kVae) return false;
  return layer.ends_with(".to_q") || layer.ends_with(".to_k") || layer.ends_with(".to_v");
}

std::optional<int> number_of(std::string_view segment) {
  int number = 0;
  const auto [end, problem] = std::from_chars(segment.data(), segment.data() + segment.size(), number);
  if (problem != std::errc{} || end != segment.data() + segment.size() || number < 0) return std::nullopt;
  return number;
}

// The list "a.b" → the numbers that are there, for every list in the names.
std::map<std::string, std::set<int>> numbered(const ParameterViews& views) {
  std::map<std::string, std::set<int>> lists;
  for (const auto& [name, view] : views) {
    std::string_view before, last;
    for (std::size_t begin = 0; begin < name.size();) {
      const std::size_t end = std::min(name.find('.', begin), name.size());
      const std::string_view segment(name.data() + begin, end - begin);
      const auto number = number_of(segment);
      const bool is_part_of_stage =
          number_of(last) && (before == "input_blocks" || before == "output_blocks");
      if (number && (is_part_of_stage || std::ranges::find(kLists, last) != kLists.end()))
        lists[name.substr(0, begin == 0 ? 0 : begin - 1)].insert(*number);
      before = last;
      last = segment;
      begin = end + 1;
    }
  }
  return lists;
}

void add_missing_pairs(Component component, const ParameterViews& views, std::vector<std::string>& missing) {
  const auto want = [&](std::string_view name, std::string_view ending, std::string_view other) {
    if (!name.ends_with(ending)) return;
    const std::string_view layer = name.substr(0, name.size() - ending.size());
    std::string partner = std::string(layer).append(other);
    if (!views.contains(partner) && !(ending == kWeight && has_weights_only(component, layer)))
      missing.push_back(std::move(partner));
  };
  for (const auto& [name, view] : views) {
    want(name, kWeight, kBias);
    want(name, kBias, kWeight);
  }
}

void add_gaps(const std::map<std::string, std::set<int>>& lists, std::vector<std::string>& missing) {
  for (const auto& [list, numbers] : lists) {
    int expected = 0;
    for (const int number : numbers) {
      if (number != expected) {
        missing.push_back(fmt::format("{}.{}.*", list, expected));
        break;
      }
      ++expected;
    }
  }
}

std::int64_t size_of(const std::map<std::string, std::set<int>>& lists, const std::string& list) {
  const auto found = lists.find(list);
  return found == lists.end() ? 0 : static_cast<std::int64_t>(found->second.size());
}

// A part that was at the end of its stage leaves no gap.
void add_missing_parts(const ParameterViews& views, const std::map<std::string, std::set<int>>& lists,
                       std::vector<std::string>& missing) {
  const std::int64_t inputs = size_of(lists, "input_blocks"), outputs = size_of(lists, "output_blocks");
  if (inputs != outputs || inputs == 0) return;  // the model refuses it
  std::int64_t downsamplers = 0, attentions_down = 0, attentions_up = 0;
  for (const auto& [name, view] : views) {
    downsamplers += name.starts_with("input_blocks.") && name.ends_with(".0.op.weight");
    if (!name.ends_with(".proj_in.weight")) continue;
    attentions_down += name.starts_with("input_blocks.");
    attentions_up += name.starts_with("output_blocks.");
  }
  const std::int64_t levels = downsamplers + 1, per_level = (inputs - levels) / levels;
  if (attentions_up * per_level != attentions_down * (per_level + 1))
    missing.push_back(attentions_up * per_level > attentions_down * (per_level + 1)
                          ? "input_blocks.*.1.proj_in.weight"
                          : "output_blocks.*.1.proj_in.weight");
  if (size_of(lists, "middle_block") < 3)
    missing.push_back(fmt::format("middle_block.{}.*", size_of(lists, "middle_block")));
}

}  // namespace

std::vector<std::string> missing_parameters(Component component, const ParameterViews& views) {
  std::vector<std::string> missing;
  add_missing_pairs(component, views, missing);
  const auto lists = numbered(views);
  add_gaps(lists, missing);
  if (component == Component::kUnet) add_missing_parts(views, lists, missing);
  return missing;
}

}  // namespace lowrank::formats
