#include "server/route_table.h"

#include "server/fields/generation_parameters.h"
#include "server/requests/extras_task.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum Access;

// clang-format off
constexpr RouteRow kRoutes[] = {
    // A1111: pictures
    {"POST", "/sdapi/v1/txt2img", txt2img, "Generate pictures from a prompt", "application/json", txt2img_parameters},
    {"POST", "/sdapi/v1/img2img", img2img, "Generate pictures from pictures", "application/json", img2img_parameters},
    {"POST", "/sdapi/v1/extra-single-image", extra_single, "Upscale a picture", "application/json", extras_parameters},
    {"POST", "/sdapi/v1/extra-batch-images", extra_batch, "Upscale several pictures", "application/json", extras_batch_parameters},
    {"POST", "/sdapi/v1/png-info", png_info, "Read the settings stored in a picture", "PictureSettings", png_info_parameters},
    // There is no captioner. Some clients take any answer but 404 for one.
    {"POST", "/sdapi/v1/interrogate", interrogate, kRefused, "application/json", interrogate_parameters},
    {"GET", "/sdapi/v1/interrogate", absent, kRefused},
    // A1111: progress
    {"GET", "/sdapi/v1/progress", progress, "Progress of the running job, with a preview", "application/json", nullptr, progress_query},
    {"POST", "/sdapi/v1/interrupt", interrupt, "Stop the running job and keep the partial result"},
    {"POST", "/sdapi/v1/skip", skip, "Skip to the next batch of the running job"},
    {"POST", "/internal/progress", internal_progress, "Progress of a task by its id", "application/json", internal_progress_parameters},
    {"GET", "/internal/pending-tasks", pending_tasks, "Ids of queued tasks"},
    // A1111: options and model
    {"GET", "/sdapi/v1/options", get_options, "All options with their values", "object"},
    {"POST", "/sdapi/v1/options", set_options, "Set options; a new checkpoint is loaded before the response", "any", option_parameters},
    {"GET", "/sdapi/v1/cmd-flags", cmd_flags, "Command-line flags of the server"},
    {"POST", "/sdapi/v1/unload-checkpoint", unload_checkpoint, "Unload the model from memory", "object"},
    {"POST", "/sdapi/v1/reload-checkpoint", reload_checkpoint, "Reload the model"},
    // A1111: lists
    {"GET", "/sdapi/v1/sd-models", sd_models, "Checkpoints"},
    {"GET", "/sdapi/v1/sd-vae", sd_vaes, "VAEs", "Vae[]"},
    {"GET", "/sdapi/v1/samplers", samplers, "Samplers", "Sampler[]"},
    {"GET", "/sdapi/v1/schedulers", schedulers, "Noise schedules", "Scheduler[]"},
    {"GET", "/sdapi/v1/upscalers", upscalers, "Upscalers", "Upscaler[]"},
    {"GET", "/sdapi/v1/latent-upscale-modes", latent_upscale_modes, "Latent upscalers of hires fix", "UpscaleMode[]"},
    {"GET", "/sdapi/v1/hypernetworks", empty_list, "Hypernetworks: none"},
    {"GET", "/sdapi/v1/face-restorers", empty_list, "Face restorers: none"},
    {"GET", "/sdapi/v1/realesrgan-models", empty_list, "RealESRGAN models: none"},
    {"GET", "/sdapi/v1/prompt-styles", prompt_styles, "Styles from styles.csv", "Style[]"},
    {"GET", "/sdapi/v1/embeddings", embeddings, "Textual inversions", "Embeddings"},
    {"GET", "/sdapi/v1/loras", loras, "LoRAs with their metadata", "application/json", nullptr, lora_query},
    {"GET", "/sdapi/v1/scripts", scripts, "Scripts by name"},
    {"GET", "/sdapi/v1/script-info", script_infos, "Scripts with their arguments"},
    {"GET", "/sdapi/v1/extensions", empty_list, "Extensions: none"},
    {"POST", "/sdapi/v1/refresh-checkpoints", refresh, "Rescan checkpoints", "any"},
    {"POST", "/sdapi/v1/refresh-vae", refresh, "Rescan VAEs"},
    {"POST", "/sdapi/v1/refresh-loras", refresh, "Rescan LoRAs"},
    {"POST", "/sdapi/v1/refresh-embeddings", refresh, "Rescan embeddings"},
    {"POST", "/sdapi/v1/create/embedding", not_supported, kRefused},
    {"POST", "/sdapi/v1/create/hypernetwork", not_supported, kRefused},
    {"POST", "/sdapi/v1/train/embedding", not_supported, kRefused},
    {"POST", "/sdapi/v1/train/hypernetwork", not_supported, kRefused},
    // A1111: the machine and the server
    {"GET", "/sdapi/v1/memory", memory, "Memory of the machine and the process", "Memory"},
    {"GET", "/internal/ping", ping, "Check that the server responds"},
    {"GET", "/internal/sysinfo", sysinfo, "System and program information"},
    {"GET", "/internal/sysinfo-download", sysinfo_download, "System and program information as a file"},
    {"GET", "/internal/quicksettings-hint", quicksettings_hint, "Names of all options"},
    {"GET", "/internal/profile-startup", startup_profile, "How long startup took"},
    {"POST", "/sdapi/v1/server-kill", server_stop, "Stop the server; needs --api-server-stop", "text/plain"},
    {"POST", "/sdapi/v1/server-stop", server_stop, "Stop the server; needs --api-server-stop", "text/plain"},
    {"POST", "/sdapi/v1/server-restart", server_restart, kRefused},
    // A1111: cards
    {"GET", "/sd_extra_networks/thumb", network_thumb, "A preview by its path", "image/*", nullptr, thumb_query},
    {"GET", "/sd_extra_networks/cover-images", network_cover, "A picture stored in a LoRA's metadata", "image/*", nullptr, network_query},
    {"GET", "/sd_extra_networks/metadata", network_metadata, "A LoRA's metadata as text", "application/json", nullptr, network_query},
    {"GET", "/sd_extra_networks/get-single-card", network_card, "A LoRA's card", "application/json", nullptr, card_query},
    {"GET", "/file={*path}", data_file, "A picture in outputs or the model folders", "image/*"},
    // Jobs
    {"POST", "/v1/jobs", submit_job, "Queue a job", "Job", job_parameters},
    {"GET", "/v1/jobs", list_jobs, "Jobs, newest first", "JobList", nullptr, job_list_query},
    {"POST", "/v1/jobs/cancel", cancel_jobs, "Cancel all queued and running jobs, or those of some kinds", "CancelledJobs", cancel_jobs_parameters},
    {"GET", "/v1/jobs/{id}", show_job, "A job with its position in the queue and its progress", "Job"},
    {"GET", "/v1/jobs/{id}/result", job_result, "Images, parameters and info of a completed job, or of one cancelled during sampling", "JobResult", nullptr, job_result_query},
    {"GET", "/v1/jobs/{id}/pictures/{index}", job_picture, "One picture of a completed job, or of one cancelled during sampling", "image/*"},
    {"GET", "/v1/jobs/{id}/preview", job_preview, "Preview of the running job's picture", "image/png"},
    {"GET", "/v1/jobs/{id}/events", job_events, "Server-sent events until the job ends", "text/event-stream"},
    {"POST", "/v1/jobs/{id}/cancel", cancel_job, "Cancel a job; the partial picture is kept, unless the job is cancelled twice", "Job"},
    {"DELETE", "/v1/jobs/{id}", delete_job, "Delete a job that has ended, and its result", "Deleted"},
    {"GET", "/v1/events", all_events, "Server-sent events of all jobs", "text/event-stream"},
    // The prompt
    {"POST", "/v1/prompt/tokens", prompt_tokens, "Token count of a prompt", "PromptTokens", prompt_tokens_parameters},
    {"POST", "/v1/infotext", read_infotext, "Read the settings from pasted text", "PictureSettings", infotext_parameters},
    // The collection and what was made
    {"GET", "/v1/checkpoints", checkpoint_list, "Checkpoints with their card data, and which one is active", "CheckpointList"},
    {"PATCH", "/v1/checkpoints/{name}", checkpoint_edit, "Set a checkpoint's subfamily", "Checkpoint", checkpoint_edit_parameters},
    {"GET", "/v1/loras", lora_cards, "LoRA cards", "LoraCards", nullptr, lora_query},
    {"GET", "/v1/loras/facets", lora_facets, "LoRA counts by type, base model and tag", "LoraFacets", nullptr, lora_facets_query},
    {"GET", "/v1/loras/duplicates", lora_duplicates, "Duplicate LoRAs, and names shared by several files", "LoraDuplicates"},
    {"POST", "/v1/loras/missing", lora_missing, "Which models a prompt or picture needs, which are here, and where to get the rest", "NeededFiles", lora_missing_parameters},
    {"GET", "/v1/loras/{name}", lora_detail, "Everything known about a LoRA", "LoraDetail"},
    {"PATCH", "/v1/loras/{name}", lora_edit, "Edit a LoRA's notes, type, subfamily, rating and trigger words", "LoraCard", lora_edit_parameters},
    {"GET", "/v1/loras/{name}/preview", lora_preview, "A LoRA's preview", "image/*"},
    {"PUT", "/v1/loras/{name}/preview", lora_preview_set, "Set the preview picture", "LoraCard", lora_preview_parameters},
    {"DELETE", "/v1/loras/{name}/preview", lora_preview_remove, "Remove the preview", "LoraCard"},
    {"GET", "/v1/outputs", output_list, "Saved pictures, newest first", "OutputList", nullptr, page_query},
    {"GET", "/v1/outputs/{*name}", output_file, "A saved picture", "image/*"},
    {"DELETE", "/v1/outputs/{*name}", output_delete, "Delete a saved picture", "Deleted"},
    // Training: sets of pictures, and runs
    {"GET", "/v1/datasets", dataset_list, "Datasets: the folders in train/", "DatasetList"},
    {"POST", "/v1/datasets", dataset_create, "Create a dataset", "Dataset", dataset_create_parameters},
    {"GET", "/v1/datasets/{name}", dataset_detail, "Pictures, captions and buckets of a dataset", "Dataset", nullptr, dataset_query},
    {"PATCH", "/v1/datasets/{name}", dataset_rename_folder, "Change repeats and trigger words of a dataset folder", "Dataset", dataset_folder_parameters},
    {"POST", "/v1/datasets/{name}/pictures", dataset_add_picture, "Add a picture; the request body is the file", "DatasetPicture", nullptr, dataset_upload_query},
    {"GET", "/v1/datasets/{name}/pictures/{*file}", dataset_picture, "Thumbnail of a dataset picture", "image/*", nullptr, dataset_picture_query},
    {"DELETE", "/v1/datasets/{name}/pictures/{*file}", dataset_delete_picture, "Delete a picture and its caption", "Deleted"},
    {"PUT", "/v1/datasets/{name}/captions/{*file}", dataset_caption, "Set a picture's caption; null: use the trigger words", "DatasetPicture", dataset_caption_parameters},
    {"GET", "/v1/trainings", training_list, "Training runs by LoRA name, newest first", "TrainingList"},
    {"GET", "/v1/trainings/{name}", training_detail, "A training run with its losses and sample pictures", "TrainingDetail", nullptr, training_query},
    {"GET", "/v1/trainings/{name}/samples/{file}", training_sample, "A sample picture", "image/png"},
    {"DELETE", "/v1/trainings/{name}", training_delete, "Delete a training run and its saved state; the LoRA is kept", "Deleted"},
    // OpenAI
    {"POST", "/v1/images/generations", openai_generations, "Generate pictures (OpenAI format)", "application/json", openai_parameters},
    {"POST", "/v1/images/edits", openai_edits, "Edit pictures (OpenAI format, multipart)", "application/json", nullptr},
    {"GET", "/v1/models", openai_models, "Checkpoints (OpenAI format)", "application/json", nullptr},
    // The server
    {"GET", "/healthz", health, "Health check", "Health", nullptr, nullptr, kOpen},
    {"GET", "/metrics", metrics, "Metrics in Prometheus format", "text/plain"},
    {"GET", "/openapi.json", openapi_json, "This API description (OpenAPI)", "application/json", nullptr, nullptr, kOpen},
    {"GET", "/docs", docs_page, "This API description as a page", "text/html", nullptr, nullptr, kOpen},
    {"GET", "/login_check", login_check, "Whether the requester may open the page: null, or 401", "application/json", nullptr, nullptr, kPage},
    {"GET", "/login_check/", login_check, "Alias of /login_check", "application/json", nullptr, nullptr, kPage},
    {"GET", "/", page_index, "The web page", "text/html", nullptr, nullptr, kPage},
    {"GET", "/{*file}", page_asset, "Files of the web page", "*/*", nullptr, nullptr, kPage},
};
// clang-format on

}  // namespace

std::span<const RouteRow> route_table() {
  return kRoutes;
}

}  // namespace lowrank::server
