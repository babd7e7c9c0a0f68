#include "cli/engine/result_json.h"

#include <nlohmann/json.hpp>

namespace lowrank::cli {
namespace {

using Json = nlohmann::ordered_json;

Json component(const adapter::ComponentReport& report) {
  return {{"applied", report.applied},
          {"modules", report.modules},
          {"layers", report.layers},
          {"weight", report.weight}};
}

template <typename Map>
Json counts(const Map& map) {
  Json object = Json::array();
  for (const auto& [value, modules] : map) object.push_back({{"value", value}, {"modules", modules}});
  return object;
}

Json lora(const adapter::ApplyReport& report) {
  Json blocks = Json::object();
  for (const auto& block : report.blocks)
    blocks[block.block] = {{"modules", block.modules}, {"relative", block.relative}};
  Json skipped = Json::array();
  for (const auto& entry : report.skipped)
    skipped.push_back({{"module", entry.module}, {"keys", entry.keys}, {"reason", entry.reason}});
  return {{"name", report.name},
          {"alias", report.alias},
          {"path", report.path},
          {"base_model", report.base_model},
          {"base_model_reason", report.base_model_reason},
          {"kinds", counts(report.kinds)},
          {"ranks", counts(report.ranks)},
          {"unet", component(report.unet)},
          {"text_encoder", component(report.text_encoder)},
          {"keys",
           {{"applied", report.keys_applied},
            {"skipped", report.keys_skipped},
            {"unknown", report.keys_unknown},
            {"total", report.keys_total}}},
          {"skipped", skipped},
          {"unknown", report.unknown},
          {"relative_change", report.relative},
          {"blocks", blocks},
          {"notes", report.notes}};
}

}  // namespace

std::string result_json(const pipeline::GenerationResult& result,
                        std::span<const std::filesystem::path> files) {
  Json pictures = Json::array();
  for (std::size_t i = 0; i < result.pictures.size(); ++i) {
    const auto& picture = result.pictures[i];
    pictures.push_back({{"file", files[i].string()},
                        {"seed", picture.seed},
                        {"subseed", picture.subseed},
                        {"width", picture.picture.width},
                        {"height", picture.picture.height},
                        {"parameters", picture.metadata}});
  }
  Json loras = Json::array(), missing = Json::array();
  for (const auto& report : result.loras) loras.push_back(lora(report));
  for (const auto& entry : result.missing_loras)
    missing.push_back({{"name", entry.name}, {"reason", entry.reason}});
  const Json whole = {{"pictures", pictures},
                      {"loras", loras},
                      {"missing_loras", missing},
                      {"warnings", result.warnings},
                      {"seconds",
                       {{"load", result.seconds_load},
                        {"loras", result.seconds_loras},
                        {"text", result.seconds_text},
                        {"encode", result.seconds_encode},
                        {"sample", result.seconds_sample},
                        {"upscale", result.seconds_upscale},
                        {"decode", result.seconds_decode}}},
                      {"unet_passes", result.unet_passes},
                      {"prediction", result.prediction_rule}};
  return whole.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lowrank::cli
