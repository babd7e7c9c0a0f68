// What a checkpoint's maker says of it, in NAME.json beside NAME.safetensors: A1111's `description` and `notes`, and in
// `settings` what it draws well with, by the names of A1111's API.
//
//   {"description": "…", "notes": "…",
//    "settings": {"prompt": "a fox", "sampler_name": "Euler a", "steps": 20, "cfg_scale": 5, "width": 128, "height": 128}}
#pragma once

#include <filesystem>
#include <string>

namespace lowrank::library {

struct CheckpointCard {
  std::string description, notes;  // "" nothing is said
  // `settings` as JSON, an object of those that are known and within what a form takes; "" none.
  std::string settings;
};

// A card that is not there or cannot be read says nothing: drawing does not depend on it.
CheckpointCard read_checkpoint_card(const std::filesystem::path& checkpoint);

}  // namespace lowrank::library
