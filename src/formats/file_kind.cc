#include "formats/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text/shortened.h"
#include "formats/checkpoint/single_file.h"

namespace lowrank::formats {
namespace {

enum class Where { kBegins, kAnywhere };

struct MarkRow {
  std::string_view mark;
  Where where;
  std::string_view kind;
};

constexpr std::string_view kLora = "a LoRA", kOrderedLora = "a LoRA without layer names";

// The first row that any key meets decides.
constexpr std::array kBeforeCheckpoints = {
    MarkRow{"lllite_", Where::kBegins, "a ControlNet-LLLite"},
    MarkRow{"3.conv.0.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{"1.conv.0.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{"taesd_decoder.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{"taesd_encoder.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{"decoder.layers.2.conv.0.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{"encoder.layers.1.conv.0.", Where::kBegins, kTinyAutoencoderKind},
    MarkRow{".motion_modules.", Where::kAnywhere, "an AnimateDiff motion module or motion LoRA"},
    MarkRow{"ip_adapter.", Where::kBegins, "an IP-Adapter"},
    MarkRow{"image_proj.", Where::kBegins, "an IP-Adapter"},
    MarkRow{".lora_down.", Where::kAnywhere, kLora},
    MarkRow{".lora_up.", Where::kAnywhere, kLora},
    MarkRow{".lora_A.", Where::kAnywhere, kLora},
    MarkRow{".lora_B.", Where::kAnywhere, kLora},
    MarkRow{"_lora.down.", Where::kAnywhere, kLora},
    MarkRow{".lora.down.", Where::kAnywhere, kLora},
    MarkRow{".hada_w1", Where::kAnywhere, kLora},
    MarkRow{".lokr_w", Where::kAnywhere, kLora},
    MarkRow{".oft_blocks", Where::kAnywhere, kLora},
    MarkRow{".oft_diag", Where::kAnywhere, kLora},
    MarkRow{".on_input", Where::kAnywhere, kLora},
    MarkRow{".a1.weight", Where::kAnywhere, kLora},  // GLoRA
    MarkRow{".lambda_layer", Where::kAnywhere, kLora},
    MarkRow{"string_to_param.", Where::kAnywhere, "a textual inversion"},
    MarkRow{"emb_params", Where::kAnywhere, "a textual inversion"},
    MarkRow{"double_blocks.", Where::kAnywhere, "a FLUX model"},
    MarkRow{"single_transformer_blocks.", Where::kAnywhere, "a FLUX model"},
    MarkRow{"joint_blocks.", Where::kAnywhere, "an SD3 model"},
};
constexpr std::array kBehindCheckpoints = {
    MarkRow{"input_hint_block.", Where::kAnywhere, "a ControlNet"},
    MarkRow{"controlnet_cond_embedding.", Where::kAnywhere, "a ControlNet"},
    MarkRow{"control_model.", Where::kAnywhere, "a ControlNet"},
    MarkRow{"adapter.body.", Where::kBegins, "a T2I-Adapter"},
    MarkRow{"body.0.block1.", Where::kBegins, "a T2I-Adapter"},
    MarkRow{"position_net.", Where::kBegins, "a GLIGEN model"},
    MarkRow{"decoder.conv_in.", Where::kBegins, "a VAE"},
    MarkRow{"first_stage_model.", Where::kBegins, "a VAE"},
    MarkRow{"down_blocks.", Where::kBegins,
            "part of a U-Net in diffusers naming; give the folder that contains model_index.json"},
    MarkRow{"vision_model.", Where::kBegins, "a CLIP image encoder"},
    MarkRow{"text_model.encoder.", Where::kBegins, "a CLIP text encoder"},
    MarkRow{"encoder.layers.", Where::kBegins, "a CLIP text encoder"},
    MarkRow{"encoder.block.", Where::kBegins, "a T5 text encoder"},
    MarkRow{"RRDB_trunk.", Where::kBegins, "an upscaler"},
    MarkRow{"body.0.rdb1.", Where::kBegins, "an upscaler"},
    MarkRow{"model.1.sub.0.RDB1.", Where::kBegins, "an upscaler"},
    MarkRow{"clip_l", Where::kBegins, "a textual inversion"},
};

// "unet:3:up": the safetensors files of the first trainer number their factors instead of naming layers.
bool is_numbered(std::string_view key) {
  if (!key.ends_with(":up") && !key.ends_with(":down")) return false;
  key = key.substr(0, key.rfind(':'));
  const auto colon = key.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == key.size()) return false;
  return std::all_of(key.begin() + static_cast<std::ptrdiff_t>(colon) + 1, key.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

template <typename Rows>
std::string_view first_kind(const weights::TensorFile& file, const Rows& rows) {
  const auto tensors = file.tensors();
  for (const MarkRow& row : rows) {
    const auto bears = [&](const weights::TensorView& view) {
      return row.where == Where::kBegins ? view.name.starts_with(row.mark)
                                         : view.name.find(row.mark) != std::string::npos;
    };
    if (std::any_of(tensors.begin(), tensors.end(), bears)) return row.kind;
  }
  return {};
}

std::string shown_key(const weights::TensorFile& file) {
  return shortened(file.tensors().front().name, 100);
}

}  // namespace

std::string describe_file(const weights::TensorFile& file) {
  const auto tensors = file.tensors();
  if (tensors.empty()) return "a file without named tensors, such as a hypernetwork or a training state";
  if (std::any_of(tensors.begin(), tensors.end(), [](const auto& view) { return is_numbered(view.name); }))
    return std::string(kOrderedLora);
  if (const auto kind = first_kind(file, kBeforeCheckpoints); !kind.empty()) return std::string(kind);
  if (const auto lone = lone_unet(file)) return lone->described();
  if (const FamilyRow* row = family(recognise_checkpoint(file)))
    return fmt::format("{} {} checkpoint", row->article, row->name);
  if (const auto kind = first_kind(file, kBehindCheckpoints); !kind.empty()) return std::string(kind);
  for (const FamilyRow& row : family_table()) {
    for (const TextEncoderRow& encoder : row.text_encoders)
      if (std::ranges::any_of(tensors, [&](const auto& view) { return view.name.starts_with(encoder.root); }))
        return fmt::format("the text encoder of {} {} checkpoint", row.article, row.name);
  }
  // diffusers keeps a textual inversion as one tensor under its token.
  if (tensors.size() == 1 && tensors[0].shape.size() <= 2 && tensors[0].name.starts_with('<'))
    return "a textual inversion";
  return fmt::format("something else (its first tensor is '{}')", shown_key(file));
}

std::string refusal_of_kind(const weights::TensorFile& file, std::string_view wanted) {
  const std::string kind = describe_file(file);
  if (kind == kOrderedLora && wanted == kLora)
    return fmt::format(
        "numbers the factors of a LoRA instead of naming their layers ('{}'), as the first LoRA trainer did, "
        "so it is unknown which layers they belong to; convert the file to kohya's or diffusers' names",
        shown_key(file));
  if (kind == wanted)
    return fmt::format(
        "looks like {}, but its keys name no layer of Stable Diffusion (the first is '{}'); it may be for "
        "another kind of model, or its names need converting to kohya's or diffusers'",
        wanted, shown_key(file));
  return fmt::format("is not {}, it looks like {}; choose another file", wanted, kind);
}

}  // namespace lowrank::formats
