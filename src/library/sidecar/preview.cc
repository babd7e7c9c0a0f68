#include "library/sidecar/preview.h"

#include "image/codec/codec.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {

std::filesystem::path set_preview(const std::filesystem::path& model, std::span<const std::byte> bytes,
                                  const std::string& label) {
  const auto picture = image::decode_picture(bytes, label);
  const std::filesystem::path file = sidecar_path(model, ".png");
  image::save_picture(file, picture,
                      {.format = image::PictureFormat::kPng,
                       .quality = 80,
                       .parameters = image::read_parameters(bytes, label).value_or("")});
  return file;
}

}  // namespace lowrank::library
