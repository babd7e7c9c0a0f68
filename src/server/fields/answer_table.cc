#include "server/fields/answer_table.h"

#include "server/fields/type_text.h"

namespace lowrank::server {
namespace {

// clang-format off
// Jobs
constexpr MemberRow kFaultMembers[] = {{"loc", "any[]"}, {"msg", "string"}, {"type", "string"}};
constexpr MemberRow kJobLinksMembers[] = {{"self", "string"}, {"result", "string"}, {"events", "string"}, {"preview", "string"}};
constexpr MemberRow kJobProgressMembers[] = {
    {"progress", "number", "0 to 1"},
    {"eta", "number", "seconds that are left"},
    {"batch?", "integer"}, {"batches?", "integer"}, {"step?", "integer"}, {"steps?", "integer"},
    {"preview?", "integer", "changes with each new preview"},
    {"text?", "string"},
    {"phase?", "string", "of a training: latents while pictures are encoded, lora, samples"},
    {"loss?", "number?"},
    {"file?", "string", "of an import"},
    {"bytes?", "integer"}, {"total_bytes?", "integer"},
};
constexpr MemberRow kJobMembers[] = {
    {"id", "string"},
    {"kind", "'txt2img'|'img2img'|'extras'|'train'|'import'"},
    {"state", "'queued'|'running'|'completed'|'failed'|'cancelled'"},
    {"task_id", "string"},
    {"attached", "boolean", "a client waits for it on its connection"},
    {"position", "integer?", "in the queue, from 1"},
    {"created", "number"}, {"started", "number?"}, {"finished", "number?"},
    {"attempts", "integer"},
    {"pictures", "integer"},
    {"has_result", "boolean"},
    {"error", "string|Fault[]?"},
    {"links", "JobLinks"},
    {"progress?", "JobProgress", "of a running job"},
};
constexpr MemberRow kJobListMembers[] = {{"jobs", "Job[]"}, {"waiting", "integer"}};
constexpr MemberRow kCancelledMembers[] = {{"cancelled", "string[]", "ids of the jobs"}};
constexpr MemberRow kDeletedMembers[] = {{"deleted", "string"}};
constexpr MemberRow kImportedMembers[] = {
    {"state", "'imported'|'already here'"},
    {"file", "string", "relative to the data folder"},
    {"bytes", "integer"},
    {"resumed", "boolean"},
    {"remarks", "string[]"},
    {"kind?", "string"}, {"name?", "string"}, {"relative?", "string"}, {"hash?", "string"}, {"prompt?", "string"},
};
constexpr MemberRow kJobResultMembers[] = {
    {"images", "string[]", "base64"},
    {"parameters?", "object"},
    {"info?", "string", "JSON, see ResultInfo"},
    {"html_info?", "string", "of extras"},
    {"imported?", "Imported[]", "of an import"},
    {"file?", "string", "of a training"}, {"tag?", "string"}, {"trigger?", "string"}, {"steps?", "integer"},
    {"modules?", "integer"}, {"loss?", "number?"}, {"notes?", "string[]"},
};
constexpr MemberRow kComponentReportMembers[] = {{"applied", "integer"}, {"modules", "integer"}, {"layers", "integer"}, {"weight", "number"}};
constexpr MemberRow kLoraModulesMembers[] = {{"unet", "ComponentReport"}, {"text_encoder", "ComponentReport"}};
constexpr MemberRow kBlockReportMembers[] = {{"modules", "integer"}, {"relative", "number"}};
constexpr MemberRow kSkippedModuleMembers[] = {{"module", "string"}, {"keys", "string[]"}, {"reason", "string"}};
constexpr MemberRow kLoraReportMembers[] = {
    {"name", "string"}, {"alias", "string"},
    {"te", "number"}, {"unet", "number"},
    {"applied", "integer"}, {"skipped", "integer"}, {"unknown", "integer"},
    {"base_model", "string"}, {"base_model_reason", "string"},
    {"kinds", "integer{}"}, {"ranks", "integer{}"},
    {"modules", "LoraModules"},
    {"relative_change", "number"},
    {"blocks", "BlockReport{}"},
    {"skipped_modules", "SkippedModule[]"},
    {"unknown_keys", "string[]"},
    {"notes", "string[]"},
};
constexpr MemberRow kMissingLoraMembers[] = {{"name", "string"}, {"reason", "string"}};
constexpr MemberRow kResultFactsMembers[] = {
    {"loras", "LoraReport[]", "what each LoRA did to the model"},
    {"missing_loras", "MissingLora[]"},
    {"timings", "number{}", "seconds"},
    {"unet_passes", "integer"},
    {"prediction", "string", "what the checkpoint predicts and by which rule; empty where the request or the family says it"},
    {"warnings", "string[]"},
};
constexpr MemberRow kResultInfoMembers[] = {
    {"prompt", "string"}, {"all_prompts", "string[]"},
    {"negative_prompt", "string"}, {"all_negative_prompts", "string[]"},
    {"seed", "integer"}, {"all_seeds", "integer[]"}, {"subseed", "integer"}, {"all_subseeds", "integer[]"},
    {"subseed_strength", "number"},
    {"width", "integer"}, {"height", "integer"},
    {"sampler_name", "any"}, {"cfg_scale", "number"}, {"steps", "integer"}, {"batch_size", "integer"},
    {"restore_faces", "boolean"}, {"face_restoration_model", "any"},
    {"sd_model_name", "any"}, {"sd_model_hash", "any"}, {"sd_vae_name", "any"}, {"sd_vae_hash", "any"},
    {"seed_resize_from_w", "integer"}, {"seed_resize_from_h", "integer"},
    {"denoising_strength", "number?"},
    {"extra_generation_params", "object"},
    {"index_of_first_image", "integer"},
    {"infotexts", "string[]"},
    {"styles", "string[]"},
    {"job_timestamp", "string"},
    {"clip_skip", "integer"},
    {"is_using_inpainting_conditioning", "boolean"},
    {"version", "any"},
    {"lowrank", "ResultFacts"},
};

// The collection
constexpr MemberRow kLoraCardMembers[] = {
    {"name", "string"}, {"alias", "string"},
    {"relative", "string", "place in models/Lora, without extension"},
    {"title", "string"},
    {"type", "string?", "character, style, concept, pose, clothing, object …"}, {"type_origin", "string?"},
    {"kind", "string"}, {"rank", "string"}, {"family", "string"}, {"base_model", "string"},
    {"fits", "boolean", "the checkpoint in use"}, {"fits_reason", "string"},
    {"subfamily", "string?", "Pony, Illustrious, NoobAI …"}, {"subfamily_origin", "string?", "user, site, metadata or name"},
    {"subfamily_reason", "string"}, {"subfamily_conflict", "string", "where the layers tell another family"},
    {"subfamily_hint", "string", "made for another subfamily than the checkpoint in use"},
    {"trigger_words", "string[]"}, {"trigger", "string"},
    {"labels", "string[]", "tags of its makers and of the user"},
    {"preferred_weight", "number", "0: none"},
    {"rating", "integer", "0: none"},
    {"preview", "string?", "URL"},
    {"bytes", "integer"}, {"time", "number"}, {"added", "number"},
    {"creator", "string"},
    {"source", "string", "where it came from: a page, if it is a URL"},
    {"hash", "string?"},
    {"error", "string?"},
};
constexpr MemberRow kListedLoraMembers[] = {{"tag_name", "string", "what a tag in a prompt must say"}};
constexpr MemberRow kLoraCardsMembers[] = {
    {"loras", "ListedLora[]", "with `fields`, these keys only"},
    {"total", "integer"},
    {"near", "string[]", "words searched instead of those that no LoRA has"},
    {"problems", "string[]", "folders that cannot be read, broken links"},
};
constexpr MemberRow kTagCountMembers[] = {{"tag", "string"}, {"count", "integer"}};
constexpr MemberRow kLoraDetailMembers[] = {
    {"description", "string"}, {"activation_text", "string"}, {"negative_text", "string"}, {"notes", "string"},
    {"tags", "TagCount[]", "of the training captions"},
    {"type_reason", "string"}, {"sha256", "string"},
    {"former_names", "string[]"},
    {"prompt", "string"}, {"remarks", "string[]"},
    {"metadata", "object"},
    {"modules?", "integer"}, {"unknown_keys?", "string[]"}, {"skipped?", "SkippedModule[]"},
};
constexpr MemberRow kTypeCountMembers[] = {{"type", "string?"}, {"count", "integer"}};
constexpr MemberRow kBaseModelCountMembers[] = {{"base_model", "string?"}, {"count", "integer"}};
constexpr MemberRow kSubfamilyCountMembers[] = {{"subfamily", "string?"}, {"count", "integer"}};
constexpr MemberRow kFolderCountMembers[] = {{"folder", "string?", "null: in no folder"}, {"count", "integer"}};
constexpr MemberRow kLoraFacetsMembers[] = {{"total", "integer"}, {"types", "TypeCount[]"}, {"base_models", "BaseModelCount[]"}, {"subfamilies", "SubfamilyCount[]"}, {"folders", "FolderCount[]"}, {"tags", "TagCount[]"}};
constexpr MemberRow kLoraFileMembers[] = {{"name", "string"}, {"relative", "string"}, {"kind", "string"}, {"file", "string"}, {"bytes", "integer"}, {"time", "number"}};
constexpr MemberRow kDuplicateGroupMembers[] = {{"same", "'file'|'tensors'"}, {"hash", "string"}, {"wasted_bytes", "integer"}, {"files", "LoraFile[]"}};
constexpr MemberRow kClaimedNameMembers[] = {{"name", "string"}, {"winner", "string?"}, {"files", "LoraFile[]"}};
constexpr MemberRow kLoraDuplicatesMembers[] = {
    {"duplicates", "DuplicateGroup[]"},
    {"names", "ClaimedName[]"},
    {"wasted_bytes", "integer"},
    {"pending", "integer", "files that are still being compared"},
};
constexpr MemberRow kMissingFileMembers[] = {
    {"kind", "string"}, {"name", "string"}, {"hash", "string"},
    {"where", "string", "a URL, or a sentence"},
    {"import", "string?", "source of an import job"},
};
constexpr MemberRow kFoundFileMembers[] = {{"kind", "string"}, {"name", "string"}, {"hash", "string"}, {"relative", "string"}, {"by", "string"}, {"prompt_name?", "string"}};
constexpr MemberRow kNeededFilesMembers[] = {{"missing", "MissingFile[]"}, {"found", "FoundFile[]"}};
constexpr MemberRow kCardSettingsMembers[] = {
    {"prompt?", "string"}, {"negative_prompt?", "string"}, {"sampler_name?", "string"}, {"scheduler?", "string"},
    {"steps?", "integer"}, {"cfg_scale?", "number"}, {"width?", "integer"}, {"height?", "integer"},
};
constexpr MemberRow kCheckpointCardMembers[] = {{"description", "string?"}, {"notes", "string?"}, {"settings", "CardSettings?", "what it draws well with, by A1111's names"}};
constexpr MemberRow kCheckpointMembers[] = {
    {"title", "string"}, {"name", "string"},
    {"is_starter", "boolean", "the small model that comes with the program"},
    {"problem", "string?", "why it cannot be used"},
    {"family", "string", "SD 1.x, SD 2.x, SDXL …; empty: not known"},
    {"native_size", "integer", "side of the square that it learned, pixels; 0: not known"},
    {"sizes", "Size[]", "in which it draws well, the square first"},
    {"subfamily", "string?", "Pony, Illustrious, NoobAI …"}, {"subfamily_origin", "string?", "user, site, metadata or name"},
    {"subfamily_reason", "string"}, {"subfamily_conflict", "string", "where the layers tell another family"},
    {"usual", "string", "how its subfamily is used"},
    {"card", "CheckpointCard"},
};
constexpr MemberRow kSubfamilyMembers[] = {{"name", "string"}, {"family", "string", "of which it is a kind"}, {"usual", "string", "how it is used"}};
constexpr MemberRow kCheckpointListMembers[] = {
    {"checkpoints", "Checkpoint[]"},
    {"subfamilies", "Subfamily[]", "all that a checkpoint or a LoRA can be of"},
    {"folder", "string", "where checkpoints are put"},
    {"chosen", "string?", "what the settings name; null: the newest is taken"},
    {"is_chosen_there", "boolean"},
    {"taken", "string?", "title of the one in use; null: there is none"},
    {"problems", "string[]", "folders that cannot be read, broken links"},
};
constexpr MemberRow kOutputFileMembers[] = {{"name", "string"}, {"url", "string"}, {"bytes", "integer"}, {"time", "number"}};
constexpr MemberRow kOutputListMembers[] = {{"outputs", "OutputFile[]"}, {"total", "integer"}};
constexpr MemberRow kSettingsFactsMembers[] = {{"generator", "string", "the program that wrote them"}, {"notes", "string[]", "what was not understood"}};
constexpr MemberRow kPictureSettingsMembers[] = {
    {"info", "string"},
    {"items?", "object", "of a picture: the texts in the file"},
    {"parameters", "string{}", "by A1111's labels; empty: no settings"},
    {"lowrank?", "SettingsFacts"},
};
constexpr MemberRow kPromptTokensMembers[] = {{"tokens", "integer"}, {"limit", "integer"}, {"warnings", "string[]"}};

// Training
constexpr MemberRow kDatasetFolderMembers[] = {{"folder", "string", "such as \"10_my cat\""}, {"repeats", "integer"}, {"trigger", "string"}, {"pictures", "integer"}};
constexpr MemberRow kDatasetSummaryMembers[] = {
    {"name", "string"}, {"train_data_dir", "string"},
    {"folders", "DatasetFolder[]"},
    {"count", "integer"}, {"pictures_per_epoch", "integer"},
    {"cover", "string?"},
    {"faults", "string[]", "what the trainer would refuse, one sentence each"},
    {"is_ready", "boolean"},
};
constexpr MemberRow kSizeMembers[] = {{"width", "integer"}, {"height", "integer"}};
constexpr MemberRow kDatasetPictureMembers[] = {
    {"file", "string"}, {"folder", "string"}, {"url", "string"},
    {"caption", "string?", "its own; null: the folder's trigger words count"},
    {"learned", "string"}, {"repeats", "integer"},
    {"width", "integer"}, {"height", "integer"}, {"bytes", "integer"},
    {"bucket", "Size?"},
    {"cut", "number?", "share of the picture outside its bucket"},
    {"error", "string?"},
};
constexpr MemberRow kBucketMembers[] = {{"width", "integer"}, {"height", "integer"}, {"pictures", "integer"}};
constexpr MemberRow kDatasetMembers[] = {{"pictures", "DatasetPicture[]"}, {"buckets", "Bucket[]"}};
constexpr MemberRow kDatasetListMembers[] = {{"datasets", "DatasetSummary[]"}};
constexpr MemberRow kTrainingMembers[] = {
    {"name", "string"}, {"job", "string"},
    {"state", "'queued'|'running'|'completed'|'failed'|'cancelled'?"},
    {"error", "string|Fault[]?"},
    {"begun", "number"},
    {"request", "TrainingRequest"},
    {"step", "integer"}, {"steps", "integer"},
    {"loss", "number?"},
    {"resume_step", "integer?", "step to resume from; null: it cannot be resumed"},
    {"finished_step", "integer?", "steps of a finished run, which `resume` with a larger `max_train_steps` trains further; null: it has no kept state"},
    {"sample_count", "integer"},
};
constexpr MemberRow kTrainingSampleMembers[] = {{"step", "integer"}, {"index", "integer"}, {"url", "string"}};
constexpr MemberRow kTrainingDetailMembers[] = {{"losses", "number[][]", "pairs of step and loss"}, {"samples", "TrainingSample[]"}};
constexpr MemberRow kTrainingListMembers[] = {{"trainings", "Training[]"}};

// The server, and lists of A1111's
constexpr MemberRow kHealthMembers[] = {{"status", "'ok'|'stopping'"}, {"version", "string"}, {"model", "string"}, {"waiting", "integer"}};
constexpr MemberRow kRamMembers[] = {{"free", "integer"}, {"used", "integer"}, {"total", "integer"}};
constexpr MemberRow kMemoryMembers[] = {{"ram", "Ram"}, {"cuda", "object"}};
constexpr MemberRow kVaeMembers[] = {{"model_name", "string"}, {"filename", "string"}};
constexpr MemberRow kSamplerMembers[] = {{"name", "string"}, {"aliases", "string[]"}, {"options", "string{}"}};
constexpr MemberRow kSchedulerMembers[] = {{"name", "string"}, {"label", "string"}, {"aliases", "any"}, {"default_rho", "number"}, {"need_inner_model", "boolean"}};
constexpr MemberRow kUpscalerMembers[] = {{"name", "string"}, {"model_name", "string?"}, {"model_path", "string?"}, {"model_url", "any"}, {"scale", "number"}};
constexpr MemberRow kUpscaleModeMembers[] = {{"name", "string"}};
constexpr MemberRow kStyleMembers[] = {{"name", "string"}, {"prompt", "string"}, {"negative_prompt", "string"}};
constexpr MemberRow kEmbeddingsMembers[] = {{"loaded", "object{}"}, {"skipped", "object{}"}};

constexpr AnswerRow kAnswers[] = {
    {"Fault", kFaultMembers}, {"JobLinks", kJobLinksMembers}, {"JobProgress", kJobProgressMembers}, {"Job", kJobMembers}, {"JobList", kJobListMembers},
    {"CancelledJobs", kCancelledMembers}, {"Deleted", kDeletedMembers}, {"Imported", kImportedMembers}, {"JobResult", kJobResultMembers},
    {"ComponentReport", kComponentReportMembers}, {"LoraModules", kLoraModulesMembers}, {"BlockReport", kBlockReportMembers},
    {"SkippedModule", kSkippedModuleMembers}, {"LoraReport", kLoraReportMembers}, {"MissingLora", kMissingLoraMembers},
    {"ResultFacts", kResultFactsMembers}, {"ResultInfo", kResultInfoMembers, "", "the JSON in `info` of pictures that were generated"},
    {"LoraCard", kLoraCardMembers}, {"ListedLora", kListedLoraMembers, "LoraCard"}, {"LoraCards", kLoraCardsMembers}, {"TagCount", kTagCountMembers},
    {"LoraDetail", kLoraDetailMembers, "LoraCard"}, {"TypeCount", kTypeCountMembers}, {"BaseModelCount", kBaseModelCountMembers}, {"SubfamilyCount", kSubfamilyCountMembers},
    {"FolderCount", kFolderCountMembers}, {"LoraFacets", kLoraFacetsMembers}, {"LoraFile", kLoraFileMembers},
    {"DuplicateGroup", kDuplicateGroupMembers}, {"ClaimedName", kClaimedNameMembers}, {"LoraDuplicates", kLoraDuplicatesMembers},
    {"MissingFile", kMissingFileMembers}, {"FoundFile", kFoundFileMembers}, {"NeededFiles", kNeededFilesMembers},
    {"CardSettings", kCardSettingsMembers}, {"CheckpointCard", kCheckpointCardMembers}, {"Checkpoint", kCheckpointMembers}, {"Subfamily", kSubfamilyMembers},
    {"CheckpointList", kCheckpointListMembers}, {"OutputFile", kOutputFileMembers}, {"OutputList", kOutputListMembers},
    {"SettingsFacts", kSettingsFactsMembers}, {"PictureSettings", kPictureSettingsMembers}, {"PromptTokens", kPromptTokensMembers},
    {"DatasetFolder", kDatasetFolderMembers}, {"DatasetSummary", kDatasetSummaryMembers}, {"Size", kSizeMembers},
    {"DatasetPicture", kDatasetPictureMembers}, {"Bucket", kBucketMembers}, {"Dataset", kDatasetMembers, "DatasetSummary"},
    {"DatasetList", kDatasetListMembers}, {"Training", kTrainingMembers}, {"TrainingSample", kTrainingSampleMembers},
    {"TrainingDetail", kTrainingDetailMembers, "Training"}, {"TrainingList", kTrainingListMembers}, {"Health", kHealthMembers}, {"Ram", kRamMembers},
    {"Memory", kMemoryMembers}, {"Vae", kVaeMembers}, {"Sampler", kSamplerMembers}, {"Scheduler", kSchedulerMembers}, {"Upscaler", kUpscalerMembers},
    {"UpscaleMode", kUpscaleModeMembers}, {"Style", kStyleMembers}, {"Embeddings", kEmbeddingsMembers},
};
// clang-format on

Json object_schema(const AnswerRow& row) {
  Json properties = Json::object(), required = Json::array();
  for (const MemberRow& member : row.members) {
    const bool is_optional = member.name.ends_with('?');
    const std::string name(member.name.substr(0, member.name.size() - (is_optional ? 1 : 0)));
    Json schema = type_schema(member.type);
    if (!member.help.empty()) {
      if (schema.contains("$ref")) schema = {{"allOf", Json::array({schema})}};
      schema["description"] = member.help;
    }
    properties[name] = std::move(schema);
    if (!is_optional) required.push_back(name);
  }
  Json schema = {{"type", "object"}, {"properties", properties}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

}  // namespace

std::span<const AnswerRow> answer_table() {
  return kAnswers;
}

Json answer_schemas() {
  Json schemas = Json::object();
  for (const AnswerRow& row : kAnswers) {
    Json schema = object_schema(row);
    if (!row.base.empty()) schema = {{"allOf", Json::array({type_schema(row.base), schema})}};
    if (!row.help.empty()) schema["description"] = row.help;
    schemas[std::string(row.name)] = std::move(schema);
  }
  return schemas;
}

}  // namespace lowrank::server
