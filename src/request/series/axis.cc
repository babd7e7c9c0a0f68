#include "request/series/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/infotext.h"
#include "prompt/infotext_values.h"
#include "request/field_table.h"
#include "request/series/csv.h"

namespace lowrank::request {
namespace {

enum class Where { kBoth, kText, kImage };

struct LabelRow {
  std::string_view label;
  std::string_view api;  // "": no field here
  Where where = Where::kBoth;
};

constexpr std::string_view kNothing = "Nothing", kReplace = "Prompt S/R", kOrder = "Prompt order",
                           kSize = "Size";

// A1111's axes in its order; clients name them by number.
constexpr LabelRow kLabels[] = {
    {kNothing, ""},
    {"Seed", "seed"},
    {"Var. seed", "subseed"},
    {"Var. strength", "subseed_strength"},
    {"Steps", "steps"},
    {"Hires steps", "hr_second_pass_steps", Where::kText},
    {"CFG Scale", "cfg_scale"},
    {"Image CFG Scale", "", Where::kImage},
    {kReplace, ""},
    {kOrder, ""},
    {"Sampler", "sampler_name"},
    {"Hires sampler", "hr_sampler_name", Where::kText},
    {"Checkpoint name", "sd_model_checkpoint"},
    {"Negative Guidance minimum sigma", "s_min_uncond"},
    {"Sigma Churn", "s_churn"},
    {"Sigma min", "s_tmin"},
    {"Sigma max", "s_tmax"},
    {"Sigma noise", "s_noise"},
    {"Schedule type", "scheduler"},
    {"Schedule min sigma", "sigma_min"},
    {"Schedule max sigma", "sigma_max"},
    {"Schedule rho", "rho"},
    {"Beta schedule alpha", "beta_dist_alpha"},
    {"Beta schedule beta", "beta_dist_beta"},
    {"Eta", "eta"},
    {"Clip skip", "CLIP_stop_at_last_layers"},
    {"Denoising", "denoising_strength"},
    {"Initial noise multiplier", "initial_noise_multiplier"},
    {"Extra noise", "img2img_extra_noise"},
    {"Hires upscaler", "hr_upscaler", Where::kText},
    {"Cond. Image Mask Weight", "inpainting_mask_weight", Where::kImage},
    {"VAE", "sd_vae"},
    {"Styles", "styles"},
    {"UniPC Order", ""},
    {"Face restore", ""},
    {"Token merging ratio", "token_merging_ratio"},
    {"Token merging ratio high-res", "token_merging_ratio_hr"},
    {"Always discard next-to-last sigma", "always_discard_next_to_last_sigma"},
    {"SGM noise multiplier", "sgm_noise_multiplier"},
    {"Refiner checkpoint", "refiner_checkpoint"},
    {"Refiner switch at", "refiner_switch_at"},
    {"RNG source", "randn_source"},
    {"FP8 mode", ""},
    {kSize, ""},
};
constexpr std::size_t kMaxValues = 1000, kMaxOrdered = 6;

template <typename Member>
bool is_whole(const Member& member) {
  return std::holds_alternative<int GenerationRequest::*>(member) ||
         std::holds_alternative<std::int64_t GenerationRequest::*>(member);
}
template <typename Member>
bool is_fraction(const Member& member) {
  return std::holds_alternative<Decimal GenerationRequest::*>(member) ||
         std::holds_alternative<std::optional<Decimal> GenerationRequest::*>(member);
}

double number(const std::string& text, std::string_view label) {
  std::string plain = text;
  std::erase_if(plain, [](char c) { return c == ' ' || c == '+'; });
  const auto value = parse_number(plain);
  if (!value) throw Error(kBadInput, "the values of '{}' contain '{}', which is not a number.", label, text);
  return *value;
}

std::string number_text(double value, bool whole) {
  if (whole) return fmt::format("{}", static_cast<std::int64_t>(value));
  return prompt::number_text(std::round(value * 1e8) / 1e8);  // 0.3, not 0.30000000000000004
}

// 1-5, 1-10 (+3), 1-10 [4] → the numbers; nullopt: not a range. Ends of whole numbers belong to the range;
// with fractions the reference goes on to less than end + step.
std::optional<std::vector<std::string>> expand_range(const std::string& text, bool whole,
                                                     std::string_view label) {
  static const std::regex kPattern(
      R"(\s*([+-]?\s*\d+(?:\.\d*)?)\s*-\s*([+-]?\s*\d+(?:\.\d*)?)\s*(?:\(([+-]\d+(?:\.\d*)?)\s*\)|\[(\d+)\s*\])?\s*)");
  std::smatch m;
  if (!std::regex_match(text, m, kPattern)) return std::nullopt;
  const double first = number(m[1].str(), label), last = number(m[2].str(), label);
  std::vector<std::string> values;
  if (m[4].matched) {
    const double count = number(m[4].str(), label);
    if (count > static_cast<double>(kMaxValues))
      throw Error(kBadInput, "the range '{}' of '{}' has more than {} values.", text, label, kMaxValues);
    const auto n = static_cast<int>(count);
    if (n == 0)
      throw Error(kBadInput,
                  "the range '{}' of '{}' has a count of 0; write the number of values in the brackets.",
                  trim(text), label);
    for (int i = 0; i < n; ++i)
      values.push_back(number_text(n == 1 ? first : first + (last - first) * i / (n - 1), whole));
    return values;
  }
  const double step = m[3].matched ? number(m[3].str(), label) : 1;
  if (step == 0) throw Error(kBadInput, "the range '{}' of '{}' has a step of 0.", text, label);
  const double end = whole ? last + 1 : last + step;
  const double count = std::ceil((end - first) / step);
  if (count <= 0)
    throw Error(kBadInput,
                "the range '{}' of '{}' is empty, as its steps of {:g} lead away from its end; write the "
                "smaller end first, or list the values.",
                trim(text), label, step);
  if (count > static_cast<double>(kMaxValues))
    throw Error(kBadInput, "the range '{}' of '{}' has more than {} values.", text, label, kMaxValues);
  for (int i = 0; i < static_cast<int>(count); ++i) values.push_back(number_text(first + step * i, whole));
  return values;
}

std::vector<std::string> numbers(const std::vector<std::string>& items, bool whole, std::string_view label) {
  std::vector<std::string> values;
  for (const std::string& item : items) {
    if (item.empty()) continue;
    if (auto range = expand_range(item, whole, label)) {
      values.insert(values.end(), range->begin(), range->end());
    } else {
      values.push_back(item);
    }
  }
  return values;
}

// All orders of the items, in the order of Python's itertools.permutations.
std::vector<std::string> orders(const std::vector<std::string>& items) {
  if (items.size() > kMaxOrdered)
    throw Error(kBadInput, "'{}' has {} parts; at most {} can be permuted.", kOrder, items.size(),
                kMaxOrdered);
  std::vector<std::size_t> places(items.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::vector<std::string> all;
  do {
    std::string order;
    for (const std::size_t place : places) order += (order.empty() ? "" : ",") + items[place];
    all.push_back(order);
  } while (std::ranges::next_permutation(places).found);
  return all;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos && !from.empty();
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// The parts that `order` names, wherever they stand in the prompt, change places so that they come in this
// order. Source: apply_order.
void reorder(std::string& prompt, const std::vector<std::string>& order) {
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const std::string& part : order) {
    const auto at = prompt.find(part);
    if (part.empty() || at == std::string::npos)
      throw Error(kBadInput, "'{}' did not find '{}' in the prompt.", kOrder, part);
    found.emplace_back(at, part);
  }
  std::ranges::stable_sort(found, {}, &std::pair<std::size_t, std::string>::first);
  std::string rest = prompt, built;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto at = rest.find(found[i].second);
    if (at == std::string::npos) throw Error(kBadInput, "the parts of '{}' overlap in the prompt.", kOrder);
    built += rest.substr(0, at) + order[i];
    rest = rest.substr(at + found[i].second.size());
  }
  prompt = built + rest;
}

// Sides that are no multiple of 8 are whoever makes the picture's to refuse or to round.
void set_size(GenerationRequest& request, const std::string& value) {
  const auto sides = prompt::split_loose_size(value);
  const auto side = [&](const std::string& text) {
    const int pixels = parse_integer(text).value_or(0);
    if (pixels < 8 || pixels > 4096)
      throw Error(kBadInput,
                  "'{}' is not a size; write WIDTHxHEIGHT, each from 8 to 4096 pixels, such as 512x768.",
                  value);
    return pixels;
  };
  const int width = side(sides ? sides->first : ""), height = side(sides ? sides->second : "");
  request.width = width;
  request.height = height;
}

// The style that a value of the axis adds; A1111 has one without words, called None.
void add_styles(GenerationRequest& request, const std::string& value) {
  for (const std::string& name : split_csv(value))
    if (!name.empty() && lower(name) != "none") request.styles.push_back(name);
}

const FieldRow* field_named(std::string_view name) {
  const auto row =
      std::ranges::find_if(kLabels, [&](const LabelRow& l) { return lower(l.label) == lower(name); });
  if (row != std::end(kLabels)) return row->api.empty() ? nullptr : field_by_api(row->api);
  const FieldRow* field = field_by_api(name);
  if (field == nullptr) field = field_by_flag(name);
  if (field == nullptr) field = field_by_infotext(name);
  return field;
}

}  // namespace

double Axis::cost() const {
  if (api == "sd_model_checkpoint" || api == "refiner_checkpoint" || api == "hr_checkpoint_name") return 1;
  return api == "sd_vae" ? 0.7 : 0;
}

std::vector<std::string_view> axis_labels() {
  std::vector<std::string_view> labels = {kReplace, kOrder, kSize};
  for (const LabelRow& row : kLabels)
    if (!row.api.empty()) labels.push_back(row.label);
  return labels;
}

std::vector<std::string_view> a1111_axes(bool is_img2img) {
  std::vector<std::string_view> labels;
  for (const LabelRow& row : kLabels)
    if (row.where != (is_img2img ? Where::kText : Where::kImage)) labels.push_back(row.label);
  return labels;
}

Axis parse_axis(std::string_view name, std::string_view values) {
  const std::string wanted = lower(trim(name));
  const std::vector<std::string> items = split_csv(values);
  Axis axis{.label = std::string(trim(name)), .text = std::string(values)};
  if (wanted == lower(kNothing)) return Axis{};
  if (wanted == lower(kReplace)) {
    axis.kind = Axis::Kind::kPromptReplace;
    axis.values = items;
  } else if (wanted == lower(kOrder)) {
    axis.kind = Axis::Kind::kPromptOrder;
    axis.values = orders(items);
  } else if (wanted == lower(kSize)) {
    axis.kind = Axis::Kind::kSize;
    axis.values = items;
  } else {
    const FieldRow* field = field_named(trim(name));
    if (field == nullptr)
      throw Error(kBadInput, "unknown axis '{}'; choose one of {}, or a generation field.", name,
                  fmt::join(axis_labels(), ", "));
    const bool whole = is_whole(field->member), fraction = is_fraction(field->member);
    axis.kind = Axis::Kind::kField;
    axis.api = field->api;
    axis.values = whole || fraction ? numbers(items, whole, name) : items;
  }
  if (axis.values.empty()) throw Error(kBadInput, "the axis '{}' has no values.", name);
  if (axis.values.size() > kMaxValues)
    throw Error(kBadInput, "the axis '{}' has {} values; at most {} are allowed.", name, axis.values.size(),
                kMaxValues);
  return axis;
}

void apply_axis(GenerationRequest& request, const Axis& axis, std::size_t index) {
  const std::string& value = axis.values.at(index);
  switch (axis.kind) {
    case Axis::Kind::kNothing:
      return;
    case Axis::Kind::kPromptReplace: {
      const std::string& from = axis.values.front();
      if (request.prompt.find(from) == std::string::npos &&
          request.negative_prompt.find(from) == std::string::npos)
        throw Error(kBadInput, "'{}' did not find '{}' in prompt or negative prompt.", axis.label, from);
      request.prompt = replaced(request.prompt, from, value);
      request.negative_prompt = replaced(request.negative_prompt, from, value);
      return;
    }
    case Axis::Kind::kPromptOrder:
      return reorder(request.prompt, split_csv(value));
    case Axis::Kind::kSize:
      return set_size(request, value);
    case Axis::Kind::kField: {
      const FieldRow* field = field_by_api(axis.api);
      if (axis.api == "styles") return add_styles(request, value);
      return set_field(request, *field, value, axis.label);
    }
  }
}

std::string axis_caption(const Axis& axis, std::size_t index) {
  const std::string& value = axis.values.at(index);
  const bool is_plain = axis.kind == Axis::Kind::kNothing || axis.kind == Axis::Kind::kPromptReplace ||
                        axis.kind == Axis::Kind::kPromptOrder || axis.api == "sampler_name" ||
                        axis.api == "sd_model_checkpoint" || axis.api == "refiner_checkpoint";
  return is_plain ? value : fmt::format("{}: {}", axis.label, value);
}

}  // namespace lowrank::request
