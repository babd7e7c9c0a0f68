// All handlers, by the file that holds them. Rows: route_table.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "formats/embedding_file.h"
#include "server/fields/parameter.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/services.h"

namespace lowrank::server {

// generate.cc: A1111's pictures, answered on the connection that asked.
Reply txt2img(Services& services, const Call& call);
Reply img2img(Services& services, const Call& call);
Reply extra_single(Services& services, const Call& call);
Reply extra_batch(Services& services, const Call& call);
// Waits for an attached job; the job is cancelled when the client goes away.
std::shared_ptr<const Outcome> wait_for_client(Services& services, const Call& call,
                                               const std::string& job_id);
// A finished job in A1111's form: images, parameters, info.
Reply a1111_reply(const Outcome& outcome);
// Throws what the engine would refuse, before the job waits in the queue. Returns its task id.
std::string check_job_request(Services& services, JobKind kind, const RequestJson& request);
// Puts a request into the queue. Throws Refusal 503 when the queue is full or the server ends, 409 when its idempotency
// key was used for something else.
JobQueue::Ticket submit_request(Services& services, const JobRequest& order);

// progress.cc
Reply progress(Services& services, const Call& call);
Reply internal_progress(Services& services, const Call& call);
Reply pending_tasks(Services& services, const Call& call);
Reply interrupt(Services& services, const Call& call);
Reply skip(Services& services, const Call& call);
ParameterRows progress_query();
ParameterRows internal_progress_parameters();

// prompt.cc
Reply prompt_tokens(Services& services, const Call& call);
ParameterRows prompt_tokens_parameters();

// lists.cc: what there is to choose from.
Reply sd_models(Services& services, const Call& call);
Reply sd_vaes(Services& services, const Call& call);
Reply samplers(Services& services, const Call& call);
Reply schedulers(Services& services, const Call& call);
Reply upscalers(Services& services, const Call& call);
Reply latent_upscale_modes(Services& services, const Call& call);
Reply empty_list(Services& services, const Call& call);
Reply prompt_styles(Services& services, const Call& call);
Reply embeddings(Services& services, const Call& call);
// Of the checkpoint that the options choose; nullopt where none can be read.
std::optional<formats::TextWidths> text_encoder_widths(Services& services);
Reply scripts(Services& services, const Call& call);
Reply script_infos(Services& services, const Call& call);
Reply refresh(Services& services, const Call& call);

// settings.cc: options and the resident model.
Reply get_options(Services& services, const Call& call);
Reply set_options(Services& services, const Call& call);
Reply cmd_flags(Services& services, const Call& call);
Reply unload_checkpoint(Services& services, const Call& call);
Reply reload_checkpoint(Services& services, const Call& call);
ParameterRows option_parameters();

// system.cc: the machine and the server itself.
Reply memory(Services& services, const Call& call);
Reply ping(Services& services, const Call& call);
Reply sysinfo(Services& services, const Call& call);
Reply sysinfo_download(Services& services, const Call& call);
Reply quicksettings_hint(Services& services, const Call& call);
Reply startup_profile(Services& services, const Call& call);
Reply health(Services& services, const Call& call);
Reply metrics(Services& services, const Call& call);
Reply server_stop(Services& services, const Call& call);
Reply server_restart(Services& services, const Call& call);
Reply not_supported(Services& services, const Call& call);
Reply openapi_json(Services& services, const Call& call);
Reply docs_page(Services& services, const Call& call);

// pictures.cc: finished pictures.
Reply png_info(Services& services, const Call& call);
Reply read_infotext(Services& services, const Call& call);
Reply interrogate(Services& services, const Call& call);
Reply absent(Services& services, const Call& call);  // 404, as if there were no such path
Reply output_list(Services& services, const Call& call);
Reply output_file(Services& services, const Call& call);
Reply output_delete(Services& services, const Call& call);
Reply data_file(Services& services, const Call& call);
ParameterRows png_info_parameters();
ParameterRows infotext_parameters();
ParameterRows interrogate_parameters();
ParameterRows page_query();

// loras.cc: the collection.
Reply lora_cards(Services& services, const Call& call);
Reply lora_facets(Services& services, const Call& call);
Reply lora_duplicates(Services& services, const Call& call);
Reply lora_missing(Services& services, const Call& call);
ParameterRows lora_query();
ParameterRows lora_facets_query();
ParameterRows lora_missing_parameters();

// lora_card.cc: one LoRA.
Reply lora_detail(Services& services, const Call& call);
Reply lora_edit(Services& services, const Call& call);
Reply lora_preview(Services& services, const Call& call);
Reply lora_preview_set(Services& services, const Call& call);
Reply lora_preview_remove(Services& services, const Call& call);
ParameterRows lora_edit_parameters();
ParameterRows lora_preview_parameters();

// extra_networks.cc: LoRAs as A1111's API and page ask for them.
Reply loras(Services& services, const Call& call);
Reply network_thumb(Services& services, const Call& call);
Reply network_cover(Services& services, const Call& call);
Reply network_metadata(Services& services, const Call& call);
Reply network_card(Services& services, const Call& call);
ParameterRows thumb_query();
ParameterRows network_query();
ParameterRows card_query();

// jobs.cc: the queue, openly.
Reply submit_job(Services& services, const Call& call);
Reply list_jobs(Services& services, const Call& call);
Reply show_job(Services& services, const Call& call);
Reply job_result(Services& services, const Call& call);
Reply job_picture(Services& services, const Call& call);
Reply job_preview(Services& services, const Call& call);
Reply job_events(Services& services, const Call& call);
Reply all_events(Services& services, const Call& call);
Reply cancel_job(Services& services, const Call& call);
Reply cancel_jobs(Services& services, const Call& call);
Reply delete_job(Services& services, const Call& call);
ParameterRows job_parameters();
ParameterRows job_list_query();
ParameterRows job_result_query();
ParameterRows cancel_jobs_parameters();

// checkpoints.cc: what pictures are made with.
Reply checkpoint_list(Services& services, const Call& call);
Reply checkpoint_edit(Services& services, const Call& call);
ParameterRows checkpoint_edit_parameters();

// datasets.cc: pictures and captions that LoRAs are trained on.
Reply dataset_list(Services& services, const Call& call);
Reply dataset_detail(Services& services, const Call& call);
Reply dataset_create(Services& services, const Call& call);
Reply dataset_rename_folder(Services& services, const Call& call);
Reply dataset_add_picture(Services& services, const Call& call);
Reply dataset_picture(Services& services, const Call& call);
Reply dataset_delete_picture(Services& services, const Call& call);
Reply dataset_caption(Services& services, const Call& call);
ParameterRows dataset_query();
ParameterRows dataset_create_parameters();
ParameterRows dataset_folder_parameters();
ParameterRows dataset_upload_query();
ParameterRows dataset_picture_query();
ParameterRows dataset_caption_parameters();

// trainings.cc: what is kept of trainings, to watch them and to go on.
Reply training_list(Services& services, const Call& call);
Reply training_detail(Services& services, const Call& call);
Reply training_sample(Services& services, const Call& call);
Reply training_delete(Services& services, const Call& call);
ParameterRows training_query();

// openai.cc
Reply openai_generations(Services& services, const Call& call);
Reply openai_edits(Services& services, const Call& call);
Reply openai_models(Services& services, const Call& call);
ParameterRows openai_parameters();

// page.cc: the web page and other files inside the program.
Reply page_index(Services& services, const Call& call);
Reply page_asset(Services& services, const Call& call);
Reply login_check(Services& services, const Call& call);

}  // namespace lowrank::server
