#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/http/refusal.h"
#include "server/queue/job_queue.h"
#include "server/requests/job_failure.h"
#include "sqlite/database.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using Admission = JobQueue::Admission;

class JobQueueTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("lowrank-queue-" + std::to_string(::getpid()) + "-" +
                                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Opening the file again is what a start after kill -9 does: nothing is written on the way out.
  std::unique_ptr<JobQueue> open(const QueueOptions& options = {}) {
    return std::make_unique<JobQueue>(folder_ / "queue.sqlite", options, events_);
  }
  static JobRequest job_request(std::string request = "{}", bool is_attached = false, std::string key = "") {
    return {.kind = JobKind::kTextToImage,
            .body = std::move(request),
            .task_id = "",
            .is_attached = is_attached,
            .idempotency_key = std::move(key)};
  }
  static std::shared_ptr<Outcome> done(std::size_t bytes = 10) {
    auto outcome = std::make_shared<Outcome>();
    outcome->pictures.push_back({.mime = "image/png", .bytes = std::string(bytes, 'x')});
    outcome->answer = {{"info", "y"}};
    return outcome;
  }

  fs::path folder_;
  EventLog events_;
};

TEST_F(JobQueueTest, ImportsHaveALaneOfTheirOwn) {
  auto queue = open({.max_waiting = 2});
  const auto import_order = [] {
    return JobRequest{.kind = JobKind::kImport,
                      .body = "{}",
                      .task_id = "import",
                      .is_attached = false,
                      .idempotency_key = ""};
  };
  const auto fetch = queue->submit(import_order()).id, fetch_too = queue->submit(import_order()).id;
  const auto draw = queue->submit(job_request()).id;
  EXPECT_EQ(queue->view(draw)->position, 1);
  EXPECT_EQ(queue->view(fetch_too)->position, 2);
  EXPECT_EQ(queue->waiting(), 1);  // what A1111's clients count
  EXPECT_EQ(queue->pending().size(), 1u);
  EXPECT_EQ(queue->submit(import_order()).admission, Admission::kFull);
  const auto fetching = queue->take(Lane::kImports)->job, fetching_too = queue->take(Lane::kImports)->job;
  const auto drawing = queue->take()->job;
  EXPECT_EQ(fetching->id, fetch);
  EXPECT_EQ(fetching_too->id, fetch_too);
  EXPECT_EQ(drawing->id, draw);
  EXPECT_EQ(queue->unfinished(), 1);
  queue->interrupt();
  EXPECT_TRUE(drawing->control->interrupt);
  EXPECT_FALSE(fetching->control->interrupt);
  EXPECT_EQ(queue->cancel(fetch_too), Cancelled::kSoon);
  EXPECT_TRUE(fetching_too->control->stop.stop_requested());
  EXPECT_FALSE(fetching->control->stop.stop_requested());
  queue->end(fetch_too, Outcome::of(JobState::kCancelled, Cause::kCancelled, "cancelled"));
  queue->end(draw, done());
  EXPECT_EQ(queue->view(fetch)->state, JobState::kRunning);
  // A start after the process died: the import waits in its lane again.
  queue = open();
  EXPECT_EQ(queue->unfinished(), 0);
  EXPECT_EQ(queue->take(Lane::kImports)->job->id, fetch);
}

