// One resident model and its requests: from a GenerationRequest to pictures. The session knows no folders and
// no index; names are turned into paths by the functions that it is given. One thread at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/active_loras.h"
#include "pipeline/checkpoint_loader.h"
#include "pipeline/conditioning.h"
#include "pipeline/embeddings.h"
#include "pipeline/prompted_unet.h"
#include "pipeline/request.h"
#include "pipeline/result.h"
#include "pipeline/sampling_plan.h"
#include "pipeline/seeds.h"

namespace lowrank::pipeline {

// Where names lead. Each function throws Error(kNotFound) in one sentence with the remedy.
struct Resources {
  std::function<std::filesystem::path(const std::string& name)>
      checkpoint;  // "": the one to take without being told
  LoraFinder lora;
  // "Automatic": the file that belongs to the checkpoint, if there is one; "None": nullopt; else a name.
  std::function<std::optional<std::filesystem::path>(const std::string& name,
                                                     const std::filesystem::path& checkpoint)>
      vae;
  std::filesystem::path embeddings;  // folder; may be missing
  std::filesystem::path styles;      // styles.csv; may be missing
};

struct SessionOptions {
  int threads = 0;      // 0: all cores. Applies to the whole process, as libtorch's setting does
  std::string version;  // for the metadata: "LowRank 0.1.0"
};

class Session {
 public:
  Session(Resources resources, SessionOptions options);
  ~Session();

  // Makes the request's pictures. Throws Error: kBadInput, kNotFound, kUnsupported for what the request asks,
  // kCancelled within a step of a stop. The session stays usable after any error.
  GenerationResult generate(const GenerationRequest& request, const Listener& listener = {},
                            std::stop_token stop = {});

  // Loads what the request names, unless it is resident. generate() does it by itself.
  LoadedModel& use_model(const GenerationRequest& request);

  // Someone else changed the resident model's slots (training shows what it has learned so far): texts are
  // encoded anew.
  void forget_encodings() { conditioning_cache_.clear(); }

  std::int64_t text_encodings() const { return conditioning_cache_.encodings(); }

 private:
  struct Job;  // one request on its way, see session.cc
  GenerationRequest complete(const GenerationRequest& request, const LoadedModel& model) const;
  prompt::ParsedPrompt parse_prompt(const Job& job) const;
  void encode(Job& job);
  at::Tensor sample(Job& job, int batch);
  void finish_batch(Job& job, int batch, const at::Tensor& latents);
  std::string describe(const Job& job, const PictureSeeds& seeds);

  Resources resources_;
  SessionOptions options_;
  std::unique_ptr<LoadedModel> model_;
  ActiveLoras loras_;
  EmbeddingFolder embeddings_;  // for the resident model's text encoder
  ConditioningCache conditioning_cache_;
  prompt::Tokenizer tokenizer_;
};

}  // namespace lowrank::pipeline
