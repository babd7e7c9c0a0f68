// A graph of ComfyUI in one form, whichever of its two ways of writing it came in.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/generators/draft.h"

namespace lowrank::prompt {

struct ComfyNode {
  std::string id, type;
  Json inputs = Json::object();  // values, and links as [id, output]

  bool has(std::string_view key) const { return inputs.contains(key); }
  std::string text(std::string_view key) const { return text_field(inputs, key); }  // "" for a link
};

struct ComfyLora {
  std::string name;
  std::string weights;  // of a tag: "0.8", or "0.5:0.8" for text encoder and U-Net
};

class ComfyGraph {
 public:
  // nullopt when the JSON is neither {"3": {"class_type": …, "inputs": …}} nor {"nodes": […], "links": […]}.
  static std::optional<ComfyGraph> read(const Json& json);

  const std::list<ComfyNode>& nodes() const { return nodes_; }
  // What an input is linked to, through reroutes; nullptr when it is a value or absent.
  const ComfyNode* linked(const ComfyNode& node, std::string_view key) const;
  std::vector<std::pair<std::string, const ComfyNode*>> links(const ComfyNode& node) const;

 private:
  std::list<ComfyNode> nodes_;  // in the file's order; a list, so that they stay where they are
  std::map<std::string, const ComfyNode*> by_id_;
};

// The LoRAs that a node of any kind puts on: `lora_name` with strengths, numbered ones of stacks, objects of rgthree's
// loader. Those that are switched off or have no strength are left out.
std::vector<ComfyLora> loras_of_node(const ComfyNode& node);

}  // namespace lowrank::prompt
