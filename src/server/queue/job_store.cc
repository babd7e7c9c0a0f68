#include "server/queue/job_store.h"

#include <fmt/format.h>

#include <chrono>
#include <span>

#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::server {
namespace {

constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS jobs (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    request     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    attached    INTEGER NOT NULL,
    key         TEXT UNIQUE,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    created     REAL NOT NULL,
    started     REAL NOT NULL DEFAULT 0,
    finished    REAL NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    ends        INTEGER NOT NULL DEFAULT 0 CHECK (ends <= 1),
    status      INTEGER NOT NULL DEFAULT 0,  -- of releases before `cause`: the HTTP status of the end
    detail      TEXT NOT NULL DEFAULT 'null',
    answer      TEXT,
    bytes       INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, sequence);
  CREATE TABLE IF NOT EXISTS pictures (
    job      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    place    INTEGER NOT NULL,
    mime     TEXT NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (job, place)
  );
)sql";

constexpr std::string_view kViewColumns =
    "SELECT id, kind, task_id, state, attached, created, started, finished, attempts, cause, detail, "
    "(SELECT COUNT(*) FROM pictures WHERE job = jobs.id), answer IS NOT NULL FROM jobs ";

// How the database and the journal of ends name a cause; never changed after release.
struct CauseRow {
  Cause cause;
  std::string_view name;
  int status;  // as which releases before wrote it
};
constexpr CauseRow kCauses[] = {
    {Cause::kNone, "none", 200},
    {Cause::kCancelled, "cancelled", 409},
    {Cause::kStopped, "stopped", 503},
    {Cause::kBadInput, "bad-input", 422},
    {Cause::kUnknownName, "unknown-name", 400},
    {Cause::kNotFound, "not-found", 404},
    {Cause::kConflict, "conflict", 409},
    {Cause::kInternal, "internal", 500},
};

