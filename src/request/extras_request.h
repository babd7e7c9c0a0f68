// What a user asks of finished pictures: A1111's "extras". Plain data; the names are looked up when they are
// used.
#pragma once

#include <string>

#include "request/decimal.h"

namespace lowrank::request {

struct ExtrasRequest {
  int resize_mode = 0;           // 0: by a factor; 1: to a size
  Decimal upscaling_resize = 2;  // the factor
  int upscaling_width = 512, upscaling_height = 512;
  bool upscaling_crop = true;  // to a size: cover it and cut off the rest
  std::string upscaler_1 = "None", upscaler_2 = "None";
  Decimal upscaler_2_visibility = 0;               // 0 … 1: how much of the second shows
  int esrgan_tile = 192, esrgan_tile_overlap = 8;  // as in a generation
};

// Throws Error(kBadInput) with one sentence for the first field out of its range (field_table.h).
void check_request(const ExtrasRequest& request);

}  // namespace lowrank::request
