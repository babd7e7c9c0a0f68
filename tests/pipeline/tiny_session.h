// A session on the tiny random-weight model of the fixtures, with its adapters as LoRAs. Few steps and 64×64
// pixels keep a picture under half a second.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"
#include "pipeline/session.h"

namespace lowrank::testing {

inline std::filesystem::path tiny_folder() {
  return std::filesystem::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny";
}

inline pipeline::Resources tiny_resources() {
  pipeline::Resources resources;
  resources.checkpoint = [](const std::string& name) -> std::filesystem::path {
    if (!name.empty() && name != "sd15-tiny") throw Error(kNotFound, "no checkpoint named '{}'.", name);
    return tiny_folder() / "sd15-tiny.safetensors";
  };
  resources.lora = [](const std::string& name) -> std::filesystem::path {
    const auto path = tiny_folder() / ("sd15-tiny-" + name + ".safetensors");
    if (!std::filesystem::exists(path))
      throw Error(kNotFound, "no LoRA named '{}'; did you mean lora_attn?", name);
    return path;
  };
  resources.vae = [](const std::string&, const std::filesystem::path&) { return std::nullopt; };
  return resources;
}

inline pipeline::Session tiny_session(int threads = 1, pipeline::PackedCacheOptions packed_cache = {},
                                      bool int8 = false) {
  return pipeline::Session(
      tiny_resources(),
      {.threads = threads, .version = "LowRank test", .packed_cache = std::move(packed_cache), .int8 = int8});
}

inline request::GenerationRequest tiny_request(std::string prompt = "a fox") {
  request::GenerationRequest request;
  request.prompt = std::move(prompt);
  request.negative_prompt = "blurry";
  request.steps = 3;
  request.seed = 42;
  request.width = request.height = 64;
  return request;
}

// What a request is refused with; "": it is drawn.
inline std::string error_of(pipeline::Session& session, const request::GenerationRequest& request) {
  try {
    session.generate(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lowrank::testing