// The jobs of a database that a release wrote which kept an end by its HTTP status (0.1.0): what it told clients then is
// told now.
TEST_F(JobQueueTest, EndsThatAnEarlierReleaseStoredAreToldAsThen) {
  fs::create_directories(folder_);
  struct Row {
    const char *id, *state;
    int status;
  };
  constexpr Row kRows[] = {{"a", "completed", 200}, {"b", "failed", 422},    {"c", "failed", 400},
                           {"d", "failed", 404},    {"e", "failed", 409},    {"f", "failed", 500},
                           {"g", "cancelled", 409}, {"h", "cancelled", 503}, {"i", "cancelled", 500}};
  {
    const sqlite::Database old(folder_ / "queue.sqlite");
    old.execute(
        "CREATE TABLE jobs (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT "
        "NOT "
        "NULL, request TEXT NOT NULL, digest TEXT NOT NULL, task_id TEXT NOT NULL, attached INTEGER NOT "
        "NULL, "
        "key TEXT UNIQUE, state TEXT NOT NULL, created REAL NOT NULL, started REAL NOT NULL DEFAULT 0, "
        "finished "
        "REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, ends INTEGER NOT NULL DEFAULT 0, "
        "status "
        "INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT 'null', answer TEXT, bytes INTEGER NOT "
        "NULL "
        "DEFAULT 0)");
    for (const Row& row : kRows)
      old.prepare(
             "INSERT INTO jobs (id, kind, request, digest, task_id, attached, state, created, finished, "
             "status, "
             "detail) VALUES (?, 'txt2img', '{}', '', 'task', 0, ?, 1, 4e9, ?, '\"why\"')")
          .bind(1, row.id)
          .bind(2, row.state)
          .bind(3, row.status)
          .run();
    old.execute(
        "INSERT INTO jobs (id, kind, request, digest, task_id, attached, state, created) VALUES ('waits', "
        "'train', '{}', '', '', 0, 'queued', 1), ('late', 'extras', '{}', '', '', 0, 'running', 1), "
        "('newer', "
        "'dream', '{}', '', '', 0, 'queued', 1)");
    // The journal of ends that found no room: slots of 512 bytes, 16 of them.
    std::string journal = "late failed 500 \"the result could not be saved\"";
    journal.resize(512 * 16, '\0');
    std::ofstream(folder_ / "queue.sqlite-ends", std::ios::binary) << journal;
  }
  for (int start = 0; start < 2; ++start) {
    auto queue = open();
    for (const Row& row : kRows) {
      const auto view = queue->view(row.id);
      ASSERT_TRUE(view) << row.id;
      EXPECT_EQ(job_state_name(view->state), row.state) << row.id;
      EXPECT_EQ(http_status(view->cause), row.status) << row.id;
      EXPECT_EQ(view->detail, "why") << row.id;
    }
    EXPECT_EQ(queue->view("late")->state, JobState::kFailed);
    EXPECT_EQ(http_status(queue->view("late")->cause), 500);
    EXPECT_EQ(queue->view("newer")->state, JobState::kFailed);
    EXPECT_EQ(queue->view("newer")->kind, "dream");
    EXPECT_EQ(queue->view("newer")->detail, "unknown kind of job 'dream'.");
    EXPECT_EQ(queue->unfinished(), 1);
    if (start == 1) {
      EXPECT_EQ(queue->take()->job->request.kind, JobKind::kTrain);
    }
  }
}

// What a client is told of an end is the same before and after a restart, and comes from the status of what was thrown.
TEST_F(JobQueueTest, TheStatusOfARefusalOutlivesARestart) {
  for (const int status : {400, 404, 409, 422, 500, 503}) {
    auto queue = open();
    const auto id = queue->submit(job_request()).id;
    queue->take();
    queue->end(id, failure(std::make_exception_ptr(Refusal(status, "why"))));
    EXPECT_EQ(http_status(queue->view(id)->cause), status);
    queue = open();
    EXPECT_EQ(http_status(queue->view(id)->cause), status);
  }
}

TEST(JobKind, EachHasARowAndAName) {
  for (const JobKindRow& row : job_kind_table()) {
    EXPECT_EQ(job_kind_name(row.kind), row.name);
    EXPECT_EQ(job_kind_named(row.name), row.kind);
  }
  EXPECT_EQ(lane_of(JobKind::kImport), Lane::kImports);
  EXPECT_EQ(job_kind_named("dream"), std::nullopt);
  EXPECT_EQ(job_kind_choices(),
            "txt2img, img2img, extras, train or import");  // what the API has always answered
}

