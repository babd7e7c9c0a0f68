#include "server/engine/generation_answer.h"

#include "base/text/text.h"
#include "image/codec/codec.h"
#include "prompt/infotext.h"

namespace lowrank::server {
namespace {

// Entries of the infotext that have a key of their own in `info`.
bool has_own_key(std::string_view label) {
  for (const std::string_view own : {"Steps",
                                     "Sampler",
                                     "CFG scale",
                                     "Seed",
                                     "Size",
                                     "Size-1",
                                     "Size-2",
                                     "Model hash",
                                     "Model",
                                     "Version",
                                     "Variation seed",
                                     "Variation seed strength",
                                     "Seed resize from",
                                     "Seed resize from-1",
                                     "Seed resize from-2",
                                     "Denoising strength",
                                     "Clip skip",
                                     "VAE",
                                     "VAE hash",
                                     "Prompt",
                                     "Negative prompt"})
    if (label == own) return true;
  return false;
}

// Numbers as numbers, everything else as text.
Json entry_value(const std::string& text) {
  if (const auto whole = parse_integer(text)) return *whole;
  if (const auto number = parse_number(text)) return *number;
  return text;
}

Json component(const adapter::ComponentReport& report) {
  return {{"applied", report.applied},
          {"modules", report.modules},
          {"layers", report.layers},
          {"weight", report.weight}};
}

}  // namespace

EncodedPicture encode_for_answer(const image::Picture& picture, const std::string& infotext,
                                 const Json& options, bool is_grid) {
  const auto format =
      image::picture_format(options.at(is_grid ? "grid_format" : "samples_format").get<std::string>());
  const auto bytes = image::encode_picture(
      picture, {.format = format,
                .quality = options.at("jpeg_quality").get<int>(),
                .parameters = options.at("enable_pnginfo").get<bool>() ? infotext : std::string()});
  const char* mime = format == image::PictureFormat::kPng    ? "image/png"
                     : format == image::PictureFormat::kJpeg ? "image/jpeg"
                                                             : "image/webp";
  return {.mime = mime, .bytes = std::string(bytes.begin(), bytes.end())};
}

Json lora_report(const adapter::ApplyReport& report) {
  Json kinds = Json::object(), ranks = Json::object(), blocks = Json::object(), skipped = Json::array();
  for (const auto& [kind, modules] : report.kinds) kinds[kind] = modules;
  for (const auto& [rank, modules] : report.ranks) ranks[std::to_string(rank)] = modules;
  for (const auto& block : report.blocks)
    blocks[block.block] = {{"modules", block.modules}, {"relative", block.relative}};
  for (const auto& entry : report.skipped)
    skipped.push_back({{"module", entry.module}, {"keys", entry.keys}, {"reason", entry.reason}});
  return {{"name", report.name},
          {"alias", report.alias},
          {"te", report.text_encoder.weight},
          {"unet", report.unet.weight},
          {"applied", report.keys_applied},
          {"skipped", report.keys_skipped},
          {"unknown", report.keys_unknown},
          {"base_model", report.base_model},
          {"base_model_reason", report.base_model_reason},
          {"kinds", kinds},
          {"ranks", ranks},
          {"modules", {{"unet", component(report.unet)}, {"text_encoder", component(report.text_encoder)}}},
          {"relative_change", report.relative},
          {"blocks", blocks},
          {"skipped_modules", skipped},
          {"unknown_keys", report.unknown},
          {"notes", report.notes}};
}

Json generation_answer(const GenerationTask& task, const pipeline::GenerationResult& result,
                       const std::vector<std::string>& infotexts, int index_of_first,
                       const std::string& job_timestamp) {
  const auto& request = task.request;
  const auto& first = result.pictures.front();
  const prompt::Infotext infotext = prompt::parse_infotext(first.metadata);
  const auto entry = [&](const char* label) -> Json {
    const std::string* value = infotext.find(label);
    return value == nullptr ? Json() : Json(*value);
  };
  Json seeds = Json::array(), subseeds = Json::array(), prompts = Json::array(), negatives = Json::array();
  for (const auto& picture : result.pictures) {
    seeds.push_back(picture.seed);
    subseeds.push_back(picture.subseed);
    const prompt::Infotext own = prompt::parse_infotext(picture.metadata);
    prompts.push_back(own.prompt);
    negatives.push_back(own.negative_prompt);
  }
  Json extra = Json::object();
  for (const auto& [label, value] : infotext.entries)
    if (!has_own_key(label)) extra[label] = entry_value(value);
  Json loras = Json::array(), warnings = task.warnings;
  for (const auto& report : result.loras) loras.push_back(lora_report(report));
  Json missing = Json::array();
  for (const auto& lora : result.missing_loras)
    missing.push_back({{"name", lora.name}, {"reason", lora.reason}});
  for (const auto& warning : result.warnings) warnings.push_back(warning);

  const bool has_strength = task.kind == GenerationKind::kImage || request.enable_hr;
  const Json info = {
      {"prompt", infotext.prompt},
      {"all_prompts", prompts},
      {"negative_prompt", infotext.negative_prompt},
      {"all_negative_prompts", negatives},
      {"seed", first.seed},
      {"all_seeds", seeds},
      {"subseed", first.subseed},
      {"all_subseeds", subseeds},
      {"subseed_strength", request.subseed_strength.value},
      {"width", request.width},
      {"height", request.height},
      {"sampler_name", entry("Sampler")},
      {"cfg_scale", request.cfg_scale.value},
      {"steps", request.steps},
      {"batch_size", request.batch_size},
      {"restore_faces", false},
      {"face_restoration_model", nullptr},
      {"sd_model_name", entry("Model")},
      {"sd_model_hash", entry("Model hash")},
      {"sd_vae_name", entry("VAE")},
      {"sd_vae_hash", entry("VAE hash")},
      {"seed_resize_from_w", request.seed_resize_width > 0 ? request.seed_resize_width : -1},
      {"seed_resize_from_h", request.seed_resize_height > 0 ? request.seed_resize_height : -1},
      {"denoising_strength", has_strength ? Json(request.denoising_strength.value) : Json()},
      {"extra_generation_params", extra},
      {"index_of_first_image", index_of_first},
      {"infotexts", infotexts},
      {"styles", task.parameters.at("styles").is_array() ? task.parameters.at("styles") : Json::array()},
      {"job_timestamp", job_timestamp},
      {"clip_skip", request.clip_skip},
      {"is_using_inpainting_conditioning", false},
      {"version", entry("Version")},
      {"lowrank",
       {{"loras", loras},
        {"missing_loras", missing},
        {"timings",
         {{"load", result.seconds_load},
          {"loras", result.seconds_loras},
          {"text", result.seconds_text},
          {"sample", result.seconds_sample},
          {"decode", result.seconds_decode}}},
        {"unet_passes", result.unet_passes},
        {"prediction", result.prediction_rule},
        {"warnings", warnings}}}};
  Json parameters = task.parameters;
  if (task.kind == GenerationKind::kImage && !task.flag("include_init_images")) {
    parameters["init_images"] = nullptr;
    parameters["mask"] = nullptr;
  }
  return {{"parameters", parameters}, {"info", json_text(info)}};
}

}  // namespace lowrank::server
