// The layers that adapters can change, by canonical path: those of a checkpoint, with its weights, or those of a published
// model, of which the shapes are known.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "formats/checkpoint/checkpoint.h"
#include "formats/lora/lora_fit.h"

namespace lowrank::edit {

class Layers {
 public:
  // Throws Error as open_checkpoint() does; a checkpoint without VAE is welcome.
  static std::shared_ptr<const Layers> of_checkpoint(const std::filesystem::path& path);
  // The first published model that has the layers of every file (of the program's own small models all of them, of others at
  // least half); nullptr: none has.
  static std::shared_ptr<const Layers> that_fit(std::span<const formats::LoraFile> files);

  const formats::ModelLayers& model() const { return model_; }
  const formats::Checkpoint* checkpoint() const { return checkpoint_.get(); }  // null: shapes alone

  // As stored, any float type; undefined where there is none, or no checkpoint.
  at::Tensor weight(const formats::LayerAddress& layer) const { return parameter(layer, ".weight"); }
  at::Tensor bias(const formats::LayerAddress& layer) const { return parameter(layer, ".bias"); }
  // The layer's pages of a mapped checkpoint need not stay in memory.
  void release(const formats::LayerAddress& layer) const;

  // How kohya's files name the layer; "" where the family is none that kohya's programs know.
  std::string kohya_name(const formats::LayerAddress& layer) const;

 private:
  at::Tensor parameter(const formats::LayerAddress& layer, std::string_view ending) const;
  const weights::TensorView* view(const formats::LayerAddress& layer, std::string_view ending) const;
  void name_layers();

  formats::ModelLayers model_;
  std::shared_ptr<const formats::Checkpoint> checkpoint_;
  std::map<formats::LayerAddress, std::string> kohya_names_;
};

// Tells the system that the bytes of a mapped file are not needed just now (release_pages, for bytes that begin anywhere).
void release(std::span<const std::byte> bytes);

}  // namespace lowrank::edit
