// Resident models and their requests: from a GenerationRequest to pictures. The session knows no folders and
// no index; names are turned into paths by the functions that it is given. One thread at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/generate/prompt_cost.h"
#include "pipeline/generate/result.h"
#include "pipeline/pictures/upscalers.h"
#include "pipeline/resident/packed_cache.h"
#include "pipeline/resident/resident_model.h"
#include "request/generation_request.h"
#include "request/seeds.h"
#include "sampling/run.h"

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
  UpscalerFiles upscalers = {};      // files of upscaler models; may be empty
};

struct SessionOptions {
  int threads = 0;      // 0: all cores. Applies to the whole process, as libtorch's setting does
  std::string version;  // for the metadata: "LowRank 0.1.0"
  PackedCacheOptions packed_cache = {};
  bool int8 = false;  // U-Nets are held in 8 bits
  prompt::PromptLimits prompt_limits = {};
};

class Session {
 public:
  Session(Resources resources, SessionOptions options);
  ~Session();

  // Makes the request's pictures. Throws Error: kBadInput, kNotFound, kUnsupported for what the request asks,
  // kCancelled within a step of a stop. The session stays usable after any error.
  GenerationResult generate(const request::GenerationRequest& request, const Listener& listener = {},
                            std::stop_token stop = {});

  // Loads what the request names, unless it is resident. generate() does it by itself.
  LoadedModel& use_model(const request::GenerationRequest& request);

  // While the answer lives, `model` stays what it is even when its files change: somebody trains on it.
  struct Hold {
    explicit Hold(Session& session, const LoadedModel& model) : session_(session) { session.held_ = &model; }
    ~Hold() { session_.held_ = nullptr; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Session& session_;
  };

  // Someone else changed the resident model's slots (training shows what it has learned so far): texts are
  // encoded anew.
  void forget_encodings();

  std::int64_t text_encodings() const;  // how often a text encoder of the resident models had to run

  Upscalers& upscalers() { return upscalers_; }
  const prompt::PromptLimits& prompt_limits() const { return options_.prompt_limits; }

 private:
  struct Job;   // one request on its way, see generation_job.h
  struct Pass;  // one walk through the noise levels: the first, or that of hires fix
  struct Place {
    std::filesystem::path checkpoint;
    std::optional<std::filesystem::path> vae;
  };
  Place locate(const std::string& checkpoint, const std::string& vae) const;
  ResidentModel& bring(const Place& place);
  void drop_stale();
  void drop_all_but(const std::vector<const ResidentModel*>& kept);
  void bring_models(Job& job, const request::GenerationRequest& request);

  prompt::ParsedPrompt parse_prompt(const Job& job, const Pass& pass, const ResidentModel& model) const;
  PromptMemoryRequest memory_request(const Job& job, const Pass& pass) const;
  void plan_passes(Job& job);
  void activate(Job& job, Pass& pass);
  void start_from_pictures(Job& job);
  sampling::ImageNoiseOptions noise_options(const Job& job, int batch, std::int64_t height,
                                            std::int64_t width) const;
  at::Tensor sample(Job& job, Pass& pass, int batch, std::optional<sampling::ImageStart> start,
                    const at::Tensor& extra);
  at::Tensor first_pass(Job& job, int batch);
  at::Tensor second_pass(Job& job, int batch, const at::Tensor& latents);
  at::Tensor enlarged(Job& job, const at::Tensor& latents, at::Tensor& extra);
  void require_unchanged(const Job& job) const;
  void finish_batch(Job& job, int batch, const at::Tensor& latents);
  void note_loras(Job& job, const Pass& pass);
  image::Picture decoded(Job& job, const at::Tensor& latent);
  void report_loras(Job& job);
  std::string describe(const Job& job, const request::PictureSeeds& seeds) const;

  Resources resources_;
  SessionOptions options_;
  std::vector<std::unique_ptr<ResidentModel>> residents_;
  ResidentModel* base_ = nullptr;      // among them: the one that a request without a checkpoint's name gets
  const LoadedModel* held_ = nullptr;  // see Hold
  std::filesystem::path base_path_;    // of it, also while it is loaded anew
  PackedCache packed_;
  Upscalers upscalers_;
  prompt::Tokenizer tokenizer_;
};

}  // namespace lowrank::pipeline
