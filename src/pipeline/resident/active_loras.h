// The LoRAs of a resident model: files opened once, matched once, and the set that is on. Changing the set
// touches only the layers' slots; the base weights stay what they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adapter/stack.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "pipeline/resident/embeddings.h"
#include "pipeline/result.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::pipeline {

// The file that a tag's NAME means. Throws Error(kNotFound) in one sentence, with the names that come near; any
// other code means that it could not look.
using LoraFinder = std::function<std::filesystem::path(const std::string& name)>;

// What becomes of a request whose LoRA is missing or does not fit the model. That the collection or a file cannot
// be read is neither: it is always thrown.
enum class OnMissing { kFail, kReport };

class ActiveLoras {
 public:
  struct Loaded {
    std::string name;  // as in the prompt
    std::string hash;  // 12 hex digits
    std::shared_ptr<const adapter::Adapter> adapter;
  };

  // `others` as in Adapter::match(); may be empty.
  explicit ActiveLoras(LoraFinder find, adapter::FittingCheckpoints others = {})
      : find_(std::move(find)), others_(std::move(others)) {}

  // Makes exactly these tags act on `model`, in their order; nothing is done when they already do. The model
  // must live until the next activate() or forget(). Throws what the finder, the reader and the matching
  // throw, with the tag's name, unless `on_missing` says to report; then the other LoRAs act. `watcher` hears of what takes
  // long (Listener::on_prepare), and `stop` ends it: Error(kCancelled).
  using Watcher = std::function<void(std::int64_t done, std::int64_t total)>;
  void activate(std::span<const prompt::LoraTag> tags, LoadedModel& model, OnMissing on_missing,
                const Watcher& watcher = {}, const std::stop_token& stop = {});

  // What is in the LoRA's file, which is opened as activate() opens it and not made to act. Throws what that throws.
  Loaded look(const std::string& name, const LoadedModel& model);

  // Before sampling step `step` of `steps`, from 1: LoRAs with start= or stop= are switched.
  void set_step(int step, int steps) { stack_.set_step(step, steps); }

  // Before model call `call` of a walk, from 0: LoRAs inside prompt editing are switched.
  void set_call(int call) { stack_.set_call(call); }

  // The calls from which on other LoRAs act on the text encoder than at any call before, the first of them 0; and for
  // each of `calls` calls which of those sets acts then.
  struct TextSets {
    std::vector<int> first_calls;
    std::vector<std::size_t> of_call;
  };
  TextSets text_sets(int calls) const;
  // Texts for `call` are encoded now.
  void set_text_call(int call);

  // Textual inversions inside the LoRAs, in the tags' order; of equal names the first stays.
  const std::vector<Embedding>& embeddings() const { return embeddings_; }

  // Throws Error(kConflict) when somebody wrote to a file of those that act while it was in use.
  void require_unchanged() const;

  // Takes everything off and forgets the files: the model is about to go.
  void forget();

  const std::vector<Loaded>& loaded() const { return loaded_; }
  const std::vector<MissingLora>& missing() const { return missing_; }
  const std::vector<std::string>& warnings() const { return warnings_; }  // about numbers of the tags
  // One per loaded LoRA, kept until the set changes. Measuring the sizes of the changes reads all their
  // weights: a second for a large model.
  const std::vector<adapter::ApplyReport>& reports(adapter::Measure measure,
                                                   const std::function<void()>& after_weight = {});
  // Names what acts on the text encoder at the call set last: equal texts, equal encodings. LoRAs of the U-Net alone
  // are not among it.
  const std::string& text_state() const { return text_state_; }

 private:
  struct Known {
    std::string
        version;  // of the file and of PEFT's settings beside it when they were read, and how often that was
    std::string settings;
    std::shared_ptr<const adapter::Adapter> adapter;
    std::string hash;
  };
  const Known& open(const std::filesystem::path& path, const LoadedModel& model);
  std::optional<std::filesystem::path> locate(const std::string& name, OnMissing on_missing,
                                              std::vector<MissingLora>& missing) const;
  Loaded load(const std::string& name, const std::filesystem::path& path, const LoadedModel& model,
              std::string& version);

  LoraFinder find_;
  adapter::FittingCheckpoints others_;
  adapter::AdapterStack stack_;
  std::map<std::filesystem::path, Known> known_;
  int opened_ = 0;
  std::vector<Loaded> loaded_;
  std::vector<MissingLora> missing_;
  std::vector<std::string> warnings_;
  std::vector<adapter::ApplyReport> reports_;
  // Of the LoRAs that act on the text encoder, in order.
  struct TextPart {
    std::string key;  // file and weights
    std::vector<prompt::Presence> times;
  };
  std::vector<TextPart> text_parts_;
  std::vector<Embedding> embeddings_;
  std::string state_, text_state_;
};

}  // namespace lowrank::pipeline
