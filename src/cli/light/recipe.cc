// `lowrank recipe save|list|show|export|import|remove`: named sets of LoRAs with weights and pieces of
// prompt.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text_file.h"
#include "cli/infotext_source.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/recipe_prompt.h"
#include "cli/text_table.h"
#include "library/lora_words.h"
#include "library/needed_files.h"
#include "library/recipe.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using library::Library;
using library::Recipe;
using library::RecipeLora;
using nlohmann::ordered_json;

constexpr std::size_t kMaxRecipeBytes = 1u << 20;

// "fox:0.8" or "style/3dmm"; a name may itself be all there is.
RecipeLora lora_of(const std::string& text) {
  const auto colon = text.find(':');
  RecipeLora lora{.name = text.substr(0, colon)};
  if (colon != std::string::npos) lora.arguments = text.substr(colon + 1);
  if (lora.name.empty() || lora.arguments.empty() || text.find_first_of("<>\n") != std::string::npos)
    throw Error(kBadInput, "--lora is '{}', but must be NAME or NAME:WEIGHT.", text);
  return lora;
}

// Hash and page of a LoRA, so that the recipe means the same file elsewhere.
void fill_in(RecipeLora& lora, const Library& library) {
  const auto found = library.find_lora(lora.name);
  if (!found) return;
  auto record = found->record;
  std::string problem;
  if (lora.hash.empty() && library::lora_hash(record).empty()) library.hash(record, problem);
  if (lora.hash.empty()) lora.hash = library::lora_hash(record);
  if (lora.source.empty()) lora.source = record.source;
}

Recipe recipe_of_picture(const std::string& file) {
  const prompt::PictureSettings settings = settings_of(file);
  const prompt::Infotext& infotext = settings.infotext;
  print_notes(file, settings);
  const PromptParts parts = split_prompt(infotext.prompt);
  Recipe recipe{
      .name = {}, .prompt = parts.prompt, .negative_prompt = infotext.negative_prompt, .loras = parts.loras};
  for (const library::NeededFile& needed : library::needed_files(infotext))
    for (RecipeLora& lora : recipe.loras)
      if (needed.kind == "lora" && lora.name == needed.name) {
        lora.hash = needed.hash;
        if (needed.civitai_version != 0)
          lora.source = fmt::format("https://civitai.com/model-versions/{}", needed.civitai_version);
      }
  return recipe;
}

void print_recipe(const Recipe& recipe, const Library& library) {
  fmt::print("{}\n", printable(recipe.name));
  const auto field = [](std::string_view label, const std::string& value) {
    if (!value.empty()) fmt::print("  {:<16} {}\n", label, printable(value));
  };
  field("prompt", recipe.prompt);
  field("negative prompt", recipe.negative_prompt);
  for (const RecipeLora& lora : recipe.loras) {
    const bool is_here = library.find_hash(lora.hash) || library.find_lora(lora.name);
    field("LoRA", fmt::format("{} at {}{}", lora.name, lora.arguments, is_here ? "" : "  (missing)"));
  }
  field("notes", recipe.notes);
  field("adds", recipe_words(recipe, library));
}

}  // namespace

int recipe_save(const Invocation& invocation) {
  const Library library = open_library(invocation);
  Recipe recipe;
  if (invocation.has("from")) recipe = recipe_of_picture(invocation.value("from"));
  recipe.name = invocation.positionals.front();
  if (invocation.has("prompt")) {
    PromptParts parts = split_prompt(invocation.value("prompt"));
    recipe.prompt = parts.prompt;
    if (!parts.loras.empty()) recipe.loras = std::move(parts.loras);
  }
  if (invocation.has("negative")) recipe.negative_prompt = invocation.value("negative");
  if (invocation.has("notes")) recipe.notes = invocation.value("notes");
  if (const auto given = invocation.options.find("lora"); given != invocation.options.end())
    for (const std::string& text : given->second) recipe.loras.push_back(lora_of(text));
  if (recipe.loras.empty() && recipe.prompt.empty() && recipe.negative_prompt.empty())
    throw Error(kBadInput, "the recipe would be empty; add --lora, --prompt or --from.");
  for (RecipeLora& lora : recipe.loras) {
    fill_in(lora, library);
    if (lora.hash.empty()) log_line(stderr, "warning: no LoRA named '{}' here.\n", printable(lora.name));
  }
  const fs::path file = library::save_recipe(library.data(), recipe, invocation.has("replace"));
  if (invocation.has("json")) {
    fmt::print("{}\n", library::recipe_json(recipe));
  } else {
    print_recipe(recipe, library);
    fmt::print("written to {}\n", file.string());
  }
  return 0;
}

int recipe_list(const Invocation& invocation) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  const auto recipes = library::all_recipes(data);
  if (invocation.has("json")) {
    auto list = ordered_json::array();
    for (const Recipe& recipe : recipes) list.push_back(ordered_json::parse(library::recipe_json(recipe)));
    print_json({{"recipes", list}});
    return 0;
  }
  if (invocation.has("names")) {
    for (const Recipe& recipe : recipes) fmt::print("{}\n", printable(recipe.name));
    return 0;
  }
  if (recipes.empty()) {
    fmt::print("No recipes yet; 'lowrank recipe save' creates one.\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Recipe& recipe : recipes) {
    std::vector<std::string> loras;
    for (const RecipeLora& lora : recipe.loras)
      loras.push_back(fmt::format("{}:{}", lora.name, lora.arguments));
    rows.push_back({recipe.name, fmt::format("{}", fmt::join(loras, " ")), recipe.prompt});
  }
  fmt::print("{}", text_table({"NAME", "LORAS", "PROMPT"}, std::move(rows)));
  return 0;
}

int recipe_show(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const Recipe recipe = library::load_recipe(library.data(), invocation.positionals.front());
  if (invocation.has("json")) {
    fmt::print("{}\n", library::recipe_json(recipe));
  } else {
    print_recipe(recipe, library);
  }
  return 0;
}

int recipe_export(const Invocation& invocation) {
  const Library library = open_library(invocation);
  Recipe recipe = library::load_recipe(library.data(), invocation.positionals.front());
  for (RecipeLora& lora : recipe.loras) fill_in(lora, library);
  const std::string text = library::recipe_json(recipe) + "\n";
  if (!invocation.has("output")) {
    fmt::print("{}", text);
    return 0;
  }
  write_file(invocation.value("output"), text);
  return 0;
}

int recipe_import(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const std::string& file = invocation.positionals.front();
  Recipe recipe = library::parse_recipe(read_text_file(file, {.max_bytes = kMaxRecipeBytes}), file);
  if (invocation.has("name")) recipe.name = invocation.value("name");
  if (recipe.name.empty()) recipe.name = fs::path(file).stem().string();
  library::save_recipe(library.data(), recipe, invocation.has("replace"));
  if (invocation.has("json")) {
    fmt::print("{}\n", library::recipe_json(recipe));
  } else {
    print_recipe(recipe, library);
  }
  return 0;
}

int recipe_remove(const Invocation& invocation) {
  library::remove_recipe(library::find_data_dir(invocation.value("data-dir")),
                         invocation.positionals.front());
  return 0;
}

}  // namespace lowrank::cli
