#include "pipeline/pictures/previewer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <exception>
#include <utility>

#include "base/error.h"
#include "pipeline/pictures/latent_picture.h"

namespace lowrank::pipeline {

using request::PreviewType;

Previewer::Previewer(const LoadedModel& model, PreviewType type, TinyAutoencoders& tiny,
                     std::vector<std::string>& warnings)
    : model_(model), tiny_(tiny), warnings_(warnings), is_full_(type == PreviewType::kFull) {
  if (!model.has_family_latents || (type != PreviewType::kBest && type != PreviewType::kTaesd)) return;
  try {
    decoder_ = tiny.find_decoder(model);
    if (decoder_ == nullptr && type == PreviewType::kTaesd)
      fall_back(fmt::format("models/VAE-approx has no TAESD decoder for {}; put {} there",
                            model.family().name,
                            formats::tiny_autoencoder_name(model.family(), formats::TinyHalf::kDecoder)));
  } catch (const std::exception& error) {
    fall_back(error.what());
  }
  if (decoder_) decoder_->chain.policy().wraps_around = model.vae->policy()->wraps_around;
}

void Previewer::fall_back(const std::string& why) {
  decoder_.reset();
  is_full_ = false;
  std::string sentence =
      fmt::format("previews show approximate colours: {}{}", why, why.ends_with('.') ? "" : ".");
  if (tiny_.is_news(sentence)) warnings_.push_back(std::move(sentence));
}

image::Picture Previewer::picture(const at::Tensor& latent) {
  if (decoder_ || is_full_) {
    try {
      const at::Tensor one = latent.unsqueeze(0);
      const at::Tensor pixels =
          decoder_ ? decoder_->decode(one) : model_.vae->decode(one / model_.latent_scale);
      return to_picture(at::nan_to_num(pixels.select(0, 0)));
    } catch (const std::exception& error) {  // no memory for it
      fall_back(error.what());
    }
  }
  return preview_latent(model_, latent);
}

}  // namespace lowrank::pipeline
