// What handlers work with.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "server/catalog/dataset_store.h"
#include "server/catalog/embedding_cache.h"
#include "server/catalog/library_service.h"
#include "server/catalog/lora_listing.h"
#include "server/catalog/model_catalog.h"
#include "server/engine/engine.h"
#include "server/engine/output_folder.h"
#include "server/imports/import_workers.h"
#include "server/metrics.h"
#include "server/options/option_store.h"
#include "server/queue/event_log.h"
#include "server/queue/job_queue.h"
#include "server/server_options.h"

namespace lowrank::server {

struct Services {
  const ServerOptions& options;
  JobQueue& queue;
  EventLog& events;
  OptionStore& settings;
  ModelCatalog& catalog;
  LibraryService& library_service;
  LoraListing& lora_listing;
  EmbeddingCache& embeddings;
  OutputFolder& outputs;
  DatasetStore& datasets;
  TrainingRuns& trainings;
  Engine& engine;
  ImportWorkers& imports;
  Metrics& metrics;
  std::function<int()> open_connections;
  std::function<bool()> is_stopping;
  std::function<void()> stop;  // the whole server, after the running step
};

}  // namespace lowrank::server
