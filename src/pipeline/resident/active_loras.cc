#include "pipeline/resident/active_loras.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/file_identity.h"
#include "formats/lora/lora_file.h"
#include "tensor/state_dict.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

// More files than a prompt names; each costs its header and, while active, nothing more.
constexpr std::size_t kKnownFiles = 64;

// Of what PEFT may keep beside a LoRA.
std::string settings_version(const fs::path& path) {
  return identity_of(path.parent_path() / "adapter_config.json").text();
}

adapter::ActiveAdapter active_adapter(const prompt::LoraTag& tag,
                                      std::shared_ptr<const adapter::Adapter> adapter,
                                      std::vector<std::string>& warnings) {
  adapter::ActiveAdapter active{.adapter = std::move(adapter),
                                .te = tag.te,
                                .unet = tag.unet,
                                .dyn = tag.dyn,
                                .blocks = {},
                                .unet_factor = {},
                                .acts_at = {},
                                .notes = {}};
  const std::size_t before = warnings.size();
  if (!tag.block_weights.empty() || !tag.block_elements.empty()) {
    active.blocks = adapter::BlockWeights::parse(
        {.weights = tag.block_weights, .elements = tag.block_elements, .base = tag.block_base}, warnings);
  }
  active.notes.assign(warnings.begin() + static_cast<std::ptrdiff_t>(before), warnings.end());
  if (tag.window.start || tag.window.stop)
    active.unet_factor = [window = tag.window](int step, int steps) {
      return window.is_active(step, steps) ? 1.0 : 0.0;
    };
  if (!tag.times.empty())
    active.notes.push_back("the brackets around its tag switch it on and off during sampling");
  if (!tag.times.empty())
    active.acts_at = [times = tag.times](int call) { return prompt::is_there(times, call); };
  return active;
}

std::string activating(const std::string& name) {
  return fmt::format("activating <lora:{}>", name);
}

std::string number(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "-";
}

// Everything of a tag that bears on the text encoder, and on the U-Net.
std::string text_key(const prompt::LoraTag& tag) {
  return fmt::format("{} {} {} {} {}", tag.te, tag.dyn.value_or(-1), tag.block_weights, tag.block_elements,
                     number(tag.block_base));
}
std::string unet_key(const prompt::LoraTag& tag) {
  std::string key = fmt::format("{} {} {}", tag.unet, number(tag.window.start), number(tag.window.stop));
  for (const prompt::Presence& entry : tag.times)
    key += fmt::format(" {}{}", entry.end_at_step, entry.is_there ? '+' : '-');
  return key;
}

void check_weight(const prompt::LoraTag& tag) {
  for (const double weight : {tag.te, tag.unet})
    if (std::abs(weight) > prompt::kMaxNetworkWeight)
      throw Error(kBadInput,
                  "<lora:{}:{}>: the weight exceeds {:g}, where every picture is noise; use a smaller one.",
                  tag.name, weight, prompt::kMaxNetworkWeight);
}

// Those of the loaded LoRAs as tensors.
std::vector<Embedding> embeddings_of(const ActiveLoras::Loaded& lora, const std::string& version) {
  std::vector<Embedding> found;
  for (const auto& bundled : lora.adapter->embeddings()) {
    const auto& file = lora.adapter->file();
    found.push_back({bundled.name, file.path, tensors_of(bundled.vectors, file.file), version});
  }
  return found;
}

}  // namespace

const ActiveLoras::Known& ActiveLoras::open(const fs::path& path, const LoadedModel& model) {
  std::string settings = settings_version(path);
  const auto it = known_.find(path);
  if (it != known_.end() && it->second.settings == settings && it->second.adapter->file().file->is_current())
    return it->second;
  if (known_.size() >= kKnownFiles) known_.clear();
  auto adapter = adapter::Adapter::match(formats::open_lora(path), model.adaptable(), others_);
  const weights::TensorFile& file = *adapter->file().file;
  std::string hash = formats::lora_short_hash(file);
  file.require_unchanged();
  std::string version = fmt::format("{} {} {}", file.identity().text(), settings, ++opened_);
  return known_
      .insert_or_assign(path,
                        Known{std::move(version), std::move(settings), std::move(adapter), std::move(hash)})
      .first->second;
}

std::optional<fs::path> ActiveLoras::locate(const std::string& name, OnMissing on_missing,
                                            std::vector<MissingLora>& missing) const {
  try {
    return find_(name);
  } catch (const Error& error) {
    // That the collection cannot be asked says nothing about what is in it.
    if (on_missing == OnMissing::kFail || error.code() != kNotFound) throw error.during(activating(name));
    missing.push_back({name, error.what()});
    return std::nullopt;
  }
}

