#include "formats/quantised_form.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lowrank::formats {
namespace {

using weights::DType;
using weights::TensorFile;
using weights::TensorView;

// The end of a key that only this program writes.
struct QuantisedMark {
  std::string_view mark;
  std::string_view form;
};
constexpr std::array kQuantisedMarks = {
    QuantisedMark{".quant_state.bitsandbytes__nf4", "bitsandbytes nf4"},
    QuantisedMark{".quant_state.bitsandbytes__fp4", "bitsandbytes fp4"},
    QuantisedMark{".SCB", "bitsandbytes int8"},
    QuantisedMark{".weight_format", "bitsandbytes int8"},
    QuantisedMark{".absmax", "bitsandbytes 4-bit"},
    QuantisedMark{".quant_map", "bitsandbytes 4-bit"},
    QuantisedMark{"._data", "quanto"},
    QuantisedMark{"._shift", "quanto"},
    QuantisedMark{"_weight_qdata", "torchao"},
    QuantisedMark{"_weight_zero_point", "torchao"},
    QuantisedMark{".svd_up", "sdnq"},
    QuantisedMark{".svd_down", "sdnq"},
    QuantisedMark{".zero_point", "sdnq"},
    QuantisedMark{".weight_scale_2", "ComfyUI nvfp4"},
    QuantisedMark{".qweight", "GPTQ or AWQ"},
    QuantisedMark{".qzeros", "GPTQ or AWQ"},
    QuantisedMark{".wscales", "SVDQuant (nunchaku)"},
};

// The format that ComfyUI's mark of a layer names.
std::string comfy_form(const TensorView& mark) {
  const auto* text = reinterpret_cast<const char*>(mark.bytes.data());
  const auto stated = nlohmann::json::parse(text, text + mark.bytes.size(), nullptr, false);
  const auto name = stated.is_object() ? stated.find("format") : stated.end();
  return stated.is_object() && name != stated.end() && name->is_string()
             ? "ComfyUI " + name->get<std::string>()
             : "ComfyUI";
}

bool is_byte_integer(DType dtype) {
  return dtype == DType::kI8 || dtype == DType::kU8;
}

// sdnq's int8 weights are a product with their scale, which the file's reader has attached.
bool is_scaled_sdnq(const TensorFile& file, const TensorView& weight) {
  return weight.dtype == DType::kI8 && weight.scaling != nullptr &&
         file.holds(weight.name.substr(0, weight.name.rfind('.')) + ".scale");
}

std::string integer_form(const TensorFile& file, const TensorView& weight) {
  const std::string layer = weight.name.substr(0, weight.name.rfind('.'));
  if (file.holds(layer + ".scale") || file.holds(layer + ".zero_point"))
    return weight.dtype == DType::kI8 ? "sdnq int8" : "sdnq uint8";
  return weight.dtype == DType::kI8 ? "int8" : "uint8";
}

}  // namespace

std::optional<std::string> quantised_form(const TensorFile& file, Integers integers) {
  std::size_t best = kQuantisedMarks.size();  // what says most stands first in the table, but not in the file
  const TensorView* whole_numbers = nullptr;
  for (const TensorView& view : file.tensors()) {
    const std::string_view key = view.name;
    if (key.ends_with(".comfy_quant") && view.dtype == DType::kU8) return comfy_form(view);
    for (std::size_t i = 0; i < best; ++i)
      if (key.ends_with(kQuantisedMarks[i].mark)) best = i;
    if (whole_numbers == nullptr && key.ends_with(".weight") && is_byte_integer(view.dtype) &&
        view.shape.size() >= 2 && !is_scaled_sdnq(file, view))
      whole_numbers = &view;
  }
  if (best < kQuantisedMarks.size()) return std::string(kQuantisedMarks[best].form);
  if (integers == Integers::kAreNone && whole_numbers != nullptr) return integer_form(file, *whole_numbers);
  return std::nullopt;
}

void refuse_quantised(const TensorFile& file, Integers integers, std::string_view stated) {
  const auto form = quantised_form(file, integers);
  if (!form) return;
  throw Error(
      kUnsupported,
      "{}: its weights are quantised ({}{}{}), which LowRank does not support; download the model in 16 bits "
      "(fp16, bf16) or scaled float8, or save it in 16 bits with the program that quantised it.",
      file.path().string(), *form, stated.empty() ? "" : "; config.json says ", stated);
}

}  // namespace lowrank::formats
