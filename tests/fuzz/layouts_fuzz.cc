// Any bytes are a file of tensors or an index of shards: what it is, which part of a checkpoint and which LoRA, is told, or an
// Error.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "formats/checkpoint/missing_parameters.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/checkpoint/shard_index.h"
#include "formats/checkpoint/single_file.h"
#include "formats/file_kind.h"
#include "formats/lora/lora_file.h"
#include "formats/lora/lora_fit.h"
#include "weights/safetensors.h"

namespace lowrank::formats {

// Errors end here, but for those of our own making.
template <typename Work>
void guarded(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
}

inline void read_layout(std::shared_ptr<const weights::TensorFile> file) {
  LOWRANK_CHECK(!describe_file(*file).empty());
  const std::size_t tensors = file->tensors().size();
  std::optional<ModelLayers> layers;
  guarded([&] {
    Checkpoint checkpoint;
    const auto lone = lone_unet(*file);
    if (const FamilyRow* row = family(lone ? lone->model : recognise_checkpoint(*file))) {
      checkpoint = lone ? read_unet_file(file, *lone, *row) : read_single_file(file, *row);
      for (const Component component : missing_components(checkpoint))
        LOWRANK_CHECK(checkpoint[component].empty());
      for (const auto& [component, views] : checkpoint.parts) missing_parameters(component, views);
      layers = layers_of(checkpoint);
    }
  });
  guarded([&] {
    const LoraFile lora = read_lora(file);
    const LoraFit fit = fit_lora(lora, layers.value_or(ModelLayers{}));
    LOWRANK_CHECK(fit.keys_unknown <= static_cast<std::int64_t>(tensors));
  });
}

}  // namespace lowrank::formats

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowrank;
  formats::guarded([&] {
    formats::read_shard_index(std::string_view(reinterpret_cast<const char*>(data), size), "index.json");
  });
  formats::guarded([&] {
    formats::read_layout(weights::read_safetensors("input", std::as_bytes(std::span(data, size)), nullptr));
  });
  return 0;
}
