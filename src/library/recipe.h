// Recipes: named sets of LoRAs with weights and pieces of prompt. Each is one JSON file, recipes/NAME.json of
// the data folder (or below the user's own folder where that cannot be written), which can be given to
// others.
//
//   {"lowrank_recipe": 1, "name": "fox in 3d", "prompt": "soft light", "negative_prompt": "blurry",
//    "loras": [{"name": "3dmm", "arguments": "0.8", "hash": "0123456789ab", "source": "https://…"}], "notes":
//    ""}
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "library/data_dir.h"

namespace lowrank::library {

struct RecipeLora {
  std::string name;             // as in <lora:NAME:…>
  std::string arguments = "1";  // what follows the name in the tag: "0.8", "0.8:0.5:lbw=OUTD"
  std::string hash = {};        // AutoV3 or longer; "" unknown
  std::string source = {};      // page it came from; "" unknown
};

struct Recipe {
  std::string name;
  std::string prompt = {}, negative_prompt = {};
  std::vector<RecipeLora> loras = {};
  std::string notes = {};
};

// In order of their names. Files that are no recipes are passed over.
std::vector<Recipe> all_recipes(const DataDir& data);
// Throws Error(kNotFound) with the names that come near.
Recipe load_recipe(const DataDir& data, const std::string& name);
// Returns the file. Throws Error(kConflict) when there is one of this name, unless `replaces`.
std::filesystem::path save_recipe(const DataDir& data, const Recipe& recipe, bool replaces);
void remove_recipe(const DataDir& data, const std::string& name);

std::string recipe_json(const Recipe& recipe);
// Throws Error(kBadInput) naming `label` and the field that is wrong.
Recipe parse_recipe(const std::string& json, const std::string& label);

}  // namespace lowrank::library
