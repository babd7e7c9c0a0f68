#include "formats/layer_address.h"

namespace lowrank::formats {

std::string_view component_name(Component component) {
  switch (component) {
    case Component::kTextEncoder:
      return "text encoder";
    case Component::kTextEncoder2:
      return "second text encoder";
    case Component::kUnet:
      return "U-Net";
    case Component::kVae:
      return "VAE";
  }
  return "?";
}

bool is_text_encoder(Component component) {
  return component == Component::kTextEncoder || component == Component::kTextEncoder2;
}

}  // namespace lowrank::formats
