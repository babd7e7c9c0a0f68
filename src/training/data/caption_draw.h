// A caption as one step sees it: kohya's rules in kohya's order, with the random numbers of the step.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "request/training/lora_options.h"

namespace lowrank::training {

using request::CaptionOptions;

// Where in the run a caption is shown.
struct CaptionMoment {
  std::int64_t epoch = 0;  // from 0
  std::int64_t step = 0;   // from 0
  std::int64_t steps = 1;  // of the run
};

// The comma-separated tags of a caption, trimmed, empty ones left out.
std::vector<std::string> caption_tags(const std::string& caption);

// The first line of a caption with prefix and suffix: what is shown when nothing is drawn.
std::string plain_caption(const std::string& caption, const CaptionOptions& options);

// Whether draw_caption() always gives the same.
bool is_fixed(const CaptionOptions& options);

// 1. prefix + " " + caption + " " + suffix.
// 2. Empty with the probability dropout_rate, and in the epochs n, 2n, 3n … (counted from 1) of dropout_every_n_epochs.
// 3. With wildcards one of the lines, then one choice of each {a|b}; {{ and }} are braces. Otherwise the first line.
// 4. With shuffle, tag dropout or token warm-up the tags between separators, trimmed and joined with ", ". What stands
//    before the first keep_separator, and behind a second one, stays where it is (empty tags are left out then); where
//    the caption has none, the first keep_tokens tags stay. The others are cut to the number that the warm-up allows,
//    shuffled, and each is left out with the probability tag_dropout_rate.
// 5. secondary_separator becomes separator.
//
// Source: kohya sd-scripts 0.10.1 (48d368fa), library/train_util.py, BaseDataset.process_caption.
std::string draw_caption(const std::string& caption, const CaptionOptions& options, at::Generator generator,
                         const CaptionMoment& moment = {});

}  // namespace lowrank::training
