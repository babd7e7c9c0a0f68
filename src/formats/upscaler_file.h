// Upscaler models as files. Of the ESRGAN form there are three ways to name the same layers, translated to one; the
// compact form of Real-ESRGAN numbers its layers, body.0, body.1 …
//
//   here, and Real-ESRGAN   conv_first  body.N.rdbK.convJ        conv_body   conv_up1 …  conv_hr  conv_last
//   BSRGAN, RealSR          conv_first  RRDB_trunk.N.RDBK.convJ  trunk_conv  upconv1 …   HRconv   conv_last
//   ESRGAN (2018)           model.0     model.1.sub.N.RDBK.convJ.0   model.1.sub.COUNT   model.3, model.6 …
//   by place
#pragma once

#include <filesystem>
#include <memory>

#include "formats/checkpoint/checkpoint.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

struct UpscalerFile {
  ParameterViews parameters;
  std::shared_ptr<const weights::TensorFile> file;
};

// Opens .pth, .pt or .safetensors. Throws Error(kUnsupported) naming the file when it is of another form.
UpscalerFile open_upscaler(const std::filesystem::path& path);

}  // namespace lowrank::formats
