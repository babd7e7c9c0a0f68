#include "formats/checkpoint/checkpoint.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files_below.h"
#include "formats/checkpoint/component_parameters.h"
#include "formats/checkpoint/diffusers_folder.h"
#include "formats/checkpoint/missing_parameters.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/checkpoint/single_file.h"
#include "formats/file_kind.h"
#include "formats/natural_order.h"
#include "formats/quantised_form.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;

// One parameter that every such component has, whatever its depth.
struct Landmark {
  Component component;
  std::string_view parameter;
};
constexpr Landmark kVaeLandmark = {Component::kVae, "decoder.conv_in.weight"};

std::vector<Landmark> landmarks(const FamilyRow& family) {
  std::vector<Landmark> marks = {{Component::kUnet, "input_blocks.0.0.weight"}};
  for (const TextEncoderRow& encoder : family.text_encoders)
    marks.push_back({encoder.component, "embeddings.token_embedding.weight"});
  marks.push_back(kVaeLandmark);
  return marks;
}

// What the readers left out for its type may be what is missing: "; …" of the first such, or nothing.
std::string left_out(const Checkpoint& checkpoint) {
  for (const auto& file : checkpoint.files)
    for (const std::string& note : file->notes())
      if (note.find("is skipped: its type") != std::string::npos)
        return "; " + note.substr(0, note.size() - 1);
  return "";
}

void check_component(const Checkpoint& checkpoint, const Landmark& landmark) {
  const auto& views = checkpoint[landmark.component];
  if (views.contains(landmark.parameter)) return;
  const bool is_other_vae_enough = landmark.component == Component::kVae && views.empty();
  throw Error(kBadInput, "{}: the checkpoint {} its {}{}{}; {}download a complete checkpoint.",
              checkpoint.path.string(), views.empty() ? "lacks" : "has only part of",
              component_name(landmark.component),
              views.empty() ? "" : fmt::format(" ('{}' is missing)", landmark.parameter),
              left_out(checkpoint),
              is_other_vae_enough ? fmt::format("choose a VAE of its family ({}) for it with --vae, or ",
                                                family(checkpoint.base_model)->name)
                                  : "");
}

void check_complete(const Checkpoint& checkpoint, Component component) {
  const auto missing = missing_parameters(component, checkpoint[component]);
  if (missing.empty()) return;
  throw Error(kBadInput,
              "{}: the {} lacks {} of its parameters, the first is '{}'{}; download a complete checkpoint.",
              checkpoint.path.string(), component_name(component), missing.size(), missing.front(),
              left_out(checkpoint));
}

// What has to be in a file that is opened.
enum class Needs { kAll, kAllButVae, kUnet };

[[noreturn]] void refuse_lone_unet(const fs::path& path, const LoneUnet& unet) {
  throw Error(kBadInput,
              "{}: is {}, and cannot draw without text encoder and VAE; {}choose the whole checkpoint.",
              path.string(), unet.described(),
              unet.is_diffusers ? "put it into the folder unet/ of its diffusers model and choose the folder "
                                  "that contains model_index.json, or "
                                : "");
}

Checkpoint open_single_file(const fs::path& path, Needs needs) {
  auto file = weights::TensorFile::open(path);
  if (const auto lone = lone_unet(*file)) {
    refuse_quantised(*file, Integers::kAreNone);
    const FamilyRow* row = family(lone->model);
    if (needs != Needs::kUnet || row == nullptr) refuse_lone_unet(path, *lone);
    return read_unet_file(std::move(file), *lone, *row);
  }
  const BaseModel family = recognise_checkpoint(*file);
  if (family != BaseModel::kOther || describe_file(*file).starts_with("something else"))
    refuse_quantised(*file, Integers::kAreNone);
  if (family == BaseModel::kOther) {
    throw Error(
        kBadInput,
        "{}: is not a Stable Diffusion checkpoint, it looks like {}; choose a checkpoint of the SD 1.x, "
        "SD 2.x or SDXL family.",
        path.string(), describe_file(*file));
  }
  return read_single_file(std::move(file), *formats::family(family));
}

