// ComfyUI: the graph that made the picture, as `prompt` (what was run) or `workflow` (what was on the screen). Read
// are the sampler's settings, the texts that lead to it, the LoRAs and the checkpoint on its way.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text/text.h"
#include "prompt/generators/comfyui_graph.h"
#include "prompt/generators/draft.h"
#include "prompt/generators/readers.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kMostLoras = 64;
constexpr std::size_t kMostNamed = 8;  // samplers, in a note
constexpr int kDeepest = 400;          // nodes behind one another

// Keys under which nodes keep a text, in the order in which they are asked.
constexpr std::string_view kTextKeys[] = {"text",           "prompt",        "text_g",   "text_l",
                                          "string",         "value",         "String",   "Text",
                                          "populated_text", "wildcard_text", "positive", "negative"};
// Those of nodes that join texts.
constexpr std::pair<std::string_view, std::string_view> kJoined[] = {{"string_a", "string_b"},
                                                                     {"text_a", "text_b"},
                                                                     {"text1", "text2"},
                                                                     {"string1", "string2"},
                                                                     {"prefix", "suffix"}};

class GraphReader {
 public:
  GraphReader(const ComfyGraph& graph, Draft& draft) : graph_(graph), draft_(draft) {}

  bool run() {
    const ComfyNode* sampler = find_sampler();
    if (sampler == nullptr) return false;
    read_prompts(*sampler);
    read_numbers(*sampler);
    read_latent(*sampler);
    read_models(*sampler);
    if (!not_understood_.empty())
      draft_.note(fmt::format("these nodes were ignored: {}.", fmt::join(not_understood_, ", ")));
    return true;
  }

 private:
  static bool is_sampler(const ComfyNode& node) {
    const bool has_noise = node.has("seed") || node.has("noise_seed") || node.has("noise");
    return has_noise && (node.has("positive") || node.has("guider")) &&
           (node.has("steps") || node.has("sigmas"));
  }

  // The first pass: of all samplers one whose latent no other sampler made.
  const ComfyNode* find_sampler() {
    const ComfyNode* first = nullptr;
    std::vector<std::string> names;
    for (const ComfyNode& node : graph_.nodes()) {
      if (!is_sampler(node)) continue;
      names.push_back(fmt::format("{} {}", node.type, node.id));
      const bool is_later = reaches_sampler(node);
      if (first == nullptr || (reaches_sampler(*first) && !is_later)) first = &node;
    }
    if (names.size() > 1) {
      const std::size_t count = names.size();
      if (count > kMostNamed) names.resize(kMostNamed);
      draft_.note(fmt::format("its graph has {} samplers ({}{}); these are the settings of {} {}, the first.",
                              count, fmt::join(names, ", "), count > kMostNamed ? " …" : "", first->type,
                              first->id));
    }
    return first;
  }

  bool reaches_sampler(const ComfyNode& node) const {
    std::set<const ComfyNode*> seen = {&node};
    std::vector<const ComfyNode*> open;
    const auto follow = [&](const ComfyNode& from, std::initializer_list<std::string_view> keys) {
      for (const std::string_view key : keys)
        if (const ComfyNode* next = graph_.linked(from, key); next != nullptr && seen.insert(next).second)
          open.push_back(next);
    };
    follow(node, {"latent_image", "samples", "latent"});
    while (!open.empty()) {
      const ComfyNode* next = open.back();
      open.pop_back();
      if (is_sampler(*next)) return true;
      follow(*next, {"latent_image", "samples", "latent", "image", "images", "pixels"});
    }
    return false;
  }

  // A value of the node itself or of the node that an input is linked to.
  std::string value(const ComfyNode& node, std::string_view key, int depth = 0) {
    if (const std::string own = node.text(key); !own.empty()) return own;
    const ComfyNode* from = graph_.linked(node, key);
    if (from == nullptr || depth > 20) return "";
    for (const std::string_view other :
         {key, std::string_view("seed"), std::string_view("value"), std::string_view("int"),
          std::string_view("float"), std::string_view("noise_seed"), std::string_view("sampler_name")})
      if (const std::string found = value(*from, other, depth + 1); !found.empty()) return found;
    return "";
  }

