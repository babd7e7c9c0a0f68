#include "prompt/generators/comfyui_graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kMostNodes = 10'000;

// The widgets of the usual nodes in their order; "" for one that says nothing. A saved graph has no names for them.
struct Widgets {
  std::string_view type;
  std::vector<std::string_view> names;
};

const std::vector<Widgets>& widget_table() {
  static const std::vector<Widgets> table = {
      {"KSampler", {"seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
      {"KSamplerAdvanced", {"", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"}},
      {"CLIPTextEncode", {"text"}},
      {"CheckpointLoaderSimple", {"ckpt_name"}},
      {"CheckpointLoader", {"config_name", "ckpt_name"}},
      {"unCLIPCheckpointLoader", {"ckpt_name"}},
      {"UNETLoader", {"unet_name"}},
      {"LoraLoader", {"lora_name", "strength_model", "strength_clip"}},
      {"LoraLoaderModelOnly", {"lora_name", "strength_model"}},
      {"EmptyLatentImage", {"width", "height"}},
      {"EmptySD3LatentImage", {"width", "height"}},
      {"CLIPSetLastLayer", {"stop_at_clip_layer"}},
      {"VAELoader", {"vae_name"}},
      {"PrimitiveNode", {"value"}},
      {"RandomNoise", {"noise_seed"}},
      {"KSamplerSelect", {"sampler_name"}},
      {"BasicScheduler", {"scheduler", "steps", "denoise"}},
      {"CFGGuider", {"cfg"}},
      {"String Literal", {"string"}},
  };
  return table;
}

std::string id_text(const Json& id) {
  return id.is_string() ? id.get<std::string>() : id.is_number_integer() ? id.dump() : "";
}

// One node of a saved graph. Widgets without a known name are named by their number.
ComfyNode saved_node(const Json& json, const std::map<std::string, Json>& links) {
  ComfyNode node{.id = id_text(json.value("id", Json())), .type = text_field(json, "type")};
  const auto row = std::ranges::find(widget_table(), node.type, &Widgets::type);
  if (const auto values = json.find("widgets_values"); values != json.end()) {
    if (values->is_object()) {
      node.inputs = *values;
    } else if (values->is_array()) {
      for (std::size_t i = 0; i < values->size(); ++i) {
        const std::string name = row != widget_table().end() && i < row->names.size()
                                     ? std::string(row->names[i])
                                     : fmt::format("widget_{}", i);
        if (!name.empty()) node.inputs[name] = (*values)[i];
      }
    }
  }
  if (const auto inputs = json.find("inputs"); inputs != json.end() && inputs->is_array())
    for (const Json& input : *inputs) {
      if (!input.is_object()) continue;
      const auto link = links.find(id_text(input.value("link", Json())));
      if (link != links.end()) node.inputs[text_field(input, "name")] = link->second;
    }
  return node;
}

std::string weights_text(const std::string& model, const std::string& clip) {
  return clip.empty() || clip == model ? model : fmt::format("{}:{}", clip, model);
}

bool is_nothing(const std::string& weight) {
  const auto number = parse_number(weight);
  return number && *number == 0;
}

// rgthree's loader: {"on": true, "lora": "fox.safetensors", "strength": 0.8, "strengthTwo": null}.
void add_object(const Json& value, std::vector<ComfyLora>& loras) {
  const auto on = value.find("on");
  if (on != value.end() && *on == false) return;
  const std::string name = text_field(value, "lora"), weight = text_field(value, "strength");
  if (name.empty() || is_nothing(weight)) return;
  loras.push_back({name, weights_text(weight, text_field(value, "strengthTwo"))});
}

}  // namespace

std::optional<ComfyGraph> ComfyGraph::read(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  ComfyGraph graph;
  if (const auto nodes = json.find("nodes"); nodes != json.end() && nodes->is_array()) {
    std::map<std::string, Json> links;
    if (const auto list = json.find("links"); list != json.end() && list->is_array())
      for (const Json& link : *list)
        if (link.is_array() && link.size() >= 3)
          links[id_text(link[0])] = Json::array({id_text(link[1]), link[2]});
    for (const Json& node : *nodes) {
      if (!node.is_object() || graph.nodes_.size() >= kMostNodes) continue;
      const auto mode = node.find("mode");
      const bool is_muted = mode != node.end() && (*mode == 2 || *mode == 4);  // never run, or passed by
      ComfyNode read = saved_node(node, links);
      if (is_muted) {
        Json kept = Json::object();
        for (const auto& [key, value] : read.inputs.items())
          if (value.is_array()) kept[key] = value;
        read.inputs = std::move(kept);
        read.type = "Reroute";
      }
      if (!read.id.empty()) graph.nodes_.push_back(std::move(read));
    }
  } else {
    for (const auto& [id, value] : json.items()) {
      if (!value.is_object() || !value.contains("class_type") || graph.nodes_.size() >= kMostNodes) continue;
      ComfyNode node{.id = id, .type = text_field(value, "class_type")};
      if (const auto inputs = value.find("inputs"); inputs != value.end() && inputs->is_object())
        node.inputs = *inputs;
      graph.nodes_.push_back(std::move(node));
    }
  }
  if (graph.nodes_.empty()) return std::nullopt;
  for (const ComfyNode& node : graph.nodes_) graph.by_id_.emplace(node.id, &node);
  return graph;
}

const ComfyNode* ComfyGraph::linked(const ComfyNode& node, std::string_view key) const {
  const auto find_node = [&](const Json& link) -> const ComfyNode* {
    if (!link.is_array() || link.size() != 2) return nullptr;
    const auto found = by_id_.find(id_text(link[0]));
    return found == by_id_.end() ? nullptr : found->second;
  };
  const auto value = node.inputs.find(key);
  if (value == node.inputs.end()) return nullptr;
  const ComfyNode* next = find_node(*value);
  for (int hops = 0; next != nullptr && next->type.starts_with("Reroute") && hops < 50; ++hops) {
    const ComfyNode* before = nullptr;
    for (const auto& [name, link] : next->inputs.items())
      if (before == nullptr && (next->inputs.size() == 1 || name == key || name == ""))
        before = find_node(link);
    if (before == nullptr)
      for (const auto& [name, link] : next->inputs.items())
        if (before == nullptr) before = find_node(link);
    next = before;
  }
  return next;
}

std::vector<std::pair<std::string, const ComfyNode*>> ComfyGraph::links(const ComfyNode& node) const {
  std::vector<std::pair<std::string, const ComfyNode*>> found;
  for (const auto& [key, value] : node.inputs.items())
    if (const ComfyNode* next = linked(node, key)) found.emplace_back(key, next);
  return found;
}

std::vector<ComfyLora> loras_of_node(const ComfyNode& node) {
  std::vector<ComfyLora> loras;
  if (const std::string name = node.text("lora_name"); !name.empty()) {
    std::string model = node.text("strength_model"), clip = node.text("strength_clip");
    for (const char* other : {"lora_model_strength", "strength", "lora_strength"})
      if (model.empty()) model = node.text(other);
    if (model.empty()) model = "1";
    if (clip.empty()) clip = node.text("lora_clip_strength");
    if (node.type.ends_with("ModelOnly")) clip = "0";
    if (!is_nothing(model) || (!clip.empty() && !is_nothing(clip)))
      loras.push_back({name, weights_text(model, clip)});
  }
  for (const auto& [key, value] : node.inputs.items())
    if (value.is_object() && value.contains("lora")) add_object(value, loras);
  // Stacks number their LoRAs, each in its own way.
  for (int i = 1; i <= 50; ++i) {
    const auto first = [&](std::initializer_list<std::string> keys) {
      for (const std::string& key : keys)
        if (std::string text = node.text(key); !text.empty()) return text;
      return std::string();
    };
    const std::string two = fmt::format("{:02}", i);
    const std::string name = first({fmt::format("lora_name_{}", i), fmt::format("lora_{}", two),
                                    fmt::format("lora_{}", i), fmt::format("lora_{}_name", i)});
    if (name.empty() || name == "None") continue;
    if (lower(node.text(fmt::format("switch_{}", i))) == "off") continue;
    if (const auto count = parse_integer(node.text("lora_count")); count && i > *count) continue;
    const std::string model =
        first({fmt::format("model_weight_{}", i), fmt::format("model_str_{}", i),
               fmt::format("strength_{}", two), fmt::format("lora_wt_{}", i), fmt::format("strength_{}", i)});
    const std::string clip = first({fmt::format("clip_weight_{}", i), fmt::format("clip_str_{}", i)});
    if (is_nothing(model)) continue;
    loras.push_back({name, weights_text(model.empty() ? "1" : model, clip)});
  }
  return loras;
}

}  // namespace lowrank::prompt
