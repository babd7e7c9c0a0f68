#include "request/training/config_file.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text/text_file.h"

namespace lowrank::request {
namespace {

// Options of kohya's trainer that say how it works there, and not what is learned.
struct Needless {
  std::string_view key, why;
};
constexpr std::string_view kOwnKernels = "LowRank has its own kernels", kFromFile = "the checkpoint tells it",
                           kNoLoader = "pictures are encoded once, before training",
                           kAlways = "this is always done";
constexpr Needless kNeedless[] = {
    {"xformers", kOwnKernels},
    {"sdpa", kOwnKernels},
    {"mem_eff_attn", kOwnKernels},
    {"torch_compile", kOwnKernels},
    {"dynamo_backend", kOwnKernels},
    {"v2", kFromFile},
    {"v_parameterization", kFromFile},
    {"cache_latents", kAlways},
    {"vae_batch_size", kNoLoader},
    {"no_half_vae", "the VAE encodes in float32"},
    {"max_data_loader_n_workers", kNoLoader},
    {"persistent_data_loader_workers", kNoLoader},
    {"skip_cache_check", "kept latents are checked by their content"},
    {"cache_text_encoder_outputs", "captions that stay the same are encoded once"},
    {"cache_text_encoder_outputs_to_disk", "captions that stay the same are encoded once"},
    {"disable_mmap_load_safetensors", "files are always mapped"},
    {"lowram", "there is no graphics card"},
    {"highvram", "there is no graphics card"},
    {"log_with", "TensorBoard's files and CSV are written"},
    {"log_tracker_name", "TensorBoard's files need no name"},
    {"save_state", kAlways},
    {"save_state_on_train_end", kAlways},
};

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* yes = node.as_boolean()) return std::string(yes->get() ? "true" : "false");
  if (const auto* whole = node.as_integer()) return fmt::format("{}", whole->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(std::string label) : label_(std::move(label)) {}

  void read(const toml::table& table) {
    for (const auto& [key, node] : table) {
      if (const auto* inner = node.as_table())
        read(*inner);
      else
        option(std::string(key.str()), node, key.source().begin.line);
    }
  }

  // A table of TOML is sorted by its keys; messages follow the file.
  ConfigFile take() {
    std::ranges::stable_sort(found_, {}, &Found::line);
    ConfigFile file;
    std::map<const LoraOption*, std::uint32_t> lines;
    for (Found& found : found_) {
      if (found.row != nullptr)
        if (const auto [first, is_new] = lines.emplace(found.row, found.line); !is_new)
          throw Error(kBadInput, "{} is set a second time, after line {}; remove one of them.", found.name,
                      first->second);
      if (found.row != nullptr)
        file.settings.push_back({found.row, std::move(found.text), std::move(found.name)});
      else if (!found.text.empty())
        file.notes.push_back(std::move(found.text));
      else
        file.unknown.push_back({fmt::format("{}:{}", label_, found.line), std::move(found.name)});
    }
    return file;
  }

 private:
  struct Found {
    std::uint32_t line;
    const LoraOption* row;
    std::string text, name;
  };

  void option(const std::string& key, const toml::node& node, std::uint32_t line) {
    const std::string place = fmt::format("{}:{}", label_, line);
    const LoraOption* row = find_lora_option(key);
    if (row == nullptr) {
      const auto* needless = std::ranges::find(kNeedless, field_name(key), &Needless::key);
      const bool is_known = needless != std::end(kNeedless);
      found_.push_back({line, nullptr,
                        is_known ? fmt::format("{}: {} has no effect: {}.", place, key, needless->why) : "",
                        key});
      return;
    }
    found_.push_back({line, row, text_of(node, place, key), fmt::format("{}: {}", place, key)});
  }

  // A list is what kohya's command line takes as several words.
  static std::string text_of(const toml::node& node, const std::string& place, const std::string& key) {
    const auto refuse = [&] {
      throw Error(kBadInput, "{}: {} must be a text, a number, true or false, or a list of these.", place,
                  key);
    };
    if (const auto text = scalar_text(node)) return *text;
    const auto* list = node.as_array();
    if (list == nullptr) refuse();
    std::string all;
    for (const auto& part : *list) {
      const auto text = scalar_text(part);
      if (!text) refuse();
      all += (all.empty() ? "" : " ") + *text;
    }
    return all;
  }

  std::string label_;
  std::vector<Found> found_;
};

}  // namespace

ConfigFile parse_config(std::string_view text, const std::string& label) {
  Reader reader(label);
  try {
    reader.read(toml::parse(text, label));
  } catch (const toml::parse_error& error) {
    throw Error(kBadInput, "{}:{}: is not TOML: {}.", label, error.source().begin.line, error.description());
  }
  return reader.take();
}

ConfigFile read_config_file(const std::filesystem::path& file) {
  std::filesystem::path found = file;
  std::error_code failure;
  if (!std::filesystem::exists(found, failure) && found.extension() != ".toml") found += ".toml";
  return parse_config(read_text_file(found, {.max_bytes = 1u << 20}), found.string());
}

}  // namespace lowrank::request
