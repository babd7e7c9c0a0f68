#include "cli/recipe_prompt.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/text.h"
#include "cli/infotext_source.h"
#include "library/picture_settings.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

std::string joined(const std::string& a, const std::string& b) {
  if (a.empty()) return b;
  return b.empty() ? a : fmt::format("{}, {}", a, b);
}

// The name under which this collection knows the LoRA.
std::string local_name(const library::RecipeLora& lora, const library::Library& library) {
  const auto by_hash = library.find_hash(lora.hash);
  if (!by_hash) return lora.name;
  const auto by_name = library.find_lora(lora.name);
  if (by_name && by_name->record.id == by_hash->id) return lora.name;
  return library.prompt_name(*by_hash);
}

}  // namespace

std::string recipe_words(const library::Recipe& recipe, const library::Library& library) {
  std::string words = recipe.prompt;
  for (const auto& lora : recipe.loras)
    words = joined(
        words, fmt::format("<lora:{}:{}>", prompt::network_name(local_name(lora, library)), lora.arguments));
  return words;
}

void apply_recipes(Invocation& invocation) {
  const auto given = invocation.options.find("recipe");
  if (given == invocation.options.end()) return;
  const std::vector<std::string> names = given->second;
  invocation.options.erase(given);
  const auto library = library::Library::open(library::find_data_dir(invocation.value("data-dir")));
  std::string prompt = invocation.value("prompt"), negative = invocation.value("negative");
  if (invocation.has("from")) {
    // The picture's own words, unless others are given beside it.
    auto settings = settings_of(invocation.value("from"));
    if (!settings.is_understood)
      throw Error(kBadInput, "{}: {}", invocation.value("from").substr(0, 200), settings.notes.back());
    auto infotext = std::move(settings.infotext);
    library::use_local_names(infotext, library);
    if (!invocation.has("prompt")) prompt = infotext.prompt;
    if (!invocation.has("negative")) negative = infotext.negative_prompt;
  }
  for (const std::string& name : names) {
    const library::Recipe recipe = library::load_recipe(library.data(), name);
    prompt = joined(prompt, recipe_words(recipe, library));
    negative = joined(negative, recipe.negative_prompt);
  }
  invocation.options["prompt"] = {prompt};
  if (!negative.empty()) invocation.options["negative"] = {negative};
}

PromptParts split_prompt(const std::string& text) {
  const auto networks = prompt::parse_extra_networks(text);
  PromptParts parts;
  for (std::size_t i = 0; i < networks.tags.size(); ++i) {
    const prompt::NetworkTag& tag = networks.tags[i];
    if ((tag.kind != "lora" && tag.kind != "lyco") || tag.items.empty()) continue;
    const auto read = std::ranges::find(networks.loras, i, &prompt::LoraTag::tag);
    library::RecipeLora lora{.name = read == networks.loras.end() ? tag.items.front() : read->name};
    const std::vector<std::string> rest(tag.items.begin() + 1, tag.items.end());
    if (!rest.empty()) lora.arguments = fmt::format("{}", fmt::join(rest, ":"));
    parts.loras.push_back(std::move(lora));
  }
  // What the tags leave behind: empty items between commas at the ends.
  std::string_view words = networks.stripped;
  while (!words.empty() && (words.front() == ',' || words.front() == ' ' || words.front() == '\n'))
    words.remove_prefix(1);
  while (!words.empty() && (words.back() == ',' || words.back() == ' ' || words.back() == '\n'))
    words.remove_suffix(1);
  parts.prompt = words;
  return parts;
}

}  // namespace lowrank::cli