bool has_checkpoint_name(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string ending = path.extension().string();
  if (ending != ".safetensors" && ending != ".ckpt") return false;
  return !name.ends_with(".vae.safetensors") && !name.ends_with(".vae.ckpt");
}

void collect(const fs::path& folder, std::set<fs::path>& visited, std::vector<fs::path>& found) {
  std::error_code problem;
  const fs::path real = fs::canonical(folder, problem);
  if (problem || !visited.insert(real).second) return;  // a link back to a folder that was seen
  for (fs::directory_iterator entry(folder, fs::directory_options::skip_permission_denied, problem), end;
       !problem && entry != end; entry.increment(problem)) {
    if (is_system_name(entry->path().filename().string())) continue;
    std::error_code ignored;
    if (!entry->is_directory(ignored)) {
      if (entry->is_regular_file(ignored) && has_checkpoint_name(entry->path()))
        found.push_back(entry->path());
    } else if (is_diffusers_folder(entry->path())) {
      found.push_back(entry->path());
    } else {
      collect(entry->path(), visited, found);
    }
  }
}

}  // namespace

const ParameterViews& Checkpoint::operator[](Component component) const {
  static const ParameterViews none;
  const auto found = parts.find(component);
  return found == parts.end() ? none : found->second;
}

namespace {

Checkpoint open_with(const fs::path& path, Needs needs) {
  std::error_code failure;  // of a path that leads nowhere, which opening the file tells
  const bool is_folder = fs::is_directory(path, failure);
  if (is_folder && !is_diffusers_folder(path)) {
    throw Error(kBadInput,
                "{}: is a folder without unet/ and vae/, so not a diffusers checkpoint; give a checkpoint "
                "file or a diffusers folder.",
                path.string());
  }
  Checkpoint checkpoint = is_folder ? read_diffusers_folder(path) : open_single_file(path, needs);
  auto marks = landmarks(*family(checkpoint.base_model));
  std::erase_if(marks, [&](const Landmark& mark) {
    const bool may_lack =
        needs == Needs::kUnet || (needs == Needs::kAllButVae && mark.component == Component::kVae);
    return may_lack && std::as_const(checkpoint)[mark.component].empty();
  });
  for (const Landmark& landmark : marks) check_component(checkpoint, landmark);
  for (const Landmark& landmark : marks) check_complete(checkpoint, landmark.component);
  return checkpoint;
}

}  // namespace

Checkpoint open_checkpoint(const fs::path& path) {
  return open_with(path, Needs::kAll);
}

Checkpoint open_without_vae(const fs::path& path) {
  return open_with(path, Needs::kAllButVae);
}

Checkpoint open_parts(const fs::path& path) {
  return open_with(path, Needs::kUnet);
}

Checkpoint open_vae(const fs::path& path) {
  std::error_code failure;
  Checkpoint checkpoint = fs::is_directory(path, failure) ? read_diffusers_vae(path)
                                                          : read_vae_file(weights::TensorFile::open(path));
  for (const auto& file : checkpoint.files) refuse_quantised(*file, Integers::kAreNone);
  if (!checkpoint[Component::kVae].contains(kVaeLandmark.parameter)) {
    const std::string kind = describe_file(*checkpoint.files.front());
    if (kind == "a VAE")
      throw Error(kBadInput, "{}: is an unsupported kind of VAE, it lacks '{}'; choose another file.",
                  path.string(), kVaeLandmark.parameter);
    throw Error(kBadInput, "{}: is not a VAE, it looks like {}; {}.", path.string(), kind,
                kind == kTinyAutoencoderKind
                    ? "put it into models/VAE-approx and choose it with --vae-decoder TAESD"
                    : "choose another file");
  }
  check_complete(checkpoint, Component::kVae);
  return checkpoint;
}

std::vector<fs::path> find_checkpoints(const fs::path& folder) {
  std::set<fs::path> visited;
  std::vector<fs::path> found;
  collect(folder, visited, found);
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return natural_less(a.native(), b.native()); });
  return found;
}

}  // namespace lowrank::formats
