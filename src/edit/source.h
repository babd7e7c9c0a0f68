// An adapter file taken apart for work on it: each module that changes a layer, with the formula of its change.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapter/formula.h"
#include "edit/layers.h"
#include "formats/lora/lora_file.h"

namespace lowrank::edit {

struct SourceModule {
  const formats::LoraEntry* entry = nullptr;  // of Source::file
  // Canonical path; of files whose layers are known nowhere, the name in the file with underscores.
  formats::LayerAddress layer;
  adapter::LayerShape shape;
  adapter::Formula formula;
};

struct Source {
  formats::LoraFile file;
  std::vector<SourceModule> modules;           // each layer once
  std::vector<formats::SkippedKeys> left_out;  // with the reason; those that the file itself spoils too
};

struct Sources {
  std::vector<std::unique_ptr<Source>> files;
  std::shared_ptr<const Layers>
      layers;  // null: known nowhere, so that the files' own names stand for the layers

  // How the module of a layer is called in a file that is written.
  std::string output_name(const formats::LayerAddress& layer) const;
};

// Opens files that are to be worked on together. `base`: the checkpoint that says which layers there are and gives their
// weights; null: the published models say it. Throws Error when a file cannot be read or holds no module that can be used,
// when the files are of several families or name their layers in two ways that only a checkpoint could bring together.
Sources open_sources(std::span<const std::filesystem::path> paths, std::shared_ptr<const Layers> base);

// What was left out of the files and what is odd about them, one sentence each.
std::vector<std::string> notes_of(const Sources& sources);

// Whether a module's change cannot be made without the checkpoint's weights.
bool needs_base(const adapter::Formula& formula);

// Pages of the module's tensors need not stay in memory.
void release(const SourceModule& module);

}  // namespace lowrank::edit