TEST_F(JobQueueTest, IsReadableByItsOwnerAloneAndSaysWhenItIsDamaged) {
  open();
  const auto rights = [&](const char* name) { return fs::status(folder_ / name).permissions(); };
  EXPECT_EQ(rights("queue.sqlite"), fs::perms::owner_read | fs::perms::owner_write);
  fs::remove(folder_ / "queue.sqlite-wal");
  std::ofstream(folder_ / "queue.sqlite", std::ios::binary) << std::string(8192, 'x');
  try {
    open();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kIo);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("queue.sqlite"), testing::HasSubstr("damaged")));
  }
}

TEST_F(JobQueueTest, JobsComeInOrderAndKeepTheirResults) {
  auto queue = open();
  const auto first = queue->submit(job_request("{\"a\":1}")).id, second = queue->submit(job_request()).id;
  EXPECT_EQ(queue->view(second)->position, 2);
  const auto work = queue->take();
  ASSERT_TRUE(work && work->job);
  EXPECT_EQ(work->job->id, first);
  EXPECT_EQ(work->job->request.body, "{\"a\":1}");
  queue->end(first, done());
  EXPECT_EQ(queue->view(first)->state, JobState::kCompleted);
  EXPECT_EQ(queue->picture(first, 0)->bytes, "xxxxxxxxxx");
  EXPECT_EQ(queue->answer(first)->at("info"), "y");
  queue = open();
  EXPECT_EQ(queue->picture(first, 0)->bytes, "xxxxxxxxxx");
  EXPECT_EQ(queue->take()->job->id, second);
}

TEST_F(JobQueueTest, AnEndedJobDoesNotEndAgain) {
  auto queue = open();
  const auto id = queue->submit(job_request()).id;
  EXPECT_EQ(queue->cancel(id), Cancelled::kAtOnce);
  EXPECT_EQ(queue->cancel(id), Cancelled::kHadEnded);
  queue->end(id, done());
  EXPECT_EQ(queue->view(id)->state, JobState::kCancelled);
  EXPECT_FALSE(queue->picture(id, 0));
}

TEST_F(JobQueueTest, AfterADeathRunningJobsWaitAgainAndAttachedOnesEnd) {
  auto queue = open();
  const auto running = queue->submit(job_request()).id, waiting = queue->submit(job_request()).id,
             attached = queue->submit(job_request("{}", true)).id;
  ASSERT_EQ(queue->take()->job->id, running);
  queue = open();
  EXPECT_EQ(queue->view(running)->state, JobState::kQueued);
  EXPECT_EQ(queue->view(running)->position, 1);
  EXPECT_EQ(queue->view(waiting)->position, 2);
  EXPECT_EQ(queue->view(attached)->state, JobState::kCancelled);
}

TEST_F(JobQueueTest, AJobThatKillsTheServerIsGivenUp) {
  std::string id;
  for (int i = 0; i < 3; ++i) {
    auto queue = open({.max_attempts = 3});
    if (i == 0) id = queue->submit(job_request()).id;
    ASSERT_EQ(queue->take()->job->id, id);
  }
  auto queue = open({.max_attempts = 3});
  EXPECT_EQ(queue->view(id)->state, JobState::kFailed);
  EXPECT_EQ(queue->view(id)->attempts, 3);
}

TEST_F(JobQueueTest, StoppingPutsTheRunningJobBackWithoutCountingIt) {
  auto queue = open();
  const auto id = queue->submit(job_request()).id;
  const auto work = queue->take();
  queue->stop();
  EXPECT_TRUE(work->job->control->stop.stop_requested());
  queue->end(id, Outcome::of(JobState::kCancelled, Cause::kStopped, "cancelled"));
  EXPECT_FALSE(queue->take());
  EXPECT_EQ(queue->submit(job_request()).admission, Admission::kStopping);
  queue = open();
  EXPECT_EQ(queue->view(id)->state, JobState::kQueued);
  EXPECT_EQ(queue->view(id)->attempts, 0);
}

