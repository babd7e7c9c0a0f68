#include "formats/checkpoint/component_parameters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"

namespace lowrank::formats {
namespace {

// What may follow a root; anything else (losses, averages, position_ids) is no parameter of the component.
constexpr std::array<std::string_view, 4> kTextParts = {"embeddings.", "encoder.layers.", "final_layer_norm.",
                                                        "text_projection."};
constexpr std::array<std::string_view, 6> kUnetParts = {"time_embed.",   "label_emb.",     "input_blocks.",
                                                        "middle_block.", "output_blocks.", "out."};
constexpr std::array<std::string_view, 4> kVaeParts = {"encoder.", "decoder.", "quant_conv.",
                                                       "post_quant_conv."};

bool starts_with_any(std::string_view text, std::span<const std::string_view> heads) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](std::string_view head) { return text.starts_with(head); });
}

int positive_number(const Checkpoint& checkpoint, const std::string& key, const std::string& text) {
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size() || number < 1 || number > 1024) {
    throw Error(kBadInput, "{}: metadata {} is '{}', but must be a whole number from 1 to 1024; correct it.",
                checkpoint.path.string(), key, text);
  }
  return number;
}

}  // namespace

bool is_parameter(Component component, std::string_view name) {
  switch (component) {
    case Component::kTextEncoder:
    case Component::kTextEncoder2:
      return name != "embeddings.position_ids" && starts_with_any(name, kTextParts);
    case Component::kUnet:
      return starts_with_any(name, kUnetParts);
    case Component::kVae:
      return starts_with_any(name, kVaeParts);
  }
  return false;
}

NamedViews text_parameters(const TextEncoderRow& encoder, std::string_view name,
                           const weights::TensorView& view) {
  // transformers before 4.31 and since 5 leave the second part of the root out; some files hold either form.
  constexpr std::string_view kModel = "text_model.";
  if (name.starts_with(kModel)) name.remove_prefix(kModel.size());
  NamedViews parts = is_parameter(encoder.component, name)        ? NamedViews{{std::string(name), view}}
                     : encoder.kind == TextEncoderKind::kOpenClip ? open_clip_parameters(name, view)
                                                                  : NamedViews();
  if (!encoder.gives_pooled)
    std::erase_if(parts, [](const auto& part) { return part.first.starts_with("text_projection."); });
  return parts;
}

void apply_metadata(Checkpoint& checkpoint) {
  for (const auto& entry : checkpoint.metadata) {
    const std::string &key = entry.first, &value = entry.second;
    const auto number = [&] { return positive_number(checkpoint, key, value); };
    if (key == "lowrank.unet_heads") checkpoint.unet_heads = {.count = number()};
    if (key == "lowrank.unet_head_width") checkpoint.unet_heads = {.width = number()};
    if (key == "lowrank.text_heads") checkpoint.text_heads[Component::kTextEncoder] = number();
    if (key == "lowrank.text2_heads") checkpoint.text_heads[Component::kTextEncoder2] = number();
  }
}

}  // namespace lowrank::formats
