#include "formats/layer_address.h"

namespace lowrank::formats {

std::string_view component_name(Component component) {
  switch (component) {
    case Component::kTextEncoder:
      return "text encoder";
    case Component::kUnet:
      return "U-Net";
    case Component::kVae:
      return "VAE";
  }
  return "?";
}

}  // namespace lowrank::formats