TEST_F(JobQueueTest, AKeyMeansOneJobAlsoAfterARestart) {
  auto queue = open();
  const auto first = queue->submit(job_request("{}", false, "k"));
  EXPECT_EQ(first.admission, Admission::kNew);
  queue = open();
  const auto again = queue->submit(job_request("{}", false, "k"));
  EXPECT_EQ(again.admission, Admission::kKnown);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(queue->submit(job_request("{\"x\":1}", false, "k")).admission, Admission::kKeyTaken);
  EXPECT_EQ(queue->waiting(), 1);
}

TEST_F(JobQueueTest, IsBoundedInNumberAndBytes) {
  auto queue = open({.max_waiting = 2, .max_waiting_bytes = 1000});
  queue->submit(job_request(std::string(600, ' ')));
  EXPECT_EQ(queue->submit(job_request(std::string(600, ' '))).admission, Admission::kFull);
  queue->submit(job_request());
  const auto refused = queue->submit(job_request());
  EXPECT_EQ(refused.admission, Admission::kFull);
  EXPECT_EQ(refused.waiting, 2);
}

TEST_F(JobQueueTest, TheNewestResultsStay) {
  auto queue = open({.retention = {.seconds = 1000, .bytes = 250, .rows = 4}});
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(queue->submit(job_request()).id);
    queue->take();
    queue->end(ids.back(), done(90));
  }
  EXPECT_FALSE(queue->view(ids[1]));  // beyond the rows
  EXPECT_FALSE(queue->view(ids[3])->has_result);
  EXPECT_TRUE(queue->view(ids[4])->has_result);
  EXPECT_TRUE(queue->picture(ids[5], 0));
  EXPECT_FALSE(queue->picture(ids[3], 0));
}

TEST_F(JobQueueTest, AnAttachedClientGetsItsResultOnce) {
  auto queue = open();
  const auto id = queue->submit(job_request("{}", true)).id;
  EXPECT_EQ(queue->wait_for_end(id, std::chrono::milliseconds(1)), nullptr);
  std::jthread engine([&] {
    queue->take();
    queue->end(id, done());
  });
  const auto outcome = queue->wait_for_end(id, std::chrono::seconds(10));
  ASSERT_NE(outcome, nullptr);
  EXPECT_EQ(outcome->pictures.size(), 1u);
  EXPECT_FALSE(queue->view(id)->has_result);  // it went out on the connection and takes no room
  queue->forget(id);
}