std::string digest_of(const JobRequest& job_request) {
  const std::string text = fmt::format("{}\n{}", job_kind_name(job_request.kind), job_request.body);
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

std::string_view job_state_name(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kCompleted:
      return "completed";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "";
}

std::optional<JobState> job_state_from_name(std::string_view name) {
  for (const auto state :
       {JobState::kQueued, JobState::kRunning, JobState::kCompleted, JobState::kFailed, JobState::kCancelled})
    if (job_state_name(state) == name) return state;
  return std::nullopt;
}

std::string_view cause_name(Cause cause) {
  for (const CauseRow& row : kCauses)
    if (row.cause == cause) return row.name;
  LOWRANK_CHECK(false);
}

std::optional<Cause> cause_named(std::string_view name) {
  for (const CauseRow& row : kCauses)
    if (row.name == name) return row.cause;
  return std::nullopt;
}

Cause cause_of_status(JobState state, std::int64_t status) {
  if (status == 409) return state == JobState::kCancelled ? Cause::kCancelled : Cause::kConflict;
  for (const CauseRow& row : kCauses)
    if (row.status == status) return row.cause;
  return is_end(state) && state != JobState::kCompleted ? Cause::kInternal : Cause::kNone;
}

JobStore::JobStore(const std::filesystem::path& file)
    : database_(file, {.name = "the queue",
                       .if_damaged = "move the file away to begin with an empty queue",
                       .wait = std::chrono::seconds(5),
                       .is_private = true}) {  // prompts are nobody else's business
  database_.execute("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;");
  set_durable(true);  // a job that was accepted survives a power cut, too
  database_.execute(kSchema);
  migrate();
}

void JobStore::set_durable(bool is_durable) {
  database_.execute(is_durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

// Databases of releases before `cause` get it, told from the HTTP status that they kept.
void JobStore::migrate() {
  if (database_.number("SELECT COUNT(*) FROM pragma_table_info('jobs') WHERE name = 'cause'") > 0) return;
  sqlite::Transaction transaction(database_);
  database_.execute("ALTER TABLE jobs ADD COLUMN cause TEXT NOT NULL DEFAULT 'none'");
  for (const JobState state : {JobState::kCompleted, JobState::kFailed, JobState::kCancelled}) {
    sqlite::Statement statuses = database_.prepare("SELECT DISTINCT status FROM jobs WHERE state = ?1");
    statuses.bind(1, job_state_name(state));
    std::vector<std::int64_t> found;
    while (statuses.step()) found.push_back(statuses.integer(0));
    for (const std::int64_t status : found)
      database_.prepare("UPDATE jobs SET cause = ?1 WHERE state = ?2 AND status = ?3")
          .bind(1, cause_name(cause_of_status(state, status)))
          .bind(2, job_state_name(state))
          .bind(3, status)
          .run();
  }
  transaction.commit();
}

std::vector<std::string> JobStore::recover(int max_attempts, double now) {
  sqlite::Transaction transaction(database_);
  database_
      .prepare(
          "UPDATE jobs SET state = 'cancelled', ends = ends + 1, finished = ?1, cause = ?2, request = '{}', "
          "detail = '\"the server ended while the client was waiting\"' "
          "WHERE attached = 1 AND state IN ('queued', 'running')")
      .bind(1, now)
      .bind(2, cause_name(Cause::kStopped))
      .run();
  // A job that takes the whole process down again and again must not keep the others from their turn.
  database_
      .prepare(
          "UPDATE jobs SET state = 'failed', ends = ends + 1, finished = ?1, cause = ?3, request = '{}', "
          "detail = '\"the server died each time while it worked on this job\"' "
          "WHERE state = 'running' AND attempts >= ?2")
      .bind(1, now)
      .bind(2, max_attempts)
      .bind(3, cause_name(Cause::kInternal))
      .run();
  database_.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'");
  refuse_unknown_kinds(now);
  std::vector<std::string> waiting;
  {
    sqlite::Statement rows =
        database_.prepare("SELECT id FROM jobs WHERE state = 'queued' ORDER BY sequence");
    while (rows.step()) waiting.push_back(rows.text(0));
  }
  transaction.commit();
  return waiting;
}

// A newer release may have left kinds of jobs that this one does not know.
void JobStore::refuse_unknown_kinds(double now) {
  sqlite::Statement rows = database_.prepare("SELECT DISTINCT kind FROM jobs WHERE state = 'queued'");
  std::vector<std::string> unknown;
  while (rows.step())
    if (!job_kind_named(rows.text(0))) unknown.push_back(rows.text(0));
  for (const std::string& kind : unknown)
    database_
        .prepare(
            "UPDATE jobs SET state = 'failed', ends = ends + 1, finished = ?1, cause = ?2, request = '{}', "
            "detail = ?3 WHERE state = 'queued' AND kind = ?4")
        .bind(1, now)
        .bind(2, cause_name(Cause::kBadInput))
        .bind(3, json_text(fmt::format("unknown kind of job '{}'.", kind)))
        .bind(4, kind)
        .run();
}

void JobStore::insert(const std::string& id, const JobRequest& job_request, double now) {
  set_durable(!job_request.is_attached);
  sqlite::Statement row = database_.prepare(
      "INSERT INTO jobs (id, kind, request, digest, task_id, attached, key, state, created) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8)");
  row.bind(1, id)
      .bind(2, job_kind_name(job_request.kind))
      .bind(3, job_request.body)
      .bind(4, digest_of(job_request));
  row.bind(5, job_request.task_id).bind(6, std::int64_t{job_request.is_attached ? 1 : 0}).bind(8, now);
  if (job_request.idempotency_key.empty()) {
    row.bind_null(7);
  } else {
    row.bind(7, job_request.idempotency_key);
  }
  row.run();
}

std::optional<JobStore::Known> JobStore::find_key(const std::string& key, const JobRequest& job_request) {
  sqlite::Statement row = database_.prepare("SELECT id, digest FROM jobs WHERE key = ?1");
  row.bind(1, key);
  if (!row.step()) return std::nullopt;
  return Known{.id = row.text(0), .same_request = row.text(1) == digest_of(job_request)};
}

void JobStore::begin(const std::string& id, bool is_attached, double now) {
  set_durable(!is_attached);
  database_
      .prepare(
          "UPDATE jobs SET state = 'running', started = ?2, attempts = attempts + 1 WHERE id = ?1 AND state "
          "= 'queued'")
      .bind(1, id)
      .bind(2, now)
      .run();
}

void JobStore::put_back(const std::string& id) {
  database_
      .prepare(
          "UPDATE jobs SET state = 'queued', started = 0, attempts = attempts - 1 WHERE id = ?1 AND state "
          "= 'running'")
      .bind(1, id)
      .run();
}

bool JobStore::end(const std::string& id, const Outcome& outcome, double now) {
  // A waiting client gets the result on its connection; it is not kept a second time.
  bool is_attached = false;
  {
    sqlite::Statement row =
        database_.prepare("SELECT attached FROM jobs WHERE id = ?1 AND state IN ('queued', 'running')");
    if (!row.bind(1, id).step()) return false;
    is_attached = row.integer(0) != 0;
  }
  set_durable(!is_attached);
  sqlite::Transaction transaction(database_);
  const bool keeps_result =
      !is_attached && (outcome.state == JobState::kCompleted || !outcome.pictures.empty());
  std::int64_t bytes = 0;
  const std::string answer = keeps_result ? json_text(outcome.answer) : "";
  if (keeps_result) {
    bytes = static_cast<std::int64_t>(answer.size());
    for (std::size_t i = 0; i < outcome.pictures.size(); ++i) {
      const EncodedPicture& picture = outcome.pictures[i];
      bytes += static_cast<std::int64_t>(picture.bytes.size());
      sqlite::Statement row =
          database_.prepare("INSERT INTO pictures (job, place, mime, bytes) VALUES (?1, ?2, ?3, ?4)");
      row.bind(1, id).bind(2, static_cast<std::int64_t>(i)).bind(3, picture.mime);
      row.bind_blob(4, picture.bytes);
      row.run();
    }
  }
  // The request may hold pictures; what was asked stands in the answer's `parameters`.
  sqlite::Statement row = database_.prepare(
      "UPDATE jobs SET state = ?2, ends = ends + 1, finished = ?3, cause = ?4, detail = ?5, answer = ?6, "
      "bytes = ?7, request = '{}' WHERE id = ?1 AND state IN ('queued', 'running')");
  row.bind(1, id).bind(2, job_state_name(outcome.state)).bind(3, now).bind(4, cause_name(outcome.cause));
  row.bind(5, json_text(outcome.detail)).bind(7, bytes);
  if (keeps_result) {
    row.bind(6, answer);
  } else {
    row.bind_null(6);
  }
  const bool has_ended = row.run() == 1;
  transaction.commit();
  return has_ended;
}

JobView JobStore::read_view(const sqlite::Statement& row) const {
  return {.id = row.text(0),
          .kind = row.text(1),
          .task_id = row.text(2),
          .state = job_state_from_name(row.text(3)).value_or(JobState::kFailed),
          .is_attached = row.integer(4) != 0,
          .position = 0,
          .created = row.number(5),
          .started = row.number(6),
          .finished = row.number(7),
          .attempts = static_cast<int>(row.integer(8)),
          .cause = cause_named(row.text(9)).value_or(Cause::kInternal),
          .detail = Json::parse(row.text(10), nullptr, false),
          .pictures = static_cast<int>(row.integer(11)),
          .has_result = row.integer(12) != 0};
}

std::optional<JobView> JobStore::view(const std::string& id) {
  sqlite::Statement row = database_.prepare(std::string(kViewColumns) + "WHERE id = ?1");
  if (!row.bind(1, id).step()) return std::nullopt;
  return read_view(row);
}

std::vector<JobView> JobStore::list(std::optional<JobState> state, int limit, const std::string& before) {
  sqlite::Statement rows =
      database_.prepare(std::string(kViewColumns) +
                        "WHERE (?1 = '' OR state = ?1) AND (?2 = '' OR sequence < (SELECT sequence FROM jobs "
                        "WHERE id = ?2)) ORDER BY sequence DESC LIMIT ?3");
  rows.bind(1, state ? job_state_name(*state) : std::string_view())
      .bind(2, before)
      .bind(3, std::int64_t{limit});
  std::vector<JobView> views;
  while (rows.step()) views.push_back(read_view(rows));
  return views;
}

JobRequest JobStore::request(const std::string& id) {
  sqlite::Statement row =
      database_.prepare("SELECT kind, request, task_id, attached FROM jobs WHERE id = ?1");
  if (!row.bind(1, id).step())
    throw Error(kInternal, "internal error: job {} has disappeared from the queue.", id);
  const auto kind = job_kind_named(row.text(0));
  LOWRANK_CHECK(kind);  // recover() has ended the others
  return {.kind = *kind,
          .body = row.text(1),
          .task_id = row.text(2),
          .is_attached = row.integer(3) != 0,
          .idempotency_key = ""};
}

std::optional<Json> JobStore::answer(const std::string& id) {
  sqlite::Statement row = database_.prepare("SELECT answer FROM jobs WHERE id = ?1 AND answer IS NOT NULL");
  if (!row.bind(1, id).step()) return std::nullopt;
  return Json::parse(row.text(0), nullptr, false);
}

std::optional<EncodedPicture> JobStore::picture(const std::string& id, int index) {
  sqlite::Statement row = database_.prepare("SELECT mime, bytes FROM pictures WHERE job = ?1 AND place = ?2");
  if (!row.bind(1, id).bind(2, std::int64_t{index}).step()) return std::nullopt;
  return EncodedPicture{.mime = row.text(0), .bytes = row.text(1)};
}

bool JobStore::remove(const std::string& id) {
  return database_.prepare("DELETE FROM jobs WHERE id = ?1 AND state NOT IN ('queued', 'running')")
             .bind(1, id)
             .run() == 1;
}

void JobStore::drop_old(const Retention& retention, double now) {
  sqlite::Transaction transaction(database_);
  const auto drop_results = [&](std::string_view condition, double number) {
    const std::string ids =
        "(SELECT id FROM jobs WHERE answer IS NOT NULL AND " + std::string(condition) + ")";
    database_.prepare("DELETE FROM pictures WHERE job IN " + ids).bind(1, number).run();
    database_.prepare("UPDATE jobs SET answer = NULL, bytes = 0 WHERE id IN " + ids).bind(1, number).run();
  };
  drop_results("finished < ?1", now - retention.seconds);
  // The newest results whose sizes add up to the limit stay.
  drop_results(
      "id IN (SELECT id FROM (SELECT id, SUM(bytes) OVER (ORDER BY finished DESC, sequence DESC) AS total "
      "FROM jobs "
      "WHERE answer IS NOT NULL) WHERE total > ?1)",
      static_cast<double>(retention.bytes));
  database_
      .prepare(
          "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND sequence NOT IN (SELECT sequence "
          "FROM jobs "
          "ORDER BY sequence DESC LIMIT ?1)")
      .bind(1, std::int64_t{retention.rows})
      .run();
  transaction.commit();
}

JobStore::Counts JobStore::counts() {
  Counts counts;
  sqlite::Statement rows = database_.prepare("SELECT state, COUNT(*), SUM(bytes) FROM jobs GROUP BY state");
  while (rows.step()) {
    const auto state = job_state_from_name(rows.text(0));
    if (state == JobState::kCompleted) counts.completed = rows.integer(1);
    if (state == JobState::kFailed) counts.failed = rows.integer(1);
    if (state == JobState::kCancelled) counts.cancelled = rows.integer(1);
    counts.result_bytes += rows.integer(2);
  }
  return counts;
}

}  // namespace lowrank::server