  std::string words(const ComfyNode& node, std::string_view role, int depth = 0) {
    if (depth > 40) return "";
    if (node.type == "ConditioningZeroOut") return "";
    for (const auto& [a, b] : kJoined) {
      if (!node.has(a) && !node.has(b)) continue;
      const std::string first = words_of(node, a, role, depth), second = words_of(node, b, role, depth);
      return first + (first.empty() || second.empty() ? "" : node.text("delimiter")) + second;
    }
    for (const std::string_view key : kTextKeys) {
      if (key == (role == "positive" ? "negative" : "positive")) continue;
      if (!node.has(key)) continue;
      if (const std::string text = words_of(node, key, role, depth); !text.empty()) {
        if (key == role && node.text(key).empty()) not_understood_.insert(node.type);  // such as a ControlNet
        const std::string other = key == "text_g" ? words_of(node, "text_l", role, depth) : "";
        if (!other.empty() && other != text) draft_.note("the node's second text (text_l) was ignored.");
        return text;
      }
    }
    // Conditionings that other nodes change or join.
    std::vector<std::string> parts;
    for (const auto& [key, next] : graph_.links(node)) {
      const bool is_conditioning = key.starts_with("conditioning") || key == role || key == "cond" ||
                                   key == "guider" || key == "CONDITIONING";
      if (!is_conditioning) continue;
      if (std::string text = words(*next, role, depth + 1); !text.empty()) parts.push_back(std::move(text));
    }
    if (!parts.empty() && node.type != "CFGGuider" && node.type != "BasicGuider")
      not_understood_.insert(node.type);
    return fmt::format("{}", fmt::join(parts, " AND "));
  }

  std::string words_of(const ComfyNode& node, std::string_view key, std::string_view role, int depth) {
    if (std::string own = node.text(key); !own.empty()) return own;
    const ComfyNode* from = graph_.linked(node, key);
    return from == nullptr ? "" : words(*from, role, depth + 1);
  }

