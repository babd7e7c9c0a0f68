#include "pipeline/active_loras.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "formats/lora_file.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

// More files than a prompt names; each costs its header and, while active, nothing more.
constexpr std::size_t kKnownFiles = 64;

std::string file_version(const fs::path& path) {
  std::error_code ignored;
  return fmt::format("{} {}", fs::file_size(path, ignored),
                     fs::last_write_time(path, ignored).time_since_epoch().count());
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
  return active;
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
  return fmt::format("{} {} {}", tag.unet, number(tag.window.start), number(tag.window.stop));
}

}  // namespace

const ActiveLoras::Known& ActiveLoras::open(const fs::path& path, const LoadedModel& model) {
  std::string version = file_version(path);
  const auto it = known_.find(path);
  if (it != known_.end() && it->second.version == version) return it->second;
  if (known_.size() >= kKnownFiles) known_.clear();
  auto adapter = adapter::Adapter::match(formats::open_lora(path), *model.unet, *model.text_encoder);
  std::string hash = formats::lora_short_hash(*adapter->file().file);
  return known_.insert_or_assign(path, Known{std::move(version), std::move(adapter), std::move(hash)})
      .first->second;
}

ActiveLoras::Loaded ActiveLoras::load(const std::string& name, const LoadedModel& model,
                                      std::string& version) {
  const fs::path path = find_(name);
  const Known& known = open(path, model);
  version = path.string() + "\n" + known.version;
  return {name, known.hash, known.adapter};
}

void ActiveLoras::activate(std::span<const prompt::LoraTag> tags, LoadedModel& model, OnMissing on_missing) {
  std::vector<Loaded> loaded;
  std::vector<MissingLora> not_loaded;
  std::vector<std::string> warnings;
  std::vector<adapter::ActiveAdapter> active;
  std::string state, text_state;
  for (const prompt::LoraTag& tag : tags) {
    try {
      std::string version;
      loaded.push_back(load(tag.name, model, version));
      active.push_back(active_adapter(tag, loaded.back().adapter, warnings));
      if (loaded.back().adapter->modules(formats::Component::kTextEncoder) > 0)
        text_state += fmt::format("{}\n{}\n", version, text_key(tag));
      state += fmt::format("{}\n{}\n{}\n", version, text_key(tag), unet_key(tag));
    } catch (const Error& error) {
      if (on_missing == OnMissing::kFail) throw error.during(fmt::format("activating <lora:{}>", tag.name));
      not_loaded.push_back({tag.name, error.what()});
    }
  }
  if (state != state_) {
    // Nothing may be taken for the old or the new set if apply() fails half-way.
    state_.assign(1, '?');
    stack_.apply(active, *model.unet, *model.text_encoder);
    reports_.clear();
    state_ = std::move(state);
  }
  text_state_ = std::move(text_state);
  loaded_ = std::move(loaded);
  missing_ = std::move(not_loaded);
  warnings_ = std::move(warnings);
}

void ActiveLoras::forget() {
  stack_.clear();
  known_.clear();
  loaded_.clear();
  missing_.clear();
  warnings_.clear();
  reports_.clear();
  state_.clear();
  text_state_.clear();
}

const std::vector<adapter::ApplyReport>& ActiveLoras::reports(adapter::Measure measure) {
  const bool wants_sizes = measure == adapter::Measure::kYes;
  if (reports_.size() != loaded_.size() || (wants_sizes && !loaded_.empty() && !reports_.front().measured))
    reports_ = stack_.reports(measure);
  return reports_;
}

}  // namespace lowrank::pipeline
