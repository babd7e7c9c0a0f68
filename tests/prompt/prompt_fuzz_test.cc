#define LLVMFuzzerTestOneInput fuzz_prompt
#include "fuzz/prompt_fuzz.cc"

#include "prompt/corpus.h"

TEST(PromptFuzz, CorpusPasses) {
  lowrank::prompt::replay_corpus("prompt", fuzz_prompt);
}
