#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/text/base64.h"
#include "image/codec/codec.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/requests/job_failure.h"
#include "server/requests/request_picture.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr ParameterRow kGeneration[] = {
    {.name = "prompt",
     .type = kString,
     .help = "with <lora:NAME:WEIGHT> tags",
     .max_length = kMaxPromptBytes,
     .is_required = true},
    {.name = "n", .type = kInteger, .default_value = "1", .min = 1, .max = 64},
    {.name = "size",
     .type = kString,
     .default_value = "\"512x512\"",
     .help = "WIDTHxHEIGHT",
     .max_length = 32},
    {.name = "model", .type = kString, .help = "an id from /v1/models"},
    {.name = "output_format",
     .type = kString,
     .default_value = "\"png\"",
     .help = "png, jpeg or webp",
     .max_length = 16},
    {.name = "output_compression",
     .type = kInteger,
     .default_value = "100",
     .help = "quality of jpeg and webp; clamped to 0 to 100"},
    {.name = "response_format", .type = kString, .default_value = "\"b64_json\"", .max_length = 16},
};

struct Size {
  int width = 0, height = 0;
};

Size read_size(const std::string& text) {
  if (text == "auto") return {512, 512};
  const auto x = text.find('x');
  Size size;
  if (x != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), text.data() + x, size.width);
    const auto second = std::from_chars(text.data() + x + 1, end, size.height);
    if (first.ec == std::errc() && second.ec == std::errc() && first.ptr == text.data() + x &&
        second.ptr == end && size.width >= 64 && size.height >= 64)
      return size;
  }
  refuse_field("size", "must be WIDTHxHEIGHT with at least 64 pixels each");
}

// sd-server's clients put more settings into the prompt: <sd_cpp_extra_args>{JSON}</sd_cpp_extra_args>.
void merge_extra_arguments(RequestJson& request) {
  std::string prompt = request["prompt"];
  constexpr std::string_view kOpen = "<sd_cpp_extra_args>", kClose = "</sd_cpp_extra_args>";
  const auto from = prompt.find(kOpen);
  const auto to = prompt.find(kClose, from == std::string::npos ? 0 : from);
  if (from == std::string::npos || to == std::string::npos) return;
  const auto inner = prompt.substr(from + kOpen.size(), to - from - kOpen.size());
  prompt.erase(from, to + kClose.size() - from);
  request["prompt"] = prompt;
  const RequestJson extra = parse_json(inner);
  if (!extra.is_object()) return;
  for (const char* name : {"seed", "negative_prompt", "lora", "cfg_scale"})
    if (extra.contains(name)) request[name] = extra[name];
  const auto sample = extra.find("sample_params");
  if (sample != extra.end() && sample->is_object() && sample->contains("sample_steps"))
    request["steps"] = (*sample)["sample_steps"];
}

// Runs an A1111 request and answers in OpenAI's form.
Reply run(Services& services, const Call& call, JobKind kind, const RequestJson& request,
          const std::string& format) {
  JobRequest job_request{.kind = kind,
                         .body = request.dump(),
                         .task_id = check_job_request(services, kind, request),
                         .is_attached = true,
                         .idempotency_key = ""};
  const auto ticket = submit_request(services, job_request);
  const auto outcome = wait_for_client(services, call, ticket.id);
  if (outcome->state != JobState::kCompleted)
    return openai_error_reply(http_status(outcome->cause), outcome->detail);
  Json data = Json::array();
  for (const auto& picture : outcome->pictures) data.push_back({{"b64_json", base64(picture.bytes)}});
  const auto created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  return json_reply({{"created", created.count()}, {"output_format", format}, {"data", data}});
}

RequestJson a1111_request(Services& services, const Json& body) {
  if (body["response_format"] == "url")
    throw Refusal(400, "response_format url is not supported; use b64_json.");
  const std::string format = body["output_format"];
  if (format != "png" && format != "jpeg" && format != "webp")
    refuse_field("output_format", "must be png, jpeg or webp");
  const Size size = read_size(body["size"]);
  RequestJson request = {
      {"prompt", body["prompt"]}, {"n_iter", body["n"]}, {"width", size.width}, {"height", size.height}};
  request["override_settings"] = {
      {"samples_format", format == "jpeg" ? "jpg" : format},
      {"jpeg_quality", std::clamp(body["output_compression"].get<int>(), 1, 100)}};
  if (body["model"].is_string() && body["model"] != "") {
    if (!services.catalog.find_checkpoint(body["model"].get<std::string>()))
      refuse_field("model", "no such model; see /v1/models");
    request["override_settings"]["sd_model_checkpoint"] = body["model"];
  }
  merge_extra_arguments(request);
  return request;
}

}  // namespace

ParameterRows openai_parameters() {
  return kGeneration;
}

Reply openai_generations(Services& services, const Call& call) {
  if (call.body.empty()) refuse_field("prompt", "field required", "value_error.missing");
  const Json body = read_body(kGeneration, call.body);
  return run(services, call, JobKind::kTextToImage, a1111_request(services, body), body["output_format"]);
}

Reply openai_edits(Services& services, const Call& call) {
  RequestJson fields = RequestJson::object(), images = RequestJson::array();
  std::string mask;
  for (const FormPart& part : call.form) {
    if (part.name == "image" || part.name == "image[]") {
      images.push_back(base64(part.content));
    } else if (part.name == "mask") {
      mask = base64(part.content);
    } else {
      fields[part.name] = part.content;
    }
  }
  Faults faults;
  const Json body = read_parameters(kGeneration, fields, faults);
  faults.throw_if_any();
  if (images.empty()) refuse_field("image", "field required", "value_error.missing");
  RequestJson request = a1111_request(services, body);
  request["init_images"] = RequestJson::array({images[0]});
  if (!mask.empty()) {
    // OpenAI's masks are transparent where the picture is to change: A1111's alpha masks are opaque there.
    request["mask"] = mask;
    request["inpainting_mask_invert"] = request_mask(mask, "mask").from_alpha ? 1 : 0;
    request["inpainting_fill"] = 1;
  }
  return run(services, call, JobKind::kImageToImage, request, body["output_format"]);
}

Reply openai_models(Services& services, const Call&) {
  Json data = Json::array();
  for (const auto& entry : services.catalog.checkpoints())
    data.push_back({{"id", entry.model_name}, {"object", "model"}, {"owned_by", "local"}});
  return json_reply({{"object", "list"}, {"data", data}});
}

}  // namespace lowrank::server