// While it lives no file of this process grows beyond `bytes`: to its writer the same as a full disk.
class NoRoom {
 public:
  explicit NoRoom(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~NoRoom() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;

 private:
  rlimit before_{};
};

TEST_F(JobQueueTest, AnEndThatFindsNoRoomIsAnEndAndStaysOneAfterARestart) {
  auto queue = open();
  const auto kept = queue->submit(job_request()).id, attached = queue->submit(job_request("{}", true)).id;
  queue->take();
  queue->take();
  {
    const NoRoom no_room(8192);  // the queue's write-ahead log is longer already
    queue->end(kept, done(100'000));
    queue->end(attached, done(100'000));
    EXPECT_EQ(queue->view(kept)->state, JobState::kFailed);
    EXPECT_EQ(queue->view(kept)->cause, Cause::kInternal);
    EXPECT_THAT(queue->view(kept)->detail.dump(), testing::HasSubstr("could not be saved"));
    EXPECT_TRUE(queue->list(JobState::kRunning, 10, "").empty());
    EXPECT_EQ(queue->list(JobState::kFailed, 10, "").size(), 1u);
    EXPECT_EQ(queue->unfinished(), 0);
    // Whoever waits has no use for the disk.
    const auto outcome = queue->wait_for_end(attached, std::chrono::milliseconds(1));
    ASSERT_NE(outcome, nullptr);
    EXPECT_EQ(outcome->state, JobState::kCompleted);
    EXPECT_EQ(outcome->pictures.size(), 1u);
  }
  queue = open();
  EXPECT_EQ(queue->view(kept)->state, JobState::kFailed);
  EXPECT_TRUE(is_end(queue->view(attached)->state));
  EXPECT_EQ(queue->unfinished(), 0);
  // Once more: what was noted for the restart is not noted for ever.
  queue = open();
  EXPECT_EQ(queue->view(kept)->state, JobState::kFailed);
}

TEST_F(JobQueueTest, AnEndIsStoredWhenThereIsRoomAgain) {
  auto queue = open();
  const auto id = queue->submit(job_request()).id;
  queue->take();
  {
    const NoRoom no_room(8192);
    queue->end(id, done(100'000));
    EXPECT_THROW(queue->submit(job_request()), Error);  // and says so
  }
  const auto next = queue->submit(job_request()).id;
  EXPECT_EQ(queue->view(id)->state, JobState::kFailed);
  EXPECT_TRUE(queue->remove(id));
  EXPECT_EQ(queue->take()->job->id, next);
}

TEST_F(JobQueueTest, CancellingTheRunningJobReachesItsControl) {
  auto queue = open();
  const auto id = queue->submit(job_request()).id;
  const auto work = queue->take();
  EXPECT_EQ(queue->cancel(id), Cancelled::kSoon);
  EXPECT_TRUE(work->job->control->stop.stop_requested());
  EXPECT_EQ(queue->cancel("nobody"), Cancelled::kUnknown);
}

TEST_F(JobQueueTest, WhatWasDrawnOfACancelledJobIsKept) {
  auto queue = open();
  const auto id = queue->submit(job_request()).id;
  const auto control = queue->take()->job->control;
  control->has_drawn = true;
  EXPECT_EQ(queue->cancel(id), Cancelled::kSoon);
  EXPECT_TRUE(control->interrupt);
  EXPECT_FALSE(control->stop.stop_requested());
  auto kept = done();
  kept->state = JobState::kCancelled;
  queue->end(id, kept);
  EXPECT_EQ(queue->view(id)->state, JobState::kCancelled);
  EXPECT_EQ(queue->view(id)->pictures, 1);
  EXPECT_TRUE(queue->picture(id, 0).has_value());
  // Who cancels twice, and a client that has gone, want nothing of it.
  const auto other = queue->submit(job_request()).id;
  const auto other_control = queue->take()->job->control;
  other_control->has_drawn = true;
  queue->cancel(other);
  queue->cancel(other);
  EXPECT_TRUE(other_control->stop.stop_requested());
  queue->end(other, Outcome::of(JobState::kCancelled, Cause::kCancelled, ""));
  const auto attached = queue->submit(job_request("{}", true)).id;
  const auto attached_control = queue->take()->job->control;
  attached_control->has_drawn = true;
  queue->cancel(attached);
  EXPECT_TRUE(attached_control->stop.stop_requested());
}

TEST_F(JobQueueTest, EventsAreNumberedAndCanBeFollowedFromAnyPoint) {
  auto queue = open();
  const auto one = queue->submit(job_request()).id, two = queue->submit(job_request()).id;
  queue->cancel(one);
  std::uint64_t number = 0;
  EXPECT_EQ(events_.next(number, two, std::chrono::milliseconds(1))->name, "queued");
  number = 0;
  std::vector<std::string> names;
  while (const auto event = events_.next(number, one, std::chrono::milliseconds(1)))
    names.push_back(event->name);
  EXPECT_EQ(names, (std::vector<std::string>{"queued", "cancelled"}));
}

}  // namespace
}  // namespace lowrank::server
