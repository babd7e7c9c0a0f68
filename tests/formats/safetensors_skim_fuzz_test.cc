#define LLVMFuzzerTestOneInput fuzz_safetensors_skim
#include "fuzz/safetensors_skim_fuzz.cc"

#include "prompt/corpus.h"

TEST(SafetensorsSkimFuzz, CorpusPasses) {
  lowrank::prompt::replay_corpus("safetensors_skim", fuzz_safetensors_skim);
}
