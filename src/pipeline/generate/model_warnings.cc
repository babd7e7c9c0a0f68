#include "pipeline/generate/model_warnings.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/vae_family.h"
#include "pipeline/generate/complete_request.h"

namespace lowrank::pipeline {
namespace {

std::string vae_misfit(const LoadedModel& model) {
  if (model.vae_path.empty() || !model.has_family_latents) return "";
  const auto known = formats::recognise_vae(model.vae_path, model.vae_metadata, [&] {
    return model.vae_hash == nullptr ? std::string() : model.vae_hash->prefix(10);
  });
  const formats::FamilyRow& family = model.family();
  if (!known || known->latent_scale == family.latent_scale) return "";
  const std::string whose = formats::families_of_scale(known->latent_scale);
  return fmt::format(
      "{} is a VAE for {} (by {}), but {} is {} {} checkpoint, so the colours will be wrong; choose a VAE "
      "for "
      "{}, or --vae None for the checkpoint's own.",
      model.vae_path.filename().string(), whose.empty() ? "latents of another scale" : whose, known->reason,
      model.name(), family.article, family.name, family.name);
}

std::string refiner_alone(const LoadedModel& model, const request::GenerationRequest& request) {
  if (model.family().size_conditioning != formats::SizeConditioning::kAesthetic || request.is_img2img() ||
      request.firstpass_image)
    return "";
  return fmt::format(
      "{} is {} {}, made to finish pictures and not to begin them; choose an SDXL checkpoint and give this "
      "one "
      "as --refiner (with --refiner-switch-at 0.8), or use it for img2img.",
      model.name(), model.family().article, model.family().name);
}

// A refiner that is named and never acts.
std::string refiner_idle(const request::GenerationRequest& request) {
  const std::string& name = request.refiner_checkpoint;
  if (!names_file(name) || has_refiner(request)) return "";
  return fmt::format(
      "the refiner {} is not used, as refiner_switch_at is {}; give the fraction of sampling at which to "
      "switch to it, such as 0.8.",
      std::filesystem::path(name).stem().string(), request.refiner_switch_at.text());
}

}  // namespace

void warn_of_models(const PassModels& models, const request::GenerationRequest& request,
                    std::vector<std::string>& warnings) {
  const auto add = [&](std::string warning) {
    if (!warning.empty() && std::ranges::find(warnings, warning) == warnings.end())
      warnings.push_back(std::move(warning));
  };
  for (const ResidentModel* used : {models.first, models.second, models.first_refiner, models.second_refiner})
    if (used != nullptr) add(vae_misfit(used->loaded));
  add(refiner_alone(models.first->loaded, request));
  add(refiner_idle(request));
}

}  // namespace lowrank::pipeline
