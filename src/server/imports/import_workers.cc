#include "server/imports/import_workers.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>

#include "base/log_line.h"
#include "library/import/importer.h"
#include "library/library.h"
#include "library/lora_words.h"
#include "server/http/json_body.h"
#include "server/imports/import_task.h"
#include "server/requests/job_failure.h"

namespace lowrank::server {
namespace {

using Clock = std::chrono::steady_clock;
using library::Imported;
using library::ImportItem;
using library::Library;

constexpr int kThreads = 2;
// Clients are told so often while bytes come.
constexpr std::chrono::milliseconds kTellEvery{250};

// Counts the bytes of all files of one job and tells of them, not too often.
class Teller {
 public:
  Teller(const std::string& job, const std::vector<ImportItem>& items, ImportBoard& board, EventLog& events)
      : job_(job), board_(board), events_(events) {
    for (const ImportItem& item : items) {
      if (!item.size) is_total_known_ = false;
      now_.total_bytes += item.size.value_or(0);
    }
  }

  void begin_file(const std::string& label) {
    now_.file = label;
    done_ = now_.bytes;
    is_first_ = true;
    tell();
  }
  void update(std::uint64_t bytes, std::uint64_t of_file) {
    now_.bytes = done_ + bytes;
    // The first bytes that are told of a file hold those that lay there already.
    if (std::exchange(is_first_, false)) now_.kept_bytes += bytes;
    // A site that does not say how large its files are says it when one is fetched.
    if (!is_total_known_) now_.total_bytes = of_file == 0 ? 0 : done_ + of_file;
    now_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (Clock::now() - told_ >= kTellEvery || now_.bytes == now_.total_bytes) tell();
  }

 private:
  void tell() {
    told_ = Clock::now();
    board_.set(job_, now_);
    Json data = {{"id", job_}};
    data.update(now_.json());
    events_.add("progress", job_, std::move(data));
  }

  const std::string& job_;
  ImportBoard& board_;
  EventLog& events_;
  ImportProgress now_;
  std::uint64_t done_ = 0;  // bytes of the files before the present one
  bool is_total_known_ = true, is_first_ = true;
  Clock::time_point start_ = Clock::now(), told_;
};

Json import_json(const Library& library, const Imported& imported,
                 const std::optional<library::Record>& record) {
  Json entry = {{"state", imported.state == library::ImportState::kImported ? "imported" : "already here"},
                {"file", imported.path.lexically_relative(library.data().root).generic_string()},
                {"bytes", imported.bytes},
                {"resumed", imported.was_resumed},
                {"remarks", imported.remarks}};
  if (!record) return entry;
  entry["kind"] = library::place_named(record->place).kind;
  entry["name"] = record->name;
  entry["relative"] = Library::relative_name(*record);
  entry["hash"] = library::lora_hash(*record);
  if (entry["kind"] == "lora") entry["prompt"] = library.prompt_line(*record);
  return entry;
}

}  // namespace

ImportWorkers::ImportWorkers(ImportParts parts) : parts_(std::move(parts)) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

ImportWorkers::~ImportWorkers() {
  parts_.queue.stop();
}

void ImportWorkers::work() {
  for (;;) {
    try {
      const auto work = parts_.queue.take(Lane::kImports);
      if (!work) return;
      std::shared_ptr<Outcome> outcome;
      try {
        outcome = run(*work->job);
      } catch (...) {
        outcome = failure(std::current_exception());
      }
      board_.remove(work->job->id);
      parts_.queue.end(work->job->id, outcome);
    } catch (const std::exception& error) {
      log_line(stderr, "warning: {}\n", error.what());
      std::this_thread::sleep_for(std::chrono::seconds(1));  // the disk, most likely: try again, slowly
    }
  }
}

std::shared_ptr<Outcome> ImportWorkers::run(const RunningJob& job) {
  const ImportTask task = read_import(parse_json(job.request.body));
  // A connection of its own: the downloads must not keep the others from the index.
  Library library = Library::open(parts_.data);
  const library::Importer importer(
      library, library::Http(fmt::format("LowRank/{}", parts_.version), {}, job.control->stop.get_token()),
      task.options);
  const auto items = importer.plan(task.source);
  Teller teller(job.id, items, board_, parts_.events);
  std::vector<Imported> imports;
  for (const ImportItem& item : items) {
    teller.begin_file(item.label);
    imports.push_back(
        importer.fetch(item, [&](std::uint64_t bytes, std::uint64_t total) { teller.update(bytes, total); }));
  }
  const auto records = library::index_imports(library, imports);
  auto outcome = std::make_shared<Outcome>();
  Json list = Json::array();
  for (std::size_t i = 0; i < imports.size(); ++i)
    list.push_back(import_json(library, imports[i], records[i]));
  outcome->answer = {{"parameters", Json::parse(job.request.body, nullptr, false)}, {"imported", list}};
  return outcome;
}

}  // namespace lowrank::server
