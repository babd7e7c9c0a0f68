#include "cli/engine/edit_call.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/resources.h"
#include "cli/light/json_text.h"
#include "edit/output.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::cli {

namespace fs = std::filesystem;

class EditCall::Line : public Progress {
 public:
  void update(std::string_view phase, std::int64_t done, std::int64_t total) override {
    const auto now = std::chrono::steady_clock::now();
    const bool is_due =
        now - last_ > (is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10));
    if (!is_due || is_quiet_) return;
    last_ = now;
    log_line(stderr, "{}{} {}/{}{}", is_terminal_ ? "\r\x1b[K" : "", phase, done, total,
             is_terminal_ ? "" : "\n");
    is_drawn_ = is_terminal_;
    std::fflush(stderr);
  }
  void clear() {
    if (is_drawn_) log_line(stderr, "\r\x1b[K");
    is_drawn_ = false;
  }
  void be_quiet() { is_quiet_ = true; }
  bool is_quiet() const { return is_quiet_; }

 private:
  bool is_terminal_ = isatty(fileno(stderr)) != 0, is_drawn_ = false, is_quiet_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

EditCall::EditCall(const CommandCall& call) : line_(std::make_unique<Line>()) {
  if (call.arguments.has("quiet") || call.arguments.has("json")) line_->be_quiet();
  job_.output = call.arguments.value("output");
  job_.overwrite = call.arguments.has("overwrite") ? edit::Overwrite::kYes : edit::Overwrite::kNo;
  job_.threads = call.arguments.whole_number("threads");
  job_.stop = call.stop;
  job_.progress = line_.get();
  job_.say = [line = line_.get()](const std::string& text) {
    line->clear();
    if (!line->is_quiet()) log_line(stderr, "{}\n", text);
  };
  if (job_.threads > 0) at::set_num_threads(job_.threads);
}

EditCall::~EditCall() {
  clear();
}

void EditCall::clear() {
  line_->clear();
}

fs::path lora_path(const CommandCall& call, const std::string& name) {
  std::error_code failure;
  if (fs::is_regular_file(name, failure)) return name;
  return resources(call.arguments.value("data-dir")).lora(name);
}

fs::path checkpoint_path(const CommandCall& call, const std::string& name) {
  std::error_code failure;
  if (fs::exists(name, failure)) return name;
  return resources(call.arguments.value("data-dir")).checkpoint(name);
}

std::optional<fs::path> base_path(const CommandCall& call) {
  const std::string name = call.arguments.value("base");
  return name.empty() ? std::nullopt : std::optional(checkpoint_path(call, name));
}

edit::MergeInput merge_input(const CommandCall& call, const std::string& text) {
  std::error_code failure;
  if (fs::is_regular_file(text, failure)) return {.path = text, .text = "1"};
  const auto networks = prompt::parse_extra_networks("<lora:" + text + ">");
  if (!networks.warnings.empty() || networks.loras.size() != 1)
    throw Error(kBadInput, "'{}' is not NAME:WEIGHT as in a prompt's tag{}.", text,
                networks.warnings.empty() ? "" : ": " + networks.warnings.front());
  const prompt::LoraTag& tag = networks.loras.front();
  if (tag.window.start || tag.window.stop)
    throw Error(
        kBadInput,
        "'{}': start= and stop= switch a LoRA at steps of sampling, but a file has none; leave them out.",
        text);
  edit::MergeInput input{.path = lora_path(call, tag.name), .te = tag.te, .unet = tag.unet, .dyn = tag.dyn};
  std::vector<std::string> warnings;
  if (!tag.block_weights.empty() || !tag.block_elements.empty())
    input.blocks = adapter::BlockWeights::parse(
        {.weights = tag.block_weights, .elements = tag.block_elements, .base = tag.block_base}, warnings);
  if (!warnings.empty()) throw Error(kBadInput, "'{}': {}.", text, warnings.front());
  input.text =
      text.size() > tag.name.size() && text.starts_with(tag.name) ? text.substr(tag.name.size() + 1) : "1";
  return input;
}

edit::Precision precision_of(const std::string& name) {
  if (name == "fp32") return edit::Precision::kFloat32;
  if (name == "fp16") return edit::Precision::kFloat16;
  if (name == "bf16") return edit::Precision::kBfloat16;
  return edit::Precision::kAsInputs;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) log_line(stdout, "note: {}\n", note);
}

namespace {

void print_errors(const edit::Report& report) {
  if (report.errors.empty()) return;
  fmt::print("{:<8} {:>7} {:>10}\n", "BLOCK", "LAYERS", "ERROR");
  const auto line = [](const std::string& block, const edit::BlockError& error) {
    fmt::print("{:<8} {:>7} {:>10}\n", block, error.layers, fmt::format("{:.3g} %", 100 * error.relative()));
  };
  for (const auto& [block, error] : report.errors) line(block, error);
  line("all", report.error);
}

nlohmann::ordered_json report_json(const edit::Report& report) {
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  for (const auto& [block, error] : report.errors)
    blocks.push_back({{"block", block}, {"layers", error.layers}, {"error", error.relative()}});
  return {{"path", report.path.string()},
          {"bytes", report.bytes},
          {"layers", report.layers},
          {"factors", report.joined},
          {"whole", report.whole},
          {"norms", report.norms},
          {"reduced", report.reduced},
          {"error", report.error.relative()},
          {"blocks", blocks},
          {"notes", report.notes}};
}

}  // namespace

int print_report(const CommandCall& call, EditCall& edit, const edit::Report& report) {
  edit.clear();
  if (call.arguments.has("json")) {
    print_json(report_json(report));
    return 0;
  }
  print_errors(report);
  print_notes(report.notes);
  fmt::print("{}  {}, {} layers: {} as factors, {} reduced, {} whole, {} norms\n", report.path.string(),
             edit::size_text(report.bytes), report.layers, report.joined, report.reduced, report.whole,
             report.norms);
  return 0;
}

}  // namespace lowrank::cli