ActiveLoras::Loaded ActiveLoras::load(const std::string& name, const fs::path& path, const LoadedModel& model,
                                      std::string& version) {
  const Known& known = open(path, model);
  version = path.string() + "\n" + known.version;
  return {name, known.hash, known.adapter};
}

ActiveLoras::Loaded ActiveLoras::look(const std::string& name, const LoadedModel& model) {
  std::string version;
  return load(name, find_(name), model, version);
}

void ActiveLoras::activate(std::span<const prompt::LoraTag> tags, LoadedModel& model, OnMissing on_missing,
                           const Watcher& watcher, const std::stop_token& stop) {
  std::vector<Loaded> loaded;
  std::vector<MissingLora> not_loaded;
  std::vector<std::string> warnings;
  std::vector<adapter::ActiveAdapter> active;
  std::vector<TextPart> text_parts;
  std::vector<Embedding> embeddings;
  std::string state;
  for (const prompt::LoraTag& tag : tags) {
    check_weight(tag);
    const auto path = locate(tag.name, on_missing, not_loaded);
    if (!path) continue;
    try {
      std::string version;
      loaded.push_back(load(tag.name, *path, model, version));
      active.push_back(active_adapter(tag, loaded.back().adapter, warnings));
      if (loaded.back().adapter->modules(formats::Component::kTextEncoder) +
              loaded.back().adapter->modules(formats::Component::kTextEncoder2) >
          0)
        text_parts.push_back({fmt::format("{}\n{}\n", version, text_key(tag)), tag.times});
      for (Embedding& embedding : embeddings_of(loaded.back(), version))
        if (std::ranges::find(embeddings, embedding.name, &Embedding::name) == embeddings.end())
          embeddings.push_back(std::move(embedding));
      state += fmt::format("{}\n{}\n{}\n", version, text_key(tag), unet_key(tag));
    } catch (const Error& error) {
      const bool is_about_file =
          error.code() == kBadInput || error.code() == kUnsupported || error.code() == kNotFound;
      if (on_missing == OnMissing::kFail || !is_about_file) throw error.during(activating(tag.name));
      not_loaded.push_back({tag.name, error.what()});
    }
  }
  if (state != state_) {
    // Nothing may be taken for the old or the new set if apply() fails half-way.
    state_.assign(1, '?');
    stack_.apply(active, model.adaptable());
    stack_.prepare(watcher, stop);
    reports_.clear();
    state_ = std::move(state);
  }
  text_parts_ = std::move(text_parts);
  embeddings_ = std::move(embeddings);
  set_text_call(0);
  loaded_ = std::move(loaded);
  missing_ = std::move(not_loaded);
  warnings_ = std::move(warnings);
}

ActiveLoras::TextSets ActiveLoras::text_sets(int calls) const {
  TextSets sets{.first_calls = {0}, .of_call = {}};
  if (std::ranges::all_of(text_parts_, [](const TextPart& part) { return part.times.empty(); })) return sets;
  std::map<std::vector<bool>, std::size_t> known;
  for (int call = 0; call < calls; ++call) {
    std::vector<bool> acting;
    for (const TextPart& part : text_parts_) acting.push_back(prompt::is_there(part.times, call));
    const auto [place, is_new] = known.try_emplace(std::move(acting), known.size());
    if (is_new && call > 0) sets.first_calls.push_back(call);
    sets.of_call.push_back(place->second);
  }
  return sets;
}

void ActiveLoras::set_text_call(int call) {
  stack_.set_text_call(call);
  text_state_.clear();
  for (const TextPart& part : text_parts_)
    if (prompt::is_there(part.times, call)) text_state_ += part.key;
}

void ActiveLoras::require_unchanged() const {
  for (const Loaded& lora : loaded_) lora.adapter->file().file->require_unchanged();
}

void ActiveLoras::forget() {
  stack_.clear();
  known_.clear();
  loaded_.clear();
  missing_.clear();
  warnings_.clear();
  reports_.clear();
  state_.clear();
  text_parts_.clear();
  embeddings_.clear();
  text_state_.clear();
}

const std::vector<adapter::ApplyReport>& ActiveLoras::reports(adapter::Measure measure,
                                                              const std::function<void()>& after_weight) {
  const bool wants_sizes = measure == adapter::Measure::kYes;
  if (reports_.size() != loaded_.size() || (wants_sizes && !loaded_.empty() && !reports_.front().measured))
    reports_ = stack_.reports(measure, after_weight);
  return reports_;
}

}  // namespace lowrank::pipeline
