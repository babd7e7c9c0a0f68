#include "edit/rewrite.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "adapter/block_weights.h"
#include "base/error.h"
#include "edit/source.h"
#include "tensor/state_dict.h"

namespace lowrank::edit {
namespace {

namespace fs = std::filesystem;
using formats::AdapterKind;
using weights::DType;

// What a program asks for before it uses the file.
constexpr std::array<std::string_view, 12> kNeeded = {"ss_base_model_version",    "ss_v2",
                                                      "ss_network_module",        "ss_network_dim",
                                                      "ss_network_alpha",         "ss_network_args",
                                                      "ss_output_name",           "format",
                                                      "modelspec.sai_model_spec", "modelspec.architecture",
                                                      "modelspec.title",          "lora_adapter_metadata"};

struct ShortName {
  std::string_view name, key;
};
constexpr std::array kShortNames = {
    ShortName{"title", "modelspec.title"},
    ShortName{"author", "modelspec.author"},
    ShortName{"description", "modelspec.description"},
    ShortName{"trigger", "modelspec.trigger_phrase"},
    ShortName{"tags", "modelspec.tags"},
    ShortName{"license", "modelspec.license"},
    ShortName{"date", "modelspec.date"},
    ShortName{"usage-hint", "modelspec.usage_hint"},
    ShortName{"resolution", "modelspec.resolution"},
    ShortName{"thumbnail", "modelspec.thumbnail"},
};

Job job_for(const Job& job, const fs::path& input) {
  Job own = job;
  if (own.output.empty()) {
    if (own.overwrite == Overwrite::kNo)
      throw Error(kConflict,
                  "{}: would be replaced; name another file with -o, or allow it with --overwrite.",
                  input.string());
    own.output = input;
  }
  own.output = checked_output(own.output, own.overwrite);
  return own;
}

std::shared_ptr<const weights::TensorFile> open_plain(const fs::path& path) {
  auto file = weights::TensorFile::open(path);
  for (const auto& view : file->tensors())
    if (view.scaling != nullptr)
      throw Error(kUnsupported, "{}: the numbers of '{}' have scales beside them; convert it to fp16 first.",
                  path.string(), view.name);
  return file;
}

Rewritten finish(const Job& job, std::vector<Step> steps, Metadata metadata) {
  Rewritten result{.path = job.output, .tensors = static_cast<std::int64_t>(steps.size())};
  const Written written = write_steps(job, std::move(steps), metadata);
  result.bytes = written.bytes;
  result.metadata = static_cast<std::int64_t>(metadata.size());
  return result;
}

std::vector<Step> all_tensors(const std::shared_ptr<const weights::TensorFile>& file) {
  std::vector<Step> steps;
  for (const auto& view : file->tensors()) steps.push_back(unchanged(view.name, view, file));
  return steps;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

void check_value(const std::string& key, const std::string& value) {
  const auto refuse = [&](std::string_view form) {
    throw Error(kBadInput, "{} is '{}', but must be {}.", key, value, form);
  };
  if (key == "modelspec.resolution") {
    const auto x = value.find('x');
    if (x == value.npos ? !is_number(value)
                        : !is_number(value.substr(0, x)) || !is_number(value.substr(x + 1)))
      refuse("a size such as 1024x1024");
  } else if (key == "modelspec.prediction_type") {
    if (value != "v" && value != "epsilon") refuse("'epsilon' or 'v'");
  } else if (key == "modelspec.thumbnail") {
    if (!value.starts_with("data:image/"))
      refuse("a data URL of a picture; lowrank lora thumbnail makes one");
  } else if (key == "modelspec.date") {
    if (value.size() < 10 || value[4] != '-' || value[7] != '-') refuse("an ISO date such as 2026-01-31");
  } else if (key.starts_with("sshs_") || key == "modelspec.hash_sha256") {
    throw Error(kBadInput, "{} is computed from the file and cannot be set.", key);
  } else if (key == "__metadata__" || key.empty()) {
    throw Error(kBadInput, "'{}' is no name for a value.", key);
  }
}

// How the tensors of one module become those of the module at another weight.
struct Scaling {
  std::set<std::string> multiplied;  // parts
  std::optional<float> alpha = {};   // where it is a number of its own
};

Scaling scaling_of(const SourceModule& module, double weight) {
  const auto& parts = module.entry->parts;
  Scaling scaling;
  const auto take = [&](std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (parts.contains(name)) {
        scaling.multiplied.insert(name);
        return;
      }
  };
  const bool is_plain = !needs_base(module.formula) && !parts.contains("dora_scale");
  switch (module.entry->kind) {
    case AdapterKind::kFull:
      take({"diff"});
      take({"diff_b"});
      return scaling;
    case AdapterKind::kNorm:
      take({"w_norm"});
      take({"b_norm"});
      return scaling;
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kAdalora:
    case AdapterKind::kLoha:
    case AdapterKind::kLokr:
      if (!is_plain) break;
      if (parts.contains("scale")) {
        take({"scale"});
      } else if (module.formula.rank > 0) {
        scaling.alpha = static_cast<float>(
            weight * module.entry->alpha.value_or(static_cast<float>(module.formula.rank)));
      } else {
        take({"lokr_w1", "lokr_w1_a"});
      }
      return scaling;
    default:
      break;
  }
  throw Error(kBadInput,
              "the change of '{}' ({}) is not proportional to any number of the file; merge the LoRA at this "
              "weight with its "
              "checkpoint instead: lowrank lora merge NAME:WEIGHT --base CHECKPOINT.",
              module.entry->module, formats::adapter_kind_name(module.entry->kind));
}

void add_scaled(std::vector<Step>& steps, const SourceModule& module, double weight,
                const std::shared_ptr<const weights::TensorFile>& file) {
  if (weight == 1) {
    for (const auto& [part, view] : module.entry->parts) steps.push_back(unchanged(view.name, view, file));
    return;
  }
  const Scaling scaling = scaling_of(module, weight);
  for (const auto& [part, view] : module.entry->parts) {
    if (part == "alpha" && scaling.alpha) continue;
    Step step = unchanged(view.name, view, file);
    if (scaling.multiplied.contains(part))
      step.make = [make = std::move(step.make), weight] {
        return std::vector<at::Tensor>{make().front().to(at::kFloat) * weight};
      };
    steps.push_back(std::move(step));
  }
  if (!scaling.alpha) return;
  const auto alpha = module.entry->parts.find("alpha");
  const std::string name =
      alpha == module.entry->parts.end() ? module.entry->module + ".alpha" : alpha->second.name;
  steps.push_back({.tensors = {{name, DType::kF32, {}}}, .make = [value = *scaling.alpha] {
                     return std::vector<at::Tensor>{at::full({}, value)};
                   }});
}

// The tensors that belong to no module: embeddings, what was skipped and what nobody knows.
std::vector<const weights::TensorView*> beside_modules(const Source& source) {
  std::set<std::string_view> taken;
  for (const SourceModule& module : source.modules)
    for (const auto& [part, view] : module.entry->parts) taken.insert(view.name);
  std::vector<const weights::TensorView*> views;
  for (const auto& view : source.file.file->tensors())
    if (!taken.contains(view.name)) views.push_back(&view);
  return views;
}

// Settings that stand in a file beside this one, or in its metadata for its own keys.
void refuse_settings_beside(const Source& source) {
  for (const SourceModule& module : source.modules)
    if ((module.entry->alpha && !module.entry->parts.contains("alpha")) || !module.entry->counts_keys ||
        module.entry->settings != formats::PeftSettings{})
      throw Error(
          kBadInput,
          "{}: its settings stand in adapter_config.json or belong to several layers at once; bring it "
          "to one file first: lowrank lora merge NAME:1 -o FILE.",
          source.file.path.string());
}

}  // namespace

Rewritten set_metadata(const fs::path& input, const std::function<void(Metadata&)>& change, const Job& job) {
  const Job own = job_for(job, input);
  const auto file = open_plain(input);
  Metadata metadata = file->metadata();
  change(metadata);
  return finish(own, all_tensors(file), std::move(metadata));
}

Rewritten strip(const fs::path& input, const StripOptions& options, const Job& job) {
  return set_metadata(
      input,
      [&](Metadata& metadata) {
        std::erase_if(metadata, [&](const auto& item) {
          if (std::ranges::find(options.keep, item.first) != options.keep.end()) return false;
          return options.all || std::ranges::find(kNeeded, item.first) == kNeeded.end();
        });
      },
      job);
}

Assignment assignment_of(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos) throw Error(kBadInput, "'{}' is no KEY=VALUE, such as title=\"Red foxes\".", text);
  Assignment assignment{text.substr(0, equals), text.substr(equals + 1)};
  for (const auto& [name, key] : kShortNames)
    if (assignment.first == name) assignment.first = key;
  if (!assignment.second.empty()) check_value(assignment.first, assignment.second);
  return assignment;
}

Rewritten set(const fs::path& input, const std::vector<Assignment>& values, const Job& job) {
  return set_metadata(
      input,
      [&](Metadata& metadata) {
        for (const auto& [key, value] : values) {
          if (value.empty()) {
            metadata.erase(key);
          } else {
            metadata[key] = value;
          }
        }
        metadata.try_emplace("modelspec.sai_model_spec", "1.0.1");
      },
      job);
}

Rewritten scale(const MergeInput& input, const Job& job) {
  const Job own = job_for(job, input.path);
  const fs::path paths[] = {input.path};
  const Sources sources = open_sources(paths, nullptr);
  const Source& source = *sources.files.front();
  open_plain(input.path);
  refuse_settings_beside(source);
  if (!sources.layers && !input.blocks.is_neutral())
    throw Error(
        kBadInput,
        "{}: block weights need to know where the layers lie, and no published model has them; merge with "
        "--base CHECKPOINT.",
        input.path.string());
  std::vector<Step> steps;
  for (const SourceModule& module : source.modules) {
    const double weight = (formats::is_text_encoder(module.layer.component) ? input.te : input.unet) *
                          input.blocks.at(module.layer);
    add_scaled(steps, module, weight, source.file.file);
  }
  Rewritten result;
  for (const auto* view : beside_modules(source))
    steps.push_back(unchanged(view->name, *view, source.file.file));
  Metadata metadata = source.file.file->metadata();
  metadata["lowrank.operation"] = "scale " + input.text;
  if (metadata.contains("ss_network_alpha")) metadata["ss_network_alpha"] = "Dynamic";
  result = finish(own, std::move(steps), std::move(metadata));
  if (!source.left_out.empty())
    result.notes.push_back(fmt::format("{} modules that no model uses were kept as they are, the first '{}'",
                                       source.left_out.size(), source.left_out.front().module));
  return result;
}

std::vector<Rewritten> split(const fs::path& input, SplitBy by, const std::optional<fs::path>& base,
                             const Job& job) {
  const fs::path paths[] = {input};
  const Sources sources = open_sources(paths, base ? Layers::of_checkpoint(*base) : nullptr);
  const Source& source = *sources.files.front();
  open_plain(input);
  refuse_settings_beside(source);
  if (by == SplitBy::kBlock && !sources.layers)
    throw Error(kBadInput,
                "{}: blocks need to know where the layers lie, and no published model has them; give the "
                "checkpoint with --base.",
                input.string());
  const auto part_of = [&](const SourceModule& module) -> std::string {
    if (by == SplitBy::kBlock) {
      const std::string block = adapter::block_of(module.layer);
      return block.empty() ? "other" : block;
    }
    return formats::is_text_encoder(module.layer.component) ? "te" : "unet";
  };
  std::map<std::string, std::vector<const SourceModule*>> parts;
  for (const SourceModule& module : source.modules) parts[part_of(module)].push_back(&module);
  if (parts.size() < 2)
    throw Error(kBadInput, "{}: has only the part '{}', there is nothing to split.", input.string(),
                parts.empty() ? "" : parts.begin()->first);
  std::vector<Job> jobs;
  for (const auto& [name, modules] : parts) {
    Job own = job;
    fs::path stem = job.output.empty() ? input : job.output;
    if (stem.extension() == ".safetensors") stem.replace_extension();
    stem += "-" + name + ".safetensors";
    own.output = checked_output(stem, job.overwrite);
    jobs.push_back(std::move(own));
  }
  std::vector<Rewritten> results;
  const auto beside = beside_modules(source);
  for (const auto& [name, modules] : parts) {
    std::vector<Step> steps;
    for (const SourceModule* module : modules)
      for (const auto& [part, view] : module->entry->parts)
        steps.push_back(unchanged(view.name, view, source.file.file));
    // Textual inversions go with the words.
    if (name == "te" || name == "BASE" ||
        (!parts.contains("te") && !parts.contains("BASE") && results.empty()))
      for (const auto* view : beside) steps.push_back(unchanged(view->name, *view, source.file.file));
    Metadata metadata = source.file.file->metadata();
    metadata["lowrank.operation"] = "split " + name;
    results.push_back(finish(jobs[results.size()], std::move(steps), std::move(metadata)));
  }
  return results;
}

}  // namespace lowrank::edit