  // "embedding:bad-hands" is the bare name here.
  static std::string plain_words(std::string text) {
    constexpr std::string_view kMark = "embedding:";
    for (std::size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at))
      text.erase(at, kMark.size());
    return std::string(trim(text));
  }

  void read_prompts(const ComfyNode& sampler) {
    const ComfyNode* guider = graph_.linked(sampler, "guider");
    const ComfyNode& from = guider != nullptr ? *guider : sampler;
    for (const std::string_view role : {"positive", "negative"}) {
      const ComfyNode* next = graph_.linked(from, role);
      if (next == nullptr && role == "positive") next = graph_.linked(from, "conditioning");
      const std::string text = next == nullptr ? "" : plain_words(words(*next, role));
      role == "positive" ? draft_.prompt(text) : draft_.negative(text);
    }
    if (draft_.infotext().prompt.empty()) draft_.note("no text was found upstream of the sampler.");
  }

  void read_numbers(const ComfyNode& sampler) {
    const ComfyNode* sigmas = graph_.linked(sampler, "sigmas");
    const ComfyNode* noise = graph_.linked(sampler, "noise");
    const ComfyNode* guider = graph_.linked(sampler, "guider");
    const ComfyNode* chosen = graph_.linked(sampler, "sampler");
    const auto first = [&](std::initializer_list<std::pair<const ComfyNode*, std::string_view>> places) {
      for (const auto& [node, key] : places)
        if (node != nullptr)
          if (std::string found = value(*node, key); !found.empty()) return found;
      return std::string();
    };
    draft_.entry("Steps", first({{&sampler, "steps"}, {sigmas, "steps"}}));
    draft_.sampler(first({{&sampler, "sampler_name"}, {chosen, "sampler_name"}}),
                   first({{&sampler, "scheduler"}, {sigmas, "scheduler"}}));
    draft_.entry("CFG scale", first({{&sampler, "cfg"}, {guider, "cfg"}}));
    draft_.entry("Seed", first({{&sampler, "seed"}, {&sampler, "noise_seed"}, {noise, "noise_seed"}}));
    const std::string denoise = first({{&sampler, "denoise"}, {sigmas, "denoise"}});
    if (const auto part = parse_number(denoise); part && *part < 1)
      draft_.entry("Denoising strength", denoise);
  }

  void read_latent(const ComfyNode& sampler) {
    const ComfyNode* latent = graph_.linked(sampler, "latent_image");
    for (int depth = 0; latent != nullptr && depth < 20; ++depth) {
      if (latent->has("width") && latent->has("height")) {
        draft_.size(value(*latent, "width"), value(*latent, "height"));
        return;
      }
      if (latent->has("pixels")) {
        draft_.note("it was made from another picture, which is not in its settings.");
        return;
      }
      const ComfyNode* next = graph_.linked(*latent, "samples");
      latent = next != nullptr ? next : graph_.linked(*latent, "latent");
    }
  }

  // All that a node comes from, before it: from the checkpoint to the sampler, as the LoRAs were put on.
  void collect(const ComfyNode& node, int depth, std::set<const ComfyNode*>& seen,
               std::vector<const ComfyNode*>& chain) const {
    if (depth > kDeepest || !seen.insert(&node).second) return;
    for (const auto& [key, next] : graph_.links(node))
      if (key != "latent_image" && key != "samples" && key != "latent" && key != "image")
        collect(*next, depth + 1, seen, chain);
    chain.push_back(&node);
  }

  // LoRAs, checkpoint and clip skip: all that the sampler's model and texts come from.
  void read_models(const ComfyNode& sampler) {
    std::vector<const ComfyNode*> chain;
    std::set<const ComfyNode*> seen;
    collect(sampler, 0, seen, chain);
    std::size_t loras = 0;
    for (const ComfyNode* node : chain) {
      for (const ComfyLora& lora : loras_of_node(*node)) {
        if (++loras > kMostLoras) continue;
        draft_.lora(lora.name, lora.weights);
      }
      read_checkpoint(*node);
      if (const auto layer = parse_integer(node->text("stop_at_clip_layer")); layer && *layer < -1)
        draft_.entry("Clip skip", fmt::format("{}", -*layer));
    }
    if (loras > kMostLoras) draft_.note(fmt::format("of its {} LoRAs only {} are read.", loras, kMostLoras));
  }

  void read_checkpoint(const ComfyNode& node) {
    std::string name = value(node, "ckpt_name");
    if (name.empty()) name = node.text("unet_name");
    // "urn:air:sdxl:checkpoint:civitai:827184@2514310" on Civitai's own service.
    const std::size_t at = name.rfind('@');
    if (name.starts_with("urn:air:") && at != std::string::npos && parse_integer(name.substr(at + 1))) {
      draft_.entry("Civitai resources",
                   fmt::format(R"([{{"type":"checkpoint","modelVersionId":{}}}])", name.substr(at + 1)));
    } else if (!name.empty() && !name.starts_with("urn:")) {
      draft_.model(name);
    }
  }

  const ComfyGraph& graph_;
  Draft& draft_;
  std::set<std::string> not_understood_;
};

// Nodes write it under several names and places.
std::optional<ComfyGraph> graph_of(const PictureTexts& picture) {
  const auto try_text = [](std::string_view text) -> std::optional<ComfyGraph> {
    text = trim(text);
    for (const std::string_view start : {"prompt:", "Prompt:", "workflow:", "Workflow:"})
      if (text.starts_with(start)) text = trim(text.substr(start.size()));
    const Json json = json_object(text);
    if (!json.is_object()) return std::nullopt;
    for (const char* inside : {"prompt", "workflow"})
      if (const auto found = json.find(inside); found != json.end())
        if (auto graph = ComfyGraph::read(*found)) return graph;
    return ComfyGraph::read(json);
  };
  // The graph that was run before the one that was shown.
  for (const bool is_run : {true, false}) {
    for (const auto& [key, text] : picture.texts) {
      const bool is_workflow = key == "workflow" || lower(std::string_view(text).substr(0, 9)) == "workflow:";
      if (is_workflow == is_run) continue;
      if (auto graph = try_text(text)) return graph;
    }
  }
  return std::nullopt;
}

}  // namespace

PictureReading read_comfyui(const PictureTexts& picture) {
  const auto graph = graph_of(picture);
  if (!graph) return std::nullopt;
  Draft draft("ComfyUI");
  if (!GraphReader(*graph, draft).run()) draft.note("no node of its graph is a known sampler.");
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
