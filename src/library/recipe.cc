#include "library/recipe.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text_file.h"
#include "formats/natural_order.h"
#include "library/index/state_dir.h"
#include "library/near_names.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t kMaxRecipeBytes = 1u << 20;
constexpr std::size_t kMaxLoras = 256;

// The user's own folder first: what was written there was written because the other one could not be.
std::vector<fs::path> recipe_folders(const DataDir& data) {
  std::vector<fs::path> folders;
  if (const fs::path overlay = overlay_folder(data); !overlay.empty()) folders.push_back(overlay / "recipes");
  folders.push_back(data.root / "recipes");
  return folders;
}

// A name becomes a file name, so it must be a harmless one.
void check_name(const std::string& name) {
  const bool has_control =
      std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (name.empty() || name.size() > 200 || name[0] == '.' || name[0] == '-' || has_control ||
      name.find_first_of("/\\") != std::string::npos)
    throw Error(kBadInput,
                "'{}' is not a valid recipe name; it must have 1 to 200 bytes, no slash, and not begin with "
                "a dot or dash.",
                name.substr(0, 60));
}

std::map<std::string, fs::path> recipe_files(const DataDir& data) {
  std::map<std::string, fs::path> files;
  for (const fs::path& folder : recipe_folders(data)) {
    std::error_code failure;
    for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure))
      if (it->path().extension() == ".json") files.emplace(it->path().stem().string(), it->path());
  }
  return files;
}

fs::path file_of(const DataDir& data, const std::string& name) {
  const auto files = recipe_files(data);
  if (const auto found = files.find(name); found != files.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [other, file] : files) known.push_back(other);
  const std::string near = did_you_mean(name, known);
  throw Error(kNotFound, "no recipe named '{}'.{}", name,
              near.empty() ? " 'lowrank recipe list' shows all recipes." : near);
}

std::string text_of(const ordered_json& object, const char* key, const std::string& label) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  if (!found->is_string()) throw Error(kBadInput, "{}: '{}' must be a string.", label, key);
  return found->get<std::string>();
}

RecipeLora parse_lora(const ordered_json& item, const std::string& label) {
  if (!item.is_object()) throw Error(kBadInput, "{}: each item of 'loras' must be an object.", label);
  RecipeLora lora{.name = text_of(item, "name", label)};
  if (lora.name.empty() || lora.name.find_first_of(":<>\n") != std::string::npos)
    throw Error(kBadInput, "{}: a LoRA's name must not be empty or contain any of : < >.", label);
  // A plain number is how people write a weight by hand.
  if (item.contains("weight") && item["weight"].is_number())
    lora.arguments = fmt::format("{}", item["weight"].get<double>());
  if (const std::string arguments = text_of(item, "arguments", label); !arguments.empty())
    lora.arguments = arguments;
  if (lora.arguments.find_first_of("<>\n") != std::string::npos)
    throw Error(kBadInput, "{}: the arguments of '{}' must not contain < or >.", label, lora.name);
  lora.hash = text_of(item, "hash", label);
  lora.source = text_of(item, "source", label);
  return lora;
}

}  // namespace

std::vector<Recipe> all_recipes(const DataDir& data) {
  std::vector<Recipe> recipes;
  for (const auto& [name, file] : recipe_files(data)) {
    try {
      recipes.push_back(load_recipe(data, name));
    } catch (const Error&) {
      // Someone else's JSON; `recipe show` says what is wrong with it.
    }
  }
  std::ranges::sort(recipes, formats::natural_less, &Recipe::name);
  return recipes;
}

Recipe load_recipe(const DataDir& data, const std::string& name) {
  const fs::path file = file_of(data, name);
  Recipe recipe = parse_recipe(read_text_file(file, {.max_bytes = kMaxRecipeBytes}), file.string());
  recipe.name = name;
  return recipe;
}

fs::path save_recipe(const DataDir& data, const Recipe& recipe, bool replaces) {
  check_name(recipe.name);
  const auto files = recipe_files(data);
  const auto present = files.find(recipe.name);
  if (present != files.end() && !replaces)
    throw Error(kConflict, "a recipe named '{}' already exists; overwrite it with --replace.", recipe.name);
  fs::path file = data.root / "recipes" / (recipe.name + ".json");
  if (present != files.end()) file = present->second;
  const bool is_writable =
      ::access(file.parent_path().c_str(), W_OK) == 0 || ::access(data.root.c_str(), W_OK) == 0;
  if (const fs::path overlay = overlay_folder(data); !is_writable && !overlay.empty())
    file = overlay / "recipes" / (recipe.name + ".json");
  write_file(file, recipe_json(recipe) + "\n");
  return file;
}

void remove_recipe(const DataDir& data, const std::string& name) {
  const fs::path file = file_of(data, name);
  std::error_code failure;
  if (!fs::remove(file, failure))
    throw Error(kIo, "{}: cannot be removed ({}).", file.string(), failure.message());
}

std::string recipe_json(const Recipe& recipe) {
  auto loras = ordered_json::array();
  for (const RecipeLora& lora : recipe.loras) {
    ordered_json item = {{"name", lora.name}, {"arguments", lora.arguments}};
    if (!lora.hash.empty()) item["hash"] = lora.hash;
    if (!lora.source.empty()) item["source"] = lora.source;
    loras.push_back(std::move(item));
  }
  const ordered_json json = {{"lowrank_recipe", 1},     {"name", recipe.name},
                             {"prompt", recipe.prompt}, {"negative_prompt", recipe.negative_prompt},
                             {"loras", loras},          {"notes", recipe.notes}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

Recipe parse_recipe(const std::string& text, const std::string& label) {
  const ordered_json json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("lowrank_recipe"))
    throw Error(kBadInput, "{}: is not a recipe; a recipe is a JSON object with \"lowrank_recipe\": 1.",
                label);
  if (json["lowrank_recipe"] != 1)
    throw Error(kUnsupported, "{}: is a recipe in a newer format; update LowRank.", label);
  Recipe recipe{.name = text_of(json, "name", label),
                .prompt = text_of(json, "prompt", label),
                .negative_prompt = text_of(json, "negative_prompt", label)};
  recipe.notes = text_of(json, "notes", label);
  if (const auto loras = json.find("loras"); loras != json.end()) {
    if (!loras->is_array() || loras->size() > kMaxLoras)
      throw Error(kBadInput, "{}: 'loras' must be a list of at most {}.", label, kMaxLoras);
    for (const auto& item : *loras) recipe.loras.push_back(parse_lora(item, label));
  }
  return recipe;
}

}  // namespace lowrank::library
